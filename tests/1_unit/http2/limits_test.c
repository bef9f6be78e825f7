/* Time limits of HTTP/2 connections, their ends, and what clients may not do for free. */
#include <stdio.h>

#include "support/h2_client.h"

/* Heads as they stand in a frame. */
static const uint8_t get_root[] = {0x82, 0x86, 0x84, 0x41, 1, 'a'};
static const uint8_t post_echo[] = {0x83, 0x86, 0x44, 5, '/', 'e', 'c', 'h', 'o', 0x41, 1, 'a'};
static const uint8_t post_hold[] = {0x83, 0x86, 0x44, 5, '/', 'h', 'o', 'l', 'd', 0x41, 1, 'a'};

static void push_head(struct h2_pair *p, int32_t id, bool end_stream, const uint8_t *head,
                      size_t len) {
    uint8_t end = end_stream ? NGHTTP2_FLAG_END_STREAM : 0;
    h2_raw(&p->h, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | end, id, head, len);
}

static void pass(struct h2_pair *p, uint64_t ns) {
    fixture_pass(&p->f, ns);
    h2_turn(&p->h);
}

/* ---- time ---- */

static void test_no_preface(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin_silent(&p);
    assert_int_equal(p.f.server->worker.conn_count, 1);
    fixture_pass(&p.f, 6 * CELLO_SECOND);
    h2_expect_goaway(&p.h, NGHTTP2_SETTINGS_TIMEOUT);
    h2_pair_end(&p);
}

static void test_no_settings(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin_silent(&p);
    client_push(&p.h.c, CL_H2_PREFACE, CL_H2_PREFACE_LEN);
    fixture_pass(&p.f, 6 * CELLO_SECOND);
    h2_expect_goaway(&p.h, NGHTTP2_SETTINGS_TIMEOUT);
    h2_pair_end(&p);
}

static void test_another_protocol(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin_silent(&p);
    client_push(&p.h.c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 28);
    h2_expect_goaway(&p.h, NGHTTP2_PROTOCOL_ERROR);
    h2_pair_end(&p);
}

static void test_idle(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    const struct cl_worker *w = &p.f.server->worker;
    assert_ptr_not_equal(w->idle.idle_next, &w->idle);
    pass(&p, 20 * CELLO_SECOND);
    struct h2_message *m = h2_pair_get(&p, "/hold");
    assert_ptr_equal(w->idle.idle_next, &w->idle);
    pass(&p, 50 * CELLO_SECOND);
    pass(&p, 50 * CELLO_SECOND);
    h2_pair_answer(&p, "done");
    h2_expect(m, 200, "done");
    assert_ptr_not_equal(w->idle.idle_next, &w->idle);
    assert_int_equal(fixture_used(&p.f), 0);
    pass(&p, 29 * CELLO_SECOND);
    pass(&p, 29 * CELLO_SECOND);
    assert_int_equal(p.h.goaways, 0);
    pass(&p, 3 * CELLO_SECOND);
    h2_expect_goaway(&p.h, NGHTTP2_NO_ERROR);
    h2_pair_end(&p);
}

static void test_keepalive(void **state) {
    (void)state;
    struct cello_server_config cfg = fixture_config();
    cfg.timeouts.idle_ns = 0;
    struct h2_pair p;
    h2_pair_begin_with(&p, &cfg, NULL);
    unsigned pings = p.h.pings;
    for (int i = 0; i < 4; i++)
        pass(&p, 31 * CELLO_SECOND); /* the client's session answers */
    assert_int_equal(p.h.pings, pings + 4);
    fixture_pass(&p.f, 31 * CELLO_SECOND);
    assert_non_null(p.h.c.stream);
    fixture_pass(&p.f, 31 * CELLO_SECOND);
    assert_null(p.h.c.stream);
    h2_pair_end(&p);
}

static void test_a_slow_head(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *m = h2_pair_get(&p, "/hold");
    static const uint8_t method[] = {0x82};
    h2_raw(&p.h, NGHTTP2_HEADERS, NGHTTP2_FLAG_NONE, 3, method, 1);
    fixture_turn(&p.f);
    fixture_pass(&p.f, 4 * CELLO_SECOND);
    assert_non_null(p.h.c.stream);
    fixture_pass(&p.f, 2 * CELLO_SECOND);
    h2_expect_goaway(&p.h, NGHTTP2_ENHANCE_YOUR_CALM);
    assert_false(m->ended);
    h2_pair_end(&p);
}

/* Neither a malformed head nor one whose stream goes is waited for. */
static void test_heads_that_are_not_waited_for(void **state) {
    (void)state;
    static const uint8_t malformed[] = {0x82, 0x86, 0x84}, method[] = {0x82};
    static const uint8_t bad_trailer[] = {0x84};
    struct h2_pair p;
    h2_pair_begin(&p);
    push_head(&p, 1, true, malformed, sizeof malformed);
    fixture_pass(&p.f, 6 * CELLO_SECOND);
    push_head(&p, 3, false, post_echo, sizeof post_echo);
    push_head(&p, 3, true, bad_trailer, sizeof bad_trailer);
    fixture_pass(&p.f, 6 * CELLO_SECOND);
    assert_false(cl_mem_was_shutdown(p.h.c.stream));
    h2_raw(&p.h, NGHTTP2_HEADERS, 0, 5, method, sizeof method);
    fixture_pass(&p.f, 6 * CELLO_SECOND);
    assert_true(cl_mem_was_shutdown(p.h.c.stream));
    h2_pair_end(&p);
}

/* ---- drain ---- */

static void test_stop(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *m = h2_pair_get(&p, "/hold");
    cello_server_stop(p.f.server, 10 * CELLO_SECOND);
    h2_turn(&p.h);
    assert_int_equal(p.h.goaways, 1);
    assert_int_equal(p.h.goaway_error, NGHTTP2_NO_ERROR);
    assert_int_equal(p.h.goaway_last, m->id);
    h2_pair_answer(&p, "done");
    h2_expect(m, 200, "done");
    h2_expect_goaway(&p.h, NGHTTP2_NO_ERROR);
    h2_pair_end(&p);
}

static void test_stop_when_idle(void **state) {
    (void)state;
    for (int fresh = 0; fresh < 2; fresh++) {
        struct h2_pair p;
        h2_pair_begin(&p);
        if (!fresh)
            h2_expect(h2_pair_get(&p, "/"), 200, "hello");
        cello_server_stop(p.f.server, 10 * CELLO_SECOND);
        h2_turn(&p.h);
        if (fresh) { /* it was given no time to ask */
            assert_int_equal(p.h.goaways, 0);
            h2_expect(h2_pair_get(&p, "/"), 200, "hello");
            pass(&p, CL_DRAIN_GRACE_NS * 2);
        }
        h2_expect_goaway(&p.h, NGHTTP2_NO_ERROR);
        h2_pair_end(&p);
    }
}

/* One that comes out of a handshake, say, while the server stops: it may ask once. */
static void test_opened_while_draining(void **state) {
    (void)state;
    for (int retire = 0; retire < 2; retire++) {
        struct h2_pair p;
        fixture_init(&p.f, NULL);
        struct h2_client other;
        h2_open(&p.f, &other, NULL);
        struct h2_message *held = h2_get(&other, "/hold");
        h2_turn(&other);
        (retire ? cello_server_retire : cello_server_stop)(p.f.server, 10 * CELLO_SECOND);
        h2_turn(&other);
        h2_open(&p.f, &p.h, NULL);
        h2_expect(h2_pair_get(&p, "/"), 200, "hello");
        pass(&p, retire ? CELLO_SECOND + CELLO_SECOND / 10 : CL_DRAIN_GRACE_NS * 2);
        h2_expect_goaway(&p.h, NGHTTP2_NO_ERROR);
        h2_pair_answer(&p, "done");
        h2_turn(&other);
        h2_expect(held, 200, "done");
        h2_free(&other);
        h2_pair_end(&p);
    }
}

static void test_retire(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *m = h2_pair_get(&p, "/hold");
    cello_server_retire(p.f.server, 10 * CELLO_SECOND);
    fixture_turn(&p.f);
    /* On its way while the server says so. */
    struct h2_message *late = h2_pair_get(&p, "/");
    h2_expect(late, 200, "hello");
    assert_int_equal(p.h.goaways, 2);
    assert_int_equal(p.h.goaway_last, late->id);
    h2_pair_answer(&p, "done");
    h2_expect(m, 200, "done");
    h2_expect_goaway(&p.h, NGHTTP2_NO_ERROR);
    h2_pair_end(&p);
}

/* A client that does not answer the ping has a second. */
static void test_retire_without_an_answer(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    cello_server_retire(p.f.server, 10 * CELLO_SECOND);
    fixture_turn(&p.f);
    assert_false(cl_mem_was_shutdown(p.h.c.stream));
    fixture_pass(&p.f, CELLO_SECOND + CELLO_SECOND / 10);
    assert_true(cl_mem_was_shutdown(p.h.c.stream));
    h2_expect_goaway(&p.h, NGHTTP2_NO_ERROR);
    h2_pair_end(&p);
}

static void test_stop_without_time(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    (void)h2_pair_get(&p, "/hold");
    (void)h2_pair_get(&p, "/stream/1?wait=1");
    cello_server_stop(p.f.server, 0);
    fixture_turn(&p.f);
    fixture_pass(&p.f, CELLO_SECOND / 10);
    assert_null(p.h.c.stream);
    fixture_drop(&p.f);
    h2_pair_end(&p);
}

struct watcher {
    struct cello_observer super;
    unsigned draining, left;
};

static void on_event(struct cello_observer *o, struct cl_request *r, enum cello_event event) {
    (void)r;
    struct watcher *w = CL_CONTAINER_OF(o, struct watcher, super);
    w->draining += event == CELLO_EVENT_DRAINING;
    w->left += event == CELLO_EVENT_LEFT;
}

static void test_observers(void **state) {
    (void)state;
    struct watcher w[3] = {{.super = {on_event}}, {.super = {on_event}}, {.super = {on_event}}};
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *m[3];
    for (int i = 0; i < 3; i++) {
        m[i] = h2_pair_get(&p, "/hold");
        cello_request_observe(p.f.held[i], &w[i].super);
    }
    h2_reset(&p.h, m[1], NGHTTP2_CANCEL);
    cello_server_stop(p.f.server, 10 * CELLO_SECOND);
    h2_turn(&p.h);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(w[i].draining, i != 1);
        assert_int_equal(w[i].left, i == 1);
    }
    h2_pair_answer(&p, "done");
    h2_pair_answer(&p, "done");
    h2_pair_answer(&p, "done");
    h2_expect_goaway(&p.h, NGHTTP2_NO_ERROR);
    h2_pair_end(&p);
}

static void test_max_requests(void **state) {
    (void)state;
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_requests_per_connection = 5;
    struct h2_pair p;
    h2_pair_begin_with(&p, &cfg, NULL);
    for (int i = 0; i < 4; i++)
        h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    assert_int_equal(p.h.goaways, 0);
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    h2_expect_goaway(&p.h, NGHTTP2_NO_ERROR);
    h2_pair_end(&p);
}

static void test_the_client_says_goodbye(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *m = h2_pair_get(&p, "/hold");
    assert_int_equal(nghttp2_submit_goaway(p.h.session, NGHTTP2_FLAG_NONE, 0, 0, NULL, 0), 0);
    h2_turn(&p.h);
    assert_false(cl_mem_was_shutdown(p.h.c.stream));
    h2_pair_answer(&p, "done");
    h2_expect(m, 200, "done");
    assert_true(cl_mem_was_shutdown(p.h.c.stream));
    client_eof(&p.h.c);
    assert_null(p.h.c.stream);
    h2_pair_end(&p);
}

/* An answer that says so ends the connection, behind the other ones. */
static void test_an_answer_closes(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *a = h2_pair_get(&p, "/hold"), *b = h2_pair_get(&p, "/hold");
    cello_response_close(p.f.held[0]);
    h2_pair_answer(&p, "done");
    h2_expect(a, 200, "done");
    assert_int_equal(p.h.goaways, 2);
    h2_pair_answer(&p, "done");
    h2_expect(b, 200, "done");
    h2_expect_goaway(&p.h, NGHTTP2_NO_ERROR);
    h2_pair_end(&p);
}

static void test_half_closed_by_the_client(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *m = h2_pair_get(&p, "/hold");
    client_eof(&p.h.c);
    assert_true(cello_request_has_left(p.f.held[0]));
    h2_pair_answer(&p, "done");
    h2_expect(m, 200, "done");
    assert_null(p.h.c.stream);
    h2_pair_end(&p);
}

/* ---- limits of the worker ---- */

static void test_max_inflight(void **state) {
    (void)state;
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_inflight = 2;
    struct h2_pair p;
    h2_pair_begin_with(&p, &cfg, NULL);
    struct h2_message *a = h2_pair_get(&p, "/hold"), *b = h2_pair_get(&p, "/hold"),
                      *c = h2_pair_get(&p, "/");
    h2_expect(c, 503, NULL);
    assert_string_equal(h2_field(c, "retry-after"), "1");
    h2_pair_answer(&p, "done");
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    h2_pair_answer(&p, "done");
    h2_expect(a, 200, "done");
    h2_expect(b, 200, "done");
    h2_pair_end(&p);
}

static void test_max_buffered_bytes(void **state) {
    (void)state;
    static char body[1 << 20];
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_buffered_bytes = 300000;
    struct h2_pair p;
    h2_pair_begin_with(&p, &cfg, NULL);
    struct h2_message *m = h2_pair_post(&p, "/echo", NULL, body, sizeof body, false);
    h2_expect(m, 503, NULL);
    assert_string_equal(h2_field(m, "retry-after"), "1");
    h2_expect(h2_pair_get(&p, "/sink/900000"), 503, NULL);
    h2_expect(h2_pair_get(&p, "/bytes/900000"), 503, NULL);
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    h2_pair_end(&p);
}

/* Answers wait for memory as long as there is none. */
static void test_no_memory_for_output(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct cl_block_pool *pool = cl_loop_pool(p.f.server->worker.loop);
    struct h2_message *m = h2_pair_get(&p, "/hold");
    size_t max = pool->max_bytes;
    pool->max_bytes = 1;
    h2_pair_answer(&p, "done");
    assert_int_equal(m->status, 0);
    pass(&p, CELLO_SECOND);
    assert_int_equal(m->status, 0);
    pool->max_bytes = max;
    pass(&p, CELLO_SECOND);
    h2_expect(m, 503, NULL); /* there was none for its body either */
    h2_pair_end(&p);
}

static void test_too_many_streams(void **state) {
    (void)state;
    struct cello_http2_config cfg = CELLO_HTTP2_CONFIG_DEFAULT;
    cfg.max_concurrent_streams = 3;
    struct h2_pair p;
    h2_pair_begin_with(&p, NULL, &cfg);
    for (int i = 0; i < 3; i++)
        (void)h2_get(&p.h, "/hold");
    h2_turn(&p.h);
    push_head(&p, 7, true, get_root, sizeof get_root);
    h2_expect_goaway(&p.h, NGHTTP2_PROTOCOL_ERROR); /* it had confirmed the limit */
    fixture_drop(&p.f);
    h2_pair_end(&p);
}

/* ---- floods ---- */

static void flood(struct h2_pair *p, unsigned n, void (*one)(struct h2_pair *p, unsigned i)) {
    for (unsigned i = 0; i < n && p->h.c.stream && !cl_mem_was_shutdown(p->h.c.stream); i++) {
        one(p, i);
        if (i % 50 == 0)
            fixture_turn(&p->f);
    }
    fixture_turn(&p->f);
}

/* GOAWAY is the last frame; of what stands before the client's session knows nothing. */
static void expect_last_words(struct h2_pair *p, uint32_t error) {
    static const uint8_t head[] = {0, 0, 8, NGHTTP2_GOAWAY, 0, 0, 0, 0, 0};
    fixture_turn(&p->f);
    assert_non_null(p->h.c.stream);
    assert_true(cl_mem_was_shutdown(p->h.c.stream));
    struct cl_str out = cl_mem_output(p->h.c.stream);
    assert_true(out.len > 17);
    const uint8_t *last = (const uint8_t *)out.ptr + out.len - 17;
    assert_memory_equal(last, head, sizeof head);
    assert_int_equal(last[16], error);
    client_eof(&p->h.c);
    assert_null(p->h.c.stream);
}

static void expect_flood_ends(unsigned n, void (*one)(struct h2_pair *p, unsigned i)) {
    struct h2_pair p;
    h2_pair_begin(&p);
    fixture_stop_clock();
    flood(&p, n, one);
    expect_last_words(&p, NGHTTP2_ENHANCE_YOUR_CALM);
    h2_pair_end(&p);
}

static void rapid_reset(struct h2_pair *p, unsigned i) {
    static const uint8_t cancel[] = {0, 0, 0, NGHTTP2_CANCEL};
    int32_t id = (int32_t)(2 * i + 1);
    push_head(p, id, true, get_root, sizeof get_root);
    h2_raw(&p->h, NGHTTP2_RST_STREAM, 0, id, cancel, 4);
}

static void made_you_reset(struct h2_pair *p, unsigned i) {
    static const uint8_t too_much[] = {0x7f, 0xff, 0xff, 0xff};
    int32_t id = (int32_t)(2 * i + 1);
    push_head(p, id, true, get_root, sizeof get_root);
    h2_raw(&p->h, NGHTTP2_WINDOW_UPDATE, 0, id, too_much, 4);
}

static void malformed(struct h2_pair *p, unsigned i) {
    static const uint8_t head[] = {0x82, 0x86, 0x84};
    push_head(p, (int32_t)(2 * i + 1), true, head, sizeof head);
}

static void settings(struct h2_pair *p, unsigned i) {
    (void)i;
    h2_raw(&p->h, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
}

static void ping(struct h2_pair *p, unsigned i) {
    (void)i;
    h2_raw(&p->h, NGHTTP2_PING, 0, 0, "12345678", 8);
}

static void priority(struct h2_pair *p, unsigned i) {
    static const uint8_t spec[] = {0, 0, 0, 0, 1};
    h2_raw(&p->h, NGHTTP2_PRIORITY, 0, (int32_t)(2 * i + 1), spec, sizeof spec);
}

static void priority_update(struct h2_pair *p, unsigned i) {
    (void)i;
    static const uint8_t update[] = {0, 0, 0, 1, 'u', '=', '1'};
    h2_raw(&p->h, 0x10, 0, 0, update, sizeof update);
}

static void window_update(struct h2_pair *p, unsigned i) {
    (void)i;
    static const uint8_t one[] = {0, 0, 0, 1};
    h2_raw(&p->h, NGHTTP2_WINDOW_UPDATE, 0, 0, one, sizeof one);
}

static void empty_data(struct h2_pair *p, unsigned i) {
    if (!i)
        push_head(p, 1, false, post_echo, sizeof post_echo);
    h2_raw(&p->h, NGHTTP2_DATA, 0, 1, NULL, 0);
}

static void continuation(struct h2_pair *p, unsigned i) {
    if (!i)
        h2_raw(&p->h, NGHTTP2_HEADERS, 0, 1, get_root, sizeof get_root);
    h2_raw(&p->h, NGHTTP2_CONTINUATION, 0, 1, NULL, 0);
}

static void test_floods(void **state) {
    (void)state;
    expect_flood_ends(600, rapid_reset);
    expect_flood_ends(600, made_you_reset);
    expect_flood_ends(600, malformed);
    expect_flood_ends(100, settings);
    expect_flood_ends(1100, ping);
    expect_flood_ends(600, priority);
    expect_flood_ends(600, priority_update);
    expect_flood_ends(1100, window_update);
    expect_flood_ends(150, empty_data);
    expect_flood_ends(8, continuation);
}

/* A head that is small on the wire, and large or long when decoded. */
static void test_bombs(void **state) {
    (void)state;
    static uint8_t payload[16384];
    for (int large = 0; large < 2; large++) {
        struct h2_pair p;
        h2_pair_begin(&p);
        memcpy(payload, get_root, sizeof get_root);
        size_t n = sizeof get_root, value = large ? 4000 : 1;
        payload[n++] = 0x40; /* to the table: one field */
        payload[n++] = 1;
        payload[n++] = 'x';
        if (value < 127) {
            payload[n++] = (uint8_t)value;
        } else {
            payload[n++] = 127;
            payload[n++] = (uint8_t)((value - 127) % 128 + 128);
            payload[n++] = (uint8_t)((value - 127) / 128);
        }
        memset(payload + n, 'v', value);
        n += value;
        memset(payload + n, 0x80 | 62, sizeof payload - n); /* again and again */
        push_head(&p, 1, true, payload, sizeof payload);
        h2_expect_goaway(&p.h, NGHTTP2_ENHANCE_YOUR_CALM);
        h2_pair_end(&p);
    }
}

/* ---- streams that have gone: RFC 9113, 5.1 ---- */

static void test_frames_of_closed_streams(void **state) {
    (void)state;
    static const uint8_t cancel[] = {0, 0, 0, NGHTTP2_CANCEL};
    for (int how = 0; how < 12; how++) {
        struct h2_pair p;
        h2_pair_begin(&p);
        bool data = how % 2, piecewise = how >= 6;
        if (piecewise)
            cl_mem_set_chunk(p.h.c.stream, 1);
        if (how / 2 % 3 == 0) { /* both sides have ended it */
            push_head(&p, 1, true, get_root, sizeof get_root);
            fixture_turn(&p.f);
        } else if (how / 2 % 3 == 1) { /* the client has reset it, in the same read */
            push_head(&p, 1, false, post_hold, sizeof post_hold);
            h2_raw(&p.h, NGHTTP2_RST_STREAM, 0, 1, cancel, sizeof cancel);
        } else { /* the client has passed it over */
            push_head(&p, 5, true, get_root, sizeof get_root);
            fixture_turn(&p.f);
        }
        if (data)
            h2_raw(&p.h, NGHTTP2_DATA, 0, 1, "abc", 3);
        else
            push_head(&p, 1, true, get_root, sizeof get_root);
        expect_last_words(&p, data ? NGHTTP2_STREAM_CLOSED : NGHTTP2_PROTOCOL_ERROR);
        h2_pair_end(&p);
    }
}

/* What was on its way when the server reset a stream does no harm, however many these are. */
static void test_frames_of_streams_that_the_server_reset(void **state) {
    (void)state;
    static char body[20];
    struct h2_pair p;
    h2_pair_begin(&p);
    for (int32_t id = 1; id < 200; id += 2) {
        push_head(&p, id, false, post_hold, 9);
        if (id % 50 == 1)
            fixture_turn(&p.f);
    }
    fixture_turn(&p.f);
    for (int32_t id = 1; id < 200; id += 2) {
        h2_raw(&p.h, NGHTTP2_DATA, 0, id, body, sizeof body);
        push_head(&p, id, true, post_hold, 1);
    }
    fixture_turn(&p.f);
    assert_false(cl_mem_was_shutdown(p.h.c.stream));
    h2_pair_end(&p);
}

static void test_priority_of_the_connection(void **state) {
    (void)state;
    static const uint8_t spec[] = {0, 0, 0, 0, 1};
    struct h2_pair p;
    h2_pair_begin(&p);
    h2_raw(&p.h, NGHTTP2_PRIORITY, 0, 0, spec, sizeof spec);
    expect_last_words(&p, NGHTTP2_PROTOCOL_ERROR);
    h2_pair_end(&p);
}

/* What means well may do much of all that. */
static void test_good_clients_are_not_disturbed(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    for (int second = 0; second < 30; second++) {
        for (int i = 0; i < 20; i++) {
            struct h2_message *m = h2_pair_get(&p, i % 2 ? "/bytes/20000" : "/hold");
            if (i % 2 == 0 && i % 4)
                h2_reset(&p.h, m, NGHTTP2_CANCEL);
            nghttp2_submit_window_update(p.h.session, 0, 0, 1);
            nghttp2_submit_window_update(p.h.session, 0, 0, 1);
        }
        while (p.f.held_count)
            h2_pair_answer(&p, "done");
        nghttp2_submit_ping(p.h.session, 0, NULL);
        h2_turn(&p.h);
        h2_forget(&p.h);
        pass(&p, CELLO_SECOND);
        assert_int_equal(p.h.goaways, 0);
    }
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    h2_pair_end(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_preface),
        cmocka_unit_test(test_no_settings),
        cmocka_unit_test(test_another_protocol),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_keepalive),
        cmocka_unit_test(test_a_slow_head),
        cmocka_unit_test(test_heads_that_are_not_waited_for),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_stop_when_idle),
        cmocka_unit_test(test_opened_while_draining),
        cmocka_unit_test(test_retire),
        cmocka_unit_test(test_retire_without_an_answer),
        cmocka_unit_test(test_stop_without_time),
        cmocka_unit_test(test_observers),
        cmocka_unit_test(test_max_requests),
        cmocka_unit_test(test_the_client_says_goodbye),
        cmocka_unit_test(test_an_answer_closes),
        cmocka_unit_test(test_half_closed_by_the_client),
        cmocka_unit_test(test_max_inflight),
        cmocka_unit_test(test_max_buffered_bytes),
        cmocka_unit_test(test_no_memory_for_output),
        cmocka_unit_test(test_too_many_streams),
        cmocka_unit_test(test_floods),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_frames_of_closed_streams),
        cmocka_unit_test(test_frames_of_streams_that_the_server_reset),
        cmocka_unit_test(test_priority_of_the_connection),
        cmocka_unit_test(test_good_clients_are_not_disturbed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
