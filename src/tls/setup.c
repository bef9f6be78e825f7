/* One load of a configuration: the SSL_CTX of each certificate, all with the same rules. */
#include <openssl/ocsp.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/log.h"
#include "tls/files.h"
#include "tls/tls_internal.h"

/* Forward secrecy and authenticated encryption only; any client of the last ten years has them. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"
/* Without the slow curves, which nobody needs and anybody could ask for. */
#define GROUPS "X25519:P-256:P-384"

static const unsigned char OFFER_BOTH[] = "\x02h2\x08http/1.1";
enum { OFFER_H2 = 3 };

/* ---- what OpenSSL asks ---------------------------------------------------------------------- */

static int on_server_name(SSL *ssl, int *alert, void *arg) {
    const struct cl_tls_setup *s = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    SSL_CTX *ctx = name ? cl_tls_names_find(&s->names, cl_str(name, strlen(name))) : NULL;
    if (!ctx)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_set_SSL_CTX(ssl, ctx);
    return SSL_TLSEXT_ERR_OK;
}

/* RFC 9113, 9.2.2: h2 is not for the old suites, which a configuration may allow. */
static bool fits_h2(SSL *ssl) {
    const SSL_CIPHER *c = SSL_get_pending_cipher(ssl);
    return SSL_version(ssl) >= TLS1_3_VERSION ||
           (c && SSL_CIPHER_is_aead(c) && SSL_CIPHER_get_kx_nid(c) == NID_kx_ecdhe);
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *arg) {
    const struct cl_tls_setup *s = arg;
    size_t skip = s->h2 && fits_h2(ssl) ? 0 : OFFER_H2;
    unsigned char *chosen;
    int found = SSL_select_next_proto(&chosen, out_len, OFFER_BOTH + skip,
                                      (unsigned)(sizeof OFFER_BOTH - 1 - skip), in, in_len);
    *out = chosen;
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- rules ---------------------------------------------------------------------------------- */

static int use_versions(SSL_CTX *ctx, const struct cello_tls_config *cfg, char *why) {
    int low = (int)cfg->min_version, high = (int)cfg->max_version;
    if (low < TLS1_2_VERSION || high > TLS1_3_VERSION || low > high)
        return cl_tls_wrong(why,
                            "the versions of TLS are 1.2 and 1.3, and min_version is not above "
                            "max_version");
    if (!SSL_CTX_set_min_proto_version(ctx, low) || !SSL_CTX_set_max_proto_version(ctx, high))
        return cl_tls_wrong(why, "OpenSSL does not allow these versions of TLS");
    return CELLO_OK;
}

static int use_ciphers(SSL_CTX *ctx, const struct cello_tls_config *cfg, char *why) {
    (void)cfg;
    if (SSL_CTX_set_cipher_list(ctx, CIPHERS) != 1 || SSL_CTX_set1_groups_list(ctx, GROUPS) != 1)
        return cl_tls_wrong(why, "OpenSSL has not the usual ciphers");
    return CELLO_OK;
}

static const uint64_t OPTIONS = SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA;

/* One ticket for each handshake of TLS 1.3, not two: with HTTP/2 a client needs one connection,
 * each resumption brings the next ticket, and a ticket costs the server 1/10 of a handshake. */
static int make_ctx(SSL_CTX **out, const struct cello_tls_config *cfg, const char *cert_path,
                    const char *key_path, char *why) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx)
        return cl_tls_wrong(why, "OpenSSL cannot make a context for '%s'", cert_path);
    SSL_CTX_set_options(ctx, OPTIONS);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(ctx, CL_TLS_TICKET_LIFE_S);
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_max_cert_list(ctx, CL_TLS_CLIENT_CHAIN_MAX);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, cl_tls_ticket);
    int err = use_versions(ctx, cfg, why);
    if (!err)
        err = use_ciphers(ctx, cfg, why);
    if (!err)
        err = cl_tls_use_pair(ctx, cert_path, key_path, cfg->key_password, why);
    if (err)
        SSL_CTX_free(ctx);
    else
        *out = ctx;
    return err;
}

/* ---- names ---------------------------------------------------------------------------------- */

static int add_named(struct cl_tls_setup *s, const struct cello_tls_config *cfg,
                     const struct cello_tls_name *name, char *why) {
    struct cl_str host = cl_str(name->host, strlen(name->host));
    SSL_CTX *ctx;
    if (!cl_tls_name_valid(host))
        return cl_tls_wrong(why, "'%s' is no host name that clients could ask for", name->host);
    int err = make_ctx(&ctx, cfg, name->cert_path, name->key_path, why);
    if (err)
        return err;
    err = cl_tls_names_add(&s->names, host, ctx);
    SSL_CTX_free(ctx);
    return err;
}

/* Configured names first, then what the certificates say. */
static int add_names(struct cl_tls_setup *s, const struct cello_tls_config *cfg, char *why) {
    int err = CELLO_OK;
    for (size_t i = 0; i < cfg->name_count && !err; i++)
        err = add_named(s, cfg, &cfg->names[i], why);
    if (!err)
        err = cl_tls_names_add_all(&s->names, SSL_CTX_get0_certificate(s->main), s->main);
    size_t named = cfg->name_count;
    for (size_t i = 0; i < named && !err; i++) {
        SSL_CTX *ctx = s->names.all[i].ctx;
        err = cl_tls_names_add_all(&s->names, SSL_CTX_get0_certificate(ctx), ctx);
    }
    cl_tls_names_sort(&s->names);
    return err;
}

/* ---- its life ------------------------------------------------------------------------------- */

int cl_tls_setup_new(struct cl_tls_setup **out, const struct cello_tls_config *cfg,
                     struct cl_tls_keys *keys, char why[CELLO_TLS_WHY]) {
    struct cl_tls_setup *s = cl_calloc(1, sizeof *s);
    if (!s)
        return CELLO_ENOMEM;
    s->refs = 1;
    s->keys = keys;
    keys->refs++;
    int err = make_ctx(&s->main, cfg, cfg->cert_path, cfg->key_path, why);
    if (!err)
        err = add_names(s, cfg, why);
    if (err) {
        cl_tls_setup_unref(s);
        return err;
    }
    SSL_CTX_set_tlsext_servername_callback(s->main, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(s->main, s);
    SSL_CTX_set_alpn_select_cb(s->main, on_alpn, s);
    for (size_t i = 0; i < s->names.count; i++)
        SSL_CTX_set_alpn_select_cb(s->names.all[i].ctx, on_alpn, s);
    *out = s;
    return CELLO_OK;
}

void cl_tls_setup_unref(struct cl_tls_setup *s) {
    if (!s || --s->refs)
        return;
    cl_tls_names_free(&s->names);
    SSL_CTX_free(s->main);
    cl_tls_keys_unref(s->keys);
    ASN1_GENERALIZEDTIME_free(s->ocsp_until);
    cl_free(s->ocsp);
    cl_free(s);
}
