/* The TLS of a server: certificates, keys and rules, loaded from files and ready for connections.
 *
 * What was loaded is a set: connections keep the one that they began with, and a reload makes
 * another beside it, which takes its place only when nothing is wrong with it. A name that clients
 * ask for (SNI) chooses the certificate, among those configured and those in the certificates:
 * exact ones first, then those with "*" for one label, and of equal ones the configured. A name
 * that nobody knows gets the main certificate, as RFC 6066 allows.
 *
 * Thread: that of the server; cl_tls_context_new and cl_tls_context_del: any, while nothing else
 * has it. */
#ifndef CL_TLS_CONTEXT_H
#define CL_TLS_CONTEXT_H

#include <cello/tls.h>

#include "base/common.h"
#include "tls/tickets.h"

/* Bytes of a file with certificates or a key: far more than any chain or list of roots has. */
enum { CL_TLS_FILE_MAX = 4 << 20 };
/* Names that choose a certificate. */
enum { CL_TLS_NAMES_MAX = 65536 };
/* Session tickets are good for this long, seconds; not longer than their keys (tickets.h). */
enum { CL_TLS_TICKET_LIFE_S = 4 * 3600 };

struct cl_tls_context;

/* Everything in cfg is copied. `area`: zeroed memory for the keys of tickets, shared by the
 * processes of a server, valid as long as the context; NULL: memory of its own.
 * Errors, with one sentence in `why` that names the file: CELLO_EINVAL, CELLO_ESYS (a file cannot
 * be read), CELLO_ENOMEM. Warnings in the log: an expired certificate; a key that everybody may
 * read or others may change, once for a file until it changes, and with an `area` not at first,
 * since whoever shares it has looked at the files before. */
int cl_tls_context_new(struct cl_tls_context **out, const struct cello_tls_config *cfg,
                       struct cl_ticket_area *area, char why[CELLO_TLS_WHY]) CL_MUST_USE;
/* NULL is ignored. Connections keep what they use. */
void cl_tls_context_del(struct cl_tls_context *c);
/* Whether ALPN offers h2 before http/1.1; not, at first. For handshakes from now on. */
void cl_tls_context_offer_h2(struct cl_tls_context *c, bool on);
/* Whether the kernel makes the records where it can; cl_tls_context_new has asked it. For
 * handshakes from now on. */
void cl_tls_context_use_kernel(struct cl_tls_context *c, bool on);
/* Load the files again: if `always`, or when they have changed and then been left alone since the
 * call before, so that half of a new pair is not taken for one (call it once a second or so).
 * CELLO_OK: new connections get what was loaded. CELLO_EAGAIN: nothing to do, or not yet. Errors as
 * cl_tls_context_new, told once for what lies there: what was in use stays. Files that could not be
 * read (CELLO_ESYS, CELLO_ENOMEM) are tried again by each call. */
int cl_tls_context_reload(struct cl_tls_context *c, bool always,
                          char why[CELLO_TLS_WHY]) CL_MUST_USE;

#endif
