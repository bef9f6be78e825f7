/* Extended CONNECT (RFC 8441): what is offered, how it is answered, and streams that both sides
 * talk on at once. How they end: tunnel_ends_test.c. */
#include "support/talk.h"

/* ---- offered, or not ---- */

static void test_offered_when_it_is(void **state) {
    (void)state;
    struct h2_pair p;
    talk_begin(&p);
    assert_int_equal(
        nghttp2_session_get_remote_settings(p.h.session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL),
        1);
    talk_end(&p);
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
    talk_begin(&p);
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
    talk_end(&p);
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
    talk_begin(&p);
    (void)h2_request(&p.h, "CONNECT", "/talk/1", fields);
    h2_turn(&p.h);
    assert_non_null(talk.r);
    assert_int_equal(cello_request_header_count(talk.r), MAX + 2);
    assert_true(cl_str_eq(field("upgrade"), CL_STR("websocket")));
    talk_end(&p);
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
    talk_begin(&p);
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++) {
        h2_expect_reset(h2_pair_bare(&p, bad[i]), NGHTTP2_PROTOCOL_ERROR);
        assert_int_equal(p.f.handled, 0);
    }
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    talk_end(&p);
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
    talk_begin(&p);
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++) {
        h2_expect(h2_pair_bare(&p, bad[i].fields), bad[i].status, NULL);
        assert_int_equal(p.f.handled, 0);
    }
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    talk_end(&p);
}

/* HTTP/1 has no such thing, whatever its fields say. */
static void test_not_over_http1(void **state) {
    (void)state;
    struct h2_pair p;
    struct client c;
    talk_begin(&p);
    client_open(&p.f, &c);
    client_send(&c, "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nConnection: upgrade\r\n"
                    "Upgrade: websocket\r\n\r\n");
    client_expect(&c, 501, NULL);
    client_free(&c);
    talk_end(&p);
}

/* ---- answers ---- */

static void test_a_refusal_is_an_ordinary_answer(void **state) {
    (void)state;
    static char large[TALK_PIECE];
    struct h2_pair p;
    talk_begin(&p);
    struct h2_message *m = talk_call(&p);
    h2_upload(&p.h, m, "early", 5, true);
    cello_response_status(talk.r, 403);
    cello_respond_bytes(talk.r, CL_STR("no"));
    h2_turn(&p.h);
    h2_expect(m, 403, "no");
    assert_string_equal(h2_field(m, "content-length"), "2");
    assert_int_equal(talk_hear(), CELLO_ECANCELED);
    h2_upload(&p.h, m, large, sizeof large, true); /* nobody wants it */
    assert_int_equal(talk_hear(), CELLO_ECANCELED);
    talk_expect_heard("");
    fixture_pass(&p.f, 3 * CELLO_SECOND);
    h2_turn(&p.h);
    h2_expect_reset(m, NGHTTP2_NO_ERROR);
    assert_int_equal(talk_inflight(&p), 0);
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    talk_end(&p);
}

/* With all that streams have, but nothing is heard any more. */
static void test_a_refusal_that_is_streamed(void **state) {
    (void)state;
    struct h2_pair p;
    talk_begin(&p);
    struct h2_message *m = talk_call(&p);
    assert_int_equal(talk_hear(), CELLO_EAGAIN);
    cello_response_status(talk.r, 403);
    cello_respond_stream(talk.r, &talk.generator, true, 2);
    h2_turn(&p.h);
    assert_string_equal(h2_field(m, "content-length"), "2");
    assert_int_equal(talk.ready, 1);
    assert_int_equal(talk_hear(), CELLO_ECANCELED);
    talk_say(&p, CL_STR("no"), true);
    h2_expect(m, 403, "no");
    assert_int_equal(talk_inflight(&p), 0);
    h2_upload(&p.h, m, NULL, 0, false);
    talk_hang_up();

    talk.stopped = talk.ready = 0;
    m = talk_call(&p);
    cello_response_status(talk.r, 403);
    cello_respond_stream(talk.r, &talk.generator, false, 0);
    h2_turn(&p.h);
    assert_int_equal(cello_response_trailer(talk.r, CL_STR("x"), CL_STR("1")), CELLO_OK);
    talk_say(&p, CL_STR("no"), true);
    h2_expect(m, 403, "no");
    assert_string_equal(m->trailers, "x: 1\n");
    talk_end(&p);
}

/* A head for which there is no memory becomes a plain 503, and no tunnel. */
static void test_no_memory_for_the_answer(void **state) {
    (void)state;
    struct h2_pair p;
    talk_begin(&p);
    struct h2_message *m = talk_call(&p);
    for (int i = 0; i < 30; i++)
        assert_int_equal(cello_response_header(talk.r, CL_STR("x"), CL_STR("1")), CELLO_OK);
    while (cl_arena_alloc(&talk.r->arena, 512))
        continue;
    assert_int_equal(talk_hear(), CELLO_EAGAIN);
    cello_respond_stream(talk.r, &talk.generator, false, 0);
    h2_turn(&p.h);
    h2_expect(m, 503, "");
    assert_int_equal(talk.stopped, 1);
    assert_int_equal(talk.ready, 1);
    assert_int_equal(talk_hear(), CELLO_ECANCELED);
    assert_int_equal(talk_inflight(&p), 0);
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    talk_end(&p);
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
        talk_begin(&p);
        struct h2_message *m = talk_call(&p);
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
            talk_say(&p, CL_STR("longer"), true);
        }
        h2_expect(m, 200, how == 0 ? "bytes" : how == 3 ? "longer" : "");
        assert_true(was_said(&p, "date"));
        assert_false(was_said(&p, "content-length"));
        assert_false(was_said(&p, "x"));
        talk_end(&p);
    }
}

/* ---- both ways at once ---- */

static void test_echo_beyond_all_windows(void **state) {
    (void)state;
    enum { ROUNDS = 30 };
    struct cello_http2_config cfg = CELLO_HTTP2_CONFIG_DEFAULT;
    cfg.initial_window_size = 20000;
    char *bytes = talk_bytes(ROUNDS * TALK_PIECE);
    struct h2_pair p;
    talk_begin_with(&p, &cfg, 0);
    struct h2_message *a = h2_tunnel(&p.h, "/tunnel", "websocket");
    struct h2_message *b = h2_tunnel(&p.h, "/tunnel", "websocket");
    h2_turn(&p.h);
    for (size_t i = 0; i < ROUNDS; i++) {
        h2_upload(&p.h, a, bytes + i * TALK_PIECE, TALK_PIECE, true);
        h2_upload(&p.h, b, bytes + i * TALK_PIECE, 1 + i, true);
        assert_int_equal(a->len, (i + 1) * TALK_PIECE);
        h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    }
    assert_true(!memcmp(a->body, bytes, ROUNDS * TALK_PIECE));
    h2_upload(&p.h, a, NULL, 0, false);
    h2_upload(&p.h, b, NULL, 0, false);
    h2_expect(a, 200, NULL);
    h2_expect(b, 200, NULL);
    assert_int_equal(b->len, ROUNDS * (ROUNDS + 1) / 2);
    assert_true(a->closed && !a->error && b->closed && !b->error);
    assert_int_equal(talk_inflight(&p), 0);
    talk_end(&p);
    free(bytes);
}

/* What nobody reads waits with the client. */
static void test_the_client_waits(void **state) {
    (void)state;
    struct cello_http2_config cfg = CELLO_HTTP2_CONFIG_DEFAULT;
    cfg.initial_window_size = 20000;
    char *bytes = talk_bytes(TALK_PIECE);
    struct h2_pair p;
    talk_begin_with(&p, &cfg, 0);
    struct h2_message *m = talk_call(&p);
    h2_upload(&p.h, m, bytes, TALK_PIECE, true); /* before the answer, too */
    assert_int_equal(m->upload_left, TALK_PIECE - 20000);
    cello_respond_stream(talk.r, &talk.generator, false, 0);
    h2_turn(&p.h);
    assert_int_equal(m->upload_left, TALK_PIECE - 20000);
    talk_say(&p, CL_STR("still here"), false);
    assert_int_equal(m->len, 10);
    assert_int_equal(talk_hear(), CELLO_EAGAIN);
    assert_int_equal(talk.len, 20000);
    h2_turn(&p.h);
    assert_int_equal(talk.ready, 1);
    while (m->upload_left) {
        assert_int_equal(talk_hear(), CELLO_EAGAIN);
        h2_turn(&p.h);
    }
    assert_int_equal(talk_hear(), CELLO_EAGAIN);
    assert_int_equal(talk.len, TALK_PIECE);
    assert_true(!memcmp(talk.heard, bytes, TALK_PIECE));
    talk_end(&p);
    free(bytes);
}

/* The protocol is asked for no more than the client takes, and hears meanwhile. */
static void test_the_protocol_waits(void **state) {
    (void)state;
    char *bytes = talk_bytes(TALK_PIECE);
    struct h2_pair p;
    talk_begin_with(&p, NULL, 1000);
    h2_pair_window(&p, 0, 1 << 28);
    struct h2_message *m = talk_open(&p);
    talk_say(&p, cl_str(bytes, TALK_PIECE), false);
    assert_int_equal(m->len, 1000);
    assert_false(talk.asked);
    h2_upload(&p.h, m, "hello", 5, true);
    assert_int_equal(talk_hear(), CELLO_EAGAIN);
    talk_expect_heard("hello");
    h2_pair_window(&p, m->id, 1);
    assert_int_equal(m->len, 1001);
    h2_pair_window(&p, m->id, TALK_PIECE);
    assert_int_equal(m->len, TALK_PIECE);
    assert_true(!memcmp(m->body, bytes, TALK_PIECE));
    assert_true(talk.asked);
    talk_end(&p);
    free(bytes);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
