/* Session tickets of OpenSSL, with the keys of tickets.h. */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "tls/tls_internal.h"

/* What OpenSSL understands. */
enum { TICKET_FAILED = -1, TICKET_NONE = 0, TICKET_USED = 1, TICKET_RENEW = 2 };

struct cl_tls_keys *cl_tls_keys_new(const struct cello_tls_config *cfg,
                                    struct cl_ticket_area *area) {
    size_t n = cfg->ticket_key_count;
    struct cl_tls_keys *k = cl_calloc(1, sizeof *k + n * sizeof k->given[0]);
    if (!k)
        return NULL;
    k->refs = 1;
    k->given_count = n;
    k->area = area ? area : &k->own;
    for (size_t i = 0; i < n; i++) {
        if (cl_ticket_derive(cfg->ticket_keys[i], &k->given[i]) != CELLO_OK) {
            cl_tls_keys_unref(k);
            return NULL;
        }
    }
    return k;
}

void cl_tls_keys_unref(struct cl_tls_keys *k) {
    if (!k || --k->refs)
        return;
    OPENSSL_cleanse(k->given, k->given_count * sizeof k->given[0]);
    OPENSSL_cleanse(&k->own, sizeof k->own);
    cl_free(k);
}

/* The one clock that all processes of a machine share and nobody sets; it counts while the machine
 * sleeps, too. */
static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * CL_NS_PER_S + (uint64_t)t.tv_nsec;
}

static int current(struct cl_tls_keys *k, struct cl_ticket_key *out) {
    if (!k->given_count)
        return cl_ticket_current(k->area, now_ns(), out);
    *out = k->given[0];
    return CELLO_OK;
}

static int find(struct cl_tls_keys *k, const unsigned char *name, struct cl_ticket_key *out,
                bool *old) {
    if (!k->given_count)
        return cl_ticket_find(k->area, now_ns(), name, out, old);
    for (size_t i = 0; i < k->given_count; i++) {
        if (memcmp(k->given[i].name, name, CL_TICKET_NAME) != 0)
            continue;
        *out = k->given[i];
        *old = i > 0;
        return CELLO_OK;
    }
    return CELLO_ENOENT;
}

static bool set_mac(EVP_MAC_CTX *mac, struct cl_ticket_key *key) {
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->hmac, sizeof key->hmac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

static int begin(struct cl_tls_keys *k, unsigned char *name, unsigned char *iv,
                 EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac) {
    struct cl_ticket_key key;
    if (current(k, &key) != CELLO_OK)
        return TICKET_NONE;
    memcpy(name, key.name, sizeof key.name);
    bool ok = RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1 &&
              EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.aes, iv) == 1 &&
              set_mac(mac, &key);
    OPENSSL_cleanse(&key, sizeof key);
    return ok ? TICKET_USED : TICKET_FAILED;
}

/* TLS 1.3 gives a new ticket with each resumption in any case. */
static int open(SSL *ssl, struct cl_tls_keys *k, const unsigned char *name, const unsigned char *iv,
                EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac) {
    struct cl_ticket_key key;
    bool old;
    if (find(k, name, &key, &old) != CELLO_OK)
        return TICKET_NONE;
    bool ok =
        set_mac(mac, &key) && EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.aes, iv) == 1;
    OPENSSL_cleanse(&key, sizeof key);
    if (!ok)
        return TICKET_FAILED;
    return old || SSL_version(ssl) == TLS1_3_VERSION ? TICKET_RENEW : TICKET_USED;
}

int cl_tls_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                  EVP_MAC_CTX *mac, int encrypt) {
    const struct cl_tls *t = SSL_get_app_data(ssl);
    struct cl_tls_keys *k = t->setup->keys;
    return encrypt ? begin(k, name, iv, cipher, mac) : open(ssl, k, name, iv, cipher, mac);
}
