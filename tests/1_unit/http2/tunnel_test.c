/* Extended CONNECT (RFC 8441): streams that both sides talk on as they like. */
#include <stdio.h>

#include "support/h2_client.h"

enum { PIECE = 100000 };

/* A protocol that does what the test says; one stream of it at a time. */
static struct talk {
    struct cello_reader reader;
    struct cl_generator generator;
    struct cello_observer observer;
    struct cl_request *r; /* with a reference */
    bool asked;           /* for what is said next */
    unsigned ready, stopped, draining, overdue;
    char *heard;
    size_t len;
} talk;

static void on_ready(struct cello_reader *reader, struct cl_request *r) {
    (void)reader, (void)r;
    talk.ready++;
}

static void proceed(struct cl_generator *g, struct cl_request *r) {
    (void)g, (void)r;
    assert_int_equal(talk.stopped, 0);
    talk.asked = true;
}

static void stop(struct cl_generator *g, struct cl_request *r) {
    (void)g, (void)r;
    talk.stopped++;
    talk.asked = false;
}

static void on_event(struct cello_observer *o, struct cl_request *r, enum cello_event event) {
    (void)o, (void)r;
    talk.draining += event == CELLO_EVENT_DRAINING;
    talk.overdue += event == CELLO_EVENT_OVERDUE;
}

static void on_talk(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    assert_null(talk.r);
    cello_request_ref(r);
    talk.r = r;
}

static void serve(struct h2_pair *p, const struct cello_server_config *cfg) {
    static struct cello_handler handler = {.on_request = on_talk};
    static const struct cello_route route = {.methods = 1u << CL_METHOD_CONNECT,
                                             .path = CL_STR_INIT("/talk/{a}"),
                                             .handler = &handler,
                                             .body = CELLO_BODY_STREAM};
    char err[200];
    talk = (struct talk){{.on_ready = on_ready}, {proceed, stop}, {on_event}, .r = NULL};
    fixture_begin(&p->f, cfg);
    assert_int_equal(cello_app_route(p->f.app, &route, err, sizeof err), CELLO_OK);
    fixture_serve(&p->f);
}

static void begin_with(struct h2_pair *p, const struct cello_http2_config *cfg, uint32_t window) {
    serve(p, NULL);
    h2_open_offering(&p->f, &p->h, cfg, window);
}

static void begin(struct h2_pair *p) {
    begin_with(p, NULL, 0);
}

static void hang_up(void) {
    if (talk.r)
        cello_request_unref(talk.r);
    talk.r = NULL;
}

static void end(struct h2_pair *p) {
    hang_up();
    h2_pair_end(p);
    free(talk.heard);
}

/* It reaches its handler. */
static struct h2_message *call(struct h2_pair *p) {
    struct h2_message *m = h2_tunnel(&p->h, "/talk/1", "websocket");
    h2_turn(&p->h);
    assert_non_null(talk.r);
    return m;
}

/* And is open. */
static struct h2_message *open_tunnel(struct h2_pair *p) {
    struct h2_message *m = call(p);
    cello_respond_stream(talk.r, &talk.generator, false, 0);
    h2_turn(&p->h);
    assert_int_equal(m->status, 200);
    assert_false(m->ended);
    assert_true(talk.asked);
    return m;
}

static void say(struct h2_pair *p, struct cl_str bytes, bool last) {
    assert_true(talk.asked);
    talk.asked = false;
    cello_response_chunk(talk.r, bytes, last);
    h2_turn(&p->h);
}

/* All that has come; what it ends with. */
static int hear(void) {
    struct cl_str piece;
    int err;
    while ((err = cello_request_read(talk.r, &talk.reader, &piece)) == CELLO_OK) {
        assert_true(piece.len > 0);
        talk.heard = realloc(talk.heard, talk.len + piece.len + 1);
        assert_non_null(talk.heard);
        memcpy(talk.heard + talk.len, piece.ptr, piece.len);
        talk.len += piece.len;
        talk.heard[talk.len] = '\0';
    }
    return err;
}

static void expect_heard(const char *text) {
    assert_string_equal(talk.heard ? talk.heard : "", text);
}

static char *make_bytes(size_t n) {
    char *bytes = malloc(n);
    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)(i * 31 + i / 251);
    return bytes;
}

static void open_window(struct h2_pair *p, int32_t id, int32_t n) {
    assert_int_equal(nghttp2_submit_window_update(p->h.session, NGHTTP2_FLAG_NONE, id, n), 0);
    h2_turn(&p->h);
}

static unsigned inflight(const struct h2_pair *p) {
    return p->f.server->worker.inflight;
}

/* ---- offered, or not ---- */

static void test_offered_when_it_is(void **state) {
    (void)state;
    struct h2_pair p;
    begin(&p);
    assert_int_equal(
        nghttp2_session_get_remote_settings(p.h.session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL),
        1);
    end(&p);
    h2_pair_begin(&p);
    assert_int_equal(
        nghttp2_session_get_remote_settings(p.h.session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL),
        0);
    struct h2_message *m = h2_tunnel(&p.h, "/tunnel", "websocket");
    h2_turn(&p.h);
    h2_expect_reset(m, NGHTTP2_PROTOCOL_ERROR);
    assert_int_equal(p.f.handled, 0);
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    h2_pair_end(&p);
}

static struct cl_str field(const char *name) {
    struct cl_str value = {0};
    (void)cello_request_header(talk.r, cl_str(name, strlen(name)), &value);
    return value;
}

static void test_the_request(void **state) {
    (void)state;
    struct h2_pair p;
    begin(&p);
    struct h2_message *m = h2_tunnel(&p.h, "/x/../talk/%41?q=1", "WebSocket");
    h2_turn(&p.h);
    assert_non_null(talk.r);
    struct cl_str a;
    assert_int_equal(cello_request_param(talk.r, CL_STR("a"), &a), CELLO_OK);
    assert_true(cl_str_eq(a, CL_STR("A")));
    assert_true(cl_str_eq(cello_request_method(talk.r), CL_STR("CONNECT")));
    assert_true(cl_str_eq(cello_request_path(talk.r), CL_STR("/talk/%41")));
    assert_true(cl_str_eq(cello_request_query(talk.r), CL_STR("q=1")));
    assert_true(cl_str_eq(field("host"), CL_STR("test:80")));
    assert_true(cl_str_eq(field("upgrade"), CL_STR("websocket")));
    assert_int_equal(m->status, 0); /* the answer is the protocol's */
    end(&p);
}

/* As many fields as there may be, beside those that are made of pseudo-header fields. */
static void test_many_fields(void **state) {
    (void)state;
    enum { MAX = 100 };
    const char *fields[2 * MAX + 3] = {":protocol", "websocket"};
    for (size_t i = 1; i <= MAX; i++) {
        fields[2 * i] = "x-field";
        fields[2 * i + 1] = "1";
    }
    struct h2_pair p;
    begin(&p);
    (void)h2_request(&p.h, "CONNECT", "/talk/1", fields);
    h2_turn(&p.h);
    assert_non_null(talk.r);
    assert_int_equal(cello_request_header_count(talk.r), MAX + 2);
    assert_true(cl_str_eq(field("upgrade"), CL_STR("websocket")));
    end(&p);
}

static void test_malformed_ones_are_reset(void **state) {
    (void)state;
    static const char *const bad[][16] = {
        {":method", "CONNECT", ":protocol", "websocket", ":authority", "a", ":path", "/tunnel",
         NULL},
        {":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a",
         NULL},
        {":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/tunnel",
         "host", "a", NULL},
        {":method", "CONNECT", ":protocol", "websocket", ":authority", "a:1", NULL},
        {":method", "CONNECT", ":scheme", "http", ":authority", "a:1", ":path", "/tunnel", NULL},
        {":method", "GET", ":protocol", "websocket", ":scheme", "http", ":authority", "a", ":path",
         "/tunnel", NULL},
        {":method", "CONNECT", ":protocol", "websocket", ":protocol", "websocket", ":scheme",
         "http", ":authority", "a", ":path", "/tunnel", NULL},
        {":method", "CONNECT", ":protocol", "", ":scheme", "http", ":authority", "a", ":path",
         "/tunnel", NULL},
        {":method", "CONNECT", ":scheme", "http", ":authority", "a", ":path", "/tunnel", "x", "1",
         ":protocol", "websocket", NULL},
        {":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a",
         ":path", "*", NULL},
        {":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a",
         ":path", "/tunnel", "upgrade", "websocket", NULL},
    };
    struct h2_pair p;
    begin(&p);
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++) {
        h2_expect_reset(h2_pair_bare(&p, bad[i]), NGHTTP2_PROTOCOL_ERROR);
        assert_int_equal(p.f.handled, 0);
    }
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    end(&p);
}

static void test_refused_ones_are_answered(void **state) {
    (void)state;
    static const struct {
        const char *fields[16];
        int status;
    } bad[] = {
        {{":method", "CONNECT", ":protocol", "connect-udp", ":scheme", "http", ":authority", "a",
          ":path", "/tunnel", NULL},
         501},
        {{":method", "CONNECT", ":protocol", "websocket2", ":scheme", "http", ":authority", "a",
          ":path", "/nothing", NULL},
         501},
        {{":method", "CONNECT", ":authority", "a:1", NULL}, 501},
        {{":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a",
          ":path", "/nothing", NULL},
         404},
        {{":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a",
          ":path", "/", NULL},
         405},
        {{":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a",
          ":path", "/%zz", NULL},
         400},
        {{":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a:b",
          ":path", "/tunnel", NULL},
         400},
        {{":method", "CONNECT", ":protocol", "websocket", ":scheme", "ws", ":authority", "a",
          ":path", "*", NULL},
         400},
        {{":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a",
          ":path", "/tunnel", "content-length", "0", NULL},
         400},
        {{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/tunnel", NULL}, 405},
    };
    struct h2_pair p;
    begin(&p);
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++) {
        h2_expect(h2_pair_bare(&p, bad[i].fields), bad[i].status, NULL);
        assert_int_equal(p.f.handled, 0);
    }
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    end(&p);
}

/* HTTP/1 has no such thing, whatever its fields say. */
static void test_not_over_http1(void **state) {
    (void)state;
    struct h2_pair p;
    struct client c;
    begin(&p);
    client_open(&p.f, &c);
    client_send(&c, "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nConnection: upgrade\r\n"
                    "Upgrade: websocket\r\n\r\n");
    client_expect(&c, 501, NULL);
    client_free(&c);
    end(&p);
}

/* ---- answers ---- */

static void test_a_refusal_is_an_ordinary_answer(void **state) {
    (void)state;
    static char large[PIECE];
    struct h2_pair p;
    begin(&p);
    struct h2_message *m = call(&p);
    h2_upload(&p.h, m, "early", 5, true);
    cello_response_status(talk.r, 403);
    cello_respond_bytes(talk.r, CL_STR("no"));
    h2_turn(&p.h);
    h2_expect(m, 403, "no");
    assert_string_equal(h2_field(m, "content-length"), "2");
    assert_int_equal(hear(), CELLO_ECANCELED);
    h2_upload(&p.h, m, large, sizeof large, true); /* nobody wants it */
    assert_int_equal(hear(), CELLO_ECANCELED);
    expect_heard("");
    fixture_pass(&p.f, 3 * CELLO_SECOND);
    h2_turn(&p.h);
    h2_expect_reset(m, NGHTTP2_NO_ERROR);
    assert_int_equal(inflight(&p), 0);
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    end(&p);
}

/* With all that streams have, but nothing is heard any more. */
static void test_a_refusal_that_is_streamed(void **state) {
    (void)state;
    struct h2_pair p;
    begin(&p);
    struct h2_message *m = call(&p);
    assert_int_equal(hear(), CELLO_EAGAIN);
    cello_response_status(talk.r, 403);
    cello_respond_stream(talk.r, &talk.generator, true, 2);
    h2_turn(&p.h);
    assert_string_equal(h2_field(m, "content-length"), "2");
    assert_int_equal(talk.ready, 1);
    assert_int_equal(hear(), CELLO_ECANCELED);
    say(&p, CL_STR("no"), true);
    h2_expect(m, 403, "no");
    assert_int_equal(inflight(&p), 0);
    h2_upload(&p.h, m, NULL, 0, false);
    hang_up();

    talk.stopped = talk.ready = 0;
    m = call(&p);
    cello_response_status(talk.r, 403);
    cello_respond_stream(talk.r, &talk.generator, false, 0);
    h2_turn(&p.h);
    assert_int_equal(cello_response_trailer(talk.r, CL_STR("x"), CL_STR("1")), CELLO_OK);
    say(&p, CL_STR("no"), true);
    h2_expect(m, 403, "no");
    assert_string_equal(m->trailers, "x: 1\n");
    end(&p);
}

/* A head for which there is no memory becomes a plain 503, and no tunnel. */
static void test_no_memory_for_the_answer(void **state) {
    (void)state;
    struct h2_pair p;
    begin(&p);
    struct h2_message *m = call(&p);
    for (int i = 0; i < 30; i++)
        assert_int_equal(cello_response_header(talk.r, CL_STR("x"), CL_STR("1")), CELLO_OK);
    while (cl_arena_alloc(&talk.r->arena, 512))
        continue;
    assert_int_equal(hear(), CELLO_EAGAIN);
    cello_respond_stream(talk.r, &talk.generator, false, 0);
    h2_turn(&p.h);
    h2_expect(m, 503, "");
    assert_int_equal(talk.stopped, 1);
    assert_int_equal(talk.ready, 1);
    assert_int_equal(hear(), CELLO_ECANCELED);
    assert_int_equal(inflight(&p), 0);
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    end(&p);
}

static void on_unknown(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    cello_response_status(r, 404);
    cello_respond_bytes(r, CL_STR("own"));
}

/* A program's own 404 is for requests that are complete; this one never is. */
static void test_a_refusal_by_the_program(void **state) {
    (void)state;
    static struct cello_handler handler = {.on_request = on_unknown};
    struct h2_pair p;
    fixture_begin(&p.f, NULL);
    assert_int_equal(cello_app_refusal(p.f.app, 404, &handler, 0), CELLO_OK);
    fixture_serve(&p.f);
    h2_open_offering(&p.f, &p.h, NULL, 0);
    struct h2_message *m = h2_tunnel(&p.h, "/nothing", "websocket");
    h2_turn(&p.h);
    h2_expect(m, 404, "own");
    h2_pair_end(&p);
}

static bool block_has(nghttp2_hd_inflater *inflater, const uint8_t *at, size_t n,
                      const char *name) {
    bool found = false;
    for (int flags = 0; !(flags & NGHTTP2_HD_INFLATE_FINAL);) {
        nghttp2_nv nv;
        ssize_t used = nghttp2_hd_inflate_hd2(inflater, &nv, &flags, at, n, 1);
        assert_true(used >= 0);
        at += used;
        n -= (size_t)used;
        if (flags & NGHTTP2_HD_INFLATE_EMIT)
            found |= nv.namelen == strlen(name) && !memcmp(nv.name, name, nv.namelen);
    }
    nghttp2_hd_inflate_end_headers(inflater);
    return found;
}

/* On the wire: the client's session drops what must not stand there. */
static bool was_said(const struct h2_pair *p, const char *name) {
    struct cl_str out = cl_mem_output(p->h.c.stream);
    const uint8_t *at = (const uint8_t *)out.ptr, *last = at + out.len;
    nghttp2_hd_inflater *inflater;
    bool found = false;
    assert_int_equal(nghttp2_hd_inflate_new(&inflater), 0);
    while (at < last) {
        size_t n = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
        if (at[3] == NGHTTP2_HEADERS)
            found |= block_has(inflater, at + 9, n, name);
        at += 9 + n;
    }
    nghttp2_hd_inflate_del(inflater);
    return found;
}

/* 2xx: what follows has no length, whatever the handler says: RFC 9110, 8.6. */
static void test_no_length(void **state) {
    (void)state;
    for (int how = 0; how < 4; how++) {
        struct h2_pair p;
        begin(&p);
        struct h2_message *m = call(&p);
        if (how == 0)
            cello_respond_bytes(talk.r, CL_STR("bytes"));
        else if (how == 1)
            cello_respond_bytes(talk.r, CL_STR(""));
        else if (how == 2)
            cello_respond_empty(talk.r);
        else
            cello_respond_stream(talk.r, &talk.generator, true, 3);
        h2_turn(&p.h);
        if (how == 3) {
            assert_int_equal(cello_response_trailer(talk.r, CL_STR("x"), CL_STR("1")), CELLO_OK);
            say(&p, CL_STR("longer"), true);
        }
        h2_expect(m, 200, how == 0 ? "bytes" : how == 3 ? "longer" : "");
        assert_true(was_said(&p, "date"));
        assert_false(was_said(&p, "content-length"));
        assert_false(was_said(&p, "x"));
        end(&p);
    }
}

/* ---- both ways at once ---- */

static void test_echo_beyond_all_windows(void **state) {
    (void)state;
    enum { ROUNDS = 30 };
    struct cello_http2_config cfg = CELLO_HTTP2_CONFIG_DEFAULT;
    cfg.initial_window_size = 20000;
    char *bytes = make_bytes(ROUNDS * PIECE);
    struct h2_pair p;
    begin_with(&p, &cfg, 0);
    struct h2_message *a = h2_tunnel(&p.h, "/tunnel", "websocket");
    struct h2_message *b = h2_tunnel(&p.h, "/tunnel", "websocket");
    h2_turn(&p.h);
    for (size_t i = 0; i < ROUNDS; i++) {
        h2_upload(&p.h, a, bytes + i * PIECE, PIECE, true);
        h2_upload(&p.h, b, bytes + i * PIECE, 1 + i, true);
        assert_int_equal(a->len, (i + 1) * PIECE);
        h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    }
    assert_true(!memcmp(a->body, bytes, ROUNDS * PIECE));
    h2_upload(&p.h, a, NULL, 0, false);
    h2_upload(&p.h, b, NULL, 0, false);
    h2_expect(a, 200, NULL);
    h2_expect(b, 200, NULL);
    assert_int_equal(b->len, ROUNDS * (ROUNDS + 1) / 2);
    assert_true(a->closed && !a->error && b->closed && !b->error);
    assert_int_equal(inflight(&p), 0);
    end(&p);
    free(bytes);
}

/* What nobody reads waits with the client. */
static void test_the_client_waits(void **state) {
    (void)state;
    struct cello_http2_config cfg = CELLO_HTTP2_CONFIG_DEFAULT;
    cfg.initial_window_size = 20000;
    char *bytes = make_bytes(PIECE);
    struct h2_pair p;
    begin_with(&p, &cfg, 0);
    struct h2_message *m = call(&p);
    h2_upload(&p.h, m, bytes, PIECE, true); /* before the answer, too */
    assert_int_equal(m->upload_left, PIECE - 20000);
    cello_respond_stream(talk.r, &talk.generator, false, 0);
    h2_turn(&p.h);
    assert_int_equal(m->upload_left, PIECE - 20000);
    say(&p, CL_STR("still here"), false);
    assert_int_equal(m->len, 10);
    assert_int_equal(hear(), CELLO_EAGAIN);
    assert_int_equal(talk.len, 20000);
    h2_turn(&p.h);
    assert_int_equal(talk.ready, 1);
    while (m->upload_left) {
        assert_int_equal(hear(), CELLO_EAGAIN);
        h2_turn(&p.h);
    }
    assert_int_equal(hear(), CELLO_EAGAIN);
    assert_int_equal(talk.len, PIECE);
    assert_true(!memcmp(talk.heard, bytes, PIECE));
    end(&p);
    free(bytes);
}

/* The protocol is asked for no more than the client takes, and hears meanwhile. */
static void test_the_protocol_waits(void **state) {
    (void)state;
    char *bytes = make_bytes(PIECE);
    struct h2_pair p;
    begin_with(&p, NULL, 1000);
    open_window(&p, 0, 1 << 28);
    struct h2_message *m = open_tunnel(&p);
    say(&p, cl_str(bytes, PIECE), false);
    assert_int_equal(m->len, 1000);
    assert_false(talk.asked);
    h2_upload(&p.h, m, "hello", 5, true);
    assert_int_equal(hear(), CELLO_EAGAIN);
    expect_heard("hello");
    open_window(&p, m->id, 1);
    assert_int_equal(m->len, 1001);
    open_window(&p, m->id, PIECE);
    assert_int_equal(m->len, PIECE);
    assert_true(!memcmp(m->body, bytes, PIECE));
    assert_true(talk.asked);
    end(&p);
    free(bytes);
}

/* ---- ends of one side ---- */

static void test_the_client_ends_its_side(void **state) {
    (void)state;
    struct h2_pair p;
    begin(&p);
    struct h2_message *m = open_tunnel(&p);
    assert_int_equal(hear(), CELLO_EAGAIN);
    h2_upload(&p.h, m, "bye", 3, false);
    assert_int_equal(talk.ready, 1);
    assert_int_equal(hear(), CELLO_EOF);
    expect_heard("bye");
    say(&p, CL_STR("more"), false);
    fixture_pass(&p.f, 100 * CELLO_SECOND);
    h2_turn(&p.h);
    assert_int_equal(inflight(&p), 1);
    say(&p, CL_STR(" and more"), true);
    h2_expect(m, 200, "more and more");
    assert_true(m->closed && !m->error);
    assert_int_equal(talk.stopped, 1);
    assert_int_equal(inflight(&p), 0);
    assert_int_equal(hear(), CELLO_EOF);
    end(&p);
}

/* It says nothing from the beginning on. */
static void test_the_client_only_listens(void **state) {
    (void)state;
    const char *fields[] = {":protocol", "websocket", NULL};
    struct h2_pair p;
    begin(&p);
    struct h2_message *m = h2_request(&p.h, "CONNECT", "/talk/1", fields);
    h2_turn(&p.h);
    assert_int_equal(hear(), CELLO_EOF);
    cello_respond_stream(talk.r, &talk.generator, false, 0);
    h2_turn(&p.h);
    say(&p, CL_STR("news"), true);
    h2_expect(m, 200, "news");
    end(&p);
}

static void test_the_protocol_ends_its_side(void **state) {
    (void)state;
    struct h2_pair p;
    begin(&p);
    struct h2_message *m = open_tunnel(&p);
    say(&p, CL_STR("bye"), true);
    assert_true(m->ended && !m->closed);
    assert_int_equal(talk.stopped, 1);
    assert_int_equal(hear(), CELLO_EAGAIN);
    for (unsigned i = 1; i <= 3; i++) {
        fixture_pass(&p.f, 25 * CELLO_SECOND);
        h2_upload(&p.h, m, "more ", 5, true);
        assert_int_equal(talk.ready, i);
        assert_int_equal(hear(), CELLO_EAGAIN);
    }
    assert_int_equal(inflight(&p), 1);
    h2_upload(&p.h, m, NULL, 0, false);
    assert_int_equal(talk.ready, 4);
    assert_int_equal(hear(), CELLO_EOF);
    expect_heard("more more more ");
    assert_true(m->closed && !m->error);
    assert_int_equal(inflight(&p), 0);
    end(&p);
}

/* The stream goes with its second end; what has come is there to be read. */
static void test_the_last_words_can_be_read(void **state) {
    (void)state;
    char *bytes = make_bytes(PIECE);
    for (int how = 0; how < 4; how++) {
        struct h2_pair p;
        struct cl_str piece = {0};
        begin(&p);
        struct h2_message *m = open_tunnel(&p);
        bool client_first = how & 1, looks = how & 2;
        if (looks) { /* at a piece in a block of its own */
            h2_upload(&p.h, m, bytes, 16000, true);
            assert_int_equal(cello_request_read(talk.r, NULL, &piece), CELLO_OK);
        }
        if (!client_first)
            say(&p, CL_STR("bye"), true);
        h2_upload(&p.h, m, bytes, PIECE, false);
        if (client_first)
            say(&p, CL_STR("bye"), true);
        assert_true(m->ended && m->closed && !m->error);
        assert_true(cello_request_is_disconnected(talk.r));
        assert_true(!piece.len || !memcmp(piece.ptr, bytes, piece.len));
        client_eof(&p.h.c);
        assert_null(p.h.c.stream);
        assert_int_equal(hear(), CELLO_EOF);
        assert_int_equal(talk.len, PIECE);
        assert_true(!memcmp(talk.heard, bytes, PIECE));
        assert_int_equal(hear(), CELLO_EOF);
        end(&p);
    }
    free(bytes);
}

/* They are dropped with the request when nobody reads them, and do not hold up others. */
static void test_last_words_that_nobody_reads(void **state) {
    (void)state;
    struct cello_http2_config cfg = CELLO_HTTP2_CONFIG_DEFAULT;
    cfg.initial_window_size = 65535;
    char *bytes = make_bytes(PIECE);
    struct h2_pair p;
    begin_with(&p, &cfg, 0);
    for (int i = 0; i < 20; i++) {
        struct h2_message *m = open_tunnel(&p);
        say(&p, cl_str(NULL, 0), true);
        h2_upload(&p.h, m, bytes, 60000, false);
        assert_true(m->closed && !m->error);
        hang_up();
        talk.stopped = 0;
    }
    struct h2_message *m = h2_pair_post(&p, "/read", NULL, bytes, PIECE, false);
    h2_expect(m, 200, NULL);
    assert_true(!strncmp(m->body, "100000 bytes", 12));
    end(&p);
    free(bytes);
}

static void test_nobody_reads_on(void **state) {
    (void)state;
    static char large[PIECE];
    for (int late = 0; late < 2; late++) {
        struct h2_pair p;
        begin(&p);
        struct h2_message *m = open_tunnel(&p);
        struct cl_request *r = talk.r;
        talk.asked = false;
        if (!late)
            hang_up();
        cello_response_chunk(r, CL_STR("bye"), true);
        h2_turn(&p.h);
        assert_int_equal(talk.stopped, 1);
        h2_upload(&p.h, m, large, sizeof large, true);
        if (late) {
            fixture_pass(&p.f, 10 * CELLO_SECOND);
            assert_int_equal(inflight(&p), 1);
            hang_up();
            fixture_pass(&p.f, 3 * CELLO_SECOND);
        }
        assert_int_equal(inflight(&p), 0);
        fixture_pass(&p.f, 3 * CELLO_SECOND);
        h2_turn(&p.h);
        h2_expect_reset(m, NGHTTP2_NO_ERROR);
        h2_expect(h2_pair_get(&p, "/"), 200, "hello");
        end(&p);
    }
}

/* What is lent to a send is given back before the protocol is told that it is over. */
static void test_the_last_chunk_is_being_sent(void **state) {
    (void)state;
    char *bytes = make_bytes(PIECE);
    for (int reset = 0; reset < 2; reset++) {
        struct h2_pair p;
        begin_with(&p, NULL, 1 << 20);
        open_window(&p, 0, 1 << 20);
        struct h2_message *m = open_tunnel(&p);
        cl_mem_hold_sends(p.h.c.stream, true);
        say(&p, cl_str(bytes, PIECE), true);
        assert_int_equal(hear(), CELLO_EAGAIN);
        if (reset)
            h2_reset(&p.h, m, NGHTTP2_CANCEL);
        assert_int_equal(talk.stopped, 0);
        cl_mem_hold_sends(p.h.c.stream, false);
        while (cl_mem_finish_send(p.h.c.stream, CELLO_OK))
            h2_turn(&p.h);
        h2_turn(&p.h);
        assert_int_equal(talk.stopped, 1);
        if (!reset) {
            assert_true(m->ended && m->len == PIECE);
            h2_upload(&p.h, m, "heard", 5, false);
            assert_int_equal(hear(), CELLO_EOF);
            expect_heard("heard");
        }
        assert_int_equal(inflight(&p), 0);
        end(&p);
    }
    free(bytes);
}

/* ---- ends of both ---- */

static void test_the_client_resets(void **state) {
    (void)state;
    for (int how = 0; how < 4; how++) {
        struct h2_pair p;
        begin(&p);
        struct h2_message *m = how == 3 ? call(&p) : open_tunnel(&p);
        if (how == 1)
            say(&p, CL_STR("bye"), true);
        if (how == 2)
            h2_upload(&p.h, m, NULL, 0, false);
        int before = hear();
        assert_int_equal(before, how == 2 ? CELLO_EOF : CELLO_EAGAIN);
        h2_reset(&p.h, m, NGHTTP2_CANCEL);
        assert_int_equal(talk.stopped, how != 3);
        assert_int_equal(talk.ready, how != 2);
        assert_int_equal(hear(), how == 2 ? CELLO_EOF : CELLO_ECANCELED);
        assert_int_equal(inflight(&p), 0);
        if (how == 3) /* too late */
            cello_respond_stream(talk.r, &talk.generator, false, 0);
        assert_int_equal(talk.stopped, 1);
        h2_expect(h2_pair_get(&p, "/"), 200, "hello");
        end(&p);
    }
}

static void test_the_protocol_resets(void **state) {
    (void)state;
    for (int how = 0; how < 5; how++) {
        struct h2_pair p;
        begin_with(&p, NULL, 1000);
        struct h2_message *m = open_tunnel(&p);
        if (how == 1) /* it waits for a window */
            say(&p, CL_STR("0123456789"), false);
        if (how == 2)
            say(&p, CL_STR("bye"), true);
        if (how == 3)
            h2_upload(&p.h, m, NULL, 0, false);
        if (how == 4)
            h2_upload(&p.h, m, "unheard", 7, true);
        else
            assert_int_equal(hear(), how == 3 ? CELLO_EOF : CELLO_EAGAIN);
        cello_response_abort(talk.r);
        h2_turn(&p.h);
        h2_expect_reset(m, NGHTTP2_CANCEL);
        assert_int_equal(talk.stopped, 1);
        assert_int_equal(hear(), how == 3 ? CELLO_EOF : CELLO_ECANCELED);
        assert_int_equal(inflight(&p), 0);
        assert_int_equal(p.h.goaways, 0);
        h2_expect(h2_pair_get(&p, "/"), 200, "hello");
        end(&p);
    }
}

/* RFC 9113, 8.5. */
static void test_nothing_but_data(void **state) {
    (void)state;
    struct h2_pair p;
    begin(&p);
    struct h2_message *m = open_tunnel(&p);
    assert_int_equal(hear(), CELLO_EAGAIN);
    m->upload_trailer = "1";
    h2_upload(&p.h, m, "and", 3, false);
    h2_expect_reset(m, NGHTTP2_PROTOCOL_ERROR);
    assert_int_equal(talk.ready, 1);
    assert_int_equal(hear(), CELLO_ECANCELED);
    assert_int_equal(talk.stopped, 1);
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    end(&p);
}

/* The client is counted, as for requests; the server's resets are its own. */
static void test_resets_are_counted(void **state) {
    (void)state;
    struct h2_pair p;
    begin(&p);
    fixture_stop_clock(); /* what comes late is free */
    for (int i = 0; i < 600; i++) {
        struct h2_message *m = open_tunnel(&p);
        talk.asked = false;
        cello_response_abort(talk.r);
        h2_turn(&p.h);
        h2_expect_reset(m, NGHTTP2_CANCEL);
        hang_up();
        talk.stopped = 0;
        h2_forget(&p.h);
    }
    assert_int_equal(p.h.goaways, 0);
    end(&p);
    for (int mistake = 0; mistake < 2; mistake++) {
        begin(&p);
        fixture_stop_clock();
        for (int i = 0; i < 600 && !p.h.goaways; i++) {
            struct h2_message *m = open_tunnel(&p);
            m->upload_trailer = "1";
            if (mistake)
                h2_upload(&p.h, m, NULL, 0, false);
            else
                h2_reset(&p.h, m, NGHTTP2_CANCEL);
            hang_up();
            talk.stopped = 0;
            h2_forget(&p.h);
        }
        h2_expect_goaway(&p.h, NGHTTP2_ENHANCE_YOUR_CALM);
        end(&p);
    }
}

/* ---- time ---- */

static void pass(struct h2_pair *p, unsigned seconds) {
    for (unsigned i = 0; i < seconds; i += 5) {
        fixture_pass(&p->f, 5 * CELLO_SECOND);
        h2_turn(&p->h); /* the client answers pings */
    }
}

static void test_a_silent_one_stays(void **state) {
    (void)state;
    struct h2_pair p;
    begin(&p);
    struct h2_message *m = open_tunnel(&p);
    assert_int_equal(hear(), CELLO_EAGAIN);
    pass(&p, 600);
    assert_true(p.h.pings > 10);
    for (int i = 0; i < 10; i++) { /* far below the rate of a body */
        h2_upload(&p.h, m, ".", 1, true);
        assert_int_equal(hear(), CELLO_EAGAIN);
        say(&p, CL_STR(","), false);
        pass(&p, 60);
    }
    expect_heard("..........");
    assert_int_equal(m->len, 10);
    assert_false(m->closed);
    end(&p);
}

/* Before it is answered, too; by when that is, the handler's deadline says. */
static void test_silent_before_the_answer(void **state) {
    (void)state;
    struct h2_pair p;
    begin(&p);
    struct h2_message *m = call(&p);
    cello_request_observe(talk.r, &talk.observer);
    cello_request_set_deadline(talk.r, 100 * CELLO_SECOND);
    pass(&p, 90);
    assert_int_equal(talk.overdue, 0);
    pass(&p, 20);
    assert_int_equal(talk.overdue, 1);
    assert_int_equal(hear(), CELLO_EAGAIN);
    pass(&p, 120);
    assert_int_equal(talk.ready, 0);
    cello_response_status(talk.r, 504);
    cello_respond_empty(talk.r);
    h2_turn(&p.h);
    h2_expect(m, 504, "");
    end(&p);
}

static void test_a_client_that_does_not_answer(void **state) {
    (void)state;
    struct h2_pair p;
    begin(&p);
    (void)open_tunnel(&p);
    assert_int_equal(hear(), CELLO_EAGAIN);
    for (int i = 0; i < 4; i++)
        fixture_pass(&p.f, 31 * CELLO_SECOND);
    assert_null(p.h.c.stream);
    assert_int_equal(talk.ready, 1);
    assert_int_equal(hear(), CELLO_ECANCELED);
    assert_int_equal(talk.stopped, 1);
    end(&p);
}

/* However much it says itself. */
static void test_a_client_that_does_not_read(void **state) {
    (void)state;
    struct h2_pair p;
    begin_with(&p, NULL, 1000);
    open_window(&p, 0, 1 << 28);
    struct h2_message *m = open_tunnel(&p);
    static char large[PIECE];
    say(&p, cl_str(large, sizeof large), false);
    assert_int_equal(hear(), CELLO_EAGAIN);
    for (int i = 0; i < 12; i++) {
        fixture_pass(&p.f, 5 * CELLO_SECOND);
        if (m->closed)
            break;
        assert_true(i < 8);
        h2_upload(&p.h, m, ".", 1, true);
        (void)hear();
    }
    h2_expect_reset(m, NGHTTP2_CANCEL);
    assert_int_equal(talk.stopped, 1);
    assert_int_equal(hear(), CELLO_ECANCELED);
    h2_expect(h2_pair_get(&p, "/"), 200, NULL);
    end(&p);
}

/* ---- the server stops ---- */

static void test_a_drain_lets_it_finish(void **state) {
    (void)state;
    struct h2_pair p;
    begin(&p);
    struct h2_message *m = open_tunnel(&p);
    cello_request_observe(talk.r, &talk.observer);
    assert_int_equal(hear(), CELLO_EAGAIN);
    cello_server_stop(p.f.server, 30 * CELLO_SECOND);
    h2_turn(&p.h);
    assert_int_equal(talk.draining, 1);
    assert_true(p.h.goaways > 0);
    assert_int_equal(p.h.goaway_error, NGHTTP2_NO_ERROR);
    h2_upload(&p.h, m, "wait", 4, true);
    assert_int_equal(hear(), CELLO_EAGAIN);
    say(&p, CL_STR("bye"), true);
    h2_upload(&p.h, m, " then", 5, false);
    assert_int_equal(hear(), CELLO_EOF);
    expect_heard("wait then");
    h2_expect(m, 200, "bye");
    h2_expect_goaway(&p.h, NGHTTP2_NO_ERROR);
    end(&p);
}

static void test_a_drain_ends(void **state) {
    (void)state;
    struct h2_pair p;
    begin(&p);
    struct h2_message *m = open_tunnel(&p);
    assert_int_equal(hear(), CELLO_EAGAIN);
    cello_server_stop(p.f.server, 30 * CELLO_SECOND);
    h2_turn(&p.h);
    fixture_pass(&p.f, 29 * CELLO_SECOND);
    h2_turn(&p.h);
    assert_false(m->closed);
    assert_int_equal(talk.ready, 0);
    fixture_pass(&p.f, 2 * CELLO_SECOND);
    assert_null(p.h.c.stream);
    assert_int_equal(talk.ready, 1);
    assert_int_equal(hear(), CELLO_ECANCELED);
    assert_int_equal(talk.stopped, 1);
    end(&p);
}

/* The connection goes, at either end of it. */
static void test_the_connection_ends(void **state) {
    (void)state;
    for (int how = 0; how < 2; how++) {
        struct h2_pair p;
        begin(&p);
        struct h2_message *m = open_tunnel(&p);
        h2_upload(&p.h, m, "unheard", 7, true);
        if (how)
            cl_mem_reset(p.h.c.stream);
        else
            client_eof(&p.h.c);
        fixture_pass(&p.f, CELLO_SECOND);
        assert_null(p.h.c.stream);
        assert_int_equal(talk.stopped, 1);
        assert_int_equal(hear(), CELLO_ECANCELED);
        end(&p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offered_when_it_is),
        cmocka_unit_test(test_the_request),
        cmocka_unit_test(test_many_fields),
        cmocka_unit_test(test_malformed_ones_are_reset),
        cmocka_unit_test(test_refused_ones_are_answered),
        cmocka_unit_test(test_not_over_http1),
        cmocka_unit_test(test_a_refusal_is_an_ordinary_answer),
        cmocka_unit_test(test_a_refusal_that_is_streamed),
        cmocka_unit_test(test_no_memory_for_the_answer),
        cmocka_unit_test(test_a_refusal_by_the_program),
        cmocka_unit_test(test_no_length),
        cmocka_unit_test(test_echo_beyond_all_windows),
        cmocka_unit_test(test_the_client_waits),
        cmocka_unit_test(test_the_protocol_waits),
        cmocka_unit_test(test_the_client_ends_its_side),
        cmocka_unit_test(test_the_client_only_listens),
        cmocka_unit_test(test_the_protocol_ends_its_side),
        cmocka_unit_test(test_the_last_words_can_be_read),
        cmocka_unit_test(test_last_words_that_nobody_reads),
        cmocka_unit_test(test_nobody_reads_on),
        cmocka_unit_test(test_the_last_chunk_is_being_sent),
        cmocka_unit_test(test_the_client_resets),
        cmocka_unit_test(test_the_protocol_resets),
        cmocka_unit_test(test_nothing_but_data),
        cmocka_unit_test(test_resets_are_counted),
        cmocka_unit_test(test_a_silent_one_stays),
        cmocka_unit_test(test_silent_before_the_answer),
        cmocka_unit_test(test_a_client_that_does_not_answer),
        cmocka_unit_test(test_a_client_that_does_not_read),
        cmocka_unit_test(test_a_drain_lets_it_finish),
        cmocka_unit_test(test_a_drain_ends),
        cmocka_unit_test(test_the_connection_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
