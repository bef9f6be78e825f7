/* The loop's own cost: an HTTP-shaped echo over each back end with constant answers, to be compared
 * with the same exchange written straight on epoll or io_uring.
 *
 *      loop_bench (epoll|uring) PORT [BYTES]     serve until SIGTERM, then print CPU time per
 * request
 *
 * Every request that ends in an empty line is answered with the same BYTES (27) of body. Drive it
 * with `wrk -t1 -c64` on another core. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "net/listen.h"
#include "net/tcp.h"

/* Answers to pipelined requests go out together when they fit into this. */
enum { OUT_MIN = 4096, BODY_MAX = 1 << 20 };

static char *answer;
static size_t answer_len;

struct conn {
    struct cl_flush flush;
    struct cl_stream *stream;
    struct iovec iov;
    struct cl_block *out;
    bool sending;
};

static struct cl_loop *loop;
static uint64_t requests;
static volatile sig_atomic_t stop;

static void flush_answers(struct cl_flush *f) {
    struct conn *c = CL_CONTAINER_OF(f, struct conn, flush);
    if (c->sending || !c->out)
        return;
    c->iov = (struct iovec){cl_block_rd(c->out), cl_block_len(c->out)};
    int err = cl_stream_send(c->stream, &c->iov, 1);
    if (err == CELLO_EAGAIN) {
        c->sending = true;
        return;
    }
    cl_block_unref(c->out);
    c->out = NULL;
    if (err)
        cl_stream_close(c->stream);
}

static void on_recv(struct cl_stream *s, int result) {
    struct conn *c = s->protocol;
    if (result < 0) {
        cl_stream_close(s);
        return;
    }
    struct cl_block *in = s->in;
    char *end;
    while ((end = memmem(cl_block_rd(in), cl_block_len(in), "\r\n\r\n", 4)) != NULL) {
        in->rd = (size_t)(end + 4 - in->data);
        if (!c->out)
            c->out = cl_block_new(cl_loop_pool(loop), CL_MAX(answer_len, (size_t)OUT_MIN));
        if (!c->out || cl_block_room(c->out) < answer_len) {
            cl_stream_close(s);
            return;
        }
        memcpy(cl_block_wr(c->out), answer, answer_len);
        c->out->wr += answer_len;
        requests++;
    }
    if (c->out)
        cl_loop_flush_later(loop, &c->flush);
}

static void on_sent(struct cl_stream *s, int err) {
    struct conn *c = s->protocol;
    c->sending = false;
    cl_block_unref(c->out);
    c->out = NULL;
    if (err)
        cl_stream_close(s);
}

static void on_closed(struct cl_stream *s) {
    struct conn *c = s->protocol;
    cl_loop_flush_cancel(loop, &c->flush);
    if (c->out)
        cl_block_unref(c->out);
    free(c);
}

static const struct cl_stream_handler handler = {on_recv, on_sent, on_closed};

static void on_accept(struct cl_listener *ls, int fd) {
    (void)ls;
    struct conn *c = calloc(1, sizeof *c);
    if (!c || cl_tcp_open(loop, fd, &handler, c, &c->stream)) {
        perror("accept");
        exit(1);
    }
    c->flush.run = flush_answers;
}

static void on_listener_closed(struct cl_listener *ls) {
    (void)ls;
}

static void on_signal(int sig) {
    (void)sig;
    stop = 1;
}

static void make_answer(size_t body_len) {
    answer = calloc(1, body_len + 256);
    if (!answer || body_len > BODY_MAX)
        exit(1);
    int head = snprintf(answer, 256,
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\nServer: raw\r\n"
                        "Date: Sun, 22 Nov 2026 23:57:35 GMT\r\n\r\n",
                        body_len);
    memset(answer + head, 'x', body_len);
    answer_len = (size_t)head + body_len;
}

static double cpu_us(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: loop_bench (epoll|uring) PORT [BYTES]\n");
        return 2;
    }
    make_answer(argc > 3 ? strtoul(argv[3], NULL, 10) : 27);
    enum cl_backend backend = strcmp(argv[1], "uring") ? CL_BACKEND_EPOLL : CL_BACKEND_URING;
    struct cl_loop_config config = {.backend = backend};
    struct cl_addr addr;
    struct cl_listener listener = {.on_accept = on_accept, .on_closed = on_listener_closed};
    int fd;
    if (cl_addr_parse(&addr, "127.0.0.1", (uint16_t)strtoul(argv[2], NULL, 10)) ||
        cl_listen_tcp(&addr, 1024, false, &fd) || cl_loop_new(&loop, &config) ||
        cl_listener_open(loop, &listener, fd)) {
        perror("start");
        return 1;
    }
    signal(SIGTERM, on_signal);
    double before = cpu_us();
    while (!stop)
        if (cl_loop_turn(loop, UINT64_MAX) && errno != EINTR)
            perror("turn");
    double us = cpu_us() - before;
    printf("%s requests=%llu us_per_request=%.3f\n", argv[1], (unsigned long long)requests,
           requests ? us / (double)requests : 0.0);
    return 0;
}
