#include "form/multipart.h"

#include "form/delimiter.h"

enum state {
    PREAMBLE,
    AFTER_DELIMITER,
    PADDING, /* white space behind a delimiter */
    DELIMITER_LF,
    HEAD,
    DATA,
    LAST_DASH,
    CLOSED, /* the final delimiter is complete */
    CLOSED_LF,
    EPILOGUE,
};

static bool is_boundary_char(unsigned char c) {
    unsigned char lower = cl_lower(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') ||
           (c && strchr("'()+_,-./:=? ", c));
}

int cl_multipart_init(struct cl_multipart *m, struct cl_str boundary, uint32_t max_parts,
                      char *head, size_t max_head) {
    if (boundary.len == 0 || boundary.len > CL_MULTIPART_BOUNDARY_MAX ||
        boundary.ptr[boundary.len - 1] == ' ')
        return CELLO_EBOUNDARY;
    for (size_t i = 0; i < boundary.len; i++)
        if (!is_boundary_char((unsigned char)boundary.ptr[i]))
            return CELLO_EBOUNDARY;
    *m = (struct cl_multipart){
        .head = head,
        .max_head = max_head,
        .max_parts = max_parts,
        .state = PREAMBLE,
        .matched = 2, /* the message may begin with a delimiter: as if a line had ended before it */
        .implied = 2,
        .delimiter_len = (uint8_t)(4 + boundary.len),
    };
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary.ptr, boundary.len);
    return CELLO_OK;
}

/* ---- data ---- */

/* How many bytes at the end of [p, end) a delimiter may begin with. Only the last CR can begin it,
 * for there is none in the rest of it. */
static size_t held_back(const struct cl_multipart *m, const char *p, const char *end) {
    size_t n = CL_MIN((size_t)(end - p), (size_t)m->delimiter_len - 1);
    const char *cr = memrchr(end - n, '\r', n);
    if (!cr || memcmp(cr, m->delimiter, (size_t)(end - cr)) != 0)
        return 0;
    return (size_t)(end - cr);
}

/* A delimiter is complete. */
static int delimited(struct cl_multipart *m) {
    bool in_part = m->state == DATA;
    m->matched = m->implied = 0;
    m->state = AFTER_DELIMITER;
    return in_part ? CL_MULTIPART_PART_END : CELLO_OK;
}

/* Go on comparing with the delimiter whose first bytes have been seen. CELLO_OK: it was none; the
 * bytes are then in `data` unless they are in the input, where *p is moved back to them. */
static int go_on(struct cl_multipart *m, const char *in, const char **p, const char *end,
                 struct cl_str *data) {
    while (*p < end && m->matched < m->delimiter_len && **p == m->delimiter[m->matched]) {
        m->matched++;
        ++*p;
    }
    if (m->matched == m->delimiter_len)
        return delimited(m);
    if (*p == end)
        return CELLO_EAGAIN;
    size_t real = (size_t)(m->matched - m->implied);
    if ((size_t)(*p - in) >= real)
        *p -= real;
    else
        *data = cl_str(m->delimiter + m->implied, real);
    m->matched = m->implied = 0;
    return CELLO_OK;
}

/* The bytes up to the next delimiter, as far as it is there. */
static int take_data(struct cl_multipart *m, const char *in, const char **p, const char *end,
                     struct cl_str *data) {
    if (m->matched) {
        int err = go_on(m, in, p, end, data);
        if (err || m->state == AFTER_DELIMITER)
            return err;
    }
    if (data->len == 0) {
        const char *start = *p, *found;
        found = cl_delimiter_find(start, (size_t)(end - start), m->delimiter, m->delimiter_len);
        if (found == start) {
            *p += m->delimiter_len;
            return delimited(m);
        }
        if (!found) {
            m->matched = (uint8_t)held_back(m, start, end);
            found = end - m->matched;
            *p = end;
        } else {
            *p = found;
        }
        *data = cl_str(start, (size_t)(found - start));
    }
    if (m->state == DATA && data->len > 0)
        return CL_MULTIPART_DATA;
    *data = cl_str(NULL, 0); /* a preamble */
    return *p == end ? CELLO_EAGAIN : CELLO_OK;
}

/* ---- heads ---- */

/* The section is complete in `head`, with the empty line behind it. */
static int take_part(struct cl_multipart *m) {
    int err = cl_part_parse(m->head, m->head_len - 2, m->head + m->max_head, &m->part);
    if (err)
        return err;
    m->state = DATA;
    m->matched = m->implied = 2; /* a part of no bytes may end with its head */
    return CL_MULTIPART_PART;
}

static bool head_ended(const struct cl_multipart *m) {
    const char *end = m->head + m->head_len;
    return m->head_len == 2 || (m->head_len >= 4 && memcmp(end - 4, "\r\n\r\n", 4) == 0);
}

static int take_head(struct cl_multipart *m, const char **p, const char *end) {
    while (*p < end) {
        const char *lf = memchr(*p, '\n', (size_t)(end - *p));
        size_t n = (size_t)((lf ? lf + 1 : end) - *p);
        if (n > m->max_head - m->head_len)
            return CELLO_EPART_HEADER_TOO_LARGE;
        memcpy(m->head + m->head_len, *p, n);
        m->head_len += n;
        *p += n;
        if (!lf)
            break;
        if (m->head_len < 2 || m->head[m->head_len - 2] != '\r')
            return CELLO_EPART_HEADER;
        if (head_ended(m))
            return take_part(m);
    }
    return CELLO_EAGAIN;
}

/* ---- delimiter lines ---- */

static int begin_part(struct cl_multipart *m) {
    if (m->parts == m->max_parts)
        return CELLO_EPARTS;
    m->parts++;
    m->head_len = 0;
    m->state = HEAD;
    return CELLO_OK;
}

/* One byte of what follows a delimiter. */
static int line_byte(struct cl_multipart *m, char c) {
    bool space = c == ' ' || c == '\t';
    switch ((enum state)m->state) {
    case AFTER_DELIMITER:
    case PADDING:
        if (c == '-' && m->state == AFTER_DELIMITER)
            m->state = LAST_DASH;
        else if (space)
            m->state = PADDING;
        else if (c == '\r')
            m->state = DELIMITER_LF;
        else
            return CELLO_EMULTIPART;
        return CELLO_OK;
    case DELIMITER_LF: return c == '\n' ? begin_part(m) : CELLO_EMULTIPART;
    case LAST_DASH: m->state = CLOSED; return c == '-' ? CELLO_OK : CELLO_EMULTIPART;
    case CLOSED:
        if (space)
            return CELLO_OK;
        m->state = CLOSED_LF;
        return c == '\r' ? CELLO_OK : CELLO_EMULTIPART;
    default: m->state = EPILOGUE; return c == '\n' ? CELLO_OK : CELLO_EMULTIPART;
    }
}

int cl_multipart_next(struct cl_multipart *m, const char *in, size_t in_len, size_t *in_used,
                      struct cl_str *data) {
    const char *p = in, *end = in + in_len;
    int result = CELLO_OK;
    *data = cl_str(NULL, 0);
    while (result == CELLO_OK) {
        if (p == end || m->state == EPILOGUE) {
            p = end;
            result = CELLO_EAGAIN;
        } else if (m->state == PREAMBLE || m->state == DATA) {
            result = take_data(m, in, &p, end, data);
        } else if (m->state == HEAD) {
            result = take_head(m, &p, end);
        } else {
            result = line_byte(m, *p++);
        }
    }
    *in_used = (size_t)(p - in);
    return result;
}

int cl_multipart_finish(const struct cl_multipart *m) {
    return m->state == CLOSED || m->state == EPILOGUE ? CELLO_OK : CELLO_EMULTIPART_END;
}
