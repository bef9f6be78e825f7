#include "tls/rules.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "base/alloc.h"
#include "tls/stream.h"
#include "tls/tls_internal.h"

/* Forward secrecy and authenticated encryption only; any client of the last ten years has them. AES
 * with keys of 128 bits first: nobody breaks those either, and SHA-256, which goes with it, takes
 * 4 % off the instructions of a handshake. */
#define CIPHERS "ECDHE+AESGCM+AES128:ECDHE+AESGCM:ECDHE+CHACHA20"
#define SUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
/* Without the slow curves, which nobody needs and anybody could ask for. */
#define GROUPS "X25519:P-256:P-384"

/* Bytes of a list of ciphers. */
enum { CIPHERS_MAX = 4096 };

static const uint64_t OPTIONS = SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA;

/* ---- versions and ciphers ------------------------------------------------------------------- */

static int use_versions(SSL_CTX *ctx, const struct cello_tls_config *cfg, char *why) {
    int low = (int)cfg->min_version, high = (int)cfg->max_version;
    if (low < TLS1_2_VERSION || high > TLS1_3_VERSION || low > high)
        return cl_tls_wrong(why, "TLS has the versions 1.2 and 1.3, and min_version must not be "
                                 "above max_version");
    if (!SSL_CTX_set_min_proto_version(ctx, low) || !SSL_CTX_set_max_proto_version(ctx, high))
        return cl_tls_wrong(why, "OpenSSL does not have these versions of TLS");
    return CELLO_OK;
}

/* Names of TLS 1.3 begin so, and no names of OpenSSL for older ones do. */
static bool is_suite(const char *name) {
    return strncmp(name, "TLS_", 4) == 0;
}

/* A word that says what to do with ciphers instead of adding some. */
static bool is_order(const char *name) {
    return strchr("!-+@", *name) != NULL;
}

/* OpenSSL skips what it does not know; who configures it should hear of that. */
static int check_cipher(SSL_CTX *ctx, const char *name, char *why) {
    int known = 1;
    if (is_suite(name))
        known = SSL_CTX_set_ciphersuites(ctx, name);
    else if (!is_order(name))
        known = SSL_CTX_set_cipher_list(ctx, name);
    return known == 1 ? CELLO_OK : cl_tls_wrong(why, "OpenSSL does not know the cipher '%s'", name);
}

/* What is joined was cut out of a text that fits. */
static void join(char list[CIPHERS_MAX], const char *name, size_t n) {
    size_t at = strlen(list);
    if (at)
        list[at++] = ':';
    memcpy(list + at, name, n);
    list[at + n] = '\0';
}

static int use_chosen(SSL_CTX *ctx, const char *ciphers, char *why) {
    char list[CIPHERS_MAX] = "", suites[CIPHERS_MAX] = "", name[CIPHERS_MAX];
    if (strlen(ciphers) >= CIPHERS_MAX)
        return cl_tls_wrong(why, "ciphers is longer than %d bytes", CIPHERS_MAX - 1);
    for (const char *at = ciphers; *at;) {
        size_t n = strcspn(at, ": ,");
        snprintf(name, sizeof name, "%.*s", (int)n, at);
        int err = n ? check_cipher(ctx, name, why) : CELLO_OK;
        if (err)
            return err;
        if (n)
            join(is_suite(name) ? suites : list, name, n);
        at += at[n] ? n + 1 : n;
    }
    if (SSL_CTX_set_cipher_list(ctx, *list ? list : CIPHERS) != 1)
        return cl_tls_wrong(why, "OpenSSL finds no cipher in '%s'", list);
    if (SSL_CTX_set_ciphersuites(ctx, *suites ? suites : SUITES) != 1)
        return cl_tls_wrong(why, "OpenSSL finds no cipher suite in '%s'", suites);
    return CELLO_OK;
}

static int use_ciphers(SSL_CTX *ctx, const struct cello_tls_config *cfg, char *why) {
    if (SSL_CTX_set1_groups_list(ctx, GROUPS) != 1)
        return cl_tls_wrong(why, "OpenSSL has not the curves " GROUPS);
    if (SSL_CTX_set_cipher_list(ctx, CIPHERS) != 1 || SSL_CTX_set_ciphersuites(ctx, SUITES) != 1)
        return cl_tls_wrong(why, "OpenSSL has not the ciphers " CIPHERS ":" SUITES);
    return cfg->ciphers ? use_chosen(ctx, cfg->ciphers, why) : CELLO_OK;
}

/* ---- clients -------------------------------------------------------------------------------- */

/* Every resumption brings a new ticket, so that without a look at the certificate in it a client
 * would come in for ever, long after that has expired. */
static SSL_TICKET_RETURN look_at_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *key,
                                        size_t key_len, SSL_TICKET_STATUS status, void *arg) {
    (void)ssl;
    (void)key;
    (void)key_len;
    (void)arg;
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    const X509 *client = SSL_SESSION_get0_peer(session);
    if (client && X509_cmp_current_time(X509_get0_notAfter(client)) <= 0)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

static int use_roots(SSL_CTX *ctx, const struct cl_tls_rules *r, char *why) {
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    for (int i = 0; i < sk_X509_num(r->roots); i++) {
        X509 *root = sk_X509_value(r->roots, i);
        if (X509_STORE_add_cert(store, root) != 1 || SSL_CTX_add_client_CA(ctx, root) != 1)
            return cl_tls_wrong(why, "certificate %d in '%s' cannot be used", i + 1,
                                r->cfg->ca_path);
    }
    int mode = SSL_VERIFY_PEER;
    if (r->cfg->require_client_cert)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(ctx, mode, NULL);
    SSL_CTX_set_session_ticket_cb(ctx, NULL, look_at_ticket, NULL);
    return CELLO_OK;
}

/* The same for the same roots in every process, and different when they change: a ticket that was
 * given to a client of former ones is good for nothing. */
static bool name_sessions(struct cl_tls_rules *r) {
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
              EVP_DigestUpdate(md, "cello", 5) == 1 &&
              EVP_DigestUpdate(md, r->cfg->require_client_cert ? "!" : "?", 1) == 1;
    for (int i = 0; ok && i < sk_X509_num(r->roots); i++) {
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned n;
        ok = X509_digest(sk_X509_value(r->roots, i), EVP_sha256(), digest, &n) == 1 &&
             EVP_DigestUpdate(md, digest, n) == 1;
    }
    ok = ok && EVP_DigestFinal_ex(md, r->sessions, NULL) == 1;
    EVP_MD_CTX_free(md);
    return ok;
}

int cl_tls_rules_init(struct cl_tls_rules *r, const struct cello_tls_config *cfg,
                      char why[CELLO_TLS_WHY]) {
    *r = (struct cl_tls_rules){.cfg = cfg};
    if (cfg->require_client_cert && !cfg->ca_path)
        return cl_tls_wrong(why, "require_client_cert needs ca_path, whose certificates tell which "
                                 "clients are good");
    int err = cfg->ca_path ? cl_tls_read_certificates(cfg->ca_path, &r->roots, why) : CELLO_OK;
    if (!err && !name_sessions(r))
        err = cl_tls_wrong(why, "OpenSSL cannot make digests");
    if (err)
        cl_tls_rules_free(r);
    return err;
}

void cl_tls_rules_free(struct cl_tls_rules *r) {
    sk_X509_pop_free(r->roots, X509_free);
    r->roots = NULL;
}

/* ---- together ------------------------------------------------------------------------------- */

/* One ticket for each handshake of TLS 1.3, where OpenSSL would send two: with HTTP/2 a client
 * needs one connection, and each resumption brings the next ticket. */
int cl_tls_rules_make(const struct cl_tls_rules *r, SSL_CTX **out, char why[CELLO_TLS_WHY]) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx)
        return cl_tls_wrong(why, "OpenSSL cannot make a context");
    SSL_CTX_set_options(ctx, OPTIONS);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(ctx, CL_TLS_TICKET_LIFE_S);
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_max_cert_list(ctx, CL_TLS_CLIENT_CHAIN_MAX);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, cl_tls_ticket);
    SSL_CTX_set_msg_callback(ctx, cl_tls_on_message);
    SSL_CTX_set_session_id_context(ctx, r->sessions, sizeof r->sessions);
    int err = use_versions(ctx, r->cfg, why);
    if (!err)
        err = use_ciphers(ctx, r->cfg, why);
    if (!err && r->roots)
        err = use_roots(ctx, r, why);
    if (err)
        SSL_CTX_free(ctx);
    else
        *out = ctx;
    return err;
}
