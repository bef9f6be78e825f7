/* Certificates and keys out of PEM files, with one sentence about what is wrong with them.
 *
 * Thread: any. Errors of all: CELLO_EINVAL (what is in the file), CELLO_ESYS (it cannot be read),
 * CELLO_ENOMEM; `why` says it. */
#ifndef CL_TLS_FILES_H
#define CL_TLS_FILES_H

#include <openssl/ssl.h>

#include "tls/context.h"

/* The whole of a file of at most CL_TLS_FILE_MAX bytes, for cl_tls_bytes_free. `what` names its
 * kind in the sentence. */
struct cl_tls_bytes {
    char *ptr;
    size_t len;
};
int cl_tls_read_file(const char *path, const char *what, struct cl_tls_bytes *out,
                     char why[CELLO_TLS_WHY]) CL_MUST_USE;
/* Nothing of it stays in memory. */
void cl_tls_bytes_free(struct cl_tls_bytes *b);

/* The certificates of a file in their order, at least one. */
int cl_tls_read_certificates(const char *path, STACK_OF(X509) * *out,
                             char why[CELLO_TLS_WHY]) CL_MUST_USE;
/* A private key; `password` is empty when there is none. */
int cl_tls_read_key(const char *path, struct cl_str password, EVP_PKEY **out,
                    char why[CELLO_TLS_WHY]) CL_MUST_USE;
/* A certificate with its chain, and its key, into ctx. */
int cl_tls_use_pair(SSL_CTX *ctx, const char *cert_path, const char *key_path,
                    struct cl_str password, char why[CELLO_TLS_WHY]) CL_MUST_USE;

/* CELLO_EINVAL with a sentence; or CELLO_ENOMEM where OpenSSL says that it was that. */
int cl_tls_wrong(char why[CELLO_TLS_WHY], const char *format, ...) CL_PRINTF(2, 3);

#endif
