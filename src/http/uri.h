/* Request targets: RFC 3986 and RFC 9112 section 3.2.
 *
 * Every span points into the caller's bytes (or at a static "/"), nothing is copied but by the
 * functions that take an output buffer. Thread: any; no state. */
#ifndef CL_HTTP_URI_H
#define CL_HTTP_URI_H

#include "base/common.h"
#include "http/method.h"

enum cl_uri_form {
    CL_URI_ORIGIN = 0, /* /path?query */
    CL_URI_ABSOLUTE,   /* http://host/path?query */
    CL_URI_AUTHORITY,  /* host:port, CONNECT only */
    CL_URI_ASTERISK,   /* *, OPTIONS only */
};

struct cl_uri {
    struct cl_str path;      /* raw; "*" for the asterisk form, empty for the authority form */
    struct cl_str query;     /* raw, without the '?' */
    struct cl_str scheme;    /* absolute form only */
    struct cl_str authority; /* absolute and authority form: host[:port] */
    enum cl_uri_form form;
    bool has_query; /* tells "/a?" from "/a" */
    bool plain;     /* cl_uri_path_is_plain(path) */
};

/* Split a target whose bytes are all 0x21..0x7e (the protocol's parser has checked that).
 * Errors: CELLO_ETARGET: no known form, a form the method does not allow, a fragment, user
 * information or an invalid authority. `out` is then undefined. */
int cl_uri_parse(struct cl_str target, enum cl_method method, struct cl_uri *out) CL_MUST_USE;

/* host[:port] as in the Host field: a registered name, an IPv4 address, or [IPv6]; the port is
 * empty or 0..65535. The empty span is not valid. */
bool cl_uri_authority_valid(struct cl_str authority);

/* What may stand behind the colon: nothing, or 0 to 65535 in at most five digits. */
bool cl_uri_port_valid(struct cl_str port);

/* No percent-encoding and no dot segment: the raw path is what the client means, and can be routed
 * where it lies. */
bool cl_uri_path_is_plain(struct cl_str path);

/* Remove "." and ".." segments (RFC 3986 section 5.2.4), also where the dots are written %2e; all
 * else stays as it is. `out` has room for path.len bytes and may be path.ptr. Returns the length,
 * at most path.len; a path that starts with '/' still does. */
size_t cl_uri_remove_dot_segments(struct cl_str path, char *out);

/* The byte 0..255 that the %XX at the start of `s` stands for; -1 when there is none. */
int cl_percent_byte(struct cl_str s);

/* Decode %XX (and '+' to a space when `plus_is_space`) and check that the result is UTF-8 without
 * NUL. `out` has room for raw.len bytes and may be raw.ptr. Errors: CELLO_EPERCENT, CELLO_EUTF8;
 * `out` is then undefined. */
int cl_percent_decode(struct cl_str raw, char *out, size_t *out_len,
                      bool plus_is_space) CL_MUST_USE;

/* Whether cl_percent_decode() would succeed, without decoding. `raw` is ASCII, as targets are; then
 * only encoded bytes make characters beyond it. The same errors; of several faults either. */
int cl_percent_check(struct cl_str raw) CL_MUST_USE;

#endif
