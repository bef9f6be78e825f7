/* Whatever happens to an HTTP/2 connection, wherever it is: input in pieces of every size, ends at
 * every byte, sends that hang, and memory that fails at every place. */
#include <stdio.h>

#include "base/alloc.h"
#include "support/h2_client.h"

static char large[200000];

enum { UPLOAD = 3000 };

/* What a client says that does a little of everything; recorded once. */
static struct h2_bytes make_script(void) {
    struct h2_bytes s = {0};
    struct fixture f;
    struct h2_client h;
    fixture_init(&f, NULL);
    h2_connect(&f, &h, NULL);
    const char *crumbs[] = {"cookie", "a=b", "cookie", "c=d", "x-field", "value", NULL};
    const char *expects[] = {"expect", "100-continue", NULL};
    nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 30000};
    assert_int_equal(nghttp2_submit_settings(h.session, NGHTTP2_FLAG_NONE, &window, 1), 0);
    (void)h2_get(&h, "/");
    (void)h2_request(&h, "GET", "/sink/5000", crumbs);
    (void)h2_get(&h, "/pinned/60000");
    (void)h2_get(&h, "/segments/30000?parts=3");
    (void)h2_get(&h, "/stream/100");
    (void)h2_get(&h, "/stream/1?wait=1");
    (void)h2_get(&h, "/hold");
    (void)h2_get(&h, "/none");
    struct h2_message *m = h2_post(&h, "/echo", expects, large, UPLOAD, false);
    m->upload_trailer = "1";
    (void)h2_post(&h, "/read", NULL, large, UPLOAD, false);
    (void)h2_post(&h, "/tee", NULL, large, UPLOAD, false);
    (void)h2_post(&h, "/later", NULL, large, UPLOAD, true);
    (void)h2_post(&h, "/small", NULL, large, UPLOAD, false);
    for (int open = 0; open < 2; open++) {
        m = h2_tunnel(&h, "/tunnel", "websocket");
        m->upload = large;
        m->upload_left = UPLOAD;
        m->upload_open = open;
    }
    h2_gather(&h, &s);
    assert_int_equal(nghttp2_submit_ping(h.session, NGHTTP2_FLAG_NONE, NULL), 0);
    assert_int_equal(nghttp2_submit_window_update(h.session, NGHTTP2_FLAG_NONE, 0, 1 << 20), 0);
    assert_int_equal(nghttp2_submit_rst_stream(h.session, NGHTTP2_FLAG_NONE, 13, NGHTTP2_CANCEL),
                     0);
    h2_gather(&h, &s);
    h2_free(&h);
    fixture_free(&f);
    return s;
}

/* One server, and one connection to it that is fed by hand. */
struct run {
    struct fixture f;
    struct cl_h2_context *context;
    struct client c;
    bool open;
};

static void run_begin(struct run *r) {
    static const struct cello_http2_config cfg = CELLO_HTTP2_CONFIG_DEFAULT;
    fixture_init(&r->f, NULL);
    r->context = cl_h2_context_new(&cfg);
    assert_non_null(r->context);
    cl_h2_context_offer_connect(r->context, CL_STR("websocket"));
    client_connect(&r->f, &r->c, &cl_h2_stream_handler);
    r->open = cl_h2_open(r->context, &r->f.server->worker, r->c.stream) == CELLO_OK;
    if (!r->open)
        cl_stream_close(r->c.stream);
}

static void release_held(struct run *r) {
    while (r->f.held_count) {
        struct cl_request *req = fixture_take(&r->f);
        if (!cello_request_is_disconnected(req) && cello_request_path(req).len == 5)
            cello_respond_bytes(req, cl_str(large, 20000));
        cello_request_unref(req);
    }
}

static void run_end(struct run *r) {
    fixture_turn(&r->f);
    release_held(r);
    fixture_turn(&r->f);
    client_free(&r->c);
    fixture_turn(&r->f);
    release_held(r);
    cl_h2_context_del(r->context);
    fixture_free(&r->f);
}

static void test_pieces_of_every_size(void **state) {
    (void)state;
    struct h2_bytes s = make_script();
    size_t expected = 0;
    for (size_t size = s.len; size; size = size > 400  ? size * 3 / 5
                                           : size > 20 ? size - 13
                                                       : size - 1) {
        struct run r;
        run_begin(&r);
        for (size_t at = 0; at < s.len; at += size)
            client_push(&r.c, s.ptr + at, CL_MIN(size, s.len - at));
        release_held(&r);
        fixture_turn(&r.f);
        assert_non_null(r.c.stream);
        size_t got = client_received(&r.c);
        assert_true(got > 60000);
        if (!expected)
            expected = got;
        run_end(&r);
    }
    free(s.ptr);
}

/* The connection ends, or hangs, behind every byte. */
static void test_ends_everywhere(void **state) {
    (void)state;
    struct h2_bytes s = make_script();
    for (size_t at = 0; at < s.len; at += at < 1200 ? 1 : 97) {
        for (int how = 0; how < 4; how++) {
            struct run r;
            run_begin(&r);
            if (how == 3)
                cl_mem_hold_sends(r.c.stream, true);
            client_push(&r.c, s.ptr, at);
            switch (how) {
            case 0: cl_mem_reset(r.c.stream); break;
            case 1: client_eof(&r.c); break;
            case 2: r.f.server->worker.conns.next->ops->close(r.f.server->worker.conns.next); break;
            default:
                if (at % 2)
                    cl_mem_finish_send(r.c.stream, CELLO_OK);
                if (at % 3 == 0 && r.c.stream)
                    cl_mem_finish_send(r.c.stream, CELLO_ESYS);
                break;
            }
            run_end(&r);
        }
    }
    free(s.ptr);
}

/* Sends of which each takes a while. */
static void test_hanging_sends(void **state) {
    (void)state;
    struct h2_bytes s = make_script();
    struct run r;
    run_begin(&r);
    cl_mem_hold_sends(r.c.stream, true);
    client_push(&r.c, s.ptr, s.len);
    for (int i = 0; i < 200; i++) {
        cl_mem_finish_send(r.c.stream, CELLO_OK);
        fixture_turn(&r.f);
        if (i == 20)
            release_held(&r);
    }
    assert_non_null(r.c.stream);
    assert_true(client_received(&r.c) > 60000);
    run_end(&r);
    free(s.ptr);
}

/* Without memory a request or a connection goes, and nothing else. */
static void test_memory_fails_everywhere(void **state) {
    (void)state;
    struct h2_bytes s = make_script();
    for (uint64_t n = 1;; n++) {
        struct run r;
        uint64_t before;
        fixture_init(&r.f, NULL);
        static const struct cello_http2_config cfg = CELLO_HTTP2_CONFIG_DEFAULT;
        client_connect(&r.f, &r.c, &cl_h2_stream_handler);
        before = cl_alloc_count();
        cl_alloc_fail_nth(n);
        r.context = cl_h2_context_new(&cfg);
        if (r.context)
            cl_h2_context_offer_connect(r.context, CL_STR("websocket"));
        r.open = r.context && cl_h2_open(r.context, &r.f.server->worker, r.c.stream) == CELLO_OK;
        if (!r.open)
            cl_stream_close(r.c.stream);
        else if (cl_mem_push(r.c.stream, s.ptr, s.len) == CELLO_OK)
            fixture_turn(&r.f);
        release_held(&r);
        fixture_turn(&r.f);
        bool failed = cl_alloc_count() - before >= n;
        cl_alloc_fail_nth(0);
        fixture_pass(&r.f, CELLO_SECOND);
        run_end(&r);
        if (!failed)
            break;
        assert_true(n < 100000);
    }
    free(s.ptr);
}

/* The same for blocks, of which there may be none for a while. */
static void test_no_blocks(void **state) {
    (void)state;
    struct h2_bytes s = make_script();
    for (size_t max = 8192; max < 200000; max += 8192) {
        struct run r;
        run_begin(&r);
        struct cl_block_pool *pool = cl_loop_pool(r.f.server->worker.loop);
        size_t usual = pool->max_bytes;
        pool->max_bytes = max;
        client_push(&r.c, s.ptr, s.len);
        release_held(&r);
        fixture_pass(&r.f, CELLO_SECOND);
        pool->max_bytes = usual;
        fixture_pass(&r.f, CELLO_SECOND);
        run_end(&r);
    }
    free(s.ptr);
}

/* Bytes that mean nothing, in the middle of what does. */
static void test_noise(void **state) {
    (void)state;
    struct h2_bytes s = make_script();
    uint32_t seed = 1;
    for (int round = 0; round < 2000; round++) {
        char *bytes = malloc(s.len);
        assert_non_null(bytes);
        memcpy(bytes, s.ptr, s.len);
        for (int i = 0; i < 1 + round % 7; i++) {
            seed = seed * 1664525 + 1013904223;
            size_t at = CL_H2_PREFACE_LEN + (seed >> 8) % (CL_MIN(s.len, (size_t)1500) - 30);
            bytes[at] = (char)(bytes[at] ^ (1 << seed % 8));
        }
        struct run r;
        run_begin(&r);
        client_push(&r.c, bytes, s.len);
        run_end(&r);
        free(bytes);
    }
    free(s.ptr);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_of_every_size),
        cmocka_unit_test(test_ends_everywhere),
        cmocka_unit_test(test_hanging_sends),
        cmocka_unit_test(test_memory_fails_everywhere),
        cmocka_unit_test(test_no_blocks),
        cmocka_unit_test(test_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
