/* One load of a configuration: the SSL_CTX of each certificate, all with the same rules. */
#include <stdio.h>

#include "base/alloc.h"
#include "tls/rules.h"
#include "tls/tls_internal.h"

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

/* ---- certificates --------------------------------------------------------------------------- */

static int make_ctx(SSL_CTX **out, const struct cl_tls_rules *r, const char *cert_path,
                    const char *key_path, char *why) {
    int err = cl_tls_rules_make(r, out, why);
    if (err)
        return err;
    err = cl_tls_use_pair(*out, cert_path, key_path, r->cfg->key_password, why);
    if (err) {
        SSL_CTX_free(*out);
        *out = NULL;
    }
    return err;
}

/* ---- names ---------------------------------------------------------------------------------- */

static int add_named(struct cl_tls_setup *s, const struct cl_tls_rules *r,
                     const struct cello_tls_name *name, char *why) {
    struct cl_str host = cl_str(name->host, strlen(name->host));
    SSL_CTX *ctx;
    if (!cl_tls_name_valid(host))
        return cl_tls_wrong(why, "'%s' is no host name that clients could ask for", name->host);
    int err = make_ctx(&ctx, r, name->cert_path, name->key_path, why);
    if (err)
        return err;
    err = cl_tls_names_add(&s->names, host, ctx);
    SSL_CTX_free(ctx);
    if (err == CELLO_ELIMIT)
        return cl_tls_wrong(why, "there are more than %d names", CL_TLS_NAMES_MAX);
    return err;
}

static int add_found(struct cl_tls_setup *s, SSL_CTX *ctx, const char *cert_path, char *why) {
    int err = cl_tls_names_add_all(&s->names, SSL_CTX_get0_certificate(ctx), ctx);
    if (err == CELLO_EINVAL)
        return cl_tls_wrong(why, "the names in the certificate '%s' cannot be read", cert_path);
    if (err == CELLO_ELIMIT)
        return cl_tls_wrong(why, "the certificates have more than %d names", CL_TLS_NAMES_MAX);
    return err;
}

/* Configured names first, then what the certificates say. */
static int add_names(struct cl_tls_setup *s, const struct cl_tls_rules *r, char *why) {
    const struct cello_tls_config *cfg = r->cfg;
    int err = CELLO_OK;
    for (size_t i = 0; i < cfg->name_count && !err; i++)
        err = add_named(s, r, &cfg->names[i], why);
    if (!err)
        err = add_found(s, s->main, cfg->cert_path, why);
    for (size_t i = 0; i < cfg->name_count && !err; i++)
        err = add_found(s, s->names.all[i].ctx, cfg->names[i].cert_path, why);
    cl_tls_names_sort(&s->names);
    return err;
}

/* ---- its life ------------------------------------------------------------------------------- */

static void set_callbacks(struct cl_tls_setup *s) {
    SSL_CTX_set_tlsext_servername_callback(s->main, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(s->main, s);
    SSL_CTX_set_alpn_select_cb(s->main, on_alpn, s);
    for (size_t i = 0; i < s->names.count; i++)
        SSL_CTX_set_alpn_select_cb(s->names.all[i].ctx, on_alpn, s);
    SSL_CTX_set_tlsext_status_cb(s->main, cl_tls_staple_give);
    SSL_CTX_set_tlsext_status_arg(s->main, &s->staple);
}

static int load(struct cl_tls_setup *s, const struct cello_tls_config *cfg, char *why) {
    struct cl_tls_rules rules;
    int err = cl_tls_rules_init(&rules, cfg, why);
    if (err)
        return err;
    err = make_ctx(&s->main, &rules, cfg->cert_path, cfg->key_path, why);
    if (!err)
        err = add_names(s, &rules, why);
    if (!err && cfg->ocsp_response)
        err = cl_tls_staple_load(&s->staple, cfg->ocsp_response, s->main, why);
    cl_tls_rules_free(&rules);
    return err;
}

int cl_tls_setup_new(struct cl_tls_setup **out, const struct cello_tls_config *cfg,
                     struct cl_tls_keys *keys, char why[CELLO_TLS_WHY]) {
    struct cl_tls_setup *s = cl_calloc(1, sizeof *s);
    snprintf(why, CELLO_TLS_WHY, "out of memory");
    if (!s)
        return CELLO_ENOMEM;
    s->refs = 1;
    s->keys = keys;
    keys->refs++;
    int err = load(s, cfg, why);
    if (err) {
        cl_tls_setup_unref(s);
        return err;
    }
    set_callbacks(s);
    *out = s;
    return CELLO_OK;
}

void cl_tls_setup_unref(struct cl_tls_setup *s) {
    if (!s || --s->refs)
        return;
    cl_tls_names_free(&s->names);
    SSL_CTX_free(s->main);
    cl_tls_keys_unref(s->keys);
    cl_tls_staple_free(&s->staple);
    cl_free(s);
}
