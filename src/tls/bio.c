/* The BIO between OpenSSL and a stream: input is read from the transport's block where it lies,
 * output gathers in a block. It never blocks on output: what may be written is bounded by whoever
 * asks OpenSSL to write. */
#include <stdatomic.h>

#include "tls/tls_internal.h"

/* What OpenSSL says to the BIO of a socket about a kernel that seals. bio.h lists the numbers as
 * taken, and names but one of them. */
enum kernel_talk {
    TAKE_KEY = 72, /* number: 0 for reading; pointer: the key */
    SEALS_WRITES = 73,
    RECORD_TYPE = 74, /* of the write that follows */
    NO_RECORD_TYPE = 75,
};

/* Made when it is needed first, and kept. */
static _Atomic(BIO_METHOD *) method;

static int bio_read(BIO *b, char *to, size_t n, size_t *got) {
    struct cl_tls *t = BIO_get_data(b);
    struct cl_block *in = t->lower->in;
    size_t here = in ? cl_block_len(in) : 0;
    *got = 0;
    BIO_clear_retry_flags(b);
    if (CL_UNLIKELY(t->broken))
        return -1;
    if (!here) {
        BIO_set_retry_read(b);
        return -1;
    }
    n = CL_MIN(n, here);
    memcpy(to, cl_block_rd(in), n);
    in->rd += n;
    t->taken += n;
    *got = n;
    return 1;
}

static int bio_write(BIO *b, const char *from, size_t n, size_t *written) {
    struct cl_tls *t = BIO_get_data(b);
    *written = 0;
    BIO_clear_retry_flags(b);
    if (CL_UNLIKELY(t->kernel)) {
        if (!cl_tls_kernel_write(t, from, n))
            return -1;
        *written = n;
        return 1;
    }
    if (!t->fill)
        t->fill = cl_block_new(cl_loop_pool(t->super.loop), n);
    if (!t->fill || cl_block_reserve(&t->fill, n, cl_tls_fill_max(t)) != CELLO_OK) {
        t->broken = true;
        return -1;
    }
    memcpy(cl_block_wr(t->fill), from, n);
    t->fill->wr += n;
    *written = n;
    return 1;
}

static long bio_ctrl(BIO *b, int command, long number, void *pointer) {
    struct cl_tls *t = BIO_get_data(b);
    switch (command) {
    case BIO_CTRL_FLUSH: return 1;
#ifndef OPENSSL_NO_KTLS
    case TAKE_KEY: return number && cl_tls_kernel_take_key(t, pointer);
    case SEALS_WRITES: return t->kernel;
    case RECORD_TYPE: t->record = (unsigned char)number; return 0;
    case NO_RECORD_TYPE: t->record = 0; return 0;
#endif
    default: return 0;
    }
}

static BIO_METHOD *get_method(void) {
    BIO_METHOD *m = atomic_load_explicit(&method, memory_order_acquire);
    if (CL_LIKELY(m))
        return m;
    BIO_METHOD *none = NULL;
    m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "cello");
    if (!m || !BIO_meth_set_read_ex(m, bio_read) || !BIO_meth_set_write_ex(m, bio_write) ||
        !BIO_meth_set_ctrl(m, bio_ctrl) || !atomic_compare_exchange_strong(&method, &none, m)) {
        BIO_meth_free(m);
        m = none;
    }
    return m;
}

BIO *cl_tls_bio_new(struct cl_tls *t) {
    const BIO_METHOD *m = get_method();
    BIO *b = m ? BIO_new(m) : NULL;
    if (!b)
        return NULL;
    BIO_set_data(b, t);
    BIO_set_init(b, 1);
    return b;
}
