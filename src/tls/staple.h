/* An OCSP response that a server staples to its handshakes, checked when it is loaded.
 *
 * Owner: whoever embeds it. Thread: that of its owner. */
#ifndef CL_TLS_STAPLE_H
#define CL_TLS_STAPLE_H

#include <openssl/ocsp.h>

#include "tls/files.h"

struct cl_tls_staple {
    struct cl_tls_bytes der;     /* len 0: none */
    ASN1_GENERALIZEDTIME *until; /* NULL: for ever */
};

/* It must be good, about the certificate of ctx, and signed by its issuer or for it; one that is
 * too old is a warning in the log and not stapled. Errors as those of files.h. */
int cl_tls_staple_load(struct cl_tls_staple *s, const char *path, SSL_CTX *ctx,
                       char why[CELLO_TLS_WHY]) CL_MUST_USE;
void cl_tls_staple_free(struct cl_tls_staple *s);
/* OpenSSL's callback for clients that ask; `arg` is the staple. */
int cl_tls_staple_give(SSL *ssl, void *arg);

#endif
