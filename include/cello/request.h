/* What a handler reads of a request. All strings point into the request: they are valid until the
 * last reference is dropped, also when the client has gone. Thread: the worker's, but for
 * cello_request_drop, cello_request_is_disconnected and cello_request_has_left. */
#ifndef CELLO_REQUEST_H
#define CELLO_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include <cello/api.h>
#include <cello/app.h>
#include <cello/error.h>
#include <cello/str.h>

struct cl_request;

/* Keep the request over the return of on_request. */
CELLO_API void cello_request_ref(struct cl_request *r);
CELLO_API void cello_request_unref(struct cl_request *r);
/* For requests that stay for long: the block of input that the request keeps is given back, what it
 * said moves to memory of its own size. Spans that were read before are not valid any more. */
CELLO_API void cello_request_compact(struct cl_request *r);
/* Unref from any thread: the request is sent to its worker. May outlive the server. */
CELLO_API void cello_request_drop(struct cl_request *r);

CELLO_API struct cl_str cello_request_method(const struct cl_request *r);
/* As received; the path raw (dot segments removed, percent-encoded); the query raw. */
CELLO_API struct cl_str cello_request_target(const struct cl_request *r);
CELLO_API struct cl_str cello_request_path(const struct cl_request *r);
CELLO_API struct cl_str cello_request_query(const struct cl_request *r);
CELLO_API struct cl_str cello_request_host(const struct cl_request *r);
CELLO_API struct cl_str cello_request_body(const struct cl_request *r);
/* Of the protocol that carried it. */
enum cello_http_version { CELLO_HTTP_1_0, CELLO_HTTP_1_1, CELLO_HTTP_2 };
CELLO_API enum cello_http_version cello_request_version(const struct cl_request *r);
/* The peer's address, numeric, in the request's memory; empty when it is not known any more. The
 * first call asks the connection, on the thread of the turns; those behind it may be anywhere. */
CELLO_API struct cl_str cello_request_peer(struct cl_request *r, uint16_t *port);
/* The process at the other end of a unix socket, as the kernel knows it: when it connected, and in
 * this process's namespaces (0: not in this one). */
struct cello_credentials {
    int64_t pid, uid, gid;
};
/* False: the request came another way, or it is not known any more. */
CELLO_API bool cello_request_peer_credentials(struct cl_request *r, struct cello_credentials *out);
/* The id that a request-id step found or made; empty without one. */
CELLO_API struct cl_str cello_request_id(const struct cl_request *r);
/* The client has gone, or was answered. */
CELLO_API bool cello_request_is_disconnected(const struct cl_request *r);
/* The same, or it has ended its side while it waited for the answer, which can still be sent. */
CELLO_API bool cello_request_has_left(const struct cl_request *r);

/* What happens to a request that waits for its handler. */
enum cello_event {
    CELLO_EVENT_LEFT,     /* the client has gone, or will send nothing more; once */
    CELLO_EVENT_OVERDUE,  /* the deadline has passed; once for each deadline */
    CELLO_EVENT_DRAINING, /* the server is to stop, and waits for the request; once */
};

/* Told until the request is answered (a stream may be watched anew, from its begin to its end, of
 * which only its deadlines and the drain are told), within a turn, on the thread of the turns. An
 * answer may still be given: it is dropped when the client has gone, and sent when it had only
 * ended its side. on_event may answer, or let go of the request. */
struct cello_observer {
    void (*on_event)(struct cello_observer *o, struct cl_request *r, enum cello_event event);
};

/* NULL: nobody, nor a deadline. The observer's memory is the caller's, until the request is
 * answered or has another one. Nothing is told of a client that has left already
 * (cello_request_has_left), nor of a drain that has begun (cello_server_draining). */
CELLO_API void cello_request_observe(struct cl_request *r, struct cello_observer *o);
/* For the observer, from now, and from each piece of the body that is read; 0: none. Late by up to
 * 20 ms. Nothing while a cello_reader waits, or once the request is answered. */
CELLO_API void cello_request_set_deadline(struct cl_request *r, uint64_t timeout_ns);

CELLO_API enum cello_body cello_request_body_mode(const struct cl_request *r);

/* Told when there is something to read. Its memory is the caller's, until it was told or taken
 * back.
 */
struct cello_reader {
    /* Within a turn, on the thread of the turns, never inside cello_request_read. It may read on,
     * answer, or let go of the request. */
    void (*on_ready)(struct cello_reader *reader, struct cl_request *r);
    /* It will have memory for the next piece of a large body, when it was told that there is one
     * for it: `waiting`, which is then set before on_ready, is how much to have. */
    bool has_memory;
    size_t waiting;
    /* That memory, the caller's, which a read may fill. NULL: none. */
    char *memory;
    size_t room;
};

/* The next piece of the body of a CELLO_BODY_STREAM route: CELLO_OK with at least one byte, which
 * stays until the next call or the last reference, or lies in reader->memory. CELLO_EAGAIN: nothing
 * has come; `reader` is told, once, when that has changed (NULL: nobody is). The end: CELLO_EOF,
 * the body is complete; CELLO_ECANCELED, the client has gone before that, or was answered;
 * CELLO_ETIMEOUT, it sends too slowly; CELLO_EBODY_TOO_LARGE; CELLO_ENOMEM; or an error of the
 * chunks. CELLO_ESTATE: the route does not read its bodies. What a client sends ahead of the
 * handler waits in a bounded room, then in its own sockets; time limits run only while a reader
 * waits. */
CELLO_API int cello_request_read(struct cl_request *r, struct cello_reader *reader,
                                 struct cl_str *bytes);
/* Nobody is told any more, and no time limit runs. */
CELLO_API void cello_request_unread(struct cl_request *r);

CELLO_API size_t cello_request_header_count(const struct cl_request *r);
CELLO_API void cello_request_header_at(const struct cl_request *r, size_t i, struct cl_str *name,
                                       struct cl_str *value);
/* The first header of that name. False: none. */
CELLO_API bool cello_request_header(const struct cl_request *r, struct cl_str name,
                                    struct cl_str *value);

CELLO_API size_t cello_request_param_count(const struct cl_request *r);
/* Percent-decoded. Errors: CELLO_ENOENT, CELLO_ENOMEM. */
CELLO_API int cello_request_param_at(struct cl_request *r, size_t i, struct cl_str *name,
                                     struct cl_str *value);
CELLO_API int cello_request_param(struct cl_request *r, struct cl_str name, struct cl_str *value);

struct cl_pair;
/* All query parameters, decoded, in order. Errors: CELLO_ELIMIT (more than max_query_params),
 * CELLO_EPERCENT, CELLO_EUTF8, CELLO_ENOMEM. */
CELLO_API int cello_request_query_pairs(struct cl_request *r, const struct cl_pair **pairs,
                                        size_t *count);
/* The last value of one parameter, without parsing the others. Errors: CELLO_ENOENT and the above.
 */
CELLO_API int cello_request_query_find(struct cl_request *r, struct cl_str name,
                                       struct cl_str *value);
/* All cookies, in order. Errors: CELLO_ELIMIT, CELLO_ENOMEM. */
CELLO_API int cello_request_cookie_pairs(struct cl_request *r, const struct cl_pair **pairs,
                                         size_t *count);
CELLO_API struct cl_str cello_pair_name(const struct cl_pair *pairs, size_t i);
CELLO_API struct cl_str cello_pair_value(const struct cl_pair *pairs, size_t i);

/* The route's id and pattern; 0 and empty when no route matched. */
CELLO_API uint32_t cello_request_route_id(const struct cl_request *r);
CELLO_API struct cl_str cello_request_route(const struct cl_request *r);
CELLO_API uint32_t cello_request_max_json_depth(const struct cl_request *r);

#endif
