#include "tls/local.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <unistd.h>

#include "tls/files.h"

enum { DAY_S = 86400, PATH_MAX_BYTES = 4096 };

/* ---- what lies there ------------------------------------------------------------------------ */

static bool lasts_a_day(const X509 *cert) {
    int days, seconds;
    return ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert)) == 1 && days >= 1;
}

static bool is_good(const char *cert_path, const char *key_path, char *why) {
    STACK_OF(X509) *certs = NULL;
    EVP_PKEY *key = NULL;
    bool good = cl_tls_read_certificates(cert_path, &certs, why) == CELLO_OK &&
                cl_tls_read_key(key_path, cl_str(NULL, 0), &key, why) == CELLO_OK &&
                X509_check_private_key(sk_X509_value(certs, 0), key) == 1 &&
                lasts_a_day(sk_X509_value(certs, 0));
    EVP_PKEY_free(key);
    sk_X509_pop_free(certs, X509_free);
    ERR_clear_error();
    return good;
}

/* ---- a new one ------------------------------------------------------------------------------ */

static bool add(X509 *cert, int kind, const char *value) {
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, kind, value);
    bool ok = e && X509_add_ext(cert, e, -1) == 1;
    X509_EXTENSION_free(e);
    return ok;
}

/* 127 bits: no two have the same, and it is positive. */
static bool set_serial(X509 *cert) {
    unsigned char bytes[16];
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return false;
    bytes[0] &= 0x7f;
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return ok;
}

static bool fill(X509 *cert, EVP_PKEY *key) {
    X509_NAME *name = X509_get_subject_name(cert);
    const unsigned char *text = (const unsigned char *)"localhost";
    return X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
           X509_gmtime_adj(X509_getm_notBefore(cert), 0) &&
           X509_gmtime_adj(X509_getm_notAfter(cert), (long)CL_TLS_LOCAL_DAYS * DAY_S) &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, text, -1, -1, 0) == 1 &&
           X509_set_issuer_name(cert, name) == 1 && X509_set_pubkey(cert, key) == 1 &&
           add(cert, NID_basic_constraints, "critical,CA:FALSE") &&
           add(cert, NID_key_usage, "critical,digitalSignature") &&
           add(cert, NID_ext_key_usage, "serverAuth") &&
           add(cert, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1") &&
           X509_sign(cert, key, EVP_sha256()) > 0;
}

/* ---- files ---------------------------------------------------------------------------------- */

static int not_written(const char *path, char *why) {
    snprintf(why, CELLO_TLS_WHY, "cannot write '%s': %s", path, strerror(errno));
    return CELLO_ESYS;
}

static bool write_all(int fd, const char *bytes, size_t n) {
    while (n) {
        ssize_t part = write(fd, bytes, n);
        if (part < 0 && errno != EINTR)
            return false;
        bytes += part > 0 ? part : 0;
        n -= part > 0 ? (size_t)part : 0;
    }
    return true;
}

/* Beside its place at first, so that nobody reads a half. */
static int write_file(const char *path, BIO *bio, mode_t mode, char *why) {
    char beside[PATH_MAX_BYTES];
    char *bytes;
    long n = BIO_get_mem_data(bio, &bytes);
    int len = snprintf(beside, sizeof beside, "%s.new", path);
    if (len < 0 || (size_t)len >= sizeof beside) {
        errno = ENAMETOOLONG;
        return not_written(path, why);
    }
    (void)unlink(beside);
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return not_written(path, why);
    bool ok = write_all(fd, bytes, (size_t)n);
    ok = close(fd) == 0 && ok && rename(beside, path) == 0;
    int err = ok ? CELLO_OK : not_written(path, why);
    if (!ok)
        (void)unlink(beside);
    return err;
}

static int write_pair(const char *cert_path, const char *key_path, X509 *cert, EVP_PKEY *key,
                      char *why) {
    BIO *cert_pem = BIO_new(BIO_s_mem()), *key_pem = BIO_new(BIO_s_secmem());
    int err;
    if (!cert_pem || !key_pem || PEM_write_bio_X509(cert_pem, cert) != 1 ||
        PEM_write_bio_PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL) != 1)
        err = cl_tls_wrong(why, "OpenSSL cannot write a certificate");
    else
        err = write_file(key_path, key_pem, 0600, why);
    if (!err)
        err = write_file(cert_path, cert_pem, 0644, why);
    BIO_free(cert_pem);
    BIO_free(key_pem);
    return err;
}

int cl_tls_local_pair(const char *cert_path, const char *key_path, bool *made,
                      char why[CELLO_TLS_WHY]) {
    *made = !is_good(cert_path, key_path, why);
    if (!*made) {
        *why = '\0';
        return CELLO_OK;
    }
    X509 *cert = X509_new();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    int err;
    if (!cert || !key || !fill(cert, key))
        err = cl_tls_wrong(why, "OpenSSL cannot make a certificate");
    else
        err = write_pair(cert_path, key_path, cert, key, why);
    EVP_PKEY_free(key);
    X509_free(cert);
    return err;
}
