/* An application: routes, handlers, and the native steps around them. Filled before it is served,
 * frozen by the first server, read-only from then on and shared by any number of servers.
 *
 * Thread: one until frozen, any afterwards. Functions that take `err` write a sentence for the
 * programmer there when they fail. */
#ifndef CELLO_APP_H
#define CELLO_APP_H

#include <stdbool.h>
#include <stdint.h>

#include <cello/api.h>
#include <cello/error.h>
#include <cello/str.h>

struct cl_app;
struct cl_request;
struct cl_step;

/* Bits of a route's `methods`. */
enum cello_methods {
    CELLO_GET = 1 << 0,
    CELLO_HEAD = 1 << 1,
    CELLO_POST = 1 << 2,
    CELLO_PUT = 1 << 3,
    CELLO_DELETE = 1 << 4,
    CELLO_PATCH = 1 << 5,
    CELLO_OPTIONS = 1 << 6,
};

/* What happens to the body of a request before its handler is called. */
enum cello_body {
    CELLO_BODY_BUFFER, /* it is collected: cello_request_body */
    CELLO_BODY_STREAM, /* nothing: the handler reads it, with cello_request_read */
    CELLO_BODY_FORM,   /* a form is parsed as it comes; what is no form is collected */
};

/* Answers the requests of its routes. on_request is called on a worker's thread when the request is
 * complete (CELLO_BODY_STREAM: its head), and must answer it with one of the cello_respond
 * functions, then or later (it takes a reference for later). */
struct cello_handler {
    void (*on_request)(const struct cello_handler *h, struct cl_request *r);
    /* When the application is deleted. May be NULL. */
    void (*del)(struct cello_handler *h);
};

struct cello_route {
    unsigned methods; /* enum cello_methods, at least one */
    struct cl_str path;
    const char *where;             /* source location for messages, "app.py:12"; may be NULL */
    struct cello_handler *handler; /* the application owns it, also when registration fails */
    uint32_t id;                   /* the handler's own number for the route */
    enum cello_body body;
    uint64_t max_body;            /* bytes; 0: LimitsConfig.max_body_size */
    struct cl_step *const *steps; /* for this route, after the application's; owned likewise */
    size_t step_count;
    const struct cl_str *versions; /* that have it, see cello_app_versioning; copied */
    size_t version_count;          /* 0: those that no other route of the same path has */
    bool unlogged; /* answers of 200 do not stand in the access log: probes come every second */
};

/* How a request says which version of a route it means. */
enum cello_versioning {
    CELLO_VERSION_HEADER,     /* the value of a header */
    CELLO_VERSION_MEDIA_TYPE, /* Accept: application/vnd.shop.v1+json, or ...; version=v1 */
};

/* NULL: out of memory. */
CELLO_API struct cl_app *cello_app_new(void);
/* Servers keep the application alive; this drops the caller's reference. */
CELLO_API void cello_app_del(struct cl_app *app);

/* Errors: CELLO_EINVAL (pattern), CELLO_EEXIST (conflict, names both places), CELLO_ESTATE
 * (frozen), CELLO_ENOMEM. */
CELLO_API int cello_app_route(struct cl_app *app, const struct cello_route *route, char *err,
                              size_t err_len);
/* From now on routes may share path and method if their versions differ. `header` says which one a
 * request means ("Accept" for CELLO_VERSION_MEDIA_TYPE), `fallback`, which may be empty, what it
 * means without; both are copied. A version that no route has: 406. Where versions matter, answers
 * have `Vary`. Errors: CELLO_EINVAL (not the name of a header), CELLO_ESTATE (there are routes
 * already), CELLO_ENOMEM. */
CELLO_API int cello_app_versioning(struct cl_app *app, enum cello_versioning how,
                                   struct cl_str header, struct cl_str fallback);
/* A constant answered without any code of the application. Everything is copied. `headers` holds
 * pairs name, value. Errors: as cello_app_route; CELLO_EINVAL also for the status (200 to 599) and
 * the headers. */
CELLO_API int cello_app_constant(struct cl_app *app, unsigned methods, struct cl_str path,
                                 const char *where, int status, struct cl_str content_type,
                                 const struct cl_str (*headers)[2], size_t header_count,
                                 struct cl_str body, char *err, size_t err_len);
/* Who answers, instead of the engine, requests whose path no route has (status 404), or not for
 * their method (405: `Allow` is added to the answer unless it has one). The application's steps run
 * around it, the body is read before; req.route is empty. Of several handlers for one status the
 * last stays. The application owns the handler in any case. Errors: CELLO_EINVAL (another status),
 * CELLO_ESTATE (frozen), CELLO_ENOMEM. */
CELLO_API int cello_app_refusal(struct cl_app *app, int status, struct cello_handler *handler,
                                uint32_t id);
/* A step for every request, also those that no route answers. The application owns the step when
 * this succeeds. Errors: CELLO_ESTATE (frozen), CELLO_ENOMEM. */
CELLO_API int cello_app_use(struct cl_app *app, struct cl_step *step);
/* "strict" (a path with the other trailing slash is not found) or redirect it with 307. */
CELLO_API void cello_app_redirect_slashes(struct cl_app *app, bool redirect);
/* No more routes and steps; builds the table and the chains. Idempotent. Errors: CELLO_ENOMEM; it
 * may be tried again. */
CELLO_API int cello_app_freeze(struct cl_app *app);

/* Native steps. NULL: out of memory or an invalid argument. */

/* Takes over a request id from `header` when it is 1 to 128 characters of [A-Za-z0-9._:+/=@-],
 * else makes one (128 random bits, hexadecimal), and sends it back. */
CELLO_API struct cl_step *cello_step_request_id(struct cl_str header);

/* Response headers against sniffing, framing and leaking referrers. An empty string or 0: not sent.
 * A header that the handler set itself is kept. */
struct cello_security_headers {
    struct cl_str x_frame_options;
    bool x_content_type_options;
    struct cl_str referrer_policy;
    struct cl_str csp, permissions_policy, coep, coop, corp;
    struct cl_str hsts; /* Strict-Transport-Security, on requests that are secure */
};
CELLO_API struct cl_step *cello_step_security_headers(const struct cello_security_headers *cfg);
CELLO_API void cello_step_del(struct cl_step *step);

#endif
