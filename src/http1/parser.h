/* The head of an HTTP/1 request: bytes in, spans and meaning out. RFC 9112, read strictly: whatever
 * two servers could read in two ways is an error.
 *
 * The parser keeps nothing between calls but `*scanned`, and reads the input from left to right, so
 * an error is the same however the bytes were cut into packets.
 *
 * Thread: any; no state. No allocation. */
#ifndef CL_HTTP1_PARSER_H
#define CL_HTTP1_PARSER_H

#include "http/header.h"
#include "http/method.h"
#include "http/uri.h"

struct cl_h1_limits {
    size_t
        max_request_line; /* bytes up to the LF of the request line, empty lines before included */
    size_t max_uri;       /* bytes of the target */
    size_t max_header_size; /* bytes of all field lines, with the empty line that ends them */
    unsigned max_headers;   /* field lines; the array in cl_h1_head has this many */
};

enum {
    CL_H1_OPTION_CLOSE = 1,
    CL_H1_OPTION_KEEP_ALIVE = 2,
    CL_H1_OPTION_UPGRADE = 4,
};

/* Every span points into the input (uri.path may be a static "/"). `headers` is set by the caller
 * before the call; the rest is written by cl_h1_parse_head() and valid when it returns CELLO_OK. */
struct cl_h1_head {
    struct cl_header *headers; /* in: max_headers elements */
    unsigned header_count;

    enum cl_method method_id;
    struct cl_str method;
    struct cl_str target;
    struct cl_uri uri;
    int version_minor; /* 0 or 1; 1.2 to 1.9 are read as 1.1 */

    struct cl_str host;      /* authority of the target, else the Host field; empty in some 1.0 */
    uint64_t content_length; /* 0 without the field */
    bool has_content_length;
    bool chunked;
    bool keep_alive;      /* by version and Connection */
    bool expect_continue; /* never in HTTP/1.0, where it is ignored */
    uint8_t connection;   /* the options named by Connection: CL_H1_OPTION_* */
    bool upgrade;         /* HTTP/1.1, Connection names upgrade, and there is an Upgrade field */

    struct cl_header_set present; /* the ids of all headers */
};

/* Parse the head at the start of buf. `*scanned` is 0 for a new request and belongs to the parser
 * until the head is complete; between calls bytes may only be appended (the buffer may move).
 *
 * CELLO_OK: the head is complete, the body begins at buf + *consumed. CELLO_EAGAIN: more bytes are
 * needed. Else the request is bad and the connection must be closed after the answer:
 * EREQLINE EMETHOD ETARGET EVERSION EURI_TOO_LONG, EHEADER_NAME EHEADER_VALUE EOBSFOLD EBARELF
 * EHEAD_TOO_LARGE, EHOST ELENGTH EFRAMING ECODING EEXPECT. */
int cl_h1_parse_head(const char *buf, size_t len, size_t *scanned,
                     const struct cl_h1_limits *limits, struct cl_h1_head *head,
                     size_t *consumed) CL_MUST_USE;

#endif
