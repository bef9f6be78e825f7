/* What a configuration asks of every certificate's SSL_CTX alike: versions, ciphers, whose clients'
 * certificates are good.
 *
 * Owner: the caller. Thread: any. Errors as those of files.h, with a sentence in `why`. */
#ifndef CL_TLS_RULES_H
#define CL_TLS_RULES_H

#include <openssl/ssl.h>

#include "tls/files.h"

struct cl_tls_rules {
    const struct cello_tls_config *cfg;
    STACK_OF(X509) * roots; /* of clients; NULL: none are asked for a certificate */
    /* Sessions are resumed only where clients were checked alike. */
    unsigned char sessions[SSL_MAX_SID_CTX_LENGTH];
};

int cl_tls_rules_init(struct cl_tls_rules *r, const struct cello_tls_config *cfg,
                      char why[CELLO_TLS_WHY]) CL_MUST_USE;
void cl_tls_rules_free(struct cl_tls_rules *r);
/* A new SSL_CTX that follows them, without a certificate. */
int cl_tls_rules_make(const struct cl_tls_rules *r, SSL_CTX **out,
                      char why[CELLO_TLS_WHY]) CL_MUST_USE;

#endif
