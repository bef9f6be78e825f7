/* A byte-stream connection: what protocols see of TCP, unix sockets, the memory transport and TLS.
 *
 * The protocol reads from `in` (a block of the loop's pool that the transport appends to; it
 * consumes by moving in->rd and may take the block over) and writes with cl_stream_send. */
#ifndef CL_NET_STREAM_H
#define CL_NET_STREAM_H

#include "event/loop.h"
#include "net/addr.h"

struct cl_stream;
struct cl_tls;

struct cl_stream_ops {
    /* As cl_io_send. */
    int (*send)(struct cl_stream *s, struct iovec *iov, int count);
    /* As cl_io_sendfile. A transport that must see the bytes reads them. */
    int (*sendfile)(struct cl_stream *s, struct iovec *iov, int count, struct cl_file_part *file);
    /* cl_stream_seal; NULL: the transport cannot. */
    int (*seal)(struct cl_stream *s, struct iovec *first, const void *key, size_t n);
    int (*send_record)(struct cl_stream *s, unsigned char type, struct iovec *iov, int count);
    void (*pause)(struct cl_stream *s);
    void (*resume)(struct cl_stream *s);
    /* Bytes that are fewer than `least` need not be reported yet; 1: all are, also those that wait.
     * The end and errors always are. */
    void (*gather)(struct cl_stream *s, size_t least);
    /* As cl_io_recv_by_hand and cl_io_recv_now. */
    void (*by_hand)(struct cl_stream *s, bool on);
    int (*recv_now)(struct cl_stream *s, char *to, size_t n);
    void (*shutdown)(struct cl_stream *s);
    /* While a send is in progress: a number that changes when the peer takes bytes. */
    uint64_t (*progress)(const struct cl_stream *s);
    /* The close that follows is to look like a failure, not like an end. */
    void (*reset_on_close)(struct cl_stream *s);
    void (*close)(struct cl_stream *s);
};

/* The protocol's side; meanings as in struct cl_io_ops. */
struct cl_stream_handler {
    void (*on_recv)(struct cl_stream *s, int result);
    void (*on_sent)(struct cl_stream *s, int err);
    void (*on_closed)(struct cl_stream *s); /* the stream's memory goes right afterwards */
};

struct cl_stream {
    const struct cl_stream_ops *ops;
    const struct cl_stream_handler *handler;
    struct cl_loop *loop;
    void *protocol; /* the connection object that reads this stream */
    struct cl_block *in;
    size_t in_max;
    size_t in_room; /* bytes to receive with one call; less than a block: a block */
    struct cl_addr peer;
    struct cl_credentials credentials;
    struct cl_tls *tls; /* NULL: plain */
    bool secure;        /* nobody on the way reads it: TLS, or what a client in this process says */
    bool redirected;    /* it came to a port that only redirects */
};

CL_INLINE CL_MUST_USE int cl_stream_send(struct cl_stream *s, struct iovec *iov, int count) {
    return s->ops->send(s, iov, count);
}
CL_INLINE CL_MUST_USE int cl_stream_sendfile(struct cl_stream *s, struct iovec *iov, int count,
                                             struct cl_file_part *file) {
    return s->ops->sendfile(s, iov, count, file);
}
/* Have the kernel make records of TLS from all that is sent from here on, with `key`, a struct
 * tls12_crypto_info_* of linux/tls.h. `first`, sealed already, goes before that, and is advanced in
 * place as far as it went. Not while a send is in progress. CELLO_OK: what is sent later never
 * leaves in clear. CELLO_ENOTSUP: the stream is as it was, and what is left of `first` is to be
 * sent. */
CL_INLINE CL_MUST_USE int cl_stream_seal(struct cl_stream *s, struct iovec *first, const void *key,
                                         size_t n) {
    return s->ops->seal ? s->ops->seal(s, first, key, n) : CELLO_ENOTSUP;
}
/* After that: one record of another type than data (an alert, a ticket). As cl_stream_send. */
CL_INLINE CL_MUST_USE int cl_stream_send_record(struct cl_stream *s, unsigned char type,
                                                struct iovec *iov, int count) {
    return s->ops->send_record(s, type, iov, count);
}
CL_INLINE void cl_stream_pause(struct cl_stream *s) {
    s->ops->pause(s);
}
CL_INLINE void cl_stream_resume(struct cl_stream *s) {
    s->ops->resume(s);
}
CL_INLINE void cl_stream_gather(struct cl_stream *s, size_t least) {
    s->ops->gather(s, least);
}
CL_INLINE void cl_stream_by_hand(struct cl_stream *s, bool on) {
    s->ops->by_hand(s, on);
}
CL_INLINE CL_MUST_USE int cl_stream_recv_now(struct cl_stream *s, char *to, size_t n) {
    return s->ops->recv_now(s, to, n);
}
CL_INLINE void cl_stream_shutdown(struct cl_stream *s) {
    s->ops->shutdown(s);
}
CL_INLINE uint64_t cl_stream_progress(const struct cl_stream *s) {
    return s->ops->progress(s);
}
CL_INLINE void cl_stream_reset_on_close(struct cl_stream *s) {
    s->ops->reset_on_close(s);
}
CL_INLINE void cl_stream_close(struct cl_stream *s) {
    s->ops->close(s);
}

#endif
