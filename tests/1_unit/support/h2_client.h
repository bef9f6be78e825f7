/* A client of HTTP/2 on the memory transport: nghttp2's, which is strict, and raw frames for what
 * no client should send. */
#ifndef CL_TEST_H2_CLIENT_H
#define CL_TEST_H2_CLIENT_H

#include <nghttp2/nghttp2.h>

#include "http2/conn.h"
#include "support/fixture.h"

enum { H2_MESSAGES = 256, H2_FIELDS = 16384 };

/* What has come for one stream. */
struct h2_message {
    int32_t id;
    int status;
    int interim[4];
    unsigned interims;
    char fields[H2_FIELDS]; /* "name: value\n" each, those of interim answers first */
    char trailers[512];
    char *body;
    size_t len;
    bool ended;  /* by END_STREAM */
    bool closed; /* with this error: */
    uint32_t error;
    const char *upload; /* what is still to be sent of the request's body */
    size_t upload_left;
    bool upload_open; /* more will be given with h2_upload */
    const char *upload_trailer;
};

struct h2_client {
    struct client c;
    struct cl_h2_context *context;
    nghttp2_session *session;
    size_t fed; /* bytes of the server's that the session has seen */
    struct h2_message *messages[H2_MESSAGES];
    unsigned count;
    uint32_t settings[8]; /* by id, as the server has sent them */
    unsigned goaways;
    uint32_t goaway_error;
    int32_t goaway_last;
    unsigned data_frames, pings, window_updates;
    int32_t order[1024]; /* streams of DATA frames, as they came */
};

/* A server's fixture must be there. cfg NULL: the default. The preface and SETTINGS are sent, the
 * server's have come. */
void h2_open(struct fixture *f, struct h2_client *h, const struct cello_http2_config *cfg);
/* The same with windows of this size from the beginning, for streams and for the connection no
 * more than that; the session gives nothing back by itself. */
void h2_open_narrow(struct fixture *f, struct h2_client *h, uint32_t window);
/* The same (window 0: as h2_open) with a server that offers extended CONNECT of "websocket". */
void h2_open_offering(struct fixture *f, struct h2_client *h, const struct cello_http2_config *cfg,
                      uint32_t window);
/* Nothing is sent yet. */
void h2_connect(struct fixture *f, struct h2_client *h, const struct cello_http2_config *cfg);
void h2_free(struct h2_client *h);
/* The messages of streams that have closed go, so that there is room for more. */
void h2_forget(struct h2_client *h);

/* Let both sides talk until nothing moves. */
void h2_turn(struct h2_client *h);
/* The same when all that the client has to say comes in one read. */
void h2_turn_at_once(struct h2_client *h);

/* What a client has to say, not sent. */
struct h2_bytes {
    char *ptr; /* the caller frees it */
    size_t len;
};
void h2_gather(struct h2_client *h, struct h2_bytes *to); /* appends */

/* A request; fields are "name", "value", ..., NULL. Nothing is sent before h2_turn. */
struct h2_message *h2_request(struct h2_client *h, const char *method, const char *path,
                              const char *const *fields);
struct h2_message *h2_get(struct h2_client *h, const char *path);
/* One whose pseudo-header fields are the caller's, too. */
struct h2_message *h2_bare(struct h2_client *h, const char *const *fields);
/* With this body, which the caller keeps; `open`: and more of it, or its end, comes later. */
struct h2_message *h2_post(struct h2_client *h, const char *path, const char *const *fields,
                           const char *body, size_t len, bool open);
/* Extended CONNECT; what is said on it is given with h2_upload. */
struct h2_message *h2_tunnel(struct h2_client *h, const char *path, const char *protocol);
void h2_upload(struct h2_client *h, struct h2_message *m, const char *body, size_t len, bool open);
void h2_reset(struct h2_client *h, struct h2_message *m, uint32_t code);

/* It is complete, with this status and, unless NULL, this body. */
void h2_expect(const struct h2_message *m, int status, const char *body);
/* The stream was reset with this error. */
void h2_expect_reset(const struct h2_message *m, uint32_t error);
/* The value of a field, or NULL. */
const char *h2_field(const struct h2_message *m, const char *name);
/* GOAWAY with this error has come, and the end. */
void h2_expect_goaway(struct h2_client *h, uint32_t error);

/* A frame as it stands on the wire, pushed past the session. */
void h2_raw(struct h2_client *h, uint8_t type, uint8_t flags, int32_t id, const void *payload,
            size_t len);

/* ---- a server and one client of it ---- */

struct h2_pair {
    struct fixture f;
    struct h2_client h;
};

/* The client is open as h2_open leaves it. */
void h2_pair_begin(struct h2_pair *p);
/* NULL: the default. */
void h2_pair_begin_with(struct h2_pair *p, const struct cello_server_config *server,
                        const struct cello_http2_config *http2);
void h2_pair_begin_narrow(struct h2_pair *p, uint32_t window); /* as h2_open_narrow */
void h2_pair_begin_silent(struct h2_pair *p);                  /* as h2_connect */
void h2_pair_end(struct h2_pair *p);

/* A request, then a turn. */
struct h2_message *h2_pair_get(struct h2_pair *p, const char *path);
struct h2_message *h2_pair_request(struct h2_pair *p, const char *method, const char *path,
                                   const char *const *fields);
struct h2_message *h2_pair_bare(struct h2_pair *p, const char *const *fields);
struct h2_message *h2_pair_post(struct h2_pair *p, const char *path, const char *const *fields,
                                const char *body, size_t len, bool open);
/* What the fixture does with the oldest of held[], then a turn. */
void h2_pair_answer(struct h2_pair *p, const char *body);
void h2_pair_give(struct h2_pair *p, struct cl_str bytes, bool last);
/* The client opens the window of a stream (0: of the connection), then a turn. */
void h2_pair_window(struct h2_pair *p, int32_t id, int32_t n);

#endif
