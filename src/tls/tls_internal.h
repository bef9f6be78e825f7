/* What the files of src/tls share. Only they include this. */
#ifndef CL_TLS_INTERNAL_H
#define CL_TLS_INTERNAL_H

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "tls/names.h"
#include "tls/staple.h"
#include "tls/stream.h"

/* What one load of the files gave: read-only, and kept by the connections that began with it. */
struct cl_tls_setup {
    uint32_t refs;
    bool h2;     /* offered by ALPN */
    bool kernel; /* seals where it can */
    SSL_CTX *main;
    struct cl_tls_names names; /* each with its own SSL_CTX */
    struct cl_tls_keys *keys;
    struct cl_tls_staple staple; /* of the main certificate */
};

/* Where the keys of tickets come from; belongs to the context and to each of its setups. */
struct cl_tls_keys {
    uint32_t refs;
    struct cl_ticket_area *area; /* NULL: given by the user */
    struct cl_ticket_area own;
    size_t given_count;
    struct cl_ticket_key given[];
};

/* NULL: out of memory, or `why` has it. */
struct cl_tls_keys *cl_tls_keys_new(const struct cello_tls_config *cfg,
                                    struct cl_ticket_area *area) CL_MUST_USE;
void cl_tls_keys_unref(struct cl_tls_keys *k); /* NULL is ignored */
/* OpenSSL's callback for tickets of connections whose application data is a struct cl_tls. */
int cl_tls_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                  EVP_MAC_CTX *mac, int encrypt);

/* One reference. Errors: as cl_tls_context_new. */
int cl_tls_setup_new(struct cl_tls_setup **out, const struct cello_tls_config *cfg,
                     struct cl_tls_keys *keys, char why[CELLO_TLS_WHY]) CL_MUST_USE;
void cl_tls_setup_unref(struct cl_tls_setup *s);
struct cl_tls_setup *cl_tls_context_setup(struct cl_tls_context *c); /* borrowed */

/* Errors that somebody else left in this thread's queue would be taken for ours. */
CL_INLINE void cl_tls_forget_errors(void) {
    if (CL_UNLIKELY(ERR_peek_error() != 0))
        ERR_clear_error();
}

/* ---- the connection ---- */

/* Of a record: its head, tag or MAC, padding, the nonce of TLS 1.2. */
enum { CL_TLS_RECORD = SSL3_RT_MAX_PLAIN_LENGTH, CL_TLS_RECORD_MORE = 96 };
/* Most that a handshake, or a batch of records, makes. */
enum { CL_TLS_OUT_MAX = 1 << 20 };

enum cl_tls_state {
    CL_TLS_HELLO,     /* the first bytes are looked at */
    CL_TLS_HANDSHAKE, /* OpenSSL has them */
    CL_TLS_OPEN,
    CL_TLS_FAILED, /* the client may read the alert */
    CL_TLS_CLOSED, /* by the protocol; `lower` closes when it has sent the last words */
};

struct cl_tls {
    struct cl_stream super;
    struct cl_stream *lower;
    SSL *ssl; /* NULL: nothing has come yet */
    struct cl_tls_setup *setup;
    cl_tls_ready_fn on_ready;
    struct cl_timer timer; /* of the handshake, and of the last words */
    struct cl_flush later;
    struct cl_block *fill; /* records that wait for the transport; NULL: none */
    struct cl_block *fly;  /* records on their way; NULL: none */
    struct iovec fly_iov;
    struct iovec *iov; /* the protocol's send in progress, as far as it is not sealed yet */
    int iov_count;
    struct cl_file_part *file;
    uint64_t batches;    /* sealed */
    size_t taken;        /* bytes read by OpenSSL; a handshake has its limit */
    uint64_t updated_ns; /* when all KeyUpdates are paid for; in the past: they are */
    const char *failure; /* of the handshake; static */
    struct cl_tls_identity *identity;
    enum cl_tls_state state;
    int end;         /* CELLO_EOF or CELLO_ESYS behind what was read; 0: none */
    int end_errno;   /* of the latter */
    int failed_with; /* what on_ready is told after the alert */
    bool end_told, truncated;
    bool paused, receiving, by_hand;
    bool sending;      /* on_sent is owed */
    bool sealing;      /* as much as is needed may be written */
    bool held, waited; /* `fill` has tickets, which may go with the first answer */
    bool shut, quiet;  /* cl_stream_shutdown was called; no close_notify */
    bool broken;       /* OpenSSL must not be asked any more */
    bool lower_shut;   /* half-closed */
    /* kernel.c: it seals what is sent. `fill` has records in clear then, but no data. */
    bool kernel;
    bool lent;            /* the transport has the protocol's bytes */
    unsigned char record; /* the type of what OpenSSL writes next; 0: nothing is expected */
};

/* The BIO of a connection: reads from t->lower->in, writes to t->fill. NULL: out of memory. */
BIO *cl_tls_bio_new(struct cl_tls *t) CL_MUST_USE;

/* ---- write.c ---- */

int cl_tls_send(struct cl_stream *s, struct iovec *iov, int count);
int cl_tls_sendfile(struct cl_stream *s, struct iovec *iov, int count, struct cl_file_part *file);
/* Hand t->fill to the transport. CELLO_OK: it has all; CELLO_EAGAIN: something is on its way;
 * CELLO_ESYS. */
int cl_tls_push(struct cl_tls *t);
/* The transport is done with t->fly, or some time has passed: on with what is left. */
void cl_tls_go_on_sending(struct cl_tls *t);
bool cl_tls_has_plaintext(const struct cl_tls *t);
void cl_tls_on_sent(struct cl_stream *lower, int err);
void cl_tls_shutdown(struct cl_stream *s);
/* If t->shut: close_notify unless it is broken, then the end, behind all that is being sent. */
void cl_tls_half_close(struct cl_tls *t);
/* The last words of a connection that closes: an alert that waits, or close_notify. CELLO_EAGAIN:
 * they are on their way, and cl_tls_on_sent leaves behind them. CELLO_OK, CELLO_ESYS: nothing is.
 */
int cl_tls_say_goodbye(struct cl_tls *t) CL_MUST_USE;

/* ---- stream.c ---- */

/* The protocol has closed, and now the transport is. */
void cl_tls_leave(struct cl_tls *t);

/* Bytes of records that do not wait for a send of the protocol's: at most, in t->fill. */
CL_INLINE size_t cl_tls_fill_max(const struct cl_tls *t) {
    return t->sealing || t->state < CL_TLS_OPEN ? (size_t)CL_TLS_OUT_MAX : CL_TLS_CONTROL_MAX;
}

/* ---- kernel.c: records are made by the kernel (kTLS) ----
 *
 * Only of TLS 1.3 with AES-GCM, on a transport that can. OpenSSL offers the key when it has written
 * its Finished; what it sealed itself is sent first, and then all that leaves is sealed below: data
 * goes to the transport as it comes from the protocol, and OpenSSL writes the other records, which
 * are few, in clear. Declined, it goes on sealing, and nothing has changed. */

/* What OpenSSL says to a BIO that can do this (bio_ctrl of bio.c). `info` begins with a
 * struct tls_crypto_info. */
bool cl_tls_kernel_take_key(struct cl_tls *t, const void *info);
/* A record of t->record in clear, from OpenSSL. False: it must not leave, and t is broken. */
bool cl_tls_kernel_write(struct cl_tls *t, const char *from, size_t n) CL_MUST_USE;
/* As cl_tls_push, and the protocol's send in progress behind it. */
int cl_tls_kernel_push(struct cl_tls *t);
int cl_tls_kernel_go_on(struct cl_tls *t);
/* The client wants other keys, which the kernel cannot change: the connection ends. */
void cl_tls_kernel_refuse_update(struct cl_tls *t);

/* ---- read.c ---- */

/* Report what has come, until the protocol pauses or nothing is left. */
void cl_tls_receive(struct cl_tls *t);
/* Nothing more is read: CELLO_EOF or CELLO_ESYS, with the errno `why`. The first end counts. */
void cl_tls_end_with(struct cl_tls *t, int end, int why);
/* OpenSSL's callback for messages of connections whose application data is a struct cl_tls. */
void cl_tls_on_message(int written, int version, int type, const void *bytes, size_t n, SSL *ssl,
                       void *arg);
int cl_tls_recv_now(struct cl_stream *s, char *to, size_t n);
/* There is something for OpenSSL to read, or in it. */
bool cl_tls_has_input(const struct cl_tls *t);

void cl_tls_identity_del(struct cl_tls_identity *i); /* NULL is ignored */

#endif
