/* Header fields: one type for a name and its value, dense ids for the names Cello or its middleware
 * ask for, and the rules for valid names and values. No wire format here: http1, http2 and http3
 * all produce these.
 *
 * Thread: any; no state. */
#ifndef CL_HTTP_HEADER_H
#define CL_HTTP_HEADER_H

#include "base/common.h"

/* The list is the source of truth: tools/gen_headers.py reads it and writes headers_table.h. The
 * name on the wire is the identifier in lower case with '-' for '_'. The first group carries the
 * meaning of the message itself; the HTTP/1 parser looks at these while it parses. */
enum cl_header_id {
    CL_HEADER_OTHER = 0, /* any name that is not in this list */

    CL_HEADER_HOST,
    CL_HEADER_CONTENT_LENGTH,
    CL_HEADER_TRANSFER_ENCODING,
    CL_HEADER_CONNECTION,
    CL_HEADER_EXPECT,
    CL_HEADER_UPGRADE, /* the last one the parser handles itself */

    CL_HEADER_TE,
    CL_HEADER_TRAILER,
    CL_HEADER_KEEP_ALIVE,
    CL_HEADER_PROXY_CONNECTION,
    CL_HEADER_HTTP2_SETTINGS,

    CL_HEADER_ACCEPT,
    CL_HEADER_ACCEPT_CHARSET,
    CL_HEADER_ACCEPT_ENCODING,
    CL_HEADER_ACCEPT_LANGUAGE,
    CL_HEADER_ACCEPT_RANGES,
    CL_HEADER_ACCESS_CONTROL_ALLOW_ORIGIN,
    CL_HEADER_ACCESS_CONTROL_REQUEST_HEADERS,
    CL_HEADER_ACCESS_CONTROL_REQUEST_METHOD,
    CL_HEADER_AGE,
    CL_HEADER_ALLOW,
    CL_HEADER_AUTHORIZATION,
    CL_HEADER_CACHE_CONTROL,
    CL_HEADER_CONTENT_DISPOSITION,
    CL_HEADER_CONTENT_ENCODING,
    CL_HEADER_CONTENT_LANGUAGE,
    CL_HEADER_CONTENT_LOCATION,
    CL_HEADER_CONTENT_RANGE,
    CL_HEADER_CONTENT_TYPE,
    CL_HEADER_COOKIE,
    CL_HEADER_DATE,
    CL_HEADER_EARLY_DATA,
    CL_HEADER_ETAG,
    CL_HEADER_EXPIRES,
    CL_HEADER_FORWARDED,
    CL_HEADER_IF_MATCH,
    CL_HEADER_IF_MODIFIED_SINCE,
    CL_HEADER_IF_NONE_MATCH,
    CL_HEADER_IF_RANGE,
    CL_HEADER_IF_UNMODIFIED_SINCE,
    CL_HEADER_LAST_MODIFIED,
    CL_HEADER_LINK,
    CL_HEADER_LOCATION,
    CL_HEADER_MAX_FORWARDS,
    CL_HEADER_ORIGIN,
    CL_HEADER_PRAGMA,
    CL_HEADER_PRIORITY,
    CL_HEADER_PROXY_AUTHENTICATE,
    CL_HEADER_PROXY_AUTHORIZATION,
    CL_HEADER_RANGE,
    CL_HEADER_REFERER,
    CL_HEADER_RETRY_AFTER,
    CL_HEADER_SEC_FETCH_DEST,
    CL_HEADER_SEC_FETCH_MODE,
    CL_HEADER_SEC_FETCH_SITE,
    CL_HEADER_SEC_FETCH_USER,
    CL_HEADER_SEC_WEBSOCKET_ACCEPT,
    CL_HEADER_SEC_WEBSOCKET_EXTENSIONS,
    CL_HEADER_SEC_WEBSOCKET_KEY,
    CL_HEADER_SEC_WEBSOCKET_PROTOCOL,
    CL_HEADER_SEC_WEBSOCKET_VERSION,
    CL_HEADER_SERVER,
    CL_HEADER_SET_COOKIE,
    CL_HEADER_TRACEPARENT,
    CL_HEADER_TRACESTATE,
    CL_HEADER_UPGRADE_INSECURE_REQUESTS,
    CL_HEADER_USER_AGENT,
    CL_HEADER_VARY,
    CL_HEADER_VIA,
    CL_HEADER_WWW_AUTHENTICATE,
    CL_HEADER_X_API_KEY,
    CL_HEADER_X_CSRF_TOKEN,
    CL_HEADER_X_FORWARDED_FOR,
    CL_HEADER_X_FORWARDED_HOST,
    CL_HEADER_X_FORWARDED_PROTO,
    CL_HEADER_X_REAL_IP,
    CL_HEADER_X_REQUEST_ID,

    CL_HEADER_COUNT
};

/* Which ids are there. Asking it costs one instruction where walking the headers costs many. */
struct cl_header_set {
    uint64_t bits[2];
};
_Static_assert(CL_HEADER_COUNT <= 128, "cl_header_set has room for 128 ids");

CL_INLINE void cl_header_set_add(struct cl_header_set *set, unsigned id) {
    set->bits[id / 64] |= (uint64_t)1 << id % 64;
}

CL_INLINE bool cl_header_set_has(const struct cl_header_set *set, enum cl_header_id id) {
    return set->bits[(unsigned)id / 64] >> (unsigned)id % 64 & 1;
}

/* One field line. The spans belong to whoever made the header; the value has no white space around
 * it. The name is as it came; compare ids, or names with cl_str_ieq(). */
struct cl_header {
    struct cl_str name;
    struct cl_str value;
    uint16_t id; /* enum cl_header_id */
};

/* The id of a name in any case, CL_HEADER_OTHER when it has none. One hash, one comparison. */
enum cl_header_id cl_header_id_from(struct cl_str name);

/* The static lower-case name; empty for CL_HEADER_OTHER and for anything outside the enum. */
struct cl_str cl_header_name(enum cl_header_id id);

/* 1 for the characters of a token, RFC 9110 section 5.6.2. */
extern const uint8_t cl_header_token_chars[256];

/* A token, RFC 9110 section 5.6.2: not empty, no separators, no control characters. */
bool cl_header_name_valid(struct cl_str name);

/* May be sent as a field value: no control character but HTAB (so no CR, LF, NUL) and no white
 * space at either end. Bytes from 0x80 up are allowed; empty is. */
bool cl_header_value_valid(struct cl_str value);

/* Without spaces and tabs at both ends. */
static inline struct cl_str cl_header_trim(struct cl_str s) {
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = cl_str(s.ptr + 1, s.len - 1);
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

#endif
