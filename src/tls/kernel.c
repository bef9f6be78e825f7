/* A connection whose records the kernel makes.
 *
 * t->fill holds the records that OpenSSL writes, in clear, each behind a head of three bytes: the
 * type and the length. They leave one at a time, since each is a call of its own. */
#include <errno.h>
#include <linux/tls.h>

#include "tls/tls_internal.h"

enum { HEAD = 3 };

/* ---- the key --------------------------------------------------------------------------------- */

/* Bytes of what the kernel is told; 0: not for it. TLS 1.2 seals its Finished with the same key,
 * and old kernels do not have the other ciphers. */
static size_t size_of_key(const void *info) {
    struct tls_crypto_info head;
    memcpy(&head, info, sizeof head);
    if (head.version != TLS_1_3_VERSION)
        return 0;
    switch (head.cipher_type) {
    case TLS_CIPHER_AES_GCM_128: return sizeof(struct tls12_crypto_info_aes_gcm_128);
    case TLS_CIPHER_AES_GCM_256: return sizeof(struct tls12_crypto_info_aes_gcm_256);
    default: return 0;
    }
}

bool cl_tls_kernel_take_key(struct cl_tls *t, const void *info) {
    size_t n = size_of_key(info);
    if (CL_UNLIKELY(t->kernel)) {
        t->broken = true; /* a second key, which OpenSSL would seal with above the first */
        return false;
    }
    if (!n || t->fly || t->broken)
        return false;
    struct iovec first = {0};
    if (t->fill)
        first = (struct iovec){cl_block_rd(t->fill), cl_block_len(t->fill)};
    t->kernel = cl_stream_seal(t->lower, &first, info, n) == CELLO_OK;
    if (t->fill) {
        t->fill->rd = t->fill->wr - first.iov_len;
        cl_block_drop_empty(&t->fill);
    }
    return t->kernel;
}

/* ---- records of OpenSSL's -------------------------------------------------------------------- */

static bool keep(struct cl_tls *t, unsigned char type, const void *from, size_t n) {
    const char head[HEAD] = {(char)type, (char)(n >> 8), (char)n};
    if (!t->fill)
        t->fill = cl_block_new(cl_loop_pool(t->super.loop), n + HEAD);
    if (!t->fill || cl_block_reserve(&t->fill, n + HEAD, cl_tls_fill_max(t)) != CELLO_OK)
        return false;
    memcpy(cl_block_wr(t->fill), head, HEAD);
    memcpy(cl_block_wr(t->fill) + HEAD, from, n);
    t->fill->wr += n + HEAD;
    return true;
}

/* Without a type it is data, which goes another way; or sealed already, with a key that the kernel
 * does not have. */
bool cl_tls_kernel_write(struct cl_tls *t, const char *from, size_t n) {
    unsigned char type = t->record;
    t->record = 0;
    if (t->broken || !n || n > CL_TLS_RECORD ||
        (type != SSL3_RT_ALERT && type != SSL3_RT_HANDSHAKE) ||
        (type == SSL3_RT_HANDSHAKE && *from == SSL3_MT_KEY_UPDATE) || !keep(t, type, from, n)) {
        t->broken = true;
        return false;
    }
    return true;
}

void cl_tls_kernel_refuse_update(struct cl_tls *t) {
    static const unsigned char alert[] = {SSL3_AL_FATAL, SSL_AD_INTERNAL_ERROR};
    if (t->broken)
        return;
    (void)keep(t, SSL3_RT_ALERT, alert, sizeof alert);
    t->broken = true;
    cl_tls_end_with(t, CELLO_ESYS, EPROTO);
}

/* ---- to the transport ------------------------------------------------------------------------ */

/* The first record of t->fill becomes t->fly. */
static int send_record(struct cl_tls *t) {
    struct cl_block *b = t->fill;
    const unsigned char *head = (const unsigned char *)cl_block_rd(b);
    size_t n = (size_t)head[1] << 8 | head[2];
    t->fly_iov = (struct iovec){cl_block_rd(b) + HEAD, n};
    t->fly = b;
    cl_block_ref(b);
    b->rd += HEAD + n;
    if (!cl_block_len(b))
        cl_block_drop(&t->fill);
    return cl_stream_send_record(t->lower, *head, &t->fly_iov, 1);
}

int cl_tls_kernel_push(struct cl_tls *t) {
    if (t->fly || t->lent)
        return CELLO_EAGAIN;
    t->held = false;
    while (t->fill) {
        int err = send_record(t);
        if (err == CELLO_EAGAIN)
            return err;
        cl_block_drop(&t->fly);
        if (err)
            return err;
    }
    return CELLO_OK;
}

int cl_tls_kernel_go_on(struct cl_tls *t) {
    int err = cl_tls_kernel_push(t);
    if (err || !cl_tls_has_plaintext(t))
        return err;
    struct iovec *iov = t->iov;
    struct cl_file_part *file = t->file && t->file->left ? t->file : NULL;
    int count = t->iov_count;
    t->iov_count = 0;
    t->file = NULL;
    t->batches++;
    err = file ? cl_stream_sendfile(t->lower, iov, count, file)
               : cl_stream_send(t->lower, iov, count);
    t->lent = err == CELLO_EAGAIN;
    return err;
}
