/* A server for tests: routes of every kind, clients on the memory transport, a clock that can be
 * moved. */
#ifndef CL_TEST_FIXTURE_H
#define CL_TEST_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <cello/cello.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/mem.h"
#include "server/server_internal.h"
#include "support/response_check.h"

/* Requests, with `fields` that end their lines. */
#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(target, fields) "POST " target " HTTP/1.1\r\nHost: a\r\n" fields "\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"

#define MS CL_NS_PER_MS

enum { HELD_MAX = 128 };

/* A server that listens nowhere, and what its handlers leave behind. One at a time. */
struct fixture {
    struct cello_server_config cfg;
    struct cl_app *app;
    struct cl_server *server;
    /* "/hold" keeps its requests here, with a reference, for the test to answer. */
    struct cl_request *held[HELD_MAX];
    unsigned held_count;
    unsigned handled;          /* requests that reached a handler */
    unsigned pinned, released; /* bodies of "/pinned" and "/segments" */
    unsigned streams, stopped; /* generators made, and stop() called */
    unsigned readers, read;    /* of bodies: made, and ended */
};

/* Set up by each back end's group; epoll without one. */
extern enum cello_backend fixture_backend;
/* The tests as a group for each back end that this kernel has. How many failed. */
#define fixture_run_backends(tests) fixture_run_groups(tests, CL_ARRAY_LEN(tests))
int fixture_run_groups(const struct CMUnitTest *tests, size_t count);

/* The default configuration with no access log and fixture_backend. */
struct cello_server_config fixture_config(void);
/* Routes:
 *   GET /             "hello", a constant
 *   * /echo           the body
 *   POST /small       the same, at most 10 bytes
 *   GET /item/{id:int}  the id, a comma, and the query parameter q
 *   GET /pinned/{n:int}, /sink/{n:int}, /bytes/{n:int}, /static/{n:int}   n bytes 'x'
 *   GET /stream/{n:int}  n chunks "0123456789"; ?length=L says Content-Length: L; ?wait=1 waits for
 *                     the test to send each (held[])
 *   GET, POST /hold   held[]
 *   POST /read        a body that is read: "n bytes, e", e being what it ended with
 *   POST /tee         the same body, streamed back while it comes
 *   POST /later       held[], with the body unread
 *   CONNECT /tunnel   as /tee
 *   GET, HEAD /segments/{n:int}  n bytes of a file from offset 3 on, in ?parts=P parts; "[" before
 *                     each and ?bytes=B times 'x' behind it. ?size=S: the file is shorter or
 *                     longer. ?status=. ?keep=1: the request is in held[], already answered
 *   GET /header?name=..&value=..   the field, or 500 when it is refused
 *   GET /slash/       only with the slash */
void fixture_init(struct fixture *f, const struct cello_server_config *cfg);
/* The same in two steps: the application may get more in between. NULL: the default. */
void fixture_begin(struct fixture *f, const struct cello_server_config *cfg);
void fixture_serve(struct fixture *f);
/* Every connection is closed; nothing is leaked. */
void fixture_free(struct fixture *f);
/* Register the routes only; for servers that a test makes itself. 0 or an error. */
int fixture_routes(struct fixture *f, struct cl_app *app);
/* What stands in the file of "/segments". */
char fixture_file_byte(uint64_t offset);

/* Turns that do not wait, until nothing moves any more. */
void fixture_turn(struct fixture *f);
/* From now on time passes only by fixture_pass, until fixture_free: for what depends on speed. */
void fixture_stop_clock(void);
/* Let time pass: what is due then happens. */
void fixture_pass(struct fixture *f, uint64_t ns);
struct cl_request *fixture_take(struct fixture *f); /* the oldest of held[] */
/* Answer the oldest, or give it a chunk, and let go of it; then turn. */
void fixture_answer(struct fixture *f, const char *body);
void fixture_give(struct fixture *f, struct cl_str bytes, bool last);
void fixture_drop(struct fixture *f); /* all of held[], unanswered; no turn */
/* Bytes in blocks that somebody holds. */
size_t fixture_used(const struct fixture *f);

/* For cl_log_set_sink: lines are dropped. */
void fixture_no_log(void *ctx, enum cl_log_level level, const char *line);

/* A client on the memory transport. */
struct client {
    struct fixture *f;
    struct cl_stream *stream; /* NULL once the server closed */
    const struct cl_stream_handler *protocol;
    struct cl_stream_handler handler;
    struct cl_stream_ops ops;
    const struct cl_stream_ops *real;
    unsigned sends;
    bool was_shutdown, was_reset;
    char *out; /* what the server had sent when it closed */
    size_t out_len;
    size_t at; /* how far answers were read */
};

void client_open(struct fixture *f, struct client *c);
/* Only its stream, for a protocol that the caller opens. */
void client_connect(struct fixture *f, struct client *c, const struct cl_stream_handler *protocol);
void client_free(struct client *c);
/* Push bytes, then turn. */
void client_send(struct client *c, const char *text);
void client_push(struct client *c, const void *bytes, size_t n);
void client_eof(struct client *c);
/* Everything received so far, NUL-terminated; valid until the next call. */
const char *client_text(struct client *c);
size_t client_received(const struct client *c);
/* Read the next answer, which must be whole and well-formed. */
void client_answer(struct client *c, struct response *r);
void client_answer_to_head(struct client *c, struct response *r);
/* The next answer has this status and, unless NULL, this body; returns it. */
struct response client_expect(struct client *c, int status, const char *body);
/* No byte is left unread. */
void client_expect_nothing(struct client *c);
void client_expect_closed(struct client *c);

/* A server and one client of it. cfg NULL: the default. */
struct h1_pair {
    struct fixture f;
    struct client c;
};
void h1_pair_begin(struct h1_pair *p, const struct cello_server_config *cfg);
void h1_pair_end(struct h1_pair *p);

/* Send `text` on a connection of its own and expect one answer, then the end. */
void expect_refused(struct fixture *f, const char *text, size_t len, int status);

#endif
