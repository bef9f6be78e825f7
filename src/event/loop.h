/* The event loop: one thread, completions, two back ends.
 *
 * The interface is completion-shaped: an operation is started, its result is reported by a
 * callback. io_uring works like that; epoll imitates it cheaply (receive when readable and report
 * the bytes; send at once and report only what could not be finished).
 *
 *      turn:   hooks.before_wait -> wait -> hooks.after_wait
 *              -> completions (on_recv, on_sent, on_accept) -> posted messages -> timers
 *              -> hooks.batch (handlers run here, all ready requests at once)
 *              -> flush list (one write per connection that has answers)
 *
 * Received bytes go to `*io->in`, a block of the loop's pool: appended to what is unread there, or
 * the whole provided buffer handed over (io_uring), so nothing is copied for a request that
 * arrives in one piece.
 *
 * Thread: everything but cl_loop_post and cl_loop_wake belongs to the loop's thread. */
#ifndef CL_EVENT_LOOP_H
#define CL_EVENT_LOOP_H

#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cello/post.h>

#include "base/block.h"
#include "event/file.h"
#include "event/timer.h"

/* AUTO: io_uring where this kernel and build have it in its fast form, else epoll. */
enum cl_backend { CL_BACKEND_AUTO, CL_BACKEND_EPOLL, CL_BACKEND_URING };

struct cl_loop;
struct cl_io;

/* What a connection's socket reports. Any callback may close the io. */
struct cl_io_ops {
    /* Bytes were appended to *io->in (result > 0), or CELLO_EOF, CELLO_ESYS (reset),
     * CELLO_ELIMIT (in is full: reading is paused until cl_io_recv_resume),
     * CELLO_ENOMEM (the pool is empty; also paused), CELLO_EAGAIN (there is something for
     * cl_io_recv_now; also paused). */
    void (*on_recv)(struct cl_io *io, int result);
    /* A send that returned CELLO_EAGAIN is finished: CELLO_OK, or an error (the peer is gone). */
    void (*on_sent)(struct cl_io *io, int err);
    /* After cl_io_close: the kernel holds nothing of this io any more, its memory may go. */
    void (*on_closed)(struct cl_io *io);
};

/* A connected stream socket in a loop; embedded by its owner. */
struct cl_io {
    const struct cl_io_ops *ops;
    struct cl_loop *loop;
    struct cl_block **in; /* where received bytes go; *in may be NULL */
    const size_t *in_max; /* most unread bytes in *in; may be changed at any time */
    /* How many bytes to receive with one call, where that is more than a block; likewise. NULL, or
     * less: a block. Silent connections hold nothing in either case. */
    const size_t *in_room;
    struct iovec *iov; /* the send in progress: the caller's array, advanced in place */
    int iov_count;
    int fd;
    struct cl_file_part *file;         /* behind the iovecs, advanced in place; NULL: none */
    uint32_t state;                    /* the back end's flags */
    uint32_t pending;                  /* kernel operations that still refer to this io */
    struct cl_io *next;                /* the loop's lists: ready again, closed */
    struct cl_block *held, *held_last; /* received, not reported yet: paused, or in is full */
    int end_errno;                     /* of the end behind the held blocks; 0: an orderly one */
    unsigned char record;              /* of cl_io_push */
    struct msghdr msg;                 /* of a send with several parts */
    struct cl_io *all_next, *all_prev; /* every open io, for shutdown */
};

/* A listening socket. */
struct cl_listener {
    struct cl_loop *loop;
    int fd;
    uint32_t state;
    uint32_t pending;
    bool shared; /* other processes wait on the socket, too, and new connections are to be spread.
                    Set before it is opened */
    /* A connection was accepted: close-on-exec, and non-blocking where the back end wants it so.
     * The callee owns fd. After a pause or a close, a few that the kernel had handed over may still
     * come, until on_closed. */
    void (*on_accept)(struct cl_listener *l, int fd);
    void (*on_closed)(struct cl_listener *l);
    struct cl_listener *next, *all_next; /* the loop's lists: closed, open */
    struct cl_timer retry;               /* accept goes on after EMFILE */
    uint64_t warn_ns;                    /* not before then is that told again */
};

/* A deferred call at the end of the turn; see cl_loop_flush_later. */
struct cl_flush {
    struct cl_flush *next;
    bool queued;
    void (*run)(struct cl_flush *f);
};

/* A foreign descriptor watched for readiness (level-triggered): asyncio's epoll descriptor. */
struct cl_poll {
    struct cl_loop *loop;
    int fd;
    uint32_t state;
    uint32_t pending;
    void (*on_ready)(struct cl_poll *p);
};

struct cl_loop_hooks {
    void *ctx;
    /* Around a wait that may block: the binding gives up and takes the GIL. May be NULL. */
    void (*before_wait)(void *ctx);
    void (*after_wait)(void *ctx);
    /* After the completions of a turn. Returns true when work is left: the next wait does not
     * block. May be NULL. */
    bool (*batch)(void *ctx);
};

struct cl_loop_config {
    enum cl_backend backend;
    size_t max_buffered_bytes; /* 0: no limit */
};

/* Errors: CELLO_ENOMEM, CELLO_ESYS, CELLO_ENOTSUP (io_uring asked for by name and refused by the
 * kernel or not built in; AUTO falls back to epoll by itself). */
int cl_loop_new(struct cl_loop **out, const struct cl_loop_config *cfg) CL_MUST_USE;
/* Close every io that is open. Owners hear of it by on_closed, so each must be one that is about to
 * close its own: it has been closed as a stream, and waits for its last bytes to leave (TLS). */
void cl_loop_close_all(struct cl_loop *l);
/* The end: cl_loop_close_all, the kernel lets go, and on_closed is reported for what no turn has
 * reported. Every listener and poll must have been closed. Turns still run posts, timers and
 * flushes; nothing can be opened any more. Idempotent. Thread: any, when no turn is running and
 * none will come from another thread; io_uring's turns must stay on one, so that this is the way to
 * finish elsewhere. */
void cl_loop_stop(struct cl_loop *l);
/* Stops it first. NULL is ignored. Thread: as cl_loop_stop. */
void cl_loop_del(struct cl_loop *l);
void cl_loop_set_hooks(struct cl_loop *l, const struct cl_loop_hooks *hooks);
/* Where each turn writes since when the loop has been away from its wait, as CLOCK_MONOTONIC: 0
 * while it waits. The word stays the caller's, until the loop goes or NULL: nowhere. */
void cl_loop_set_heartbeat(struct cl_loop *l, _Atomic uint64_t *busy_since_ns);

/* One turn. Waits at most `timeout_ns` (0: do not wait; UINT64_MAX: until something happens).
 * Every turn of a loop must come from the same thread, which need not be the one that made it: from
 * another one io_uring reports nothing (CELLO_ESYS, errno EEXIST), and only posts, timers, flushes
 * and the batch are run.
 * Errors: CELLO_ESYS; errno EINTR when a signal came, and sometimes (io_uring cannot always tell)
 * when only the time was up: the caller looks at its flags and turns again. */
int cl_loop_turn(struct cl_loop *l, uint64_t timeout_ns);
/* Wakes a waiting turn. Thread and signal handler: any. */
void cl_loop_wake(struct cl_loop *l);
/* Run p->run(p) on the loop's thread. Thread: any. */
void cl_loop_post(struct cl_loop *l, struct cl_post *p);
/* The batch hook has something to do: the loop does not wait before it has run. */
void cl_loop_need_batch(struct cl_loop *l);
/* Outside a turn something was begun that only a turn can finish, or that is due earlier than what
 * was. */
void cl_loop_need_turn(struct cl_loop *l);
/* Between turns: what the last one asked the kernel for is asked now, and not with the next wait.
 */
void cl_loop_submit(struct cl_loop *l);
/* Run f->run(f) at the end of this turn, after the batch; once, however often it is asked. */
void cl_loop_flush_later(struct cl_loop *l, struct cl_flush *f);
/* Off the list again, if it is on it: its memory is about to go. */
void cl_loop_flush_cancel(struct cl_loop *l, struct cl_flush *f);

uint64_t cl_loop_now_ns(const struct cl_loop *l); /* read once a turn */
struct cl_block_pool *cl_loop_pool(struct cl_loop *l);
struct cl_timer_wheel *cl_loop_timers(struct cl_loop *l);
enum cl_backend cl_loop_backend(const struct cl_loop *l);
/* Ios and listeners that have not been reported closed yet. */
size_t cl_loop_open_count(const struct cl_loop *l);
/* A descriptor that is readable when a turn has something to do: for a foreign loop that drives
 * this one with turns of timeout 0. Timers do not show there: turn again at cl_loop_next_ns.
 * Thread: that of the turns, or before the first. -1: errno. */
int cl_loop_poll_fd(struct cl_loop *l);
/* When a turn has something to do although no event comes; 0: at once; UINT64_MAX: never. */
uint64_t cl_loop_next_ns(const struct cl_loop *l);

/* Memory for connection objects, all of one size: kept on a free list that goes with the loop.
 * NULL: out of memory. */
void *cl_loop_obj_new(struct cl_loop *l, size_t size) CL_MUST_USE;
void cl_loop_obj_del(struct cl_loop *l, void *obj);

/* Start accepting. Errors: CELLO_ESYS, CELLO_ENOMEM. */
int cl_listener_open(struct cl_loop *l, struct cl_listener *ls, int fd) CL_MUST_USE;
/* Stop and start accepting (a connection limit); the kernel's queue stays. One that is closed may
 * be paused from on_accept, so as to leave the rest. */
void cl_listener_pause(struct cl_listener *ls);
void cl_listener_resume(struct cl_listener *ls);
/* Stop for good and close the descriptor; on_closed follows, not before this call returns. */
void cl_listener_close(struct cl_listener *ls);

/* Start receiving on a connected, non-blocking socket; the io owns fd from now on. The caller has
 * set ops, in and in_max. Errors: CELLO_ESYS, CELLO_ENOMEM; fd is then still the caller's. */
int cl_io_open(struct cl_loop *l, struct cl_io *io, int fd) CL_MUST_USE;
/* Send all of iov[0..count). CELLO_OK: everything is with the kernel. CELLO_EAGAIN: in progress,
 * iov and the bytes must stay until on_sent. Other: CELLO_ESYS, the peer is gone or the io was
 * closed. One at a time. */
int cl_io_send(struct cl_io *io, struct iovec *iov, int count) CL_MUST_USE;
/* The same, and behind the iovecs (there may be none) all of a part of a file, which is not empty.
 * `file` stays until on_sent, too, and shows what is left; its descriptor is not closed. A large
 * part goes out over several turns, with other connections in between. Beside the errors of
 * cl_io_send: CELLO_EOF, the file has become shorter. */
int cl_io_sendfile(struct cl_io *io, struct iovec *iov, int count,
                   struct cl_file_part *file) CL_MUST_USE;
/* The same without the back end's own way to send, and with or without a file (NULL): for a socket
 * whose bytes the kernel seals (TLS). `record`: the bytes are one record of that type, there is no
 * file, and none of them leave unless all do; 0: data. */
int cl_io_push(struct cl_io *io, struct iovec *iov, int count, struct cl_file_part *file,
               unsigned char record) CL_MUST_USE;
/* Back-pressure: no on_recv until resume. Bytes that had arrived before are reported then. */
void cl_io_recv_pause(struct cl_io *io);
void cl_io_recv_resume(struct cl_io *io);
/* For an io that is received from in bulk: the owner has a better place for the bytes than *in, and
 * takes them there with cl_io_recv_now when it is told that there are some. What was received
 * before that is still reported. Off again: the bytes go to *in once it is resumed. */
void cl_io_recv_by_hand(struct cl_io *io, bool on);
/* At most `n` > 0 bytes, which on_recv has told of: how many. Errors: CELLO_EAGAIN: none after all;
 * CELLO_EOF, CELLO_ESYS: which are reported, too, when it is received into *in again. */
int cl_io_recv_now(struct cl_io *io, char *to, size_t n) CL_MUST_USE;
/* Half-close: the peer sees the end of our bytes after those sent. */
void cl_io_shutdown(struct cl_io *io);
/* Cancel everything and close; on_closed follows, not before this call returns. Idempotent. */
void cl_io_close(struct cl_io *io);

int cl_poll_open(struct cl_loop *l, struct cl_poll *p, int fd) CL_MUST_USE;
void cl_poll_close(struct cl_poll *p);

#endif
