/* The head parser proper. Each x.c that includes it is compiled for one instruction set and defines
 * CL_H1_KERNEL, the name of the function.
 *
 * It walks the input once, from left to right, and decides at the first byte that settles a matter.
 * So an error never depends on bytes behind it, and what was an error in a prefix is the same error
 * in the whole. CELLO_EAGAIN means here that the input ended; the caller knows whether it ended
 * because a limit cut it. */
#include "http1/parser_internal.h"
#include "http1/scan.h"

CL_INLINE bool starts_with_crlf(const char *p) {
    return p[0] == '\r' && p[1] == '\n';
}

/* RFC 9112 section 2.2: empty lines in front of a request line are ignored. */
CL_INLINE int skip_empty_lines(const char **p, const char *end) {
    while (*p < end && (**p == '\r' || **p == '\n')) {
        if (**p == '\n')
            return CELLO_EBARELF;
        if (end - *p < 2)
            return CELLO_EAGAIN;
        if (!starts_with_crlf(*p))
            return CELLO_EBARELF;
        *p += 2;
    }
    return CELLO_OK;
}

CL_INLINE int parse_method(const char **p, const char *end, struct cl_h1_head *head) {
    const char *start = *p, *q = start;
    if (CL_LIKELY(end - start > 4 && memcmp(start, "GET ", 4) == 0)) {
        head->method = cl_str(start, 3);
        head->method_id = CL_METHOD_GET;
        *p = start + 4;
        return CELLO_OK;
    }
    while (q < end && cl_header_token_chars[(unsigned char)*q])
        q++;
    if (q == end)
        return CELLO_EAGAIN;
    if (*q != ' ')
        return *q == '\r' || *q == '\n' ? CELLO_EREQLINE : CELLO_EMETHOD;
    if (q == start)
        return CELLO_EMETHOD;
    head->method = cl_str(start, (size_t)(q - start));
    head->method_id = cl_method_from(head->method);
    *p = q + 1;
    return CELLO_OK;
}

CL_INLINE int parse_target(const char **p, const char *end, const char *base, size_t max_uri,
                           struct cl_h1_head *head) {
    const char *start = *p;
    bool cut = (size_t)(end - start) > max_uri;
    const char *stop = cut ? start + max_uri + 1 : end;
    struct target_scan t = scan_target(start, stop, base);
    const char *q = t.stop;
    if (q == stop)
        return cut ? CELLO_EURI_TOO_LONG : CELLO_EAGAIN;
    if (*q != ' ')
        return *q == '\r' || *q == '\n' ? CELLO_EREQLINE : CELLO_ETARGET;
    if (q == start)
        return CELLO_EREQLINE;
    head->target = cl_str(start, (size_t)(q - start));
    *p = q + 1;
    if (t.odd || *start != '/' || head->method_id == CL_METHOD_CONNECT)
        return cl_uri_parse(head->target, head->method_id, &head->uri);
    head->uri = (struct cl_uri){.form = CL_URI_ORIGIN, .path = head->target, .plain = true};
    if (t.question) {
        head->uri.path.len = (size_t)(t.question - start);
        head->uri.query = cl_str(t.question + 1, (size_t)(q - t.question - 1));
        head->uri.has_query = true;
    }
    return CELLO_OK;
}

/* A request line that does not end within its limit: the part that used it up is to blame. */
CL_COLD static int request_line_too_long(const char *p, const struct cl_h1_head *head) {
    if (head->method.ptr)
        return CELLO_EURI_TOO_LONG;
    return *p == '\r' ? CELLO_EREQLINE : CELLO_EMETHOD;
}

CL_INLINE int parse_request_line(const char **p, const char *end, const char *base, size_t max_uri,
                                 struct cl_h1_head *head) {
    int err = skip_empty_lines(p, end);
    if (CL_LIKELY(!err))
        err = parse_method(p, end, head);
    if (CL_LIKELY(!err))
        err = parse_target(p, end, base, max_uri, head);
    if (CL_UNLIKELY(err))
        return err;
    if (CL_LIKELY(end - *p >= 10 && memcmp(*p, "HTTP/1.1\r\n", 10) == 0)) {
        head->version_minor = 1;
        *p += 10;
        return CELLO_OK;
    }
    return cl_h1_parse_version(p, end, &head->version_minor);
}

/* Why a line has no name and colon at its start; `q` is the byte in question. */
CL_COLD static int bad_field_name(const char *line, const char *q) {
    if (q == line && (*q == ' ' || *q == '\t'))
        return CELLO_EOBSFOLD;
    return *q == '\n' ? CELLO_EBARELF : CELLO_EHEADER_NAME;
}

CL_INLINE int parse_field(const char *p, const char *end, const char *base, struct cl_header *h,
                          const char **next) {
    const char *q = scan_token(p, end, base);
    if (CL_UNLIKELY(q == end))
        return CELLO_EAGAIN;
    if (CL_UNLIKELY(*q != ':' || q == p))
        return bad_field_name(p, q);
    h->name = cl_str(p, (size_t)(q - p));
    h->id = (uint16_t)cl_header_id_from(h->name);
    for (q++; q < end && (*q == ' ' || *q == '\t'); q++)
        ;
    const char *value = q;
    q = scan_value(value, end, base);
    if (CL_UNLIKELY(end - q < 2)) {
        if (q == end || *q == '\r')
            return CELLO_EAGAIN;
        return *q == '\n' ? CELLO_EBARELF : CELLO_EHEADER_VALUE;
    }
    if (CL_UNLIKELY(!starts_with_crlf(q)))
        return *q == '\n' || *q == '\r' ? CELLO_EBARELF : CELLO_EHEADER_VALUE;
    *next = q + 2;
    while (q > value && (q[-1] == ' ' || q[-1] == '\t'))
        q--;
    h->value = cl_str(value, (size_t)(q - value));
    return CELLO_OK;
}

CL_INLINE int apply_host(struct cl_h1_head *head, struct cl_str value, const char *base) {
    if (cl_header_set_has(&head->present, CL_HEADER_HOST))
        return CELLO_EHOST;
    head->host = value;
    const char *end = value.ptr + value.len;
    const char *q = scan_host(value.ptr, end, base);
    if (CL_LIKELY(q == end && q > value.ptr))
        return CELLO_OK;
    bool port = q > value.ptr && q < end && *q == ':';
    bool valid = port ? cl_uri_port_valid(cl_str(q + 1, (size_t)(end - q - 1)))
                      : cl_uri_authority_valid(value);
    return valid ? CELLO_OK : CELLO_EHOST;
}

CL_INLINE int parse_fields(const char **cursor, const char *end, const char *base,
                           unsigned max_headers, struct cl_h1_head *head) {
    const char *p = *cursor;
    for (unsigned n = 0;; n++) {
        if (CL_UNLIKELY(p == end))
            return CELLO_EAGAIN;
        if (*p == '\r') {
            if (end - p < 2)
                return CELLO_EAGAIN;
            head->header_count = n;
            *cursor = p + 2;
            return p[1] == '\n' ? CELLO_OK : CELLO_EBARELF;
        }
        if (CL_UNLIKELY(n == max_headers))
            return CELLO_EHEAD_TOO_LARGE;
        struct cl_header *h = &head->headers[n];
        int err = parse_field(p, end, base, h, &p);
        if (CL_LIKELY(!err) && h->id == CL_HEADER_HOST)
            err = apply_host(head, h->value, base);
        else if (CL_LIKELY(!err) && h->id - 1u < CL_HEADER_UPGRADE)
            err = cl_h1_apply_field(head, h);
        if (CL_UNLIKELY(err))
            return err;
        cl_header_set_add(&head->present, h->id);
    }
}

/* Only what need not be written on the way; a whole memset costs a fifth of a small request. */
CL_INLINE void begin_head(struct cl_h1_head *head) {
    head->method.ptr = NULL;
    head->host = cl_str(NULL, 0);
    head->content_length = 0;
    head->has_content_length = head->chunked = head->expect_continue = false;
    head->connection = 0;
    head->present = (struct cl_header_set){{0, 0}};
}

int CL_H1_KERNEL(const char *buf, size_t len, const struct cl_h1_limits *limits,
                 struct cl_h1_head *head, size_t *consumed) {
    begin_head(head);
    const char *p = buf, *input_end = buf + len;
    const char *end = buf + CL_MIN(len, limits->max_request_line);
    int err = parse_request_line(&p, end, buf, limits->max_uri, head);
    if (CL_UNLIKELY(err))
        return err == CELLO_EAGAIN && end < input_end ? request_line_too_long(p, head) : err;

    end = p + CL_MIN((size_t)(input_end - p), limits->max_header_size);
    err = parse_fields(&p, end, buf, limits->max_headers, head);
    if (CL_UNLIKELY(err))
        return err == CELLO_EAGAIN && end < input_end ? CELLO_EHEAD_TOO_LARGE : err;
    *consumed = (size_t)(p - buf);
    return cl_h1_finish_head(head);
}
