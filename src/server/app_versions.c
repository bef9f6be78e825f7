/* Versions that a header tells apart: fronts, to which the router leads, and their routes. */
#include <stdio.h>

#include "base/alloc.h"
#include "http/request.h"
#include "http/response.h"
#include "server/app.h"

static int add_vary(const struct cl_step *step, struct cl_request *r) {
    const struct cl_versioning *v = CL_CONTAINER_OF(step, struct cl_versioning, vary);
    return cl_response_add(r, &v->field);
}

void cl_versioning_free(struct cl_versioning *v) {
    cl_free((void *)(uintptr_t)v->rule.header.ptr);
    cl_free((void *)(uintptr_t)v->rule.fallback.ptr);
    *v = (struct cl_versioning){0};
}

int cello_app_versioning(struct cl_app *app, enum cello_versioning how, struct cl_str header,
                         struct cl_str fallback) {
    if (app->routes || app->frozen)
        return CELLO_ESTATE;
    if (!cl_header_name_valid(header))
        return CELLO_EINVAL;
    struct cl_versioning v = {
        .rule =
            {
                .kind = how == CELLO_VERSION_HEADER ? CL_VERSION_HEADER : CL_VERSION_MEDIA_TYPE,
                .header = {cl_strndup(header.ptr, header.len), header.len},
                .fallback = {cl_strndup(fallback.ptr, fallback.len), fallback.len},
            },
        .vary = {.after = add_vary, .name = "vary"},
    };
    int err = v.rule.header.ptr && v.rule.fallback.ptr
                  ? cl_response_header_check(&v.field, CL_STR("Vary"), v.rule.header)
                  : CELLO_ENOMEM;
    if (err) {
        cl_versioning_free(&v);
        return err;
    }
    cl_versioning_free(&app->versioning);
    app->versioning = v;
    return CELLO_OK;
}

static struct cl_route *find_front(const struct cl_app *app, struct cl_str path) {
    for (struct cl_route *r = app->routes; r; r = r->next)
        if (r->versions.count && cl_str_eq(r->path, path))
            return r;
    return NULL;
}

static struct cl_route *new_front(struct cl_str path) {
    struct cl_route *front = cl_calloc(1, sizeof *front);
    if (!front)
        return NULL;
    front->path = cl_str(cl_strndup(path.ptr, path.len), path.len);
    if (!front->path.ptr) {
        cl_free(front);
        return NULL;
    }
    return front;
}

static void describe_conflict(const struct cello_route *spec, struct cl_str version,
                              const char *other, char *err, size_t err_len) {
    struct cl_str method = cl_method_name((enum cl_method)__builtin_ctz(spec->methods));
    struct cl_str quoted = version.len ? version : CL_STR("all");
    const char *where = spec->where ? spec->where : "";
    snprintf(err, err_len, "%s%sroute \"%.*s %.*s\", version %.*s, conflicts with the one%s%s",
             where, *where ? ": " : "", (int)method.len, method.ptr,
             (int)CL_MIN(spec->path.len, (size_t)200), spec->path.ptr,
             (int)CL_MIN(quoted.len, (size_t)40), quoted.ptr, *other ? " registered at " : "",
             other);
}

/* All versions of `spec`; after an error, some of them. */
static int add_versions(struct cl_versions *v, const struct cello_route *spec,
                        struct cl_route *route, char *err, size_t err_len) {
    static const struct cl_str unnamed = CL_STR_INIT("");
    const struct cl_str *versions = spec->version_count ? spec->versions : &unnamed;
    for (size_t i = 0; i < CL_MAX(spec->version_count, (size_t)1); i++) {
        const char *other = cl_versions_where(v, spec->methods, versions[i]);
        if (other) {
            describe_conflict(spec, versions[i], other, err, err_len);
            return CELLO_EEXIST;
        }
        int result = cl_versions_add(v, spec->methods, versions[i], spec->where, route);
        if (result)
            return result;
    }
    return CELLO_OK;
}

int cl_app_add_version(struct cl_app *app, const struct cello_route *spec, struct cl_route *route,
                       char *err, size_t err_len) {
    struct cl_route *known = find_front(app, spec->path);
    struct cl_route *front = known ? known : new_front(spec->path);
    snprintf(err, err_len, "out of memory");
    if (!front)
        return CELLO_ENOMEM;
    const uint32_t unknown = spec->methods & ~front->versions.methods;
    const size_t before = front->versions.count;
    int result = add_versions(&front->versions, spec, route, err, err_len);
    if (!result && unknown)
        result =
            cl_router_add_all(app->router, unknown, spec->path, spec->where, front, err, err_len);
    if (result) {
        while (front->versions.count > before)
            cl_versions_drop_last(&front->versions);
        if (!known)
            cl_route_del(front);
        return result;
    }
    if (!known) {
        front->next = app->routes;
        app->routes = front;
    }
    route->front = front;
    return CELLO_OK;
}

const struct cl_step *cl_app_vary(const struct cl_app *app, const struct cl_route *route) {
    const struct cl_route *front = route->front ? route->front : route;
    return cl_versions_matter(&front->versions) ? &app->versioning.vary : NULL;
}

const struct cl_route *cl_app_pick_version(const struct cl_app *app, const struct cl_route *front,
                                           const struct cl_request *r) {
    const struct cl_version_rule *rule = &app->versioning.rule;
    const struct cl_header *field = cl_request_header_named(r, rule->header);
    return cl_versions_pick(&front->versions, rule, r->method, field ? field->value : CL_STR(""));
}
