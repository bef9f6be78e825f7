/* Bodies that come quickly: gathered by the transport, and received into the reader's memory. */
#include "http1/body_fixture.h"

/* Read what there is; returns why there is no more. */
static int read_on(struct h1_pair *p, struct cl_request *r, struct told *told, size_t *got) {
    struct cl_str piece;
    int err;
    for (int i = 0; i < 2; i++) {
        while ((err = cello_request_read(r, &told->reader, &piece)) == CELLO_OK) {
            *got += piece.len;
            i = 0;
        }
        if (err == CELLO_EAGAIN)
            fixture_turn(&p->f);
    }
    return err;
}

/* A fast body is reported in larger steps, never in steps that may not come, and what is less does
 * not wait long. */
static void test_fast_bodies_are_gathered(void **state) {
    (void)state;
    static char body[CL_BODY_GATHER];
    struct told told = {.reader.on_ready = told_ready, .observer = {told_event}};
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    fixture_stop_clock();
    client_send(&p.c, POST("/later", "Content-Length: 1000000\r\n"));
    struct cl_request *r = fixture_take(&p.f);
    size_t sent = 100000, got = 0;
    client_push(&p.c, body, sent);
    assert_int_equal(read_on(&p, r, &told, &got), CELLO_EAGAIN);
    assert_int_equal(got, sent);
    assert_int_equal(cl_mem_gathers(p.c.stream), CL_BODY_GATHER);

    unsigned ready = told.ready;
    client_push(&p.c, "x", 1);
    assert_int_equal(told.ready, ready);
    fixture_pass(&p.f, 2 * CL_BODY_GATHER_NS);
    fixture_turn(&p.f);
    assert_int_equal(told.ready, ready + 1);
    assert_int_equal(cl_mem_gathers(p.c.stream), 1);
    assert_int_equal(read_on(&p, r, &told, &got), CELLO_EAGAIN);
    assert_int_equal(got, ++sent);
    assert_int_equal(cl_mem_gathers(p.c.stream), 1); /* slow now */
    fixture_pass(&p.f, 5 * MS);
    client_push(&p.c, "y", 1);
    assert_int_equal(read_on(&p, r, &told, &got), CELLO_EAGAIN);
    assert_int_equal(got, ++sent);

    while (sent < 1000000) { /* until less than a step is left */
        size_t n = CL_MIN(sizeof body, 1000000 - sent);
        client_push(&p.c, body, n);
        sent += n;
        int err = read_on(&p, r, &told, &got);
        assert_int_equal(got, sent);
        assert_int_equal(err, sent < 1000000 ? CELLO_EAGAIN : CELLO_EOF);
        assert_int_equal(cl_mem_gathers(p.c.stream),
                         1000000 - sent < CL_BODY_GATHER ? 1 : CL_BODY_GATHER);
    }
    assert_int_equal(got, 1000000);
    cello_respond_bytes(r, CL_STR("read"));
    cello_request_unref(r);
    fixture_turn(&p.f);
    client_expect(&p.c, 200, "read");
    client_send(&p.c, GET("/"));
    client_expect(&p.c, 200, "hello");
    h1_pair_end(&p);
}

/* A reader with memory of its own, of what it was told to have. */
static struct cl_str read_by_hand(struct cl_request *r, struct told *told, char *memory,
                                  int *result) {
    struct cl_str piece = {NULL, 0};
    told->reader.memory = told->reader.waiting ? memory : NULL;
    told->reader.room = told->reader.waiting;
    told->reader.waiting = 0;
    *result = cello_request_read(r, &told->reader, &piece);
    return piece;
}

/* A fast body until a piece lies in `memory`. How much was read; `*sent` is at least 10,000 bytes
 * more. */
static size_t start_by_hand(struct h1_pair *p, struct cl_request *r, struct told *told,
                            const char *body, char *memory, size_t *sent) {
    size_t got = 0;
    int result;
    *sent = 0;
    told->reader.has_memory = true;
    for (int i = 0; i < 100; i++) {
        struct cl_str piece = read_by_hand(r, told, memory, &result);
        assert_memory_equal(piece.ptr, body + got, piece.len);
        got += piece.len;
        size_t ahead = piece.ptr == memory ? 10000 : 100000;
        if (got + ahead > *sent)
            client_push(&p->c, body + *sent, got + ahead - *sent);
        *sent = CL_MAX(*sent, got + ahead);
        if (piece.ptr == memory)
            return got;
        fixture_turn(&p->f);
    }
    fail();
    return 0;
}

/* Pieces of a large body lie in the reader's memory, the largest of them are larger than what may
 * wait in the engine's; the request behind it is served. */
static void test_memory_of_the_reader(void **state) {
    (void)state;
    enum { SIZE = 1 << 20 }; /* what the route takes */
    static const char behind[] = GET("/");
    static char body[SIZE + sizeof behind], memory[CL_BODY_PIECE];
    struct told told = {.reader.on_ready = told_ready};
    struct h1_pair p;
    for (size_t i = 0; i < SIZE; i++)
        body[i] = (char)(i * 31 + i / 251);
    memcpy(body + SIZE, behind, sizeof behind - 1);
    h1_pair_begin(&p, NULL);
    fixture_stop_clock();
    client_send(&p.c, POST("/later", "Content-Length: 1048576\r\n"));
    struct cl_request *r = fixture_take(&p.f);
    size_t sent, got = start_by_hand(&p, r, &told, body, memory, &sent), largest = 0;
    client_push(&p.c, body + sent, SIZE + sizeof behind - 1 - sent);
    int result = CELLO_OK;
    for (unsigned i = 0; i < 1000 && result != CELLO_EOF; i++) {
        struct cl_str piece = read_by_hand(r, &told, memory, &result);
        if (result != CELLO_OK) {
            fixture_turn(&p.f);
            continue;
        }
        assert_ptr_equal(piece.ptr, memory);
        assert_true(piece.len <= SIZE - got);
        assert_memory_equal(memory, body + got, piece.len);
        got += piece.len;
        largest = CL_MAX(largest, piece.len);
    }
    assert_int_equal(got, SIZE);
    assert_true(largest > CL_BODY_WINDOW);
    fixture_pass(&p.f, 1000 * MS); /* the handler has all of it, and may take its time */
    fixture_turn(&p.f);
    cello_respond_bytes(r, CL_STR("read"));
    cello_request_unref(r);
    fixture_turn(&p.f);
    client_expect(&p.c, 200, "read");
    client_expect(&p.c, 200, "hello");
    h1_pair_end(&p);
}

/* A reader that comes without memory, or not for a while: the body waits as it does otherwise, and
 * its end is noticed. */
static void test_memory_that_does_not_come(void **state) {
    (void)state;
    static char body[1000000], memory[CL_BODY_PIECE];
    for (int i = 0; i < 4; i++) {
        struct told told = {.reader.on_ready = told_ready, .observer = {told_event}};
        struct h1_pair p;
        h1_pair_begin(&p, NULL);
        fixture_stop_clock();
        client_send(&p.c, POST("/later", "Content-Length: 1000000\r\n"));
        struct cl_request *r = fixture_take(&p.f);
        cello_request_observe(r, &told.observer);
        size_t sent, got = start_by_hand(&p, r, &told, body, memory, &sent), before = got;
        size_t held = fixture_used(&p.f);
        if (i == 2)
            client_eof(&p.c);
        if (i == 3)
            cl_mem_reset(p.c.stream);
        fixture_turn(&p.f);
        assert_int_equal(fixture_used(&p.f), held);
        if (i > 0) {
            fixture_pass(&p.f, 3 * CL_BODY_GATHER_NS);
            fixture_turn(&p.f);
            assert_int_equal(told.left, i == 3);
        }
        if (i == 1)
            assert_true(fixture_used(&p.f) > held);
        told.reader.memory = NULL;
        int err = read_on(&p, r, &told, &got);
        if (err == CELLO_EAGAIN) /* only now it is known that it has none */
            err = read_on(&p, r, &told, &got);
        assert_int_equal(err, i > 1 ? CELLO_ECANCELED : CELLO_EAGAIN);
        assert_int_equal(got, i < 3 ? sent : before);
        cello_respond_bytes(r, CL_STR("early"));
        cello_request_unref(r);
        fixture_turn(&p.f);
        if (i < 2)
            assert_true(client_expect(&p.c, 200, "early").close);
        h1_pair_end(&p);
    }
}

/* The client leaves, or falls silent, while memory waits for it. */
static void test_memory_waits_in_vain(void **state) {
    (void)state;
    static char body[1000000], memory[CL_BODY_PIECE];
    for (int i = 0; i < 3; i++) {
        struct told told = {.reader.on_ready = told_ready};
        struct h1_pair p;
        int result = CELLO_OK;
        h1_pair_begin(&p, NULL);
        fixture_stop_clock();
        client_send(&p.c, POST("/later", "Content-Length: 1000000\r\n"));
        struct cl_request *r = fixture_take(&p.f);
        size_t sent, got = start_by_hand(&p, r, &told, body, memory, &sent);
        for (int turns = 0; got < sent; turns++) {
            got += read_by_hand(r, &told, memory, &result).len;
            fixture_pass(&p.f, 2 * CL_BODY_GATHER_NS);
            assert_true(turns < 10);
        }
        (void)read_by_hand(r, &told, memory, &result);
        assert_int_equal(result, CELLO_EAGAIN);
        unsigned ready = told.ready;
        if (i == 0)
            client_eof(&p.c);
        else if (i == 1)
            cl_mem_reset(p.c.stream);
        else
            fixture_pass(&p.f, 31000 * MS);
        fixture_turn(&p.f);
        assert_int_equal(told.ready, ready + 1);
        (void)read_by_hand(r, &told, memory, &result);
        assert_int_equal(result, i == 2 ? CELLO_ETIMEOUT : CELLO_ECANCELED);
        cello_respond_bytes(r, CL_STR("gone"));
        cello_request_unref(r);
        h1_pair_end(&p);
    }
}

/* What decides not to gather: chunks, a deadline that is near, an answer before the end. */
static void test_what_is_not_gathered(void **state) {
    (void)state;
    static char body[100000];
    for (int i = 0; i < 3; i++) {
        struct told told = {.reader.on_ready = told_ready, .observer = {told_event}};
        struct cello_server_config cfg = fixture_config();
        struct h1_pair p;
        size_t got = 0;
        if (i == 1)
            cfg.timeouts.read_body_ns = 3 * CL_BODY_GATHER_NS;
        h1_pair_begin(&p, &cfg);
        fixture_stop_clock();
        client_send(&p.c, i ? POST("/later", "Content-Length: 1000000\r\n")
                            : POST("/later", CHUNKED) "f4240\r\n");
        struct cl_request *r = fixture_take(&p.f);
        client_push(&p.c, body, sizeof body);
        assert_int_equal(read_on(&p, r, &told, &got), CELLO_EAGAIN);
        assert_int_equal(got, sizeof body);
        assert_int_equal(cl_mem_gathers(p.c.stream), i == 2 ? CL_BODY_GATHER : 0);
        cello_respond_bytes(r, CL_STR("early"));
        cello_request_unref(r);
        assert_int_equal(cl_mem_gathers(p.c.stream), i == 2 ? 1 : 0);
        fixture_turn(&p.f);
        assert_true(client_expect(&p.c, 200, "early").close);
        client_expect_closed(&p.c);
        h1_pair_end(&p);
    }
}

/* A sender that stops in the middle of a step has not stopped earlier than it has. */
static void test_gathered_bytes_count_in_time(void **state) {
    (void)state;
    static char body[400000];
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    fixture_stop_clock();
    client_send(&p.c, POST("/read", "Content-Length: 1000000\r\n"));
    client_push(&p.c, body, 100000);
    assert_int_equal(cl_mem_gathers(p.c.stream), CL_BODY_GATHER);
    fixture_pass(&p.f, 10 * MS);
    client_push(&p.c, "x", 1);
    for (int i = 0; i < 3; i++) {
        fixture_pass(&p.f, 29000 * MS);
        client_push(&p.c, "x", 1);
    }
    client_push(&p.c, body, 400000);
    client_push(&p.c, body, 400000);
    client_push(&p.c, body, 99996);
    client_expect(&p.c, 200, NULL);
    h1_pair_end(&p);
}

/* Nothing at all comes after a fast start: the silence is that of every body, and so is the end. */
static void test_fast_bodies_end_in_time(void **state) {
    (void)state;
    static char body[100000];
    for (int eof = 0; eof < 2; eof++) {
        struct told told = {.reader.on_ready = told_ready, .observer = {told_event}};
        struct h1_pair p;
        size_t got = 0;
        h1_pair_begin(&p, NULL);
        fixture_stop_clock();
        client_send(&p.c, POST("/later", "Content-Length: 1000000\r\n"));
        struct cl_request *r = fixture_take(&p.f);
        client_push(&p.c, body, sizeof body);
        assert_int_equal(read_on(&p, r, &told, &got), CELLO_EAGAIN);
        assert_int_equal(cl_mem_gathers(p.c.stream), CL_BODY_GATHER);
        if (eof) {
            client_eof(&p.c);
            assert_int_equal(cl_mem_gathers(p.c.stream), 1);
        } else {
            fixture_pass(&p.f, 2 * CL_BODY_GATHER_NS);
            assert_int_equal(cl_mem_gathers(p.c.stream), 1);
            fixture_pass(&p.f, 31000 * MS);
        }
        assert_int_equal(read_on(&p, r, &told, &got), eof ? CELLO_ECANCELED : CELLO_ETIMEOUT);
        assert_int_equal(got, sizeof body);
        cello_respond_problem(r, 408, CL_STR("slow"));
        cello_request_unref(r);
        fixture_turn(&p.f);
        client_expect(&p.c, 408, NULL);
        client_expect_closed(&p.c);
        h1_pair_end(&p);
    }
}

#define T(name) cmocka_unit_test(test_##name)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(fast_bodies_are_gathered), T(memory_of_the_reader), T(memory_that_does_not_come),
        T(memory_waits_in_vain),     T(what_is_not_gathered), T(gathered_bytes_count_in_time),
        T(fast_bodies_end_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
