/* A certificate for development on this machine: signed by itself, so that browsers ask once.
 *
 * Thread: any; reads and writes files. */
#ifndef CL_TLS_LOCAL_H
#define CL_TLS_LOCAL_H

#include <cello/tls.h>

#include "base/common.h"

/* It is good for localhost, 127.0.0.1 and ::1, as long as browsers let any certificate be. */
enum { CL_TLS_LOCAL_DAYS = 397 };

/* Leave a pair at these paths that is good for another day: the one that lies there, or a new one.
 * Each file appears whole or not at all, the key readable by its owner only. *made: it is new.
 * Errors: CELLO_ESYS (a file cannot be written), CELLO_ENOMEM, CELLO_EINVAL (OpenSSL cannot make
 * keys); `why` says it. */
int cl_tls_local_pair(const char *cert_path, const char *key_path, bool *made,
                      char why[CELLO_TLS_WHY]) CL_MUST_USE;

#endif
