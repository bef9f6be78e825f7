/* The text of a field in the charset that its form says, RFC 7578 sections 4.5 and 4.6.
 * Thread: any; no state. */
#ifndef CL_FORM_CHARSET_H
#define CL_FORM_CHARSET_H

#include "base/arena.h"

/* `bytes` as UTF-8 without NUL: themselves when they are that already, else made in the arena. An
 * empty charset is UTF-8; others are US-ASCII, and ISO-8859-1 and windows-1252, which the WHATWG
 * reads alike. Errors: CELLO_ECHARSET: another one; CELLO_EUTF8; CELLO_ENOMEM. */
int cl_charset_decode(struct cl_str charset, struct cl_str bytes, struct cl_arena *arena,
                      struct cl_str *out) CL_MUST_USE;

#endif
