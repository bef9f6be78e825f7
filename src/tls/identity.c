/* What a client's certificate says, as texts. */
#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "tls/tls_internal.h"

/* Far more than the texts of a certificate of CL_TLS_CLIENT_CHAIN_MAX bytes need. */
enum { TEXT_MAX = 32 * CL_TLS_CLIENT_CHAIN_MAX };

struct cl_tls_identity {
    struct cello_client_cert cert;
    struct cl_arena arena;
};

static bool put(struct cl_arena *a, struct cl_str from, struct cl_str *to) {
    *to = cl_arena_dup(a, from);
    return to->ptr != NULL;
}

static bool put_name(struct cl_arena *a, const X509_NAME *name, struct cl_str *to) {
    const unsigned long flags = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    bool ok = bio && X509_NAME_print_ex(bio, name, 0, flags) >= 0;
    long n = ok ? BIO_get_mem_data(bio, &text) : 0;
    ok = ok && put(a, cl_str(n ? text : "", (size_t)n), to);
    BIO_free(bio);
    return ok;
}

static bool put_hex(struct cl_arena *a, const unsigned char *bytes, size_t n, const char *digits,
                    struct cl_str *to) {
    char *text = cl_arena_alloc(a, 2 * n + 1);
    if (!text)
        return false;
    for (size_t i = 0; i < n; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * n] = '\0';
    *to = cl_str(text, 2 * n);
    return true;
}

static bool put_serial(struct cl_arena *a, X509 *x, struct cl_str *to) {
    const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
    return put_hex(a, ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial),
                   "0123456789ABCDEF", to);
}

static bool put_fingerprint(struct cl_arena *a, const X509 *x, struct cl_str *to) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n;
    return X509_digest(x, EVP_sha256(), digest, &n) == 1 &&
           put_hex(a, digest, n, "0123456789abcdef", to);
}

static bool put_der(struct cl_arena *a, X509 *x, struct cl_str *to) {
    unsigned char *der = NULL;
    int n = i2d_X509(x, &der);
    bool ok = n > 0 && put(a, cl_str((const char *)der, (size_t)n), to);
    OPENSSL_free(der);
    return ok;
}

static int64_t seconds(const ASN1_TIME *t) {
    struct tm tm;
    return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* ---- other names ---------------------------------------------------------------------------- */

/* A name with other characters than printable ones of ASCII is none that anybody should compare. */
static bool is_plain(struct cl_str s) {
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < ' ' || s.ptr[i] > '~')
            return false;
    return true;
}

static struct cl_str text_of(const ASN1_STRING *s) {
    return cl_str((const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

static struct cl_str address_of(const ASN1_STRING *s, char text[INET6_ADDRSTRLEN]) {
    int family = ASN1_STRING_length(s) == 4 ? AF_INET : AF_INET6;
    bool known = ASN1_STRING_length(s) == 4 || ASN1_STRING_length(s) == 16;
    if (!known || !inet_ntop(family, ASN1_STRING_get0_data(s), text, INET6_ADDRSTRLEN))
        return cl_str(NULL, 0);
    return cl_str(text, strlen(text));
}

/* False: memory is out. Kinds that have no simple text are left out. */
static bool add_name(struct cl_arena *a, const GENERAL_NAME *from, struct cello_cert_name *all,
                     size_t *count) {
    char address[INET6_ADDRSTRLEN];
    struct cello_cert_name name = {0};
    switch (from->type) {
    case GEN_DNS: name = (struct cello_cert_name){"DNS", text_of(from->d.dNSName)}; break;
    case GEN_EMAIL: name = (struct cello_cert_name){"EMAIL", text_of(from->d.rfc822Name)}; break;
    case GEN_URI:
        name = (struct cello_cert_name){"URI", text_of(from->d.uniformResourceIdentifier)};
        break;
    case GEN_IPADD:
        name = (struct cello_cert_name){"IP", address_of(from->d.iPAddress, address)};
        break;
    default: break;
    }
    if (!name.value.len || !is_plain(name.value))
        return true;
    all[*count].kind = name.kind;
    return put(a, name.value, &all[(*count)++].value);
}

static bool put_names(struct cl_arena *a, X509 *x, struct cello_client_cert *c) {
    GENERAL_NAMES *others = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    int n = sk_GENERAL_NAME_num(others);
    bool ok = true;
    if (n > 0) {
        struct cello_cert_name *all = cl_arena_alloc(a, (size_t)n * sizeof *all);
        ok = all != NULL;
        for (int i = 0; i < n && ok; i++)
            ok = add_name(a, sk_GENERAL_NAME_value(others, i), all, &c->name_count);
        c->names = all;
    }
    GENERAL_NAMES_free(others);
    return ok;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static bool read_certificate(struct cl_tls_identity *i, X509 *x) {
    struct cello_client_cert *c = &i->cert;
    c->not_before = seconds(X509_get0_notBefore(x));
    c->not_after = seconds(X509_get0_notAfter(x));
    return put_name(&i->arena, X509_get_subject_name(x), &c->subject) &&
           put_name(&i->arena, X509_get_issuer_name(x), &c->issuer) &&
           put_serial(&i->arena, x, &c->serial) && put_fingerprint(&i->arena, x, &c->fingerprint) &&
           put_der(&i->arena, x, &c->der) && put_names(&i->arena, x, c);
}

void cl_tls_identity_del(struct cl_tls_identity *i) {
    if (i)
        cl_arena_free(&i->arena);
    cl_free(i);
}

const struct cello_client_cert *cl_tls_client_cert(struct cl_tls *t) {
    X509 *x = t->identity ? NULL : SSL_get0_peer_certificate(t->ssl);
    if (x && SSL_get_verify_result(t->ssl) == X509_V_OK) {
        t->identity = cl_calloc(1, sizeof *t->identity);
        if (!t->identity)
            return NULL;
        cl_arena_init(&t->identity->arena, TEXT_MAX);
        if (!read_certificate(t->identity, x)) {
            cl_tls_identity_del(t->identity);
            t->identity = NULL;
        }
        ERR_clear_error();
    }
    return t->identity ? &t->identity->cert : NULL;
}
