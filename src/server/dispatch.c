/* Requests to handlers: what happens between a complete head and a handler, and after the answer.
 */
#include "http/redirect.h"
#include "http/response.h"
#include "http/status.h"
#include "http/uri.h"
#include "server/server_internal.h"

_Static_assert((int)CL_MAX_PARAMS >= (int)CL_ROUTER_MAX_PARAMS, "a request has room for a match");

static struct cl_server *server_of(struct cl_worker *w) {
    return CL_CONTAINER_OF(w, struct cl_server, worker);
}

/* Answer instead of the handler. */
static int refuse(struct cl_request *r, int status, const char *detail) {
    cl_respond_problem(r, status, cl_str(detail, strlen(detail)));
    return CELLO_ECANCELED;
}

static int refuse_err(struct cl_request *r, int err) {
    return refuse(r, cl_error_status(err), cl_error_detail(err));
}

/* The path that is routed: without dot segments, its encoding checked; the query's likewise. */
static int normalize(struct cl_request *r) {
    if (!r->path_plain) {
        char *path = cl_arena_alloc(&r->arena, r->path.len);
        if (!path)
            return CELLO_ENOMEM;
        r->path = cl_str(path, cl_uri_remove_dot_segments(r->path, path));
        int err = cl_percent_check(r->path);
        if (err)
            return err;
    }
    if (r->query.len && memchr(r->query.ptr, '%', r->query.len))
        return cl_percent_check(r->query);
    return CELLO_OK;
}

static struct cl_str allow_value(struct cl_request *r, uint32_t mask) {
    char *text = cl_arena_alloc(&r->arena, 16 * (size_t)CL_METHOD_COUNT);
    if (!text)
        return cl_str(NULL, 0);
    size_t n = 0;
    for (unsigned m = 0; m < CL_METHOD_COUNT; m++) {
        if (!(mask & (1u << m)))
            continue;
        struct cl_str name = cl_method_name((enum cl_method)m);
        if (n) {
            memcpy(text + n, ", ", 2);
            n += 2;
        }
        memcpy(text + n, name.ptr, name.len);
        n += name.len;
    }
    return cl_str(text, n);
}

static int add_allow(const struct cl_step *step, struct cl_request *r) {
    (void)step;
    struct cl_header field;
    struct cl_route_match m;
    if (r->response.status != 405)
        return CELLO_OK;
    cl_router_find(server_of(r->worker)->app->router, r->method, r->path, &m);
    struct cl_str allow = allow_value(r, m.allow_mask);
    int err = allow.ptr ? cl_response_header_check(&field, CL_STR("Allow"), allow) : CELLO_ENOMEM;
    return err || cl_response_has(r, &field) ? err : cl_response_add(r, &field);
}

struct cl_step *cl_server_allow_step(void) {
    static struct cl_step step = {.after = add_allow, .name = "allow"};
    return &step;
}

static int answer_allow(struct cl_request *r, uint32_t mask) {
    struct cl_str allow = allow_value(r, mask);
    if (!allow.ptr || cl_response_header(r, CL_STR("Allow"), allow) != CELLO_OK)
        return refuse_err(r, CELLO_ENOMEM);
    if (r->method != CL_METHOD_OPTIONS)
        return refuse(r, 405, "The resource does not support this method.");
    r->response.status = 204;
    cl_respond_empty(r);
    return CELLO_ECANCELED;
}

static int before_steps(struct cl_request *r, const struct cl_chain *chain) {
    r->chain = chain;
    for (size_t i = 0; i < chain->count; i++) {
        const struct cl_step *step = chain->steps[i];
        int err = step->before ? step->before(step, r) : CELLO_OK;
        if (CL_UNLIKELY(err)) {
            if (err != CELLO_ECANCELED)
                refuse_err(r, err);
            return CELLO_ECANCELED;
        }
    }
    return CELLO_OK;
}

static int enter(struct cl_request *r, const struct cl_route *route) {
    r->route = route;
    r->body_mode = (uint8_t)route->body;
    if (route->max_body)
        r->max_body = route->max_body;
    return before_steps(r, &route->chain);
}

/* The path exists, but not in the version that the request says. */
static int refuse_version(struct cl_request *r, const struct cl_route *front) {
    enum { DETAIL = 256 };
    static const char begin[] = "The resource has the versions ";
    if (enter(r, front) != CELLO_OK)
        return CELLO_ECANCELED;
    char *text = cl_arena_alloc(&r->arena, DETAIL);
    if (!text)
        return refuse_err(r, CELLO_ENOMEM);
    memcpy(text, begin, sizeof begin);
    size_t n = sizeof begin - 1;
    n += cl_versions_list(&front->versions, r->method, text + n, DETAIL - 2 - n);
    memcpy(text + n, ".", 2);
    return refuse(r, 406, text);
}

/* No route answers: the application's own steps run, then the reason is given, by the program if it
 * wants to. */
static int unmatched(struct cl_server *s, struct cl_request *r, enum cl_route_result result,
                     const struct cl_route_match *m) {
    bool other_method = result == CL_ROUTE_NOT_ALLOWED;
    bool redirect =
        !other_method && m->slash_redirect && s->app->redirect_slashes && r->path.len > 1;
    const struct cl_route *own = other_method ? s->app->not_allowed : s->app->not_found;
    if (own && !redirect && !(other_method && r->method == CL_METHOD_OPTIONS))
        return enter(r, own);
    if (before_steps(r, &s->app->chain) != CELLO_OK)
        return CELLO_ECANCELED;
    if (other_method)
        return answer_allow(r, m->allow_mask);
    if (redirect) {
        cl_respond_slash_redirect(r);
        return CELLO_ECANCELED;
    }
    return refuse(r, 404, "No route matches this path.");
}

/* Of CONNECT only the extended one has a path, and only one whose protocol the server has offered
 * says it (http2/conn.h). */
static bool is_tunnel(const struct cl_request *r) {
    return r->method == CL_METHOD_CONNECT && r->path.len && cl_request_header(r, CL_HEADER_UPGRADE);
}

/* Requests that need no route: unknown methods, OPTIONS * and CONNECT. */
static int without_route(struct cl_server *s, struct cl_request *r) {
    if (before_steps(r, &s->app->chain) != CELLO_OK)
        return CELLO_ECANCELED;
    if (r->method == CL_METHOD_OPTIONS)
        return answer_allow(r, (1u << CL_METHOD_CONNECT) - 1);
    return refuse(r, 501, "The server does not implement this method.");
}

/* What can be refused before routing. CELLO_OK: go on. */
static int screen(struct cl_server *s, struct cl_request *r) {
    struct cl_worker *w = &s->worker;
    if (CL_UNLIKELY(s->secured) && cl_server_look_at_stream(s, r) != CELLO_OK)
        return CELLO_ECANCELED;
    if (w->limits.max_inflight && w->inflight > w->limits.max_inflight) {
        r->chain = &s->app->chain;
        if (cl_response_header(r, CL_STR("Retry-After"), CL_STR("1")) != CELLO_OK)
            r->response.close = true;
        return refuse(r, 503, "The server handles as many requests as it may.");
    }
    bool odd =
        r->method == CL_METHOD_OTHER || r->method == CL_METHOD_CONNECT || r->path.ptr[0] == '*';
    if (CL_UNLIKELY(odd) && !is_tunnel(r))
        return without_route(s, r);
    int err = normalize(r);
    if (!err)
        return CELLO_OK;
    if (before_steps(r, &s->app->chain) != CELLO_OK)
        return CELLO_ECANCELED;
    return refuse_err(r, err);
}

static bool is_encoded(const struct cl_request *r) {
    for (uint32_t i = 0; i < r->header_count; i++)
        if (CL_UNLIKELY(r->headers[i].id == CL_HEADER_CONTENT_ENCODING) &&
            !cl_str_ieq(r->headers[i].value, CL_STR("identity")))
            return true;
    return false;
}

static int on_head(struct cl_worker *w, struct cl_request *r) {
    struct cl_server *s = server_of(w);
    w->inflight++;
    r->counted = true;
    int err = screen(s, r);
    if (CL_UNLIKELY(err))
        return err;
    struct cl_route_match m;
    enum cl_route_result result = cl_router_find(s->app->router, r->method, r->path, &m);
    if (CL_UNLIKELY(result != CL_ROUTE_FOUND))
        return unmatched(s, r, result, &m);
    r->param_count = m.param_count;
    for (unsigned i = 0; i < m.param_count; i++)
        r->params[i] = (struct cl_param){m.params[i].name, m.params[i].raw};
    const struct cl_route *route = m.target;
    if (CL_UNLIKELY(route->versions.count > 0)) {
        const struct cl_route *front = route;
        route = cl_app_pick_version(s->app, front, r);
        if (!route)
            return refuse_version(r, front);
    }
    if (enter(r, route) != CELLO_OK)
        return CELLO_ECANCELED;
    if (CL_UNLIKELY(is_encoded(r)))
        return refuse(r, 415, "The server does not decode this content coding.");
    if (route->body == CELLO_BODY_FORM && (err = cl_server_expect_form(s, r)) != CELLO_OK)
        return refuse_err(r, err);
    return CELLO_OK;
}

static void on_request(struct cl_worker *w, struct cl_request *r) {
    (void)w;
    cl_request_entered = r;
    r->route->handler->on_request(r->route->handler, r);
    cl_request_entered = NULL;
}

static void on_done(struct cl_worker *w, struct cl_request *r) {
    struct cl_server *s = server_of(w);
    s->requests++;
    if (r->counted)
        w->inflight--;
    if (s->log && !(r->route && r->route->unlogged && r->response.status == 200))
        cl_server_log_request(s, r);
}

const struct cl_service cl_server_service = {
    .on_head = on_head,
    .on_request = on_request,
    .on_done = on_done,
    .on_conn_closed = cl_server_on_conn_closed,
    .on_crowded = cl_server_review_accepting,
};
