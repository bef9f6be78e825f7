/* From the protocol to the transport: plaintext is sealed into blocks of records.
 *
 * A send is sealed in batches, each of which leaves with one send of the transport; the next one is
 * sealed when that is done. What is in a block does not need the protocol's bytes any more. */
#include <errno.h>

#include "tls/tls_internal.h"

enum {
    /* Of plaintext: seven records with what belongs to them fill a block of 128 KB. */
    BATCH = 7 * CL_TLS_RECORD,
    BATCH_RECORDS_MORE = 9 * CL_TLS_RECORD_MORE,
    /* As much of one connection's bytes is sent before others get their turn. */
    BURST = 1 << 20,
};

static size_t left_up_to(const struct cl_tls *t, size_t most) {
    size_t n = 0;
    for (int i = 0; i < t->iov_count && n < most; i++)
        n += t->iov[i].iov_len;
    if (t->file && n < most)
        n += (size_t)CL_MIN(t->file->left, (uint64_t)most);
    return CL_MIN(n, most);
}

static void skip_empty(struct cl_tls *t) {
    while (t->iov_count && !t->iov->iov_len) {
        t->iov++;
        t->iov_count--;
    }
}

static void advance(struct cl_tls *t, size_t n) {
    t->iov->iov_base = (char *)t->iov->iov_base + n;
    t->iov->iov_len -= n;
    skip_empty(t);
}

static int fail(struct cl_tls *t, int why) {
    t->broken = true;
    errno = why;
    return CELLO_ESYS;
}

/* One or more records of bytes that lie together. */
static int seal(struct cl_tls *t, const char *from, size_t n) {
    size_t written;
    if (CL_LIKELY(SSL_write_ex(t->ssl, from, n, &written) == 1))
        return CELLO_OK;
    ERR_clear_error();
    return fail(t, t->fill ? EPIPE : ENOMEM);
}

/* One record of pieces that are moved together, the last of them from the file. *n: its bytes. */
static int seal_pieces(struct cl_tls *t, size_t budget, size_t *n) {
    size_t most = left_up_to(t, CL_MIN(budget, (size_t)CL_TLS_RECORD)), at = 0;
    struct cl_block *b = cl_block_new(cl_loop_pool(t->super.loop), most);
    if (!b)
        return fail(t, ENOMEM);
    while (t->iov_count && at < most) {
        size_t part = CL_MIN(t->iov->iov_len, most - at);
        memcpy(b->data + at, t->iov->iov_base, part);
        at += part;
        advance(t, part);
    }
    int err = CELLO_OK;
    if (at < most)
        err = cl_file_part_read(t->file, b->data + at, most - at);
    if (!err)
        err = seal(t, b->data, most);
    cl_block_unref(b);
    *n = most;
    return err;
}

/* Whether the next piece is sealed where it lies: whole records, or all that there is. */
static bool lies_alone(const struct cl_tls *t) {
    return t->iov_count &&
           (t->iov->iov_len >= CL_TLS_RECORD || (t->iov_count == 1 && !(t->file && t->file->left)));
}

/* The next batch of the send in progress into t->fill. */
static int seal_batch(struct cl_tls *t) {
    size_t budget = left_up_to(t, BATCH);
    size_t room = budget + (budget > CL_TLS_RECORD ? BATCH_RECORDS_MORE : 2 * CL_TLS_RECORD_MORE);
    if (!t->fill && !(t->fill = cl_block_new(cl_loop_pool(t->super.loop), room)))
        return fail(t, ENOMEM);
    int err = CELLO_OK;
    t->sealing = true;
    t->batches++;
    while (budget && !err) {
        size_t n;
        if (lies_alone(t)) {
            n = CL_MIN(t->iov->iov_len, budget);
            if (n > CL_TLS_RECORD)
                n -= n % CL_TLS_RECORD;
            err = seal(t, t->iov->iov_base, n);
            advance(t, n);
        } else {
            err = seal_pieces(t, budget, &n);
        }
        budget -= n;
    }
    t->sealing = false;
    return err;
}

int cl_tls_push(struct cl_tls *t) {
    if (CL_UNLIKELY(t->kernel))
        return cl_tls_kernel_push(t);
    if (t->fly)
        return CELLO_EAGAIN;
    if (!t->fill)
        return CELLO_OK;
    t->fly = t->fill;
    t->fill = NULL;
    t->held = false;
    t->fly_iov = (struct iovec){cl_block_rd(t->fly), cl_block_len(t->fly)};
    int err = cl_stream_send(t->lower, &t->fly_iov, 1);
    if (err == CELLO_EAGAIN)
        return err;
    cl_block_drop(&t->fly);
    return err;
}

bool cl_tls_has_plaintext(const struct cl_tls *t) {
    return t->iov_count || (t->file && t->file->left);
}

/* CELLO_EAGAIN: the transport is at it, or others come first. */
static int go_on(struct cl_tls *t) {
    if (CL_UNLIKELY(t->kernel))
        return cl_tls_kernel_go_on(t);
    for (size_t sent = 0;; sent += BATCH) {
        int err = CELLO_OK;
        if (cl_tls_has_plaintext(t) && (!t->fill || cl_block_len(t->fill) < CL_TLS_RECORD))
            err = seal_batch(t);
        if (!err)
            err = cl_tls_push(t);
        if (err)
            return err;
        if (!cl_tls_has_plaintext(t))
            return CELLO_OK;
        if (sent >= BURST) {
            cl_loop_flush_later(t->super.loop, &t->later);
            return CELLO_EAGAIN;
        }
    }
}

/* Once: a second call of OpenSSL's would read. */
static void say_close(struct cl_tls *t) {
    if (t->broken || !t->ssl || !SSL_is_init_finished(t->ssl) ||
        SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN)
        return;
    (void)SSL_shutdown(t->ssl);
    ERR_clear_error();
}

void cl_tls_half_close(struct cl_tls *t) {
    if (!t->shut || t->sending || t->lower_shut || t->state == CL_TLS_CLOSED)
        return;
    say_close(t);
    if (t->fly && t->fill)
        return; /* when that is over */
    int err = cl_tls_push(t);
    if (t->kernel && err == CELLO_EAGAIN)
        return; /* a record is sent by itself, and there may be more */
    if (err != CELLO_ESYS)
        cl_stream_shutdown(t->lower);
    t->lower_shut = true;
}

void cl_tls_go_on_sending(struct cl_tls *t) {
    int err = t->broken ? fail(t, EPIPE) : go_on(t);
    if (err == CELLO_EAGAIN)
        return;
    t->quiet |= err != CELLO_OK;
    if (t->sending) {
        t->sending = false;
        t->file = NULL;
        t->super.handler->on_sent(&t->super, err);
    }
    cl_tls_half_close(t);
}

int cl_tls_sendfile(struct cl_stream *s, struct iovec *iov, int count, struct cl_file_part *file) {
    struct cl_tls *t = CL_CONTAINER_OF(s, struct cl_tls, super);
    assert(!t->sending);
    if (CL_UNLIKELY(t->state != CL_TLS_OPEN || t->broken || t->shut)) {
        errno = EPIPE;
        return CELLO_ESYS;
    }
    t->iov = iov;
    t->iov_count = count;
    t->file = file;
    skip_empty(t);
    int err = go_on(t);
    t->sending = err == CELLO_EAGAIN;
    if (!t->sending)
        t->file = NULL;
    t->quiet |= err != CELLO_OK && !t->sending; /* what is cut must not look whole */
    return err;
}

int cl_tls_send(struct cl_stream *s, struct iovec *iov, int count) {
    return cl_tls_sendfile(s, iov, count, NULL);
}

void cl_tls_on_sent(struct cl_stream *lower, int err) {
    struct cl_tls *t = lower->protocol;
    cl_block_drop(&t->fly);
    t->lent = false;
    if (CL_UNLIKELY(t->state == CL_TLS_CLOSED)) {
        if (err || cl_tls_push(t) != CELLO_EAGAIN)
            cl_tls_leave(t);
        return;
    }
    if (CL_UNLIKELY(err)) {
        t->broken = true;
        if (t->sending) {
            t->sending = false;
            t->super.handler->on_sent(&t->super, err);
        }
        return; /* the transport tells the reader, too */
    }
    cl_tls_go_on_sending(t);
}

void cl_tls_shutdown(struct cl_stream *s) {
    struct cl_tls *t = CL_CONTAINER_OF(s, struct cl_tls, super);
    t->shut = true;
    cl_tls_half_close(t);
}

int cl_tls_say_goodbye(struct cl_tls *t) {
    if (t->quiet || (t->sending && (t->lent || cl_tls_has_plaintext(t))))
        return CELLO_OK;
    say_close(t);
    return cl_tls_push(t);
}
