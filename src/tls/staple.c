#include "tls/staple.h"

#include <openssl/err.h>

#include "base/log.h"

/* Clocks of responders may be this far ahead, seconds. */
enum { SKEW_S = 300 };

/* The certificate behind ours in the chain, or ours when it signed itself. */
static X509 *issuer_of(SSL_CTX *ctx) {
    STACK_OF(X509) *chain = NULL;
    X509 *cert = SSL_CTX_get0_certificate(ctx);
    SSL_CTX_get0_chain_certs(ctx, &chain);
    X509 *next = sk_X509_num(chain) > 0 ? sk_X509_value(chain, 0) : cert;
    return X509_check_issued(next, cert) == X509_V_OK ? next : NULL;
}

static bool is_signed(OCSP_BASICRESP *basic, X509 *issuer) {
    X509_STORE *store = X509_STORE_new();
    STACK_OF(X509) *certs = sk_X509_new_null();
    bool ok = store && certs && X509_STORE_add_cert(store, issuer) == 1 &&
              X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1 &&
              sk_X509_push(certs, issuer) > 0 && OCSP_basic_verify(basic, certs, store, 0) == 1;
    sk_X509_free(certs);
    X509_STORE_free(store);
    return ok;
}

/* What it says of the certificate. */
static int check_status(struct cl_tls_staple *s, OCSP_BASICRESP *basic, const char *path,
                        X509 *cert, X509 *issuer, char *why) {
    ASN1_GENERALIZEDTIME *from, *until;
    int status, reason;
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, cert, issuer);
    bool found = id && OCSP_resp_find_status(basic, id, &status, &reason, NULL, &from, &until) == 1;
    OCSP_CERTID_free(id);
    if (!found)
        return cl_tls_wrong(why, "the OCSP response '%s' is not about the certificate", path);
    if (status != V_OCSP_CERTSTATUS_GOOD)
        return cl_tls_wrong(why, "the OCSP response '%s' says that the certificate is %s", path,
                            OCSP_cert_status_str(status));
    if (until && !(s->until = ASN1_STRING_dup(until)))
        return cl_tls_wrong(why, "out of memory");
    if (OCSP_check_validity(from, until, SKEW_S, -1) != 1) {
        cl_log(CL_LOG_WARNING, "the OCSP response '%s' is not valid now: it is not stapled", path);
        s->der.len = 0;
    }
    return CELLO_OK;
}

static int check(struct cl_tls_staple *s, OCSP_RESPONSE *response, const char *path, SSL_CTX *ctx,
                 char *why) {
    if (!response)
        return cl_tls_wrong(why, "'%s' is not an OCSP response in DER", path);
    if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        return cl_tls_wrong(why, "the OCSP response '%s' is an error: %s", path,
                            OCSP_response_status_str(OCSP_response_status(response)));
    X509 *issuer = issuer_of(ctx);
    if (!issuer)
        return cl_tls_wrong(why, "ocsp_response needs the issuer's certificate behind the server's "
                                 "in cert_path");
    OCSP_BASICRESP *basic = OCSP_response_get1_basic(response);
    int err;
    if (!basic || !is_signed(basic, issuer))
        err = cl_tls_wrong(why, "the OCSP response '%s' is not signed by the certificate's issuer",
                           path);
    else
        err = check_status(s, basic, path, SSL_CTX_get0_certificate(ctx), issuer, why);
    OCSP_BASICRESP_free(basic);
    return err;
}

int cl_tls_staple_load(struct cl_tls_staple *s, const char *path, SSL_CTX *ctx,
                       char why[CELLO_TLS_WHY]) {
    int err = cl_tls_read_file(path, "OCSP response", &s->der, why);
    if (err)
        return err;
    const unsigned char *at = (const unsigned char *)s->der.ptr;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)s->der.len);
    err = check(s, response, path, ctx, why);
    OCSP_RESPONSE_free(response);
    ERR_clear_error();
    return err;
}

void cl_tls_staple_free(struct cl_tls_staple *s) {
    cl_tls_bytes_free(&s->der);
    ASN1_GENERALIZEDTIME_free(s->until);
    s->until = NULL;
}

/* OpenSSL frees what it gets. */
int cl_tls_staple_give(SSL *ssl, void *arg) {
    const struct cl_tls_staple *s = arg;
    if (!s->der.len || (s->until && X509_cmp_current_time(s->until) < 0))
        return SSL_TLSEXT_ERR_NOACK;
    unsigned char *copy = OPENSSL_memdup(s->der.ptr, s->der.len);
    if (!copy)
        return SSL_TLSEXT_ERR_NOACK;
    if (SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)s->der.len) != 1) {
        OPENSSL_free(copy);
        return SSL_TLSEXT_ERR_NOACK;
    }
    return SSL_TLSEXT_ERR_OK;
}
