/* HTTP dates, RFC 9110 section 5.6.7. Always GMT; no locale, no time zone database, no libc
 * calendar.
 *
 * Thread: any; no state. */
#ifndef CL_HTTP_DATE_H
#define CL_HTTP_DATE_H

#include <time.h>

#include "base/common.h"

#define CL_HTTP_DATE_LEN 29

/* "Sun, 06 Nov 1994 08:49:37 GMT" and a NUL. Times outside the years 1 to 9999 are clamped. */
void cl_http_date_format(time_t t, char out[CL_HTTP_DATE_LEN + 1]);

/* All three formats that RFC 9110 names: IMF-fixdate, RFC 850, asctime. `now` resolves the
 * two-digit years of RFC 850: a date of more than 50 years ahead lies in the past. The name of the
 * day is checked for its form, not against the date. Errors: CELLO_EINVAL (a recipient then ignores
 * the field); `*out` is then unchanged. */
int cl_http_date_parse(struct cl_str s, time_t now, time_t *out) CL_MUST_USE;

#endif
