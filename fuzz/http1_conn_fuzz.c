/* A whole connection: fuzzed bytes in fuzzed pieces against real routes, with slow sends, half
 * closes and resets between them.
 *
 * The input is a script: a byte that chooses what happens, and what it needs.
 *
 *      0..199    that many bytes of input follow
 *      200..219  that many turns of the loop
 *      220..229  sends are held from now on, or not
 *      230..239  a held send finishes; every tenth fails
 *      240..243  the next answer of a handler that waits
 *      244       early hints of a handler that waits
 *      245..249  input arrives in pieces of that many minus 244 bytes
 *      250, 251  the client closes its side; resets
 *      252       a handler that reads its body when it likes reads a piece
 *      253       the same, and waits when there is none; it may have been waiting
 *      254       it answers, whatever it has read
 *      255       it waits no more
 *
 * Always: every answer is well-formed, nothing follows an answer that says close, an error of
 * framing ends the connection, generators are stopped once, nothing is held afterwards, and bodies
 * that are read end, are no longer than they may be, and never wait in more than their window. */
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cello/cello.h>

#include "../tests/1_unit/support/response_check.h"
#include "http1/conn.h"
#include "net/mem.h"
#include "server/server_internal.h"

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            (void)fprintf(stderr, "%s:%d: " #cond "\n", __FILE__, __LINE__);                       \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

enum { HELD_MAX = 8, MAX_BODY = 20000 };

static struct cl_app *app;
static struct cl_request *held[HELD_MAX];
static unsigned held_count, generators, pins, readers;

/* Of /later, which reads when the script says so. */
static struct later {
    struct cello_reader super;
    struct cl_request *r;
    uint64_t bytes;
    int end; /* CELLO_OK: more may come */
    bool waiting;
} later[HELD_MAX];
static unsigned later_count;
static int file; /* twice `filling` */
static const char filling[20000];

/* What the connection sent, kept when the stream goes. */
static struct {
    char *bytes;
    size_t len;
    bool closed, was_shutdown;
} got;

/* ---- handlers ---- */

static void on_echo(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    const struct cl_pair *pairs;
    size_t count;
    (void)cello_request_query_pairs(r, &pairs, &count);
    (void)cello_request_cookie_pairs(r, &pairs, &count);
    cello_respond_bytes(r, cello_request_body(r));
}

static void on_sink(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    struct cl_sink *s = cello_response_sink(r, 10);
    struct cl_str target = cello_request_target(r);
    int err = s ? CELLO_OK : CELLO_ENOMEM;
    for (int i = 0; i < 20 && !err; i++)
        err = cl_sink_write(s, target.ptr, target.len);
    if (!err) {
        cello_respond_sink(r);
        return;
    }
    if (s)
        cello_response_sink_drop(r);
    cello_respond_problem(r, 503, target);
}

static void on_hold(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    if (held_count == HELD_MAX) {
        cello_respond_problem(r, 503, CL_STR("enough"));
        return;
    }
    cello_request_ref(r);
    held[held_count++] = r;
}

static void release(void *ctx) {
    free(ctx);
    pins--;
}

static void on_pinned(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    char *body = calloc(1, 10000);
    CHECK(body);
    pins++;
    cello_respond_pinned(r, cl_str(body, 10000), release, body);
}

struct counter {
    struct cl_generator super;
    int left;
};

static void proceed(struct cl_generator *g, struct cl_request *r) {
    struct counter *k = CL_CONTAINER_OF(g, struct counter, super);
    k->left--;
    if (k->left == 1) {
        struct cl_str target = cello_request_target(r);
        (void)cello_response_trailer(r, CL_STR("Target"), target);
    }
    cello_response_chunk(r, k->left % 2 ? CL_STR("0123456789") : cl_str(NULL, 0), k->left == 0);
}

static void stop(struct cl_generator *g, struct cl_request *r) {
    (void)r;
    generators--;
    free(CL_CONTAINER_OF(g, struct counter, super));
}

static void on_stream(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    struct counter *k = calloc(1, sizeof *k);
    CHECK(k);
    *k = (struct counter){{proceed, stop}, 4};
    generators++;
    struct cl_str length;
    bool known = cello_request_query_find(r, CL_STR("l"), &length) == CELLO_OK;
    cello_respond_stream(r, &k->super, known, length.len == 1 ? 20 : 21);
}

static void unpin(void *ctx) {
    (void)ctx;
    pins--;
}

/* Two parts of a file; ?l= their length, which may be more than it has. */
static void on_segments(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    struct cl_str l = CL_STR("100");
    (void)cello_request_query_find(r, CL_STR("l"), &l);
    uint64_t length = 0;
    for (size_t i = 0; i < l.len && i < 5 && l.ptr[i] >= '0' && l.ptr[i] <= '9'; i++)
        length = length * 10 + (uint64_t)(l.ptr[i] - '0');
    const struct cello_segment segments[] = {{.bytes = CL_STR("head"), .fd = -1},
                                             {.fd = file, .offset = 1, .length = length / 2},
                                             {.bytes = {filling, (size_t)length % 9000}, .fd = -1},
                                             {.fd = file, .length = length - length / 2}};
    pins++;
    cello_respond_segments(r, segments, CL_ARRAY_LEN(segments), unpin, NULL);
}

/* ---- handlers that read ---- */

static bool is_end(int err) {
    switch (err) {
    case CELLO_EOF:
    case CELLO_ECANCELED:
    case CELLO_EBODY_TOO_LARGE:
    case CELLO_ENOMEM:
    case CELLO_ECHUNK:
    case CELLO_EHEADER_NAME:
    case CELLO_EHEADER_VALUE:
    case CELLO_EOBSFOLD:
    case CELLO_EBARELF:
    case CELLO_EHEAD_TOO_LARGE: return true;
    default: return false; /* time does not pass here */
    }
}

static int read_one(struct cl_request *r, struct cello_reader *reader, uint64_t *bytes) {
    struct cl_str piece;
    int err = cello_request_read(r, reader, &piece);
    CHECK(err == CELLO_OK || err == CELLO_EAGAIN || is_end(err));
    if (err)
        return err;
    CHECK(piece.len > 0);
    volatile char sum = 0; /* the whole piece can be read */
    for (size_t i = 0; i < piece.len; i++)
        sum = (char)(sum ^ piece.ptr[i]);
    *bytes += piece.len;
    CHECK(*bytes <= MAX_BODY);
    return CELLO_OK;
}

struct counting {
    struct cello_reader super;
    uint64_t bytes;
};

static void counting_ready(struct cello_reader *reader, struct cl_request *r) {
    struct counting *k = CL_CONTAINER_OF(reader, struct counting, super);
    int err;
    while ((err = read_one(r, reader, &k->bytes)) == CELLO_OK)
        continue;
    if (err == CELLO_EAGAIN)
        return;
    CHECK(read_one(r, reader, &k->bytes) == err); /* an end stays */
    readers--;
    free(k);
    cello_respond_bytes(r, CL_STR("read"));
    cello_request_unref(r);
}

static void on_read(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    struct counting *k = calloc(1, sizeof *k);
    CHECK(k);
    k->super.on_ready = counting_ready;
    readers++;
    cello_request_ref(r);
    counting_ready(&k->super, r);
}

struct tee {
    struct cello_reader reader;
    struct cl_generator generator;
    uint64_t bytes;
};

static void tee_ready(struct cello_reader *reader, struct cl_request *r) {
    struct tee *t = CL_CONTAINER_OF(reader, struct tee, reader);
    struct cl_str piece;
    int err = cello_request_read(r, reader, &piece);
    CHECK(err == CELLO_OK || err == CELLO_EAGAIN || is_end(err));
    if (err == CELLO_OK)
        CHECK((t->bytes += piece.len) <= MAX_BODY);
    if (err == CELLO_OK)
        cello_response_chunk(r, piece, false);
    else if (err == CELLO_EOF)
        cello_response_chunk(r, cl_str(NULL, 0), true);
    else if (err != CELLO_EAGAIN)
        cello_response_abort(r);
}

static void tee_proceed(struct cl_generator *g, struct cl_request *r) {
    tee_ready(&CL_CONTAINER_OF(g, struct tee, generator)->reader, r);
}

static void tee_stop(struct cl_generator *g, struct cl_request *r) {
    cello_request_unread(r);
    generators--;
    free(CL_CONTAINER_OF(g, struct tee, generator));
}

static void on_tee(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    struct tee *t = calloc(1, sizeof *t);
    CHECK(t);
    *t = (struct tee){{.on_ready = tee_ready}, {tee_proceed, tee_stop}, 0};
    generators++;
    cello_respond_stream(r, &t->generator, false, 0);
}

static void later_ready(struct cello_reader *reader, struct cl_request *r) {
    struct later *l = CL_CONTAINER_OF(reader, struct later, super);
    CHECK(l->r == r && l->waiting);
    l->waiting = false;
}

static void on_later(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    if (later_count == HELD_MAX) {
        cello_respond_problem(r, 503, CL_STR("enough"));
        return;
    }
    cello_request_ref(r);
    later[later_count++] = (struct later){.super.on_ready = later_ready, .r = r};
}

static void read_later(bool wait) {
    if (!later_count)
        return;
    struct later *l = &later[later_count - 1];
    l->waiting = false;
    int err = read_one(l->r, wait ? &l->super : NULL, &l->bytes);
    CHECK(!l->end || err == l->end);
    l->waiting = wait && err == CELLO_EAGAIN;
    if (is_end(err))
        l->end = err;
}

static void unread_later(void) {
    if (!later_count)
        return;
    later[later_count - 1].waiting = false;
    cello_request_unread(later[later_count - 1].r);
}

static void answer_later(void) {
    if (!later_count)
        return;
    unread_later();
    struct cl_request *r = later[--later_count].r;
    cello_respond_bytes(r, CL_STR("later"));
    cello_request_unref(r);
}

static struct cello_handler handlers[] = {
    {.on_request = on_echo},   {.on_request = on_sink},   {.on_request = on_hold},
    {.on_request = on_pinned}, {.on_request = on_stream}, {.on_request = on_segments},
    {.on_request = on_read},   {.on_request = on_tee},    {.on_request = on_later}};
static const char *const paths[] = {"/echo/{a}", "/sink/{p:path}", "/hold", "/pinned", "/stream",
                                    "/segments", "/read",          "/tee",  "/later"};
enum { FIRST_READER = 6 };

static void make_app(void) {
    char err[200];
    app = cello_app_new();
    file = memfd_create("file", MFD_CLOEXEC);
    CHECK(app && file >= 0 && write(file, filling, sizeof filling) == sizeof filling);
    CHECK(write(file, filling, sizeof filling) == sizeof filling);
    CHECK(!cello_app_constant(app, CELLO_GET, CL_STR("/"), NULL, 200, CL_STR("text/plain"), NULL, 0,
                              CL_STR("hello"), err, sizeof err));
    for (size_t i = 0; i < CL_ARRAY_LEN(paths); i++) {
        struct cello_route route = {.methods = CELLO_GET | CELLO_POST,
                                    .path = {paths[i], strlen(paths[i])},
                                    .handler = &handlers[i]};
        if (i >= FIRST_READER)
            route.body = CELLO_BODY_STREAM;
        CHECK(!cello_app_route(app, &route, err, sizeof err));
    }
    CHECK(!cello_app_use(app, cello_step_request_id(CL_STR("X-Request-ID"))));
    cello_app_redirect_slashes(app, true);
}

/* ---- the client ---- */

static void take_output(struct cl_stream *s) {
    struct cl_str out = cl_mem_output(s);
    free(got.bytes);
    got.bytes = malloc(out.len + 1);
    CHECK(got.bytes);
    if (out.len)
        memcpy(got.bytes, out.ptr, out.len);
    got.len = out.len;
    got.was_shutdown = cl_mem_was_shutdown(s);
}

static struct cl_stream_handler handler;

static void on_closed(struct cl_stream *s) {
    take_output(s);
    got.closed = true;
    cl_h1_stream_handler.on_closed(s);
}

static void answer_held(void) {
    if (!held_count)
        return;
    struct cl_request *r = held[--held_count];
    cello_respond_bytes(r, CL_STR("late"));
    cello_request_unref(r);
}

static void hint_held(void) {
    static const struct cello_field link = {{"Link", 4}, {"</a>", 4}};
    if (held_count)
        (void)cello_response_early_hints(held[held_count - 1], &link, 1);
}

static void turns(struct cl_server *s, int n) {
    for (int i = 0; i < n; i++)
        CHECK(!cello_server_turn(s, 0));
}

/* One step of the script; returns the bytes it took. */
static size_t step(struct cl_server *s, struct cl_stream *stream, const uint8_t *p, size_t len) {
    uint8_t op = p[0];
    size_t n = op < 200 ? CL_MIN(op, len - 1) : 0;
    if (op < 200) {
        CHECK(!cl_mem_push(stream, p + 1, n));
    } else if (op < 220) {
        turns(s, op - 199);
    } else if (op < 230) {
        cl_mem_hold_sends(stream, op & 1);
    } else if (op < 240) {
        (void)cl_mem_finish_send(stream, op == 239 ? CELLO_ESYS : CELLO_OK);
    } else if (op < 244) {
        answer_held();
    } else if (op == 244) {
        hint_held();
    } else if (op < 250) {
        cl_mem_set_chunk(stream, op - 244u);
    } else if (op == 250) {
        cl_mem_eof(stream);
    } else if (op == 251) {
        cl_mem_reset(stream);
    } else if (op < 254) {
        read_later(op == 253);
    } else if (op == 254) {
        answer_later();
    } else {
        unread_later();
    }
    return 1 + n;
}

/* HEAD answers have no body: with HEAD in the input only heads can be told apart, and not always.
 */
static void check_answers(bool any_head) {
    size_t at = 0;
    bool said_close = false;
    while (!any_head && at < got.len) {
        struct response r;
        bool eof = got.was_shutdown || got.closed;
        long n = response_parse(got.bytes + at, got.len - at, eof, false, &r);
        CHECK(n != RESPONSE_BAD);
        if (n == RESPONSE_SHORT)
            return; /* cut off: the client or the generator broke it */
        CHECK(!said_close);
        said_close = r.close;
        /* A problem without an instance: there was no request that could be understood. */
        bool framing = r.status >= 400 && r.body_len && r.body[0] == '{' &&
                       !memmem(r.body, r.body_len, "\"instance\"", 10);
        CHECK(said_close || !framing);
        at += (size_t)n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    struct cello_server_config cfg = CELLO_SERVER_CONFIG_DEFAULT;
    struct cl_server *s;
    struct cl_stream *stream;
    cfg.backend = CELLO_BACKEND_EPOLL;
    cfg.limits.max_body_size = MAX_BODY;
    cfg.limits.max_buffered_bytes = len % 4 ? 0 : 40000;
    if (!app)
        make_app();
    got.len = 0;
    got.closed = got.was_shutdown = false;
    handler = cl_h1_stream_handler;
    handler.on_closed = on_closed;
    CHECK(!cello_server_new(&s, app, &cfg));
    CHECK(!cl_mem_stream_new(s->worker.loop, &handler, NULL, &stream));
    CHECK(!cl_h1_open(&s->worker, stream));
    for (size_t at = 0; at < len && !got.closed;)
        at += step(s, stream, data + at, len - at);
    for (int i = 0; i < 50 && !got.closed; i++) {
        answer_held();
        answer_later();
        (void)cl_mem_finish_send(stream, CELLO_OK);
        turns(s, 2);
    }
    if (!got.closed) {
        take_output(stream);
        check_answers(memmem(data, len, "HEAD", 4) != NULL);
    }
    while (s->worker.conn_count) /* no drain: its deadline would take real time */
        s->worker.conns.next->ops->close(s->worker.conns.next);
    turns(s, 1);
    CHECK(got.closed);
    check_answers(memmem(data, len, "HEAD", 4) != NULL);
    while (held_count)
        cello_request_unref(held[--held_count]);
    while (later_count)
        answer_later();
    CHECK(generators == 0 && pins == 0 && readers == 0);
    CHECK(cl_worker_live_requests(&s->worker) == 0 && s->worker.inflight == 0);
    CHECK(cl_loop_pool(s->worker.loop)->used == 0);
    cello_server_del(s);
    return 0;
}
