#include "server/app.h"

#include <stdio.h>

#include "base/alloc.h"
#include "handler/constant.h"

struct cl_app *cello_app_new(void) {
    struct cl_app *app = cl_calloc(1, sizeof *app);
    if (!app)
        return NULL;
    app->router = cl_router_new();
    if (!app->router) {
        cl_free(app);
        return NULL;
    }
    atomic_init(&app->refs, 1);
    return app;
}

void cl_app_ref(struct cl_app *app) {
    atomic_fetch_add(&app->refs, 1);
}

void cello_step_del(struct cl_step *step) {
    if (step && step->del)
        step->del(step);
}

static void handler_del(struct cello_handler *h) {
    if (h && h->del)
        h->del(h);
}

void cl_route_del(struct cl_route *route) {
    cl_versions_free(&route->versions);
    handler_del(route->handler);
    for (size_t i = 0; i < route->own_step_count; i++)
        cello_step_del(route->own_steps[i]);
    cl_free(route->own_steps);
    cl_free((void *)(uintptr_t)route->chain.steps);
    cl_free((void *)(uintptr_t)route->path.ptr);
    cl_free(route);
}

void cello_app_del(struct cl_app *app) {
    if (!app || atomic_fetch_sub(&app->refs, 1) != 1)
        return;
    cl_router_del(app->router);
    cl_versioning_free(&app->versioning);
    while (app->routes) {
        struct cl_route *next = app->routes->next;
        cl_route_del(app->routes);
        app->routes = next;
    }
    for (size_t i = 0; i < app->step_count; i++)
        cello_step_del(app->steps[i]);
    cl_free(app->steps);
    cl_free((void *)(uintptr_t)app->chain.steps);
    cl_free(app);
}

/* Takes over handler and steps in any case. NULL: out of memory. */
static struct cl_route *route_new(const struct cello_route *spec) {
    struct cl_route *route = cl_calloc(1, sizeof *route);
    struct cl_step **steps = spec->step_count ? cl_malloc(spec->step_count * sizeof *steps) : NULL;
    char *path = cl_strndup(spec->path.ptr, spec->path.len);
    if (!route || (spec->step_count && !steps) || !path) {
        cl_free(path);
        cl_free(steps);
        cl_free(route);
        handler_del(spec->handler);
        for (size_t i = 0; i < spec->step_count; i++)
            cello_step_del(spec->steps[i]);
        return NULL;
    }
    if (spec->step_count)
        memcpy(steps, spec->steps, spec->step_count * sizeof *steps);
    *route = (struct cl_route){
        .handler = spec->handler,
        .id = spec->id,
        .body = spec->body,
        .max_body = spec->max_body,
        .unlogged = spec->unlogged,
        .path = {path, spec->path.len},
        .own_step_count = spec->step_count,
        .own_steps = steps,
    };
    return route;
}

int cello_app_route(struct cl_app *app, const struct cello_route *spec, char *err, size_t err_len) {
    struct cl_route *route = route_new(spec);
    if (!route) {
        snprintf(err, err_len, "out of memory");
        return CELLO_ENOMEM;
    }
    int result = CELLO_EINVAL;
    if (!spec->methods)
        snprintf(err, err_len, "a route needs at least one method");
    else if (app->versioning.rule.kind != CL_VERSION_NONE)
        result = cl_app_add_version(app, spec, route, err, err_len);
    else
        result = cl_router_add_all(app->router, spec->methods, spec->path, spec->where, route, err,
                                   err_len);
    if (result) {
        cl_route_del(route);
        return result;
    }
    route->next = app->routes;
    app->routes = route;
    return CELLO_OK;
}

int cello_app_constant(struct cl_app *app, unsigned methods, struct cl_str path, const char *where,
                       int status, struct cl_str content_type, const struct cl_str (*headers)[2],
                       size_t header_count, struct cl_str body, char *err, size_t err_len) {
    struct cello_handler *h;
    int result = cl_constant_new(&h, status, content_type, headers, header_count, body);
    if (result) {
        snprintf(err, err_len,
                 "a static response needs a status from 200 to 599 and valid headers");
        return result;
    }
    struct cello_route route = {.methods = methods, .path = path, .where = where, .handler = h};
    return cello_app_route(app, &route, err, err_len);
}

int cello_app_refusal(struct cl_app *app, int status, struct cello_handler *handler, uint32_t id) {
    struct cl_step *allow = cl_server_allow_step();
    const struct cello_route spec = {
        .path = CL_STR(""),
        .handler = handler,
        .id = id,
        .steps = &allow,
        .step_count = status == 405,
    };
    int err = app->frozen ? CELLO_ESTATE : status == 404 || status == 405 ? CELLO_OK : CELLO_EINVAL;
    if (err) {
        handler_del(handler);
        return err;
    }
    struct cl_route *route = route_new(&spec);
    if (!route)
        return CELLO_ENOMEM;
    route->next = app->routes;
    app->routes = route;
    *(status == 404 ? &app->not_found : &app->not_allowed) = route;
    return CELLO_OK;
}

int cello_app_use(struct cl_app *app, struct cl_step *step) {
    if (app->frozen)
        return CELLO_ESTATE;
    if (app->step_count == app->step_cap) {
        size_t cap = app->step_cap ? app->step_cap * 2 : 8;
        struct cl_step **steps = cl_realloc(app->steps, cap * sizeof *steps);
        if (!steps)
            return CELLO_ENOMEM;
        app->steps = steps;
        app->step_cap = cap;
    }
    app->steps[app->step_count++] = step;
    return CELLO_OK;
}

void cello_app_redirect_slashes(struct cl_app *app, bool redirect) {
    app->redirect_slashes = redirect;
}

/* `route` NULL: the application's steps alone. */
static int compile_chain(struct cl_chain *chain, const struct cl_app *app,
                         const struct cl_route *route) {
    const struct cl_step *vary = route ? cl_app_vary(app, route) : NULL;
    size_t own_end = app->step_count + (route ? route->own_step_count : 0);
    size_t count = own_end + (vary != NULL);
    if (!count)
        return CELLO_OK;
    const struct cl_step **steps = cl_malloc(count * sizeof *steps);
    if (!steps)
        return CELLO_ENOMEM;
    for (size_t i = 0; i < own_end; i++)
        steps[i] = i < app->step_count ? app->steps[i] : route->own_steps[i - app->step_count];
    if (vary)
        steps[own_end] = vary;
    *chain = (struct cl_chain){.steps = steps, .count = count};
    return CELLO_OK;
}

int cello_app_freeze(struct cl_app *app) {
    if (app->frozen)
        return CELLO_OK;
    int err = app->chain.steps ? CELLO_OK : compile_chain(&app->chain, app, NULL);
    for (struct cl_route *r = app->routes; r && !err; r = r->next)
        if (!r->chain.steps)
            err = compile_chain(&r->chain, app, r);
    if (!err)
        err = cl_router_freeze(app->router);
    app->frozen = !err;
    return err;
}
