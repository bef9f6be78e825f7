/* What one request costs between the bytes that come in and the bytes that go out, without a
 * socket: connections over the memory transport, the whole server above them.
 *
 *   http_gate_bench                    nanoseconds per request, every scenario
 *   http_gate_bench SCENARIO COUNT     COUNT requests inside gate_serve(), for callgrind
 *
 * The input is fixed and so is the path through the code: clocks are read, but nothing waits for
 * one. bench/gate/check.py counts instructions with it and fails when there are more of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "http1/conn.h"
#include "http2/conn.h"
#include "net/mem.h"
#include "server/server_internal.h"
#include <cello/cello.h>

enum {
    CONNECTIONS = 64,
    ROUTES = 1000,
    PIPELINED = 16,
    STREAMS = 8,
    ROUNDS = 40,
    ROUND_REQUESTS = 32768
};

#define WRK_HEAD(line) line " HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n"
#define BROWSER_HEAD(line)                                                                         \
    line                                                                                           \
        " HTTP/1.1\r\nHost: www.example.org\r\nConnection: keep-alive\r\n"                         \
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "      \
        "Chrome/130.0.0.0 Safari/537.36\r\n"                                                       \
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n"   \
        "Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: de,en-US;q=0.7,en;q=0.3\r\n" \
        "Referer: https://www.example.org/a/page/before\r\n"                                       \
        "Cookie: session=d2d2d9f8a7b64c1ea2e0f6d4b9c3a1f0; theme=dark; consent=all\r\n"            \
        "Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: "                 \
        "same-origin\r\n\r\n"

enum { BODY = 1024 };

/* What an HTTP/2 client sends first: its SETTINGS, a large window, and stream 1, whose fields the
 * HPACK table keeps. Those of any other stream are in the table. */
#define H2_SETTINGS "\0\0\0\4\0\0\0\0\0"
#define H2_SETTINGS_ACK "\0\0\0\4\1\0\0\0\0"
#define H2_WINDOW_UPDATE "\0\0\4\10\0\0\0\0\0\77\0\0\0"
#define H2_FIRST                                                                                   \
    "\0\0\65\1\5\0\0\0\1\202\206\104\12/plaintext\101\16"                                          \
    "127.0.0.1:8000\172\25h2load nghttp2/1.52.0"
#define H2_OPENING CL_H2_PREFACE H2_SETTINGS H2_WINDOW_UPDATE H2_FIRST
#define H2_AGAIN "\202\206\300\277\276"
#define H2_OK "\210" /* :status 200 */
enum { H2_FRAME_HEAD = 9, H2_HEADERS = 1, H2_END_STREAM = 1, H2_END_BOTH = 5 };

/* ---- the application ------------------------------------------------------------------------ */

static struct cl_str text(const char *s) {
    return (struct cl_str){s, strlen(s)};
}

/* GET /users/{id}?q=: both in the answer. */
static void answer_user(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    struct cl_str id, q;
    char out[128];
    if (cello_request_param(r, text("id"), &id) != CELLO_OK ||
        cello_request_query_find(r, text("q"), &q) != CELLO_OK || id.len + q.len > 64)
        abort();
    memcpy(out, id.ptr, id.len);
    out[id.len] = ' ';
    memcpy(out + id.len + 1, q.ptr, q.len);
    cello_respond_bytes(r, (struct cl_str){out, id.len + 1 + q.len});
}

static void answer_body(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    cello_response_type(r, text("application/json"));
    cello_respond_bytes(r, cello_request_body(r));
}

static void answer_id(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    struct cl_str id;
    if (cello_request_param(r, text("id"), &id) != CELLO_OK)
        abort();
    cello_respond_bytes(r, id);
}

static struct cello_handler user_handler = {.on_request = answer_user};
static struct cello_handler body_handler = {.on_request = answer_body};
static struct cello_handler id_handler = {.on_request = answer_id};

static void must(int err, const char *what) {
    if (!err)
        return;
    fprintf(stderr, "%s: %s\n", what, cello_strerror(err));
    exit(1);
}

static void add(struct cl_app *app, unsigned methods, const char *path,
                struct cello_handler *handler) {
    char why[256];
    const struct cello_route route = {.methods = methods, .path = text(path), .handler = handler};
    must(cello_app_route(app, &route, why, sizeof why), path);
}

static struct cl_app *make_app(unsigned routes, bool steps) {
    char why[256], path[64];
    struct cl_app *app = cello_app_new();
    must(app ? CELLO_OK : CELLO_ENOMEM, "application");
    must(cello_app_constant(app, CELLO_GET, text("/plaintext"), NULL, 200, text("text/plain"), NULL,
                            0, text("Hello, World!"), why, sizeof why),
         "constant");
    add(app, CELLO_GET, "/users/{id}", &user_handler);
    add(app, CELLO_POST, "/echo", &body_handler);
    for (unsigned i = 0; i < routes; i++) {
        snprintf(path, sizeof path, "/table/r%u/{id}", i);
        add(app, CELLO_GET, path, &id_handler);
    }
    if (steps) {
        const struct cello_security_headers headers = {
            .x_frame_options = text("DENY"),
            .x_content_type_options = true,
            .referrer_policy = text("strict-origin-when-cross-origin"),
        };
        must(cello_app_use(app, cello_step_request_id(text("X-Request-ID"))), "request id");
        must(cello_app_use(app, cello_step_security_headers(&headers)), "security headers");
    }
    return app;
}

/* ---- scenarios ------------------------------------------------------------------------------ */

struct scenario {
    const char *name;
    const char *request;
    const char *status; /* how the answer begins */
    unsigned per_push;  /* requests that come together */
    size_t body;        /* bytes of content behind the head */
    unsigned routes;    /* in the table, beside the few */
    bool steps;         /* request id and security headers on */
    bool h2;            /* `request` is a header block then, and each is a stream of its own */
};

static const struct scenario scenarios[] = {
    {"constant", WRK_HEAD("GET /plaintext"), "HTTP/1.1 200", 1, 0, 0, false, false},
    {"browser", BROWSER_HEAD("GET /plaintext"), "HTTP/1.1 200", 1, 0, 0, false, false},
    {"params", WRK_HEAD("GET /users/12345?q=hello"), "HTTP/1.1 200", 1, 0, 0, false, false},
    {"missing", WRK_HEAD("GET /nothing/here"), "HTTP/1.1 404", 1, 0, 0, false, false},
    {"pipelined", WRK_HEAD("GET /plaintext"), "HTTP/1.1 200", PIPELINED, 0, 0, false, false},
    {"echo",
     "POST /echo HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nContent-Type: application/json\r\n"
     "Content-Length: 1024\r\n\r\n",
     "HTTP/1.1 200", 1, BODY, 0, false, false},
    {"routes", WRK_HEAD("GET /table/r777/42"), "HTTP/1.1 200", 1, 0, ROUTES, false, false},
    {"middleware", WRK_HEAD("GET /plaintext"), "HTTP/1.1 200", 1, 0, 0, true, false},
    {"http2", H2_AGAIN, H2_OK, STREAMS, 0, 0, false, true},
};

enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

struct gate {
    const struct scenario *scenario;
    struct cl_server *server;
    struct cl_stream *streams[CONNECTIONS];
    char *input; /* what one push brings */
    size_t input_len;
    size_t answer_len; /* of one push; unused with HTTP/2, whose heads get shorter */
    struct cl_h2_context *h2;
    uint32_t next_stream;
};

/* ---- HTTP/2 ---- */

static void make_h2_input(struct gate *g) {
    size_t block = strlen(g->scenario->request), one = H2_FRAME_HEAD + block;
    g->next_stream = 3;
    g->input_len = one * g->scenario->per_push;
    g->input = calloc(1, g->input_len);
    must(g->input ? CELLO_OK : CELLO_ENOMEM, "input");
    for (char *at = g->input; at < g->input + g->input_len; at += one) {
        at[2] = (char)block;
        at[3] = H2_HEADERS;
        at[4] = H2_END_BOTH;
        memcpy(at + H2_FRAME_HEAD, g->scenario->request, block);
    }
}

/* The same on every connection. */
static void number_streams(struct gate *g) {
    size_t one = g->input_len / g->scenario->per_push;
    for (char *at = g->input; at < g->input + g->input_len; at += one, g->next_stream += 2) {
        for (int i = 0; i < 4; i++)
            at[5 + i] = (char)(g->next_stream >> (24 - 8 * i));
    }
}

/* Streams that ended, behind a head that says 200. */
static unsigned h2_answers(struct cl_str out) {
    unsigned heads = 0, ends = 0;
    const unsigned char *at = (const unsigned char *)out.ptr, *end = at + out.len;
    while (end - at >= H2_FRAME_HEAD) {
        heads += at[3] == H2_HEADERS && !memcmp(at + H2_FRAME_HEAD, H2_OK, 1);
        ends += at[3] <= H2_HEADERS && (at[4] & H2_END_STREAM);
        at += H2_FRAME_HEAD + ((size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2]);
    }
    return heads == ends ? ends : 0;
}

/* ---- HTTP/1 and both ---- */

static void make_input(struct gate *g) {
    if (g->scenario->h2) {
        make_h2_input(g);
        return;
    }
    size_t head = strlen(g->scenario->request), one = head + g->scenario->body;
    g->input_len = one * g->scenario->per_push;
    g->input = malloc(g->input_len);
    must(g->input ? CELLO_OK : CELLO_ENOMEM, "input");
    for (unsigned i = 0; i < g->scenario->per_push; i++) {
        memcpy(g->input + i * one, g->scenario->request, head);
        memset(g->input + i * one + head, 'x', g->scenario->body);
    }
}

static bool is_answered(const struct gate *g, struct cl_str out) {
    if (g->scenario->h2)
        return h2_answers(out) == g->scenario->per_push;
    return out.len == g->answer_len && !memcmp(out.ptr, g->scenario->status, 12);
}

/* Every connection gets one push, and the loop a turn. */
static void serve_once(struct gate *g) {
    if (g->scenario->h2)
        number_streams(g);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        must(cl_mem_push(g->streams[i], g->input, g->input_len), "push");
    must(cello_server_turn(g->server, 0), "turn");
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        struct cl_str out = cl_mem_output(g->streams[i]);
        if (!is_answered(g, out)) {
            fprintf(stderr, "%s: unexpected answer: %.*s\n", g->scenario->name, (int)out.len,
                    out.ptr);
            exit(1);
        }
        cl_mem_output_clear(g->streams[i]);
    }
}

/* What callgrind counts: --toggle-collect=gate_serve. */
__attribute__((noinline, used)) void gate_serve(struct gate *g, unsigned requests);
void gate_serve(struct gate *g, unsigned requests) {
    unsigned per_turn = CONNECTIONS * g->scenario->per_push;
    for (unsigned done = 0; done < requests; done += per_turn)
        serve_once(g);
}

static void open_stream(struct gate *g, struct cl_worker *w, unsigned i) {
    const struct cl_stream_handler *handler = g->h2 ? &cl_h2_stream_handler : &cl_h1_stream_handler;
    must(cl_mem_stream_new(w->loop, handler, NULL, &g->streams[i]), "stream");
    must(g->h2 ? cl_h2_open(g->h2, w, g->streams[i]) : cl_h1_open(w, g->streams[i]), "connection");
    if (!g->h2)
        return;
    static const char opening[] = H2_OPENING, ack[] = H2_SETTINGS_ACK;
    must(cl_mem_push(g->streams[i], opening, sizeof opening - 1), "push");
    must(cello_server_turn(g->server, 0), "turn");
    must(cl_mem_push(g->streams[i], ack, sizeof ack - 1), "push");
    cl_mem_output_clear(g->streams[i]);
}

/* Its length is that of all. */
static size_t first_answer(struct gate *g) {
    must(cl_mem_push(g->streams[0], g->input, g->input_len), "push");
    must(cello_server_turn(g->server, 0), "turn");
    size_t length = cl_mem_output(g->streams[0]).len;
    cl_mem_output_clear(g->streams[0]);
    return length;
}

static void gate_init(struct gate *g, const struct scenario *scenario) {
    struct cello_server_config cfg = CELLO_SERVER_CONFIG_DEFAULT;
    cfg.backend = CELLO_BACKEND_EPOLL;
    *g = (struct gate){.scenario = scenario};
    struct cl_app *app = make_app(scenario->routes, scenario->steps);
    must(cello_server_new(&g->server, app, &cfg), "server");
    if (scenario->h2) {
        const struct cello_http2_config h2 = CELLO_HTTP2_CONFIG_DEFAULT;
        g->h2 = cl_h2_context_new(&h2);
        must(g->h2 ? CELLO_OK : CELLO_ENOMEM, "HTTP/2");
    }
    cello_app_del(app);
    struct cl_worker *w = &g->server->worker;
    for (unsigned i = 0; i < CONNECTIONS; i++)
        open_stream(g, w, i);
    make_input(g);
    if (!scenario->h2)
        g->answer_len = first_answer(g);
    gate_serve(g, CONNECTIONS * scenario->per_push); /* pools are filled from here on */
}

static void gate_free(struct gate *g) {
    cello_server_del(g->server);
    cl_h2_context_del(g->h2);
    free(g->input);
}

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void print_times(void) {
    for (unsigned i = 0; i < SCENARIOS; i++) {
        struct gate g;
        double best = 1e18;
        gate_init(&g, &scenarios[i]);
        for (int round = 0; round < ROUNDS; round++) {
            double start = now_ns();
            gate_serve(&g, ROUND_REQUESTS);
            best = CL_MIN(best, (now_ns() - start) / ROUND_REQUESTS);
        }
        gate_free(&g);
        printf("%-12s %7.0f ns\n", scenarios[i].name, best);
        fflush(stdout);
    }
}

int main(int argc, char **argv) {
    if (argc == 1) {
        print_times();
        return 0;
    }
    for (unsigned i = 0; argc == 3 && i < SCENARIOS; i++) {
        if (strcmp(argv[1], scenarios[i].name) != 0)
            continue;
        struct gate g;
        gate_init(&g, &scenarios[i]);
        gate_serve(&g, (unsigned)strtoul(argv[2], NULL, 10));
        gate_free(&g);
        return 0;
    }
    fprintf(stderr, "usage: %s [SCENARIO COUNT]\n", argv[0]);
    return 2;
}
