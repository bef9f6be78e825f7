/* The public faces of requests and responses: include/cello/request.h and response.h. */
#include <cello/request.h>
#include <cello/response.h>

#include "http/cookie.h"
#include "http/query.h"
#include "http/response.h"
#include "http/status.h"
#include "net/addr.h"
#include "server/server_internal.h"

/* ---- requests ---- */

void cello_request_ref(struct cl_request *r) {
    cl_request_ref(r);
}

void cello_request_compact(struct cl_request *r) {
    cl_request_compact(r);
}

void cello_request_unref(struct cl_request *r) {
    cl_server_unref(r);
}

struct cl_str cello_request_method(const struct cl_request *r) {
    return r->method_name;
}

struct cl_str cello_request_target(const struct cl_request *r) {
    return r->target;
}

struct cl_str cello_request_path(const struct cl_request *r) {
    return r->path;
}

struct cl_str cello_request_query(const struct cl_request *r) {
    return r->query;
}

struct cl_str cello_request_host(const struct cl_request *r) {
    return r->host;
}

struct cl_str cello_request_body(const struct cl_request *r) {
    return r->body;
}

enum cello_http_version cello_request_version(const struct cl_request *r) {
    return (enum cello_http_version)r->version;
}

struct cl_str cello_request_peer(struct cl_request *r, uint16_t *port) {
    if (!r->peer_known && r->stream) {
        r->peer_known = true;
        char host[CL_ADDR_TEXT_MAX];
        size_t n = cl_addr_host(&r->stream->peer, host);
        struct cl_str copy = cl_arena_dup(&r->arena, cl_str(host, n));
        if (copy.ptr) {
            r->peer_host = copy;
            r->peer_port = cl_addr_port(&r->stream->peer);
            const struct cl_conn *c = r->conn;
            r->peer_credentials = c ? c->stream->credentials : (struct cl_credentials){0};
        }
    }
    *port = r->peer_port;
    return r->peer_host;
}

bool cello_request_peer_credentials(struct cl_request *r, struct cello_credentials *out) {
    uint16_t port;
    bool known = cello_request_peer(r, &port).len && r->peer_credentials.known;
    if (known)
        *out = (struct cello_credentials){r->peer_credentials.pid, r->peer_credentials.uid,
                                          r->peer_credentials.gid};
    return known;
}

struct cl_str cello_request_id(const struct cl_request *r) {
    return r->request_id;
}

bool cello_request_is_disconnected(const struct cl_request *r) {
    return __atomic_load_n(&r->conn, __ATOMIC_RELAXED) == NULL;
}

bool cello_request_has_left(const struct cl_request *r) {
    return cello_request_is_disconnected(r) || __atomic_load_n(&r->left, __ATOMIC_RELAXED);
}

void cello_request_observe(struct cl_request *r, struct cello_observer *o) {
    cl_request_observe(r, o);
}

void cello_request_set_deadline(struct cl_request *r, uint64_t timeout_ns) {
    cl_request_set_deadline(r, timeout_ns);
}

enum cello_body cello_request_body_mode(const struct cl_request *r) {
    return (enum cello_body)r->body_mode;
}

int cello_request_read(struct cl_request *r, struct cello_reader *reader, struct cl_str *bytes) {
    return cl_request_read(r, reader, bytes);
}

void cello_request_unread(struct cl_request *r) {
    cl_request_unread(r);
}

size_t cello_request_header_count(const struct cl_request *r) {
    return r->header_count;
}

void cello_request_header_at(const struct cl_request *r, size_t i, struct cl_str *name,
                             struct cl_str *value) {
    *name = r->headers[i].name;
    *value = r->headers[i].value;
}

bool cello_request_header(const struct cl_request *r, struct cl_str name, struct cl_str *value) {
    const struct cl_header *h = cl_request_header_named(r, name);
    if (!h)
        return false;
    *value = h->value;
    return true;
}

size_t cello_request_param_count(const struct cl_request *r) {
    return r->param_count;
}

int cello_request_param_at(struct cl_request *r, size_t i, struct cl_str *name,
                           struct cl_str *value) {
    *name = r->params[i].name;
    return cl_request_param(r, *name, value);
}

int cello_request_param(struct cl_request *r, struct cl_str name, struct cl_str *value) {
    return cl_request_param(r, name, value);
}

int cello_request_query_pairs(struct cl_request *r, const struct cl_pair **pairs, size_t *count) {
    if (!r->query_parsed) {
        struct cl_pair *parsed;
        unsigned n;
        int err =
            cl_query_parse(r->query, &r->arena, r->worker->limits.max_query_params, &parsed, &n);
        if (err)
            return err;
        r->query_pairs = parsed;
        r->query_count = n;
        r->query_parsed = true;
    }
    *pairs = r->query_pairs;
    *count = r->query_count;
    return CELLO_OK;
}

int cello_request_query_find(struct cl_request *r, struct cl_str name, struct cl_str *value) {
    return cl_query_find(r->query, name, &r->arena, value);
}

int cello_request_cookie_pairs(struct cl_request *r, const struct cl_pair **pairs, size_t *count) {
    if (!r->cookies_parsed) {
        struct cl_pair *parsed;
        unsigned n;
        int err = cl_cookie_parse(r->headers, r->header_count, &r->arena,
                                  r->worker->limits.max_cookies, &parsed, &n);
        if (err)
            return err;
        r->cookie_pairs = parsed;
        r->cookie_count = n;
        r->cookies_parsed = true;
    }
    *pairs = r->cookie_pairs;
    *count = r->cookie_count;
    return CELLO_OK;
}

struct cl_str cello_pair_name(const struct cl_pair *pairs, size_t i) {
    return pairs[i].name;
}

struct cl_str cello_pair_value(const struct cl_pair *pairs, size_t i) {
    return pairs[i].value;
}

uint32_t cello_request_route_id(const struct cl_request *r) {
    return r->route ? r->route->id : 0;
}

struct cl_str cello_request_route(const struct cl_request *r) {
    return r->route ? r->route->path : cl_str(NULL, 0);
}

uint32_t cello_request_max_json_depth(const struct cl_request *r) {
    return r->worker->limits.max_json_depth;
}

/* ---- responses ---- */

void cello_response_status(struct cl_request *r, int status) {
    r->response.status = status;
}

void cello_response_type(struct cl_request *r, struct cl_str content_type) {
    r->response.content_type = content_type;
}

int cello_response_header(struct cl_request *r, struct cl_str name, struct cl_str value) {
    return cl_response_header_copy(r, name, value);
}

bool cello_response_has(const struct cl_request *r, struct cl_str name) {
    const struct cl_header like = {.name = name, .id = (uint16_t)cl_header_id_from(name)};
    return cl_response_has(r, &like);
}

struct cl_str cello_response_get_type(const struct cl_request *r) {
    return r->response.content_type;
}

void cello_response_reset(struct cl_request *r) {
    r->response.status = 0;
    r->response.content_type = cl_str(NULL, 0);
    r->response.header_count = 0;
}

void cello_response_close(struct cl_request *r) {
    r->response.close = true;
}

void cello_respond_bytes(struct cl_request *r, struct cl_str body) {
    cl_respond_bytes(r, body);
}

void cello_respond_pinned(struct cl_request *r, struct cl_str body, void (*release)(void *),
                          void *ctx) {
    cl_respond_pinned(r, body, release, ctx);
}

void cello_respond_static(struct cl_request *r, struct cl_str body) {
    cl_respond_static(r, body);
}

void cello_respond_segments(struct cl_request *r, const struct cello_segment *segments,
                            size_t count, void (*release)(void *), void *ctx) {
    cl_respond_segments(r, segments, count, release, ctx);
}

void cello_respond_empty(struct cl_request *r) {
    cl_respond_empty(r);
}

void cello_respond_problem(struct cl_request *r, int status, struct cl_str detail) {
    cl_respond_problem(r, status, detail);
}

struct cl_str cello_status_reason(int status) {
    return cl_status_reason(status);
}

struct cl_sink *cello_response_sink(struct cl_request *r, size_t hint) {
    return cl_response_sink(r, hint);
}

void cello_respond_sink(struct cl_request *r) {
    cl_respond_sink(r);
}

void cello_response_sink_drop(struct cl_request *r) {
    cl_response_sink_drop(r);
}

int cello_response_trailer(struct cl_request *r, struct cl_str name, struct cl_str value) {
    return cl_response_trailer(r, name, value);
}

int cello_response_early_hints(struct cl_request *r, const struct cello_field *fields,
                               size_t count) {
    return cl_response_hints(r, fields, count);
}

void cello_respond_stream(struct cl_request *r, struct cl_generator *g, bool has_length,
                          uint64_t length) {
    cl_respond_stream(r, g, has_length, length);
}

void cello_response_chunk(struct cl_request *r, struct cl_str bytes, bool last) {
    cl_response_chunk(r, bytes, last);
}

void cello_response_abort(struct cl_request *r) {
    cl_response_abort(r);
}
