/* Plain HTTP that comes to a server with TLS: redirected on a port for that, else refused. */
#include <cello/tls.h>

#include <stdio.h>

#include "http/response.h"
#include "server/server_internal.h"

enum { HTTPS_PORT = 443 };

static int refuse(struct cl_request *r, const char *detail) {
    r->response.close = true;
    cl_respond_problem(r, 400, cl_str(detail, strlen(detail)));
    return CELLO_ECANCELED;
}

/* Of the first socket with a port: clients of one that redirects came by TCP. */
static unsigned https_port(const struct cl_server *s) {
    for (size_t i = 0; i < s->listener_count; i++)
        if (!s->listeners[i].redirects && cl_addr_port(&s->listeners[i].addr))
            return cl_addr_port(&s->listeners[i].addr);
    return HTTPS_PORT;
}

/* Without the port: behind the last colon, unless that is in an IPv6 address. */
static struct cl_str name_of(struct cl_str host) {
    const char *colon = memrchr(host.ptr, ':', host.len);
    bool has_port = colon && !memchr(colon, ']', (size_t)(host.ptr + host.len - colon));
    return has_port ? cl_str(host.ptr, (size_t)(colon - host.ptr)) : host;
}

static struct cl_str location_of(const struct cl_server *s, struct cl_request *r) {
    char port[sizeof ":65535"] = "";
    if (https_port(s) != HTTPS_PORT)
        snprintf(port, sizeof port, ":%u", https_port(s));
    const struct cl_str parts[] = {
        CL_STR("https://"),
        name_of(r->host),
        cl_str(port, strlen(port)),
        r->path,
        cl_str("?", r->query.len > 0),
        r->query,
    };
    size_t n = 0, room = sizeof "https://:65535?" + r->host.len + r->path.len + r->query.len;
    char *to = cl_arena_alloc(&r->arena, room);
    for (size_t i = 0; to && i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].len)
            memcpy(to + n, parts[i].ptr, parts[i].len);
        n += parts[i].len;
    }
    return cl_str(to, n);
}

static int redirect(const struct cl_server *s, struct cl_request *r) {
    if (!r->host.len)
        return refuse(r, "The request has no Host, so that there is nowhere to redirect it to.");
    if (!r->path.len || r->path.ptr[0] != '/')
        return refuse(r, "This port redirects to HTTPS, and does nothing else.");
    struct cl_str to = location_of(s, r);
    if (!to.ptr || cl_response_header(r, CL_STR("Location"), to) != CELLO_OK)
        return refuse(r, "The request cannot be redirected.");
    r->response.status = 308;
    r->response.close = true;
    cl_respond_empty(r);
    return CELLO_ECANCELED;
}

int cl_server_look_at_stream(struct cl_server *s, struct cl_request *r) {
    r->secure = r->stream->secure;
    if (r->secure || !s->tls)
        return CELLO_OK;
    if (r->stream->redirected)
        return redirect(s, r);
    return refuse(r, "This port speaks HTTPS: write https:// instead of http://.");
}
