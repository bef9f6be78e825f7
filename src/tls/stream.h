/* TLS as a stream (net/stream.h) on top of another: the same for every transport and both back
 * ends.
 *
 *      lower->in  --BIO-->  OpenSSL  ----->  s->in  -->  the protocol
 *      transport  <--one send--  records in a block  <--BIO--  OpenSSL  <--  the protocol's iovecs
 *
 * What is sent in one call leaves in one send: small pieces share a record of up to 16 KB, large
 * ones are sealed where they lie, a batch of records at a time. An idle connection holds no block.
 * An end without close_notify is an end (CELLO_EOF), for what HTTP reads says itself where it ends;
 * cl_tls_truncated tells protocols that need to know. A close says close_notify behind all that was
 * sealed, unless bytes of a send are not yet (what is cut must not look whole) or the close is to
 * look like a failure.
 *
 * Owner: the stream owns `lower` from cl_tls_accept on and closes it when it is closed, at once or
 * when `lower` has taken the last words; both go after on_closed. Thread: the loop's. */
#ifndef CL_TLS_STREAM_H
#define CL_TLS_STREAM_H

#include "net/stream.h"
#include "tls/context.h"

/* Bytes of a ClientHello: a large one, with keys of after-quantum groups, has 2 KB. One that says
 * it is longer gets the alert illegal_parameter, before memory for it is taken. */
enum { CL_TLS_HELLO_MAX = 16384 };
/* Bytes of a client's certificates, and all that it may send for a handshake: two ClientHellos,
 * those, and what belongs to them. */
enum { CL_TLS_CLIENT_CHAIN_MAX = 32768, CL_TLS_HANDSHAKE_MAX = 81920 };
_Static_assert(2 * CL_TLS_HELLO_MAX + CL_TLS_CLIENT_CHAIN_MAX < CL_TLS_HANDSHAKE_MAX,
               "what is allowed has room");
/* Answers of TLS itself (to KeyUpdate) that may wait for a client who does not read. */
enum { CL_TLS_CONTROL_MAX = 16384 };
/* KeyUpdates of a client at once, and one more for each second: each costs as much as a request,
 * and honest ones come behind gigabytes. */
enum { CL_TLS_KEY_UPDATES = 64 };
/* After a failed handshake the client has this long to read the alert. */
#define CL_TLS_ALERT_NS (1000 * 1000 * 1000ull)
/* So long the last words of a connection that is closed wait for a client who does not read. */
#define CL_TLS_GOODBYE_NS (1000 * 1000 * 1000ull)

/* The handshake is over; called once, never inside cl_tls_accept, not after a close. `err`:
 *   CELLO_OK       s->handler and s->protocol are to be set now; what has come is reported to them
 *                  when this returns.
 *   CELLO_ENOTSUP  the first bytes are not TLS but a text, an HTTP request as it seems:
 *                  cl_tls_give_back and answer in clear, or close.
 *   CELLO_EINVAL   it failed, the client was told with an alert; cl_tls_failure says why.
 *   CELLO_ETIMEOUT, CELLO_EOF, CELLO_ESYS (reset), CELLO_ENOMEM
 * and the stream is to be closed, in every case but the first and a stream given back. */
typedef void (*cl_tls_ready_fn)(struct cl_stream *s, int err);

/* A TLS stream whose handshake begins with what lies in lower->in, and has `timeout_ns` (0: no
 * limit). `protocol` becomes s->protocol; s->peer and s->credentials are those of `lower`. It may
 * be closed at any time, and until a handler is set nobody hears of that.
 * Errors: CELLO_ENOMEM; `lower` is then still the caller's. */
int cl_tls_accept(struct cl_tls_context *c, struct cl_stream *lower, uint64_t timeout_ns,
                  cl_tls_ready_fn on_ready, void *protocol, struct cl_stream **out) CL_MUST_USE;

/* Only in on_ready with CELLO_ENOTSUP: the stream below with its bytes unread in `in`, which gets
 * a handler and a protocol from the caller; `s` is gone. */
struct cl_stream *cl_tls_give_back(struct cl_stream *s);

/* ---- what is known of it after the handshake: s->tls ---- */

/* The protocol chosen by ALPN: "h2" or "http/1.1"; empty: the client did not ask. */
struct cl_str cl_tls_alpn(const struct cl_tls *t);
/* "TLSv1.2" or "TLSv1.3"; the cipher suite's name in the RFCs; static. */
const char *cl_tls_version(const struct cl_tls *t);
const char *cl_tls_cipher(const struct cl_tls *t);
/* The name that the client asked for; empty: none. As long as the stream. */
struct cl_str cl_tls_server_name(const struct cl_tls *t);
bool cl_tls_resumed(const struct cl_tls *t);
/* The peer ended the connection without close_notify. */
bool cl_tls_truncated(const struct cl_tls *t);
/* Why the handshake failed, in OpenSSL's words; static. */
const char *cl_tls_failure(const struct cl_tls *t);
/* The verified certificate of the client, made when it is asked for first; as long as the stream.
 * NULL: it has none, or memory is out. */
const struct cello_client_cert *cl_tls_client_cert(struct cl_tls *t);

#endif
