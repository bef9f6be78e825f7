#include "tls/files.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"

int cl_tls_wrong(char why[CELLO_TLS_WHY], const char *format, ...) {
    bool memory = ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE;
    va_list args;
    va_start(args, format);
    if (memory)
        snprintf(why, CELLO_TLS_WHY, "out of memory");
    else
        vsnprintf(why, CELLO_TLS_WHY, format, args);
    va_end(args);
    ERR_clear_error();
    return memory ? CELLO_ENOMEM : CELLO_EINVAL;
}

static int no_memory(char why[CELLO_TLS_WHY]) {
    snprintf(why, CELLO_TLS_WHY, "out of memory");
    ERR_clear_error();
    return CELLO_ENOMEM;
}

/* ---- files ---------------------------------------------------------------------------------- */

static int unreadable(const char *path, const char *what, char why[CELLO_TLS_WHY]) {
    snprintf(why, CELLO_TLS_WHY, "cannot read the %s '%s': %s", what, path, strerror(errno));
    return CELLO_ESYS;
}

static int read_open(int fd, struct cl_tls_bytes *out) {
    struct stat st;
    if (fstat(fd, &st))
        return CELLO_ESYS;
    if (st.st_size > CL_TLS_FILE_MAX)
        return CELLO_ELIMIT;
    /* One more byte than it says, so that a file that grows is seen to; or that has no size. */
    size_t room = S_ISREG(st.st_mode) ? (size_t)st.st_size + 1 : (size_t)CL_TLS_FILE_MAX;
    out->ptr = cl_malloc(room);
    if (!out->ptr)
        return CELLO_ENOMEM;
    for (;;) {
        ssize_t n = read(fd, out->ptr + out->len, room - out->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? CELLO_ESYS : CELLO_OK;
        out->len += (size_t)n;
        if (out->len == room)
            return CELLO_ELIMIT;
    }
}

int cl_tls_read_file(const char *path, const char *what, struct cl_tls_bytes *out,
                     char why[CELLO_TLS_WHY]) {
    *out = (struct cl_tls_bytes){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return unreadable(path, what, why);
    int err = read_open(fd, out);
    if (err == CELLO_ESYS)
        err = unreadable(path, what, why);
    else if (err == CELLO_ENOMEM)
        err = no_memory(why);
    else if (err)
        err =
            cl_tls_wrong(why, "the %s '%s' is too large, or changes while it is read", what, path);
    close(fd);
    if (err)
        cl_tls_bytes_free(out);
    return err;
}

void cl_tls_bytes_free(struct cl_tls_bytes *b) {
    if (b->ptr)
        OPENSSL_cleanse(b->ptr, b->len);
    cl_free(b->ptr);
    *b = (struct cl_tls_bytes){0};
}

/* ---- certificates --------------------------------------------------------------------------- */

static int parse_certificates(BIO *bio, const char *path, STACK_OF(X509) * all,
                              char why[CELLO_TLS_WHY]) {
    for (;;) {
        X509 *cert = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
        if (!cert)
            break;
        if (!sk_X509_push(all, cert)) {
            X509_free(cert);
            return no_memory(why);
        }
    }
    unsigned long last = ERR_peek_last_error();
    if (ERR_GET_LIB(last) != ERR_LIB_PEM || ERR_GET_REASON(last) != PEM_R_NO_START_LINE)
        return cl_tls_wrong(why, "the certificate '%s' is damaged", path);
    ERR_clear_error();
    if (sk_X509_num(all) == 0)
        return cl_tls_wrong(why, "there is no PEM certificate in '%s'", path);
    return CELLO_OK;
}

int cl_tls_read_certificates(const char *path, STACK_OF(X509) * *out, char why[CELLO_TLS_WHY]) {
    struct cl_tls_bytes bytes;
    int err = cl_tls_read_file(path, "certificate", &bytes, why);
    if (err)
        return err;
    ERR_clear_error();
    STACK_OF(X509) *all = sk_X509_new_null();
    BIO *bio = BIO_new_mem_buf(bytes.ptr, (int)bytes.len);
    err = all && bio ? parse_certificates(bio, path, all, why) : no_memory(why);
    BIO_free(bio);
    cl_tls_bytes_free(&bytes);
    if (err)
        sk_X509_pop_free(all, X509_free);
    else
        *out = all;
    return err;
}

/* ---- keys ----------------------------------------------------------------------------------- */

struct password {
    struct cl_str text;
    bool asked;
};

static int give_password(char *to, int room, int writing, void *ctx) {
    struct password *p = ctx;
    (void)writing;
    p->asked = true;
    if (p->text.len == 0 || p->text.len > (size_t)room)
        return -1;
    memcpy(to, p->text.ptr, p->text.len);
    return (int)p->text.len;
}

int cl_tls_read_key(const char *path, struct cl_str password, EVP_PKEY **out,
                    char why[CELLO_TLS_WHY]) {
    struct cl_tls_bytes bytes;
    struct password p = {.text = password};
    int err = cl_tls_read_file(path, "key", &bytes, why);
    if (err)
        return err;
    ERR_clear_error();
    BIO *bio = BIO_new_mem_buf(bytes.ptr, (int)bytes.len);
    *out = bio ? PEM_read_bio_PrivateKey(bio, NULL, give_password, &p) : NULL;
    if (!bio)
        err = no_memory(why);
    else if (!*out && p.asked && !password.len)
        err = cl_tls_wrong(why, "the key '%s' is encrypted, and there is no key_password", path);
    else if (!*out && p.asked)
        err = cl_tls_wrong(why, "key_password does not open the key '%s'", path);
    else if (!*out)
        err = cl_tls_wrong(why, "there is no PEM private key in '%s'", path);
    ERR_clear_error();
    BIO_free(bio);
    cl_tls_bytes_free(&bytes);
    return err;
}

/* ---- both ----------------------------------------------------------------------------------- */

static void warn_of_dates(const char *path, const X509 *cert) {
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
        cl_log(CL_LOG_WARNING, "the certificate '%s' has expired: clients will refuse it", path);
    else if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0)
        cl_log(CL_LOG_WARNING, "the certificate '%s' is not valid yet: clients will refuse it",
               path);
    ERR_clear_error(); /* of dates that cannot be compared */
}

static const char *openssl_says(void) {
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    return text ? text : "OpenSSL does not say why";
}

static int use_chain(SSL_CTX *ctx, STACK_OF(X509) * all, const char *path,
                     char why[CELLO_TLS_WHY]) {
    X509 *cert = sk_X509_value(all, 0);
    if (SSL_CTX_use_certificate(ctx, cert) != 1)
        return cl_tls_wrong(why, "the certificate '%s' cannot be used: %s", path, openssl_says());
    for (int i = 1; i < sk_X509_num(all); i++)
        if (SSL_CTX_add1_chain_cert(ctx, sk_X509_value(all, i)) != 1)
            return cl_tls_wrong(why, "certificate %d in '%s' cannot be used: %s", i + 1, path,
                                openssl_says());
    warn_of_dates(path, cert);
    return CELLO_OK;
}

int cl_tls_use_pair(SSL_CTX *ctx, const char *cert_path, const char *key_path,
                    struct cl_str password, char why[CELLO_TLS_WHY]) {
    STACK_OF(X509) *all = NULL;
    EVP_PKEY *key = NULL;
    int err = cl_tls_read_certificates(cert_path, &all, why);
    if (!err)
        err = cl_tls_read_key(key_path, password, &key, why);
    if (!err && X509_check_private_key(sk_X509_value(all, 0), key) != 1)
        err = cl_tls_wrong(why, "the key '%s' does not belong to the certificate '%s'", key_path,
                           cert_path);
    if (!err)
        err = use_chain(ctx, all, cert_path, why);
    if (!err && SSL_CTX_use_PrivateKey(ctx, key) != 1)
        err = cl_tls_wrong(why, "the key '%s' cannot be used: %s", key_path, openssl_says());
    EVP_PKEY_free(key);
    sk_X509_pop_free(all, X509_free);
    return err;
}
