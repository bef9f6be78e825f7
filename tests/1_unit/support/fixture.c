#include "support/fixture.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "http1/conn.h"

/* ---- the clock ---- */

static uint64_t skew_ns, stopped_ns; /* the second 0: it runs */

/* Stands in for the C library's: the library under test reads the time that the test wants. */
int clock_gettime(clockid_t id, struct timespec *t) {
    if (syscall(SYS_clock_gettime, id, t))
        return -1;
    if (id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE) {
        uint64_t ns = (uint64_t)t->tv_sec * CL_NS_PER_S + (uint64_t)t->tv_nsec;
        ns = (stopped_ns ? stopped_ns : ns) + skew_ns;
        t->tv_sec = (time_t)(ns / CL_NS_PER_S);
        t->tv_nsec = (long)(ns % CL_NS_PER_S);
    }
    return 0;
}

void fixture_stop_clock(void) {
    struct timespec t;
    assert_int_equal(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t), 0);
    stopped_ns = (uint64_t)t.tv_sec * CL_NS_PER_S + (uint64_t)t.tv_nsec;
}

void fixture_pass(struct fixture *f, uint64_t ns) {
    skew_ns += ns;
    fixture_turn(f);
}

/* ---- handlers ---- */

static struct fixture *current;

static uint64_t number(struct cl_request *r, const char *param) {
    struct cl_str v;
    if (cello_request_param(r, cl_str(param, strlen(param)), &v) != CELLO_OK)
        return 0;
    uint64_t n = 0;
    for (size_t i = 0; i < v.len; i++)
        n = n * 10 + (uint64_t)(v.ptr[i] - '0');
    return n;
}

static const char xs[1 << 20] = {[0 ...(1 << 20) - 1] = 'x'};

static void on_echo(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    current->handled++;
    cello_respond_bytes(r, cello_request_body(r));
}

static void on_item(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    current->handled++;
    struct cl_str id = {0}, q = {0};
    char text[256];
    if (cello_request_param(r, CL_STR("id"), &id) != CELLO_OK)
        abort();
    (void)cello_request_query_find(r, CL_STR("q"), &q);
    int n = snprintf(text, sizeof text, "%.*s,%.*s", (int)CL_MIN(id.len, (size_t)99), id.ptr,
                     (int)CL_MIN(q.len, (size_t)99), q.len ? q.ptr : "");
    cello_response_type(r, CL_STR("text/plain"));
    cello_respond_bytes(r, cl_str(text, (size_t)n));
}

static void release(void *ctx) {
    free(ctx);
    current->released++;
}

static void on_pinned(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    current->handled++;
    size_t n = (size_t)number(r, "n");
    char *body = malloc(n + 1);
    if (!body)
        abort();
    memset(body, 'x', n);
    current->pinned++;
    cello_respond_pinned(r, cl_str(body, n), release, body);
}

static void on_sink(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    current->handled++;
    size_t n = (size_t)number(r, "n");
    struct cl_sink *s = cello_response_sink(r, 16);
    for (size_t i = 0; s && i < n; i += 100) {
        if (cl_sink_write(s, xs, CL_MIN(n - i, (size_t)100)) != CELLO_OK) {
            cello_response_sink_drop(r);
            s = NULL;
        }
    }
    if (s)
        cello_respond_sink(r);
    else
        cello_respond_problem(r, 503, CL_STR("no room"));
}

static void on_bytes(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    current->handled++;
    cello_respond_bytes(r, cl_str(xs, (size_t)number(r, "n")));
}

static void on_static(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    current->handled++;
    cello_respond_static(r, cl_str(xs, (size_t)number(r, "n")));
}

static void on_hold(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    current->handled++;
    if (current->held_count == HELD_MAX)
        abort();
    cello_request_ref(r);
    current->held[current->held_count++] = r;
}

static void on_header(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    current->handled++;
    struct cl_str name = {0}, value = {0};
    (void)cello_request_query_find(r, CL_STR("name"), &name);
    (void)cello_request_query_find(r, CL_STR("value"), &value);
    int err = cello_response_header(r, name, value);
    if (err)
        cello_respond_problem(r, 500, CL_STR("refused"));
    else
        cello_respond_empty(r);
}

struct counter {
    struct cl_generator super;
    uint64_t left;
    bool wait;
};

static void counter_proceed(struct cl_generator *g, struct cl_request *r) {
    struct counter *k = CL_CONTAINER_OF(g, struct counter, super);
    if (k->wait) {
        on_hold(NULL, r);
        return;
    }
    bool last = k->left <= 1;
    struct cl_str bytes = k->left ? CL_STR("0123456789") : cl_str(NULL, 0);
    k->left -= k->left > 0;
    cello_response_chunk(r, bytes, last);
}

static void counter_stop(struct cl_generator *g, struct cl_request *r) {
    (void)r;
    current->stopped++;
    free(CL_CONTAINER_OF(g, struct counter, super));
}

static void on_stream(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    current->handled++;
    struct counter *k = calloc(1, sizeof *k);
    struct cl_str length = {0}, wait = {0};
    if (!k)
        abort();
    k->super = (struct cl_generator){counter_proceed, counter_stop};
    k->left = number(r, "n");
    k->wait = cello_request_query_find(r, CL_STR("wait"), &wait) == CELLO_OK;
    bool has_length = cello_request_query_find(r, CL_STR("length"), &length) == CELLO_OK;
    current->streams++;
    cello_respond_stream(r, &k->super, has_length, length.len ? strtoul(length.ptr, NULL, 10) : 0);
}

/* ---- segments ---- */

enum { FILE_OFFSET = 3, PARTS_MAX = 256 };

char fixture_file_byte(uint64_t offset) {
    return (char)('a' + (offset * 7 + offset / 4096) % 26);
}

static uint64_t parameter(struct cl_request *r, const char *name, uint64_t otherwise) {
    struct cl_str v = {0};
    bool found = cello_request_query_find(r, cl_str(name, strlen(name)), &v) == CELLO_OK;
    return found ? strtoul(v.ptr, NULL, 10) : otherwise;
}

/* A file of `size` bytes without a name. */
static int make_file(size_t size) {
    int fd = memfd_create("segments", MFD_CLOEXEC);
    char *bytes = malloc(size + 1);
    if (fd < 0 || !bytes)
        abort();
    for (size_t i = 0; i < size; i++)
        bytes[i] = fixture_file_byte(i);
    if (write(fd, bytes, size) != (ssize_t)size)
        abort();
    free(bytes);
    return fd;
}

static void release_file(void *ctx) {
    int *fd = ctx;
    close(*fd);
    free(fd);
    current->released++;
}

static void on_segments(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    current->handled++;
    uint64_t n = number(r, "n"), parts = parameter(r, "parts", 1);
    int *fd = malloc(sizeof *fd);
    struct cello_segment segments[3 * PARTS_MAX];
    size_t count = 0;
    if (!fd || parts > PARTS_MAX)
        abort();
    *fd = make_file((size_t)parameter(r, "size", FILE_OFFSET + n));
    for (uint64_t i = 0; i < parts; i++) {
        uint64_t from = n * i / parts, to = n * (i + 1) / parts;
        segments[count++] = (struct cello_segment){.bytes = CL_STR("["), .fd = -1};
        segments[count++] =
            (struct cello_segment){.fd = *fd, .offset = FILE_OFFSET + from, .length = to - from};
        segments[count++] =
            (struct cello_segment){.bytes = cl_str(xs, (size_t)parameter(r, "bytes", 1)), .fd = -1};
    }
    current->pinned++;
    cello_response_status(r, (int)parameter(r, "status", 200));
    if (parameter(r, "keep", 0))
        on_hold(NULL, r);
    cello_respond_segments(r, segments, count, release_file, fd);
}

/* ---- handlers that read ---- */

/* Counts the bytes of its body. */
struct counting {
    struct cello_reader super;
    size_t bytes;
};

static void counting_ready(struct cello_reader *reader, struct cl_request *r) {
    struct counting *k = CL_CONTAINER_OF(reader, struct counting, super);
    struct cl_str piece;
    int err;
    while ((err = cello_request_read(r, reader, &piece)) == CELLO_OK)
        k->bytes += piece.len;
    if (err == CELLO_EAGAIN)
        return;
    char text[64];
    int n = snprintf(text, sizeof text, "%zu bytes, %s", k->bytes, cello_strerror(err));
    free(k);
    current->read++;
    cello_respond_bytes(r, cl_str(text, (size_t)n));
    cello_request_unref(r);
}

static void on_read(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    current->handled++;
    struct counting *k = calloc(1, sizeof *k);
    if (!k)
        abort();
    k->super.on_ready = counting_ready;
    current->readers++;
    cello_request_ref(r);
    counting_ready(&k->super, r);
}

/* Reader and generator at once: each piece is sent before the next is read. */
struct tee {
    struct cello_reader reader;
    struct cl_generator generator;
};

static void tee_ready(struct cello_reader *reader, struct cl_request *r) {
    struct cl_str piece;
    int err = cello_request_read(r, reader, &piece);
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
    current->stopped++;
    free(CL_CONTAINER_OF(g, struct tee, generator));
}

static void on_tee(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    current->handled++;
    struct tee *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    *t = (struct tee){{.on_ready = tee_ready}, {tee_proceed, tee_stop}};
    current->streams++;
    cello_respond_stream(r, &t->generator, false, 0);
}

/* ---- back ends ---- */

enum cello_backend fixture_backend = CELLO_BACKEND_EPOLL;

static bool is_supported(void) {
    struct cello_server_config cfg = fixture_config();
    struct cl_app *app = cello_app_new();
    struct cl_server *s;
    int err = cello_server_new(&s, app, &cfg);
    if (!err)
        cello_server_del(s);
    cello_app_del(app);
    return err != CELLO_ENOTSUP;
}

int fixture_run_groups(const struct CMUnitTest *tests, size_t count) {
    int failed = _cmocka_run_group_tests("epoll", tests, count, NULL, NULL);
    fixture_backend = CELLO_BACKEND_IO_URING;
    if (is_supported())
        failed += _cmocka_run_group_tests("io_uring", tests, count, NULL, NULL);
    return failed;
}

/* ---- the server ---- */

static struct cello_handler handlers[] = {
    {.on_request = on_echo},     {.on_request = on_item},  {.on_request = on_pinned},
    {.on_request = on_sink},     {.on_request = on_bytes}, {.on_request = on_static},
    {.on_request = on_stream},   {.on_request = on_hold},  {.on_request = on_header},
    {.on_request = on_segments}, {.on_request = on_read},  {.on_request = on_tee},
};

static const struct {
    unsigned methods;
    const char *path;
    unsigned handler;
    uint64_t max_body;
    enum cello_body body;
} routes[] = {
    {CELLO_GET | CELLO_POST | CELLO_PUT, "/echo", 0, 0, CELLO_BODY_BUFFER},
    {CELLO_POST, "/small", 0, 10, CELLO_BODY_BUFFER},
    {CELLO_GET, "/item/{id:int}", 1, 0, CELLO_BODY_BUFFER},
    {CELLO_GET, "/pinned/{n:int}", 2, 0, CELLO_BODY_BUFFER},
    {CELLO_GET, "/sink/{n:int}", 3, 0, CELLO_BODY_BUFFER},
    {CELLO_GET, "/bytes/{n:int}", 4, 0, CELLO_BODY_BUFFER},
    {CELLO_GET, "/static/{n:int}", 5, 0, CELLO_BODY_BUFFER},
    {CELLO_GET, "/stream/{n:int}", 6, 0, CELLO_BODY_BUFFER},
    {CELLO_GET | CELLO_POST, "/hold", 7, 0, CELLO_BODY_BUFFER},
    {CELLO_GET, "/header", 8, 0, CELLO_BODY_BUFFER},
    {CELLO_GET | CELLO_HEAD, "/segments/{n:int}", 9, 0, CELLO_BODY_BUFFER},
    {CELLO_GET, "/slash/", 0, 0, CELLO_BODY_BUFFER},
    {CELLO_GET | CELLO_POST, "/read", 10, 1 << 20, CELLO_BODY_STREAM},
    {CELLO_POST, "/tee", 11, 1 << 20, CELLO_BODY_STREAM},
    {CELLO_POST, "/later", 7, 1 << 20, CELLO_BODY_STREAM},
    {1u << CL_METHOD_CONNECT, "/tunnel", 11, 10, CELLO_BODY_STREAM},
};

int fixture_routes(struct fixture *f, struct cl_app *app) {
    char err[200];
    current = f;
    int result = cello_app_constant(app, CELLO_GET, CL_STR("/"), NULL, 200, CL_STR("text/plain"),
                                    NULL, 0, CL_STR("hello"), err, sizeof err);
    for (size_t i = 0; i < CL_ARRAY_LEN(routes) && !result; i++) {
        struct cello_route route = {
            .methods = routes[i].methods,
            .path = {routes[i].path, strlen(routes[i].path)},
            .handler = &handlers[routes[i].handler],
            .body = routes[i].body,
            .max_body = routes[i].max_body,
        };
        result = cello_app_route(app, &route, err, sizeof err);
    }
    return result;
}

struct cello_server_config fixture_config(void) {
    struct cello_server_config cfg = CELLO_SERVER_CONFIG_DEFAULT;
    cfg.backend = fixture_backend;
    return cfg;
}

void fixture_begin(struct fixture *f, const struct cello_server_config *cfg) {
    *f = (struct fixture){.cfg = cfg ? *cfg : fixture_config()};
    f->app = cello_app_new();
    assert_non_null(f->app);
    assert_int_equal(fixture_routes(f, f->app), CELLO_OK);
}

void fixture_serve(struct fixture *f) {
    assert_int_equal(cello_server_new(&f->server, f->app, &f->cfg), CELLO_OK);
}

void fixture_init(struct fixture *f, const struct cello_server_config *cfg) {
    fixture_begin(f, cfg);
    fixture_serve(f);
}

void fixture_free(struct fixture *f) {
    while (f->held_count)
        cello_request_unref(f->held[--f->held_count]);
    stopped_ns = 0;
    fixture_turn(f);
    assert_int_equal(f->server->worker.conn_count, 0);
    assert_int_equal(f->server->worker.inflight, 0);
    assert_int_equal(cl_worker_live_requests(&f->server->worker), 0);
    if (f->cfg.backend == CELLO_BACKEND_EPOLL) /* io_uring holds blocks ready */
        assert_int_equal(fixture_used(f), 0);
    cello_server_del(f->server);
    cello_app_del(f->app);
    assert_int_equal(f->pinned, f->released);
    assert_int_equal(f->streams, f->stopped);
    assert_int_equal(f->readers, f->read);
}

void fixture_turn(struct fixture *f) {
    for (int i = 0; i < 8 || (i < 1000 && cl_loop_next_ns(f->server->worker.loop) == 0); i++)
        assert_int_equal(cello_server_turn(f->server, 0), CELLO_OK);
}

struct cl_request *fixture_take(struct fixture *f) {
    assert_true(f->held_count > 0);
    struct cl_request *r = f->held[0];
    memmove(f->held, f->held + 1, --f->held_count * sizeof f->held[0]);
    return r;
}

void fixture_answer(struct fixture *f, const char *body) {
    struct cl_request *r = fixture_take(f);
    cello_respond_bytes(r, cl_str(body, strlen(body)));
    cello_request_unref(r);
    fixture_turn(f);
}

void fixture_give(struct fixture *f, struct cl_str bytes, bool last) {
    struct cl_request *r = fixture_take(f);
    cello_response_chunk(r, bytes, last);
    cello_request_unref(r);
    fixture_turn(f);
}

void fixture_drop(struct fixture *f) {
    while (f->held_count)
        cello_request_unref(fixture_take(f));
}

size_t fixture_used(const struct fixture *f) {
    return cl_loop_pool(f->server->worker.loop)->used;
}

void fixture_no_log(void *ctx, enum cl_log_level level, const char *line) {
    (void)ctx;
    (void)level;
    (void)line;
}

/* ---- clients ---- */

static struct client *client_of(const struct cl_stream *s) {
    return CL_CONTAINER_OF(s->handler, struct client, handler);
}

static int counting_send(struct cl_stream *s, struct iovec *iov, int count) {
    struct client *c = CL_CONTAINER_OF(s->ops, struct client, ops);
    c->sends++;
    return c->real->send(s, iov, count);
}

static int counting_sendfile(struct cl_stream *s, struct iovec *iov, int count,
                             struct cl_file_part *file) {
    struct client *c = CL_CONTAINER_OF(s->ops, struct client, ops);
    c->sends++;
    return c->real->sendfile(s, iov, count, file);
}

static void on_closed(struct cl_stream *s) {
    struct client *c = client_of(s);
    struct cl_str out = cl_mem_output(s);
    c->out = malloc(out.len + 1);
    assert_non_null(c->out);
    if (out.len)
        memcpy(c->out, out.ptr, out.len);
    c->out[out.len] = '\0';
    c->out_len = out.len;
    c->was_shutdown = cl_mem_was_shutdown(s);
    c->was_reset = cl_mem_was_reset(s);
    c->stream = NULL;
    c->protocol->on_closed(s);
}

void client_connect(struct fixture *f, struct client *c, const struct cl_stream_handler *protocol) {
    *c = (struct client){.f = f, .protocol = protocol, .handler = *protocol};
    c->handler.on_closed = on_closed;
    assert_int_equal(cl_mem_stream_new(f->server->worker.loop, &c->handler, NULL, &c->stream),
                     CELLO_OK);
    c->real = c->stream->ops;
    c->ops = *c->real;
    c->ops.send = counting_send;
    c->ops.sendfile = counting_sendfile;
    c->stream->ops = &c->ops;
}

void client_open(struct fixture *f, struct client *c) {
    client_connect(f, c, &cl_h1_stream_handler);
    assert_int_equal(cl_h1_open(&f->server->worker, c->stream), CELLO_OK);
}

void client_free(struct client *c) {
    if (c->stream) {
        cl_mem_reset(c->stream);
        fixture_turn(c->f);
    }
    assert_null(c->stream);
    free(c->out);
    c->out = NULL;
}

void client_push(struct client *c, const void *bytes, size_t n) {
    if (c->stream)
        assert_int_equal(cl_mem_push(c->stream, bytes, n), CELLO_OK);
    fixture_turn(c->f);
}

void client_send(struct client *c, const char *text) {
    client_push(c, text, strlen(text));
}

void client_eof(struct client *c) {
    if (c->stream)
        cl_mem_eof(c->stream);
    fixture_turn(c->f);
}

static struct cl_str output(const struct client *c) {
    return c->stream ? cl_mem_output(c->stream) : cl_str(c->out, c->out_len);
}

size_t client_received(const struct client *c) {
    return output(c).len;
}

const char *client_text(struct client *c) {
    struct cl_str out = output(c);
    static char text[65536];
    size_t n = CL_MIN(out.len, sizeof text - 1);
    if (n)
        memcpy(text, out.ptr, n);
    text[n] = '\0';
    return text;
}

static void read_answer(struct client *c, bool head_only, struct response *r) {
    struct cl_str out = output(c);
    bool eof = !c->stream || cl_mem_was_shutdown(c->stream);
    long n = response_parse(out.ptr + c->at, out.len - c->at, eof, head_only, r);
    if (n <= 0)
        fail_msg("no whole answer (%ld) in: %.2000s", n, out.len ? out.ptr + c->at : "");
    c->at += (size_t)n;
}

void client_answer(struct client *c, struct response *r) {
    read_answer(c, false, r);
}

void client_answer_to_head(struct client *c, struct response *r) {
    read_answer(c, true, r);
}

struct response client_expect(struct client *c, int status, const char *body) {
    struct response r;
    client_answer(c, &r);
    if (r.status != status)
        fail_msg("%d expected in: %.*s", status, (int)(r.head_len + 4 + r.body_len), r.head);
    if (body) {
        assert_int_equal(r.body_len, strlen(body));
        assert_memory_equal(r.body, body, r.body_len);
    }
    return r;
}

void client_expect_nothing(struct client *c) {
    assert_int_equal(c->at, client_received(c));
}

void client_expect_closed(struct client *c) {
    if (c->stream && cl_mem_was_shutdown(c->stream))
        client_eof(c);
    assert_null(c->stream);
    client_expect_nothing(c);
}

void h1_pair_begin(struct h1_pair *p, const struct cello_server_config *cfg) {
    fixture_init(&p->f, cfg);
    client_open(&p->f, &p->c);
}

void h1_pair_end(struct h1_pair *p) {
    client_free(&p->c);
    fixture_free(&p->f);
}

void expect_refused(struct fixture *f, const char *text, size_t len, int status) {
    struct client c;
    client_open(f, &c);
    client_push(&c, text, len);
    struct response r = client_expect(&c, status, NULL);
    if (!r.close)
        fail_msg("kept alive: %.*s", (int)len, text);
    client_expect_nothing(&c);
    client_expect_closed(&c);
    client_free(&c);
}
