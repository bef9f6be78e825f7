/* What loop.c and the two back ends share. Only src/event includes this.
 *
 * loop.c owns everything that is the same for both: the order of a turn, hooks, posts, the flush
 * list, the lists of open, ready and closed ios. A back end owns the wait and the completions. */
#ifndef CL_EVENT_LOOP_INTERNAL_H
#define CL_EVENT_LOOP_INTERNAL_H

#include <stdatomic.h>

#include "event/loop.h"
#include "event/tail.h"

/* Most events, and most ios that are served again, in one turn. */
enum { CL_LOOP_EVENTS_MAX = 256 };
/* Accept goes on this long after the process ran out of descriptors or memory. */
enum { CL_ACCEPT_RETRY_MS = 100 };
/* The log hears of it at most once in this time. */
#define CL_ACCEPT_WARN_NS (60 * CL_NS_PER_S)
/* Connections taken in by a listener that closes: what a kernel's queue may hold. */
enum { CL_ACCEPT_REST_MAX = 4096 };
/* Most iovecs the kernel takes at once (UIO_MAXIOV). */
enum { CL_IOV_MAX = 1024 };
/* Bytes of a file that one connection sends before others get their turn: about 100 us. With a
 * quarter of it a file of 1 MB costs a third more. */
enum { CL_FILE_BURST = 1 << 20 };

/* cl_io.state */
#define CL_IO_CLOSED (1u << 0)   /* cl_io_close was called */
#define CL_IO_PAUSED (1u << 1)   /* by cl_io_recv_pause, or after CELLO_ELIMIT and CELLO_ENOMEM */
#define CL_IO_QUEUED (1u << 2)   /* on the ready list */
#define CL_IO_SENDING (1u << 3)  /* on_sent is owed */
#define CL_IO_SHUTDOWN (1u << 4) /* half-close when the send is finished */
#define CL_IO_DONE (1u << 5)     /* the end of the peer's bytes or an error was reported */
#define CL_IO_BY_HAND (1u << 6)  /* bytes are not received but told of */
#define CL_IO_PUSH (1u << 7)     /* the send in progress is cl_io_push */
#define CL_IO_READABLE (1u << 8) /* cl_io_receive has not drained it */
/* epoll */
#define CL_IO_WRITABLE (1u << 9) /* an edge came, or the send has not met a full buffer yet */
#define CL_IO_HUP (1u << 10)     /* an end or an error lies behind the bytes */
#define CL_IO_MUTED (1u << 11)   /* arriving bytes make no edges */
/* io_uring */
#define CL_IO_RECV_ARMED (1u << 16)    /* a recv, or a poll that it waits for, is with the kernel */
#define CL_IO_RECV_CANCELED (1u << 17) /* and its cancellation too */
#define CL_IO_SEND_READY (1u << 18)    /* a send waits for a free submission entry */
#define CL_IO_STARVED (1u << 19)       /* recv ended because no buffer was left */
#define CL_IO_GOT_END (1u << 20)       /* the end came, and is reported after the held blocks */
#define CL_IO_OVERRAN (1u << 21)       /* brought more in one turn than could be reported */
#define CL_IO_POLLING (1u << 22)       /* it is a poll */

/* cl_listener.state */
#define CL_LISTENER_CLOSED (1u << 0)
#define CL_LISTENER_PAUSED (1u << 1) /* by its owner */
#define CL_LISTENER_RETRY (1u << 2)  /* out of descriptors or memory, until the timer fires */
#define CL_LISTENER_ARMED (1u << 3)  /* the back end watches it */
#define CL_LISTENER_CANCELED (1u << 4)
#define CL_LISTENER_RETIRED (1u << 5) /* on the list of the closed */
#define CL_LISTENER_POLLED (1u << 6)  /* io_uring: a poll, for the socket does not block */

struct cl_loop_ops {
    enum cl_backend backend;
    /* Make the kernel let go of everything, release everything but the memory of `l`. */
    void (*stop)(struct cl_loop *l);
    /* Wait for events and fetch them. Errors: CELLO_ESYS. */
    int (*wait)(struct cl_loop *l, uint64_t timeout_ns);
    /* Act on what wait() fetched. */
    void (*dispatch)(struct cl_loop *l);
    /* The end of a turn; `submit`: no wait follows soon that would hand over what was started. */
    void (*settle)(struct cl_loop *l, bool submit);
    int (*poll_fd)(struct cl_loop *l); /* -1: errno */
    int (*listener_open)(struct cl_listener *ls);
    void (*listener_update)(struct cl_listener *ls); /* paused, resumed */
    void (*listener_close)(struct cl_listener *ls);
    int (*io_open)(struct cl_io *io);
    int (*io_send)(struct cl_io *io);
    int (*io_sendfile)(struct cl_io *io);
    void (*io_pause)(struct cl_io *io);
    void (*io_resume)(struct cl_io *io);
    void (*io_close)(struct cl_io *io);
    int (*poll_open)(struct cl_poll *p);
    void (*poll_close)(struct cl_poll *p);
};

struct cl_loop_spare;

struct cl_loop {
    const struct cl_loop_ops *ops;
    struct cl_loop_hooks hooks;
    uint64_t now_ns;
    bool work_left; /* for the batch hook */
    bool in_turn;
    bool stopped;
    bool driven;                                  /* a foreign loop waits on poll_fd */
    _Atomic uint64_t *busy_since_ns, nobody_asks; /* the latter, or what a heartbeat reads */
    int wake_fd;
    _Atomic int notify_fd;           /* io_uring's eventfd for a foreign loop; -1: none */
    _Atomic(struct cl_post *) posts; /* newest first */
    struct cl_flush *flushes, **flushes_end, *flushing;
    struct cl_io *ready, **ready_end;
    struct cl_io *closed;
    struct cl_listener *closed_listeners;
    struct cl_io all;              /* ring head of the open ios */
    struct cl_listener *listeners; /* the open ones */
    size_t open_count;
    struct cl_loop_spare *spares;
    size_t spare_count, spare_size;
    struct cl_block_pool pool;
    struct cl_timer_wheel timers;
    struct cl_tails tails;
};

/* Each makes a zeroed loop of its own type with .ops set, watching wake_fd.
 * Errors: CELLO_ENOMEM, CELLO_ESYS, CELLO_ENOTSUP. */
int cl_loop_epoll_new(struct cl_loop **out, int wake_fd) CL_MUST_USE;
/* `any_kernel`: also one that cannot defer task work, where io_uring is slower than epoll. */
int cl_loop_uring_new(struct cl_loop **out, int wake_fd, bool any_kernel) CL_MUST_USE;

/* Serve io again in the next turn. */
void cl_loop_ready(struct cl_io *io);
/* Serve what is on the list now, at most CL_LOOP_EVENTS_MAX; each is off it before. */
void cl_loop_serve_ready(struct cl_loop *l, void (*serve)(struct cl_io *io));
/* The kernel holds nothing of it any more: on_closed at the end of the turn. */
void cl_loop_retire(struct cl_io *io);
void cl_loop_retire_listener(struct cl_listener *ls);

/* Report `result` and, when the callback left nothing in it, give the block back. False: the io was
 * closed. */
bool cl_io_report(struct cl_io *io, int result);
/* Large bodies: as many bytes with one call as the owner wants. */
CL_INLINE bool cl_io_in_bulk(const struct cl_io *io) {
    return io->in_room && *io->in_room > CL_BLOCK_SIZE;
}
/* One recv into *io->in, and the report. CL_IO_READABLE is cleared when the socket is drained, else
 * the io is on the ready list. */
void cl_io_receive(struct cl_io *io);
CL_INLINE bool cl_io_wants_recv(const struct cl_io *io) {
    return (io->state & (CL_IO_READABLE | CL_IO_PAUSED | CL_IO_DONE | CL_IO_CLOSED)) ==
           CL_IO_READABLE;
}
/* Pause, then report why. */
void cl_io_report_stop(struct cl_io *io, int why);
/* Drop `n` sent bytes from io->iov. True: nothing is left. */
bool cl_io_advance(struct cl_io *io, size_t n);
/* Send io->iov, then io->file if there is one, on a socket that does not block. CELLO_OK: all of
 * it. CELLO_EAGAIN: the socket is `*full`, or this turn's burst is spent. Other: as cl_io_sendfile.
 */
int cl_io_push_file(struct cl_io *io, bool *full) CL_MUST_USE;
/* The send in progress goes on with cl_io_push_file. */
CL_INLINE bool cl_io_pushes(const struct cl_io *io) {
    return io->file || io->state & CL_IO_PUSH;
}
/* on_sent, and a half-close that waited for it. */
void cl_io_finish_send(struct cl_io *io, int err);

CL_INLINE bool cl_listener_wanted(const struct cl_listener *ls) {
    return !(ls->state & (CL_LISTENER_CLOSED | CL_LISTENER_PAUSED | CL_LISTENER_RETRY));
}
/* Accept failed with `err`. True: nothing is wrong with the listener, go on. False: it rests until
 * its timer fires. */
bool cl_listener_failed(struct cl_listener *ls, int err);
/* The listener closes, and waits for nothing any more: take in what is in the kernel's queue. Of
 * the processes that share a socket a connection wakes one, and if it was this one, nobody else
 * would look before the next connection comes. At most CL_ACCEPT_REST_MAX, until on_accept pauses
 * the listener, or there is no descriptor left: the rest stays for others. `flags`: of accept4(2).
 */
void cl_listener_take_rest(struct cl_listener *ls, int flags);

#endif
