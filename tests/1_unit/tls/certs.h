/* Certificates for tests, made on the spot. */
#ifndef CL_TEST_TLS_CERTS_H
#define CL_TEST_TLS_CERTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/common.h"

/* What a certificate for tests is made with. */
struct cert {
    X509 *x509;
    EVP_PKEY *key;
};

struct cert_wish {
    const char *cn;
    const char *san;           /* as in openssl.cnf; NULL: none */
    const struct cert *issuer; /* NULL: itself */
    bool ca;
    long from_s, to_s; /* from now; 0, 0: a day around it */
};

CL_UNUSED static void add_extension(X509 *x, X509 *issuer, int nid, const char *text) {
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, text);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

CL_UNUSED static struct cert cert_make(const struct cert_wish *w) {
    static long serial = 0x1000;
    struct cert c = {X509_new(), EVP_EC_gen("P-256")};
    assert_true(c.x509 && c.key);
    const struct cert *issuer = w->issuer ? w->issuer : &c;
    X509_set_version(c.x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(c.x509), serial++);
    X509_gmtime_adj(X509_getm_notBefore(c.x509), w->to_s ? w->from_s : -86400);
    X509_gmtime_adj(X509_getm_notAfter(c.x509), w->to_s ? w->to_s : 86400);
    X509_NAME *name = X509_get_subject_name(c.x509);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)w->cn, -1, -1, 0);
    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"Cello", -1, -1, 0);
    X509_set_issuer_name(c.x509, X509_get_subject_name(issuer->x509));
    X509_set_pubkey(c.x509, c.key);
    add_extension(c.x509, issuer->x509, NID_basic_constraints,
                  w->ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (w->san)
        add_extension(c.x509, issuer->x509, NID_subject_alt_name, w->san);
    assert_true(X509_sign(c.x509, issuer->key, EVP_sha256()) > 0);
    return c;
}

CL_UNUSED static void cert_free(struct cert *c) {
    X509_free(c->x509);
    EVP_PKEY_free(c->key);
}

CL_UNUSED static void write_certs(const char *path, const struct cert *first,
                                  const struct cert *second) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, first->x509), 1);
    if (second)
        assert_int_equal(PEM_write_X509(f, second->x509), 1);
    fclose(f);
}

CL_UNUSED static void write_key(const char *path, const struct cert *c, const char *password) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(PEM_write_PKCS8PrivateKey(f, c->key, password ? EVP_aes_256_cbc() : NULL,
                                               password, password ? (int)strlen(password) : 0, NULL,
                                               NULL),
                     1);
    fclose(f);
}

#endif
