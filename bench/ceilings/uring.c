/* The ceiling of one core with io_uring: multishot accept and recv into a ring of provided buffers,
 * one send in flight per connection, one system call per turn of the loop.
 *
 *   uring PORT */
#include <liburing.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ceiling.h"

enum { ENTRIES = 1024, COMPLETIONS = 4096, BUFFERS = 1024, BUFFER_SIZE = 8192 };
enum operation { ACCEPT = 1, RECV, SEND };

struct conn {
    struct buffer in;   /* a request that came in pieces */
    struct buffer fill; /* answers that wait */
    struct buffer fly;  /* answers being sent */
    size_t sent;        /* of fly */
    bool sending, receiving, closing;
};

static struct conn conns[CEILING_FDS];
static struct answers answers;
static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static char *memory; /* of the buffers */

static struct io_uring_sqe *entry(void) {
    struct io_uring_sqe *s = io_uring_get_sqe(&ring);
    if (!s) {
        io_uring_submit(&ring);
        s = io_uring_get_sqe(&ring);
    }
    return s;
}

static void tag(struct io_uring_sqe *s, enum operation op, int fd) {
    s->user_data = (uint64_t)op << 32 | (unsigned)fd;
}

static void start_accept(int listener) {
    struct io_uring_sqe *s = entry();
    io_uring_prep_multishot_accept(s, listener, NULL, NULL, 0);
    tag(s, ACCEPT, listener);
}

static void start_recv(int fd) {
    struct io_uring_sqe *s = entry();
    io_uring_prep_recv_multishot(s, fd, NULL, 0, 0);
    s->flags |= IOSQE_BUFFER_SELECT;
    s->buf_group = 0;
    tag(s, RECV, fd);
    conns[fd].receiving = true;
}

static void start_send(int fd) {
    struct conn *c = &conns[fd];
    struct io_uring_sqe *s = entry();
    io_uring_prep_send(s, fd, c->fly.bytes + c->sent, c->fly.len - c->sent,
                       MSG_NOSIGNAL | MSG_WAITALL);
    tag(s, SEND, fd);
    c->sending = true;
}

static void send_filled(int fd) {
    struct conn *c = &conns[fd];
    if (c->sending || !c->fill.len)
        return;
    struct buffer empty = c->fly;
    empty.len = 0;
    c->fly = c->fill;
    c->fill = empty;
    c->sent = 0;
    start_send(fd);
}

/* The descriptor is closed when the kernel holds nothing of the connection any more. */
static void drop(int fd) {
    struct conn *c = &conns[fd];
    c->closing = true;
    if (c->sending || c->receiving) {
        shutdown(fd, SHUT_RDWR);
        return;
    }
    close(fd);
    c->in.len = c->fill.len = c->fly.len = c->sent = 0;
    c->closing = false;
}

static void on_bytes(int fd, const char *bytes, size_t len) {
    struct conn *c = &conns[fd];
    if (c->in.len) {
        buffer_add(&c->in, bytes, len);
        buffer_drop(&c->in, answer_all(&answers, c->in.bytes, c->in.len, &c->fill));
    } else {
        size_t used = answer_all(&answers, bytes, len, &c->fill);
        if (used < len)
            buffer_add(&c->in, bytes + used, len - used);
    }
    send_filled(fd);
}

static void give_back(unsigned id) {
    io_uring_buf_ring_add(buffers, memory + (size_t)id * BUFFER_SIZE, BUFFER_SIZE,
                          (unsigned short)id, io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(buffers, 1);
}

static void on_accept(int listener, const struct io_uring_cqe *q) {
    if (q->res >= CEILING_FDS) {
        close(q->res);
    } else if (q->res >= 0) {
        ceiling_no_delay(q->res);
        start_recv(q->res);
    }
    if (!(q->flags & IORING_CQE_F_MORE))
        start_accept(listener);
}

static void on_recv(int fd, const struct io_uring_cqe *q) {
    struct conn *c = &conns[fd];
    if (!(q->flags & IORING_CQE_F_MORE))
        c->receiving = false;
    if (q->flags & IORING_CQE_F_BUFFER) {
        unsigned id = q->flags >> IORING_CQE_BUFFER_SHIFT;
        if (q->res > 0 && !c->closing)
            on_bytes(fd, memory + (size_t)id * BUFFER_SIZE, (size_t)q->res);
        give_back(id);
    }
    if (q->res <= 0 && q->res != -ENOBUFS)
        drop(fd);
    else if (!c->receiving && !c->closing)
        start_recv(fd);
}

static void on_sent(int fd, const struct io_uring_cqe *q) {
    struct conn *c = &conns[fd];
    c->sending = false;
    c->sent += q->res > 0 ? (size_t)q->res : 0;
    if (q->res <= 0 || c->closing)
        drop(fd);
    else if (c->sent < c->fly.len)
        start_send(fd);
    else
        send_filled(fd);
}

static void must(int result, const char *what) {
    if (result >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, strerror(-result));
    exit(1);
}

static void start_ring(void) {
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
        .cq_entries = COMPLETIONS,
    };
    must(io_uring_queue_init_params(ENTRIES, &ring, &params), "io_uring");
    int prot = PROT_READ | PROT_WRITE, flags = MAP_ANONYMOUS | MAP_PRIVATE;
    memory = mmap(NULL, (size_t)BUFFERS * BUFFER_SIZE, prot, flags, -1, 0);
    buffers = mmap(NULL, BUFFERS * sizeof(struct io_uring_buf), prot, flags, -1, 0);
    struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)buffers, .ring_entries = BUFFERS};
    must(io_uring_register_buf_ring(&ring, &reg, 0), "provided buffers");
    io_uring_buf_ring_init(buffers);
    for (unsigned id = 0; id < BUFFERS; id++)
        give_back(id);
}

static void turn(void) {
    struct io_uring_cqe *q;
    unsigned head, seen = 0;
    int r = io_uring_submit_and_wait(&ring, 1);
    must(r == -EINTR ? 0 : r, "wait");
    io_uring_for_each_cqe(&ring, head, q) {
        int fd = (int)(unsigned)q->user_data;
        seen++;
        switch ((enum operation)(q->user_data >> 32)) {
        case ACCEPT: on_accept(fd, q); break;
        case RECV: on_recv(fd, q); break;
        case SEND: on_sent(fd, q); break;
        }
    }
    io_uring_cq_advance(&ring, seen);
}

int main(int argc, char **argv) {
    int listener = ceiling_listen(argc > 1 ? (int)strtol(argv[1], NULL, 10) : 8000, 0);
    answers_init(&answers);
    start_ring();
    start_accept(listener);
    for (;;)
        turn();
}
