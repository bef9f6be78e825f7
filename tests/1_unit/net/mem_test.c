/* The memory transport behaves as a socket does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/mem.h"

struct probe {
    struct cl_stream *stream;
    char got[4096];
    size_t got_len;
    int recvs, last, sents, last_sent, closed;
    bool keep, pause, close;
};

static void take(struct probe *p) {
    struct cl_block *in = p->stream->in;
    memcpy(p->got + p->got_len, cl_block_rd(in), cl_block_len(in));
    p->got_len += cl_block_len(in);
    in->rd = in->wr;
}

static void on_recv(struct cl_stream *s, int result) {
    struct probe *p = s->protocol;
    assert_false(p->closed);
    p->recvs++;
    p->last = result;
    if (result > 0 && !p->keep)
        take(p);
    if (p->pause)
        cl_stream_pause(s);
    if (p->close)
        cl_stream_close(s);
    assert_int_equal(p->closed, 0); /* not inside the call */
}

static void on_sent(struct cl_stream *s, int err) {
    struct probe *p = s->protocol;
    p->sents++;
    p->last_sent = err;
}

static void on_closed(struct cl_stream *s) {
    struct probe *p = s->protocol;
    p->closed++;
}

static const struct cl_stream_handler handler = {on_recv, on_sent, on_closed};

static struct cl_loop *loop;

static int setup(void **state) {
    struct probe *p = test_calloc(1, sizeof *p);
    if (cl_loop_new(&loop, &(struct cl_loop_config){CL_BACKEND_EPOLL, 0}) ||
        cl_mem_stream_new(loop, &handler, p, &p->stream))
        return -1;
    *state = p;
    return 0;
}

static int teardown(void **state) {
    struct probe *p = *state;
    cl_stream_close(p->stream);
    cl_stream_close(p->stream);
    while (!p->closed)
        if (cl_loop_turn(loop, 0))
            return -1;
    cl_loop_del(loop);
    test_free(p);
    return 0;
}

static void push(struct probe *p, const char *s) {
    assert_int_equal(cl_mem_push(p->stream, s, strlen(s)), CELLO_OK);
}

static void assert_got(const struct probe *p, const char *s) {
    assert_int_equal(p->got_len, strlen(s));
    assert_memory_equal(p->got, s, strlen(s));
}

static void turn(void) {
    assert_int_equal(cl_loop_turn(loop, 0), CELLO_OK);
}

static void push_reports_at_once(void **state) {
    struct probe *p = *state;
    push(p, "hello ");
    push(p, "world");
    assert_got(p, "hello world");
    assert_int_equal(p->recvs, 2);
    assert_null(p->stream->in);
}

static void push_in_pieces(void **state) {
    struct probe *p = *state;
    cl_mem_set_chunk(p->stream, 3);
    push(p, "0123456789");
    assert_got(p, "0123456789");
    assert_int_equal(p->recvs, 4);
    cl_mem_set_chunk(p->stream, 0);
    p->keep = true;
    push(p, "ab");
    push(p, "cd");
    assert_int_equal(cl_block_len(p->stream->in), 4);
}

static void pause_holds_back(void **state) {
    struct probe *p = *state;
    p->pause = true;
    cl_mem_set_chunk(p->stream, 2);
    push(p, "abcd");
    assert_got(p, "ab");
    cl_mem_eof(p->stream);
    assert_int_equal(p->recvs, 1);
    p->pause = false;
    cl_stream_resume(p->stream);
    assert_int_equal(p->recvs, 1); /* not inside the call */
    turn();
    assert_got(p, "abcd");
    assert_int_equal(p->last, CELLO_EOF);
    assert_int_equal(p->recvs, 3);
}

static void a_full_buffer_is_reported(void **state) {
    struct probe *p = *state;
    p->keep = true;
    p->stream->in_max = 6;
    push(p, "0123456789");
    assert_int_equal(p->last, CELLO_ELIMIT);
    assert_int_equal(cl_block_len(p->stream->in), 6);
    take(p);
    p->keep = false;
    cl_stream_resume(p->stream);
    turn();
    assert_got(p, "0123456789");
}

static void a_reset_drops_what_was_not_reported(void **state) {
    struct probe *p = *state;
    cl_stream_pause(p->stream);
    push(p, "lost");
    cl_mem_reset(p->stream);
    cl_stream_resume(p->stream);
    turn();
    assert_int_equal(p->recvs, 1);
    assert_int_equal(p->last, CELLO_ESYS);
}

static void nothing_comes_behind_the_end(void **state) {
    struct probe *p = *state;
    push(p, "ab");
    cl_mem_eof(p->stream);
    push(p, "late");
    cl_mem_eof(p->stream);
    assert_got(p, "ab");
    assert_int_equal(p->last, CELLO_EOF);
    assert_int_equal(p->recvs, 2);
    cl_mem_reset(p->stream);
    assert_int_equal(p->last, CELLO_ESYS);
    push(p, "later");
    cl_mem_eof(p->stream);
    assert_got(p, "ab");
    assert_int_equal(p->recvs, 3);
}

static void close_comes_later(void **state) {
    struct probe *p = *state;
    p->close = true;
    cl_mem_set_chunk(p->stream, 1);
    push(p, "abc");
    assert_got(p, "a");
    push(p, "ignored");
    cl_mem_eof(p->stream);
    assert_int_equal(p->recvs, 1);
    struct iovec iov = {(void *)"late", 4};
    assert_int_equal(cl_stream_send(p->stream, &iov, 1), CELLO_ESYS);
    assert_int_equal(p->closed, 0);
}

static void output_is_captured(void **state) {
    struct probe *p = *state;
    struct iovec iov[2] = {{(void *)"head", 4}, {(void *)"body", 4}};
    assert_int_equal(cl_stream_send(p->stream, iov, 2), CELLO_OK);
    struct cl_str out = cl_mem_output(p->stream);
    assert_true(cl_str_eq(out, CL_STR("headbody")));
    cl_mem_output_clear(p->stream);
    assert_int_equal(cl_mem_output(p->stream).len, 0);
    assert_false(cl_mem_was_shutdown(p->stream));
    cl_stream_shutdown(p->stream);
    assert_true(cl_mem_was_shutdown(p->stream));
}

static void sends_can_be_held(void **state) {
    struct probe *p = *state;
    struct iovec iov = {(void *)"slow", 4};
    assert_false(cl_mem_finish_send(p->stream, CELLO_OK));
    cl_mem_hold_sends(p->stream, true);
    assert_int_equal(cl_stream_send(p->stream, &iov, 1), CELLO_EAGAIN);
    assert_int_equal(cl_mem_output(p->stream).len, 0);
    assert_true(cl_mem_finish_send(p->stream, CELLO_OK));
    assert_int_equal(p->sents, 1);
    assert_int_equal(p->last_sent, CELLO_OK);
    assert_true(cl_str_eq(cl_mem_output(p->stream), CL_STR("slow")));
    assert_int_equal(cl_stream_send(p->stream, &iov, 1), CELLO_EAGAIN);
    assert_true(cl_mem_finish_send(p->stream, CELLO_ESYS));
    assert_int_equal(p->last_sent, CELLO_ESYS);
    assert_int_equal(cl_mem_output(p->stream).len, 4);
}

/* ---- files ---- */

/* "0123456789" */
static struct cl_file_part digits(uint64_t offset, uint64_t length) {
    int fd = memfd_create("digits", MFD_CLOEXEC);
    assert_int_equal(write(fd, "0123456789", 10), 10);
    return (struct cl_file_part){fd, offset, length};
}

static void files_are_read(void **state) {
    struct probe *p = *state;
    struct iovec iov = {(void *)"head", 4};
    struct cl_file_part part = digits(2, 5);
    assert_int_equal(cl_stream_sendfile(p->stream, &iov, 1, &part), CELLO_OK);
    assert_true(cl_str_eq(cl_mem_output(p->stream), CL_STR("head23456")));
    assert_int_equal(part.left, 0);
    close(part.fd);
}

static void files_can_be_held(void **state) {
    struct probe *p = *state;
    struct cl_file_part part = digits(0, 10);
    cl_mem_hold_sends(p->stream, true);
    assert_int_equal(cl_stream_sendfile(p->stream, NULL, 0, &part), CELLO_EAGAIN);
    assert_int_equal(part.left, 10);
    assert_true(cl_mem_finish_send(p->stream, CELLO_OK));
    assert_int_equal(p->last_sent, CELLO_OK);
    assert_true(cl_str_eq(cl_mem_output(p->stream), CL_STR("0123456789")));
    part.left = 1; /* which it has not */
    assert_int_equal(cl_stream_sendfile(p->stream, NULL, 0, &part), CELLO_EAGAIN);
    assert_true(cl_mem_finish_send(p->stream, CELLO_OK));
    assert_int_equal(p->last_sent, CELLO_EOF);
    cl_mem_hold_sends(p->stream, false);
    assert_int_equal(cl_stream_sendfile(p->stream, NULL, 0, &part), CELLO_EOF);
    cl_stream_close(p->stream);
    assert_int_equal(cl_stream_sendfile(p->stream, NULL, 0, &part), CELLO_ESYS);
    close(part.fd);
}

static void ready(struct cl_mem_peer *peer) {
    (void)peer;
}

/* A reader with little room gets a file in pieces. */
static void files_wait_for_room(void **state) {
    struct probe *p = *state;
    struct cl_mem_peer peer = {ready};
    struct iovec iov = {(void *)"head", 4};
    struct cl_file_part part = digits(0, 10);
    char got[4];
    size_t n;
    cl_mem_attach(p->stream, &peer, 4);
    assert_int_equal(cl_stream_sendfile(p->stream, &iov, 1, &part), CELLO_EAGAIN);
    static const char *const pieces[] = {"head", "0123", "4567", "89"};
    for (size_t i = 0; i < CL_ARRAY_LEN(pieces); i++) {
        assert_int_equal(p->sents, i == 3);
        assert_int_equal(cl_mem_read(p->stream, got, 4, &n), CELLO_OK);
        assert_int_equal(n, strlen(pieces[i]));
        assert_memory_equal(got, pieces[i], n);
        turn();
    }
    assert_int_equal(p->last_sent, CELLO_OK);
    cl_mem_release(p->stream);
    close(part.fd);
}

static void memory_may_fail(void **state) {
    struct probe *p = *state;
    struct cl_stream *s;
    cl_alloc_fail_nth(1);
    assert_int_equal(cl_mem_stream_new(loop, &handler, p, &s), CELLO_ENOMEM);
    cl_alloc_fail_nth(1);
    assert_int_equal(cl_mem_push(p->stream, "x", 1), CELLO_ENOMEM);
    cl_alloc_fail_nth(2); /* the block */
    assert_int_equal(cl_mem_push(p->stream, "x", 1), CELLO_OK);
    assert_int_equal(p->last, CELLO_ENOMEM);
    cl_alloc_fail_nth(0);
    cl_stream_resume(p->stream);
    turn();
    assert_got(p, "x");
    struct iovec iov = {(void *)"y", 1};
    cl_alloc_fail_nth(1);
    assert_int_equal(cl_stream_send(p->stream, &iov, 1), CELLO_ESYS);
    assert_int_equal(errno, ENOBUFS);
}

#define WITH_STREAM(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_STREAM(push_reports_at_once),
        WITH_STREAM(push_in_pieces),
        WITH_STREAM(pause_holds_back),
        WITH_STREAM(a_full_buffer_is_reported),
        WITH_STREAM(a_reset_drops_what_was_not_reported),
        WITH_STREAM(nothing_comes_behind_the_end),
        WITH_STREAM(close_comes_later),
        WITH_STREAM(output_is_captured),
        WITH_STREAM(sends_can_be_held),
        WITH_STREAM(files_are_read),
        WITH_STREAM(files_can_be_held),
        WITH_STREAM(files_wait_for_room),
        WITH_STREAM(memory_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
