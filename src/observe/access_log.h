/* The access log: a line per answered request, gathered in memory, written many at a time.
 *
 * A format is text with fields in braces: {remote_addr} {method} {target} {path} {query} {protocol}
 * {status} {bytes} {duration_us} {time} {request_id} {worker_id} {scheme} {tls_version}
 * {tls_cipher} {header:NAME}. "combined" is the usual one; "json" writes an object a line. What a
 * client sent is escaped, so that no request can forge a line. An empty value is "-" (in JSON: "").
 *
 * Writing never blocks the loop: what the descriptor does not take is kept up to
 * CL_ACCESS_LOG_BUFFER_MAX bytes, then lines are dropped, and counted in the server log at the end.
 * A file may be shared by workers: each writes whole lines, all that it has in one append.
 * Thread: the worker's. */
#ifndef CL_OBSERVE_ACCESS_LOG_H
#define CL_OBSERVE_ACCESS_LOG_H

#include "base/sink.h"
#include "http/request.h"

enum { CL_ACCESS_LOG_BUFFER_MAX = 1 << 20, CL_ACCESS_LOG_FLUSH_MS = 100 };

struct cl_access_log;
struct cl_tls;

/* The caller keeps fd open. Errors: CELLO_EINVAL (unknown field, unclosed brace), CELLO_ENOMEM. */
int cl_access_log_new(struct cl_access_log **out, int fd, struct cl_str format) CL_MUST_USE;
/* Writes what is left, waiting up to a second for a slow reader. */
void cl_access_log_del(struct cl_access_log *log);

/* From here on to a file, which is made where there is none. `path` is copied. What was gathered
 * before goes where it went, as far as that takes it at once. Errors: CELLO_ESYS (errno),
 * CELLO_ENOMEM; the log is then as it was. */
int cl_access_log_open(struct cl_access_log *log, const char *path) CL_MUST_USE;
/* Whether a log could go there, with the rights of this process; the file is there afterwards.
 * Errors: CELLO_ESYS (errno). */
int cl_access_log_try(const char *path) CL_MUST_USE;
/* The file was moved away: open its path again. Errors: as above. No file: CELLO_OK. */
int cl_access_log_reopen(struct cl_access_log *log) CL_MUST_USE;
/* NULL: none. */
const char *cl_access_log_path(const struct cl_access_log *log);
/* What {worker_id} shows; 0 at first. */
void cl_access_log_set_worker(struct cl_access_log *log, uint32_t worker_id);
/* Where {tls_version} and {tls_cipher} come from; empty at first. */
typedef const char *(*cl_access_log_tls_fn)(const struct cl_tls *tls);
void cl_access_log_show_tls(struct cl_access_log *log, cl_access_log_tls_fn version,
                            cl_access_log_tls_fn cipher);
/* Only this share of the requests, 0 to 1, evenly; those answered with 500 and above always. */
void cl_access_log_sample(struct cl_access_log *log, double share);

void cl_access_log_request(struct cl_access_log *log, const struct cl_request *r);
/* Hand over what the descriptor takes without blocking. True: something is left. */
bool cl_access_log_flush(struct cl_access_log *log);
uint64_t cl_access_log_dropped(const struct cl_access_log *log);

#endif
