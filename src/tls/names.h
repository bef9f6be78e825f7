/* Which certificate a name gets: exact names, and "*." for names with one more label.
 *
 * Filled in order of precedence (the first of equal names stays), sorted once, then read-only.
 * Owner: whoever embeds it; a reference to each SSL_CTX is kept. Thread: that of its owner. */
#ifndef CL_TLS_NAMES_H
#define CL_TLS_NAMES_H

#include <openssl/ssl.h>

#include "base/common.h"

struct cl_tls_name {
    struct cl_str name; /* in lower case */
    uint32_t order;
    SSL_CTX *ctx;
};

struct cl_tls_names {
    struct cl_tls_name *all;
    size_t count, room;
};

/* Zeroed memory is an empty one. */
void cl_tls_names_free(struct cl_tls_names *n);
/* Whether it is a host name, maybe with "*" for its first label: what clients can ask for. */
bool cl_tls_name_valid(struct cl_str name);
/* Errors: CELLO_ENOMEM, CELLO_ELIMIT (CL_TLS_NAMES_MAX). */
int cl_tls_names_add(struct cl_tls_names *n, struct cl_str name, SSL_CTX *ctx) CL_MUST_USE;
/* All names that a certificate says it is for; those that are no host names are left out. Errors:
 * also CELLO_EINVAL: they cannot be read. */
int cl_tls_names_add_all(struct cl_tls_names *n, X509 *cert, SSL_CTX *ctx) CL_MUST_USE;
void cl_tls_names_sort(struct cl_tls_names *n);
/* NULL: nobody has it. */
SSL_CTX *cl_tls_names_find(const struct cl_tls_names *n, struct cl_str name);

#endif
