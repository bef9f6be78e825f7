#include "net/tcp.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <sys/ioctl.h>

#include "base/alloc.h"
#include "event/tail.h"
#include "net/ktls.h"

/* Of a connection whose records the kernel makes. */
struct sealed {
    uint64_t bytes; /* cl_ktls_settled */
    size_t pending; /* plaintext of the send in progress */
    bool cut;       /* and it is data: who closes now means it */
    bool reset;     /* the close is to look like a failure */
    struct cl_tail *tail;
};

struct tcp_stream {
    struct cl_stream super;
    struct cl_io io;
    struct sealed *sealed; /* NULL: nobody seals, or the process does */
};

static struct tcp_stream *of_stream(struct cl_stream *s) {
    return CL_CONTAINER_OF(s, struct tcp_stream, super);
}

static struct tcp_stream *of_io(struct cl_io *io) {
    return CL_CONTAINER_OF(io, struct tcp_stream, io);
}

/* ---- from the protocol to the loop ---------------------------------------------------------- */

static int tcp_send(struct cl_stream *s, struct iovec *iov, int count) {
    return cl_io_send(&of_stream(s)->io, iov, count);
}

static int tcp_sendfile(struct cl_stream *s, struct iovec *iov, int count,
                        struct cl_file_part *file) {
    return cl_io_sendfile(&of_stream(s)->io, iov, count, file);
}

static void tcp_pause(struct cl_stream *s) {
    cl_io_recv_pause(&of_stream(s)->io);
}

static void tcp_resume(struct cl_stream *s) {
    cl_io_recv_resume(&of_stream(s)->io);
}

/* Lowering it wakes whoever waits for what is there: tcp_set_rcvlowat in the kernel, which also
 * makes the socket's buffer large enough. Unix sockets report all the same. */
static void tcp_gather(struct cl_stream *s, size_t least) {
    int bytes = (int)least;
    (void)setsockopt(of_stream(s)->io.fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
}

static void tcp_by_hand(struct cl_stream *s, bool on) {
    cl_io_recv_by_hand(&of_stream(s)->io, on);
}

static int tcp_recv_now(struct cl_stream *s, char *to, size_t n) {
    return cl_io_recv_now(&of_stream(s)->io, to, n);
}

static void tcp_shutdown(struct cl_stream *s) {
    cl_io_shutdown(&of_stream(s)->io);
}

/* The iovecs alone do not tell: io_uring finishes a send as a whole, and the kernel takes bytes
 * only in large steps. What the peer's side has taken is in its acknowledgements, or for a unix
 * socket in what still waits there. */
static uint64_t tcp_progress(const struct cl_stream *s) {
    const struct cl_io *io = &CL_CONTAINER_OF(s, const struct tcp_stream, super)->io;
    struct tcp_info info;
    socklen_t len = sizeof info;
    if (getsockopt(io->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0)
        return info.tcpi_bytes_acked;
    uint64_t waiting = io->file ? io->file->left : 0;
    for (int i = 0; i < io->iov_count; i++)
        waiting += io->iov[i].iov_len;
    int queued = 0;
    return ioctl(io->fd, SIOCOUTQ, &queued) == 0 ? waiting + (uint64_t)queued : waiting;
}

static void tcp_reset_on_close(struct cl_stream *s) {
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    /* Where it does not work (unix sockets) the close is an ordinary one. */
    (void)setsockopt(of_stream(s)->io.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

static void tcp_close(struct cl_stream *s) {
    cl_io_close(&of_stream(s)->io);
}

/* ---- the same, sealed by the kernel ---------------------------------------------------------- */

static size_t bytes_of(const struct iovec *iov, int count) {
    size_t n = 0;
    for (int i = 0; i < count; i++)
        n += iov[i].iov_len;
    return n;
}

static int push(struct cl_stream *s, struct iovec *iov, int count, struct cl_file_part *file,
                unsigned char record) {
    struct tcp_stream *t = of_stream(s);
    size_t n = bytes_of(iov, count) + (file ? (size_t)file->left : 0);
    int err = cl_io_push(&t->io, iov, count, file, record);
    if (!err)
        t->sealed->bytes += n;
    t->sealed->pending = err == CELLO_EAGAIN ? n : 0;
    t->sealed->cut = t->sealed->pending && !record;
    return err;
}

static int sealed_send(struct cl_stream *s, struct iovec *iov, int count) {
    return push(s, iov, count, NULL, 0);
}

static int sealed_sendfile(struct cl_stream *s, struct iovec *iov, int count,
                           struct cl_file_part *file) {
    return push(s, iov, count, file, 0);
}

static int sealed_record(struct cl_stream *s, unsigned char type, struct iovec *iov, int count) {
    return push(s, iov, count, NULL, type);
}

/* The kernel would throw away the rest of a record that TCP had no room for. */
static bool end_later(struct tcp_stream *t, struct cl_tail **owner) {
    const struct sealed *sealed = t->sealed;
    return !cl_ktls_settled(t->io.fd, sealed->bytes) &&
           cl_tail_begin(t->super.loop, t->io.fd, cl_ktls_settled, sealed->bytes, owner);
}

/* Of the kernel's TLS nobody asks that while a send is in progress. */
static void sealed_shutdown(struct cl_stream *s) {
    struct tcp_stream *t = of_stream(s);
    if (!t->sealed->tail && !end_later(t, &t->sealed->tail))
        tcp_shutdown(s);
}

static void sealed_reset_on_close(struct cl_stream *s) {
    of_stream(s)->sealed->reset = true;
    tcp_reset_on_close(s);
}

static void sealed_close(struct cl_stream *s) {
    struct tcp_stream *t = of_stream(s);
    struct sealed *sealed = t->sealed;
    if (sealed->reset)
        cl_tail_cut(s->loop, sealed->tail);
    else if (!sealed->cut && !sealed->tail)
        (void)end_later(t, NULL);
    cl_tail_leave(sealed->tail);
    sealed->reset = true; /* a second close has nothing to look at */
    sealed->tail = NULL;
    tcp_close(s);
}

static const struct cl_stream_ops sealed_ops = {
    .send = sealed_send,
    .sendfile = sealed_sendfile,
    .send_record = sealed_record,
    .pause = tcp_pause,
    .resume = tcp_resume,
    .gather = tcp_gather,
    .by_hand = tcp_by_hand,
    .recv_now = tcp_recv_now,
    .shutdown = sealed_shutdown,
    .progress = tcp_progress,
    .reset_on_close = sealed_reset_on_close,
    .close = sealed_close,
};

static void on_recv(struct cl_io *io, int result);
static void on_closed(struct cl_io *io);

static void on_sealed_sent(struct cl_io *io, int err) {
    struct tcp_stream *t = of_io(io);
    if (!err)
        t->sealed->bytes += t->sealed->pending;
    t->sealed->pending = 0;
    t->sealed->cut = false;
    t->super.handler->on_sent(&t->super, err);
}

static const struct cl_io_ops sealed_io_ops = {
    .on_recv = on_recv,
    .on_sent = on_sealed_sent,
    .on_closed = on_closed,
};

/* As much as there is room for; what went is taken off. */
static bool send_first(int fd, struct iovec *first) {
    while (first->iov_len) {
        ssize_t n = send(fd, first->iov_base, first->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            first->iov_base = (char *)first->iov_base + n;
            first->iov_len -= (size_t)n;
        }
    }
    return true;
}

static int tcp_seal(struct cl_stream *s, struct iovec *first, const void *key, size_t n) {
    struct tcp_stream *t = of_stream(s);
    struct sealed *sealed = cl_ktls_prepare(t->io.fd) ? cl_calloc(1, sizeof *sealed) : NULL;
    if (!sealed)
        return CELLO_ENOTSUP;
    if (!send_first(t->io.fd, first) || !cl_ktls_in_tcp(t->io.fd, &sealed->bytes) ||
        !cl_ktls_begin(t->io.fd, key, n)) {
        cl_free(sealed);
        return CELLO_ENOTSUP;
    }
    t->sealed = sealed;
    t->io.ops = &sealed_io_ops;
    s->ops = &sealed_ops;
    return CELLO_OK;
}

static const struct cl_stream_ops stream_ops = {
    .send = tcp_send,
    .sendfile = tcp_sendfile,
    .seal = tcp_seal,
    .pause = tcp_pause,
    .resume = tcp_resume,
    .gather = tcp_gather,
    .by_hand = tcp_by_hand,
    .recv_now = tcp_recv_now,
    .shutdown = tcp_shutdown,
    .progress = tcp_progress,
    .reset_on_close = tcp_reset_on_close,
    .close = tcp_close,
};

/* ---- from the loop to the protocol ---------------------------------------------------------- */

static void on_recv(struct cl_io *io, int result) {
    struct cl_stream *s = &of_io(io)->super;
    s->handler->on_recv(s, result);
}

static void on_sent(struct cl_io *io, int err) {
    struct cl_stream *s = &of_io(io)->super;
    s->handler->on_sent(s, err);
}

static void on_closed(struct cl_io *io) {
    struct cl_stream *s = &of_io(io)->super;
    s->handler->on_closed(s);
    if (s->in)
        cl_block_unref(s->in);
    cl_free(of_io(io)->sealed);
    cl_loop_obj_del(s->loop, of_io(io));
}

static const struct cl_io_ops io_ops = {
    .on_recv = on_recv,
    .on_sent = on_sent,
    .on_closed = on_closed,
};

static void read_peer(struct cl_addr *a, int fd) {
    socklen_t len = sizeof a->un;
    a->len = getpeername(fd, &a->sa, &len) ? 0 : len;
}

static void read_credentials(struct cl_credentials *c, int fd) {
    struct ucred found;
    socklen_t len = sizeof found;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &found, &len) == 0)
        *c = (struct cl_credentials){true, found.pid, found.uid, found.gid};
}

int cl_tcp_open(struct cl_loop *l, int fd, const struct cl_stream_handler *handler, void *protocol,
                struct cl_stream **out) {
    struct tcp_stream *t = cl_loop_obj_new(l, sizeof *t);
    if (!t)
        return CELLO_ENOMEM;
    struct cl_stream *s = &t->super;
    s->ops = &stream_ops;
    s->handler = handler;
    s->loop = l;
    s->protocol = protocol;
    s->in = NULL;
    s->in_max = CL_BLOCK_SIZE;
    read_peer(&s->peer, fd);
    s->credentials.known = false;
    s->tls = NULL;
    s->secure = s->redirected = false;
    if (CL_UNLIKELY(s->peer.len && s->peer.sa.sa_family == AF_UNIX))
        read_credentials(&s->credentials, fd);
    t->sealed = NULL;
    t->io.ops = &io_ops;
    t->io.in = &s->in;
    t->io.in_max = &s->in_max;
    s->in_room = 0;
    t->io.in_room = &s->in_room;
    int err = cl_io_open(l, &t->io, fd);
    if (err) {
        cl_loop_obj_del(l, t);
        return err;
    }
    *out = s;
    return CELLO_OK;
}
