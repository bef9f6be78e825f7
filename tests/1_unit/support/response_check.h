/* Reads HTTP/1 answers as a strict client does, for tests and fuzzing: whatever such a client would
 * not take for a well-formed answer is an error here. */
#ifndef CL_TEST_RESPONSE_CHECK_H
#define CL_TEST_RESPONSE_CHECK_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct response {
    int status;
    const char *head; /* status line and fields, without the empty line */
    size_t head_len;
    const char *body; /* as it stands in the bytes: with the chunks' framing */
    size_t body_len;
    bool chunked, has_length, close;
};

enum { RESPONSE_BAD = -1, RESPONSE_SHORT = 0 };

/* The value of a field, or NULL; its length in *len. */
static inline const char *response_field(const struct response *r, const char *name, size_t *len) {
    size_t name_len = strlen(name);
    const char *p = r->head, *end = r->head + r->head_len;
    while (p < end) {
        const char *eol = memchr(p, '\r', (size_t)(end - p));
        if (!eol)
            eol = end;
        if ((size_t)(eol - p) > name_len + 1 && !strncasecmp(p, name, name_len) &&
            p[name_len] == ':') {
            *len = (size_t)(eol - p) - name_len - 2;
            return p + name_len + 2;
        }
        p = eol + 2;
    }
    return NULL;
}

static inline bool response_field_is(const struct response *r, const char *name, const char *want) {
    size_t len;
    const char *value = response_field(r, name, &len);
    return value && len == strlen(want) && !memcmp(value, want, len);
}

static inline bool response_lines_ok(const char *p, const char *end) {
    for (unsigned line = 0; p < end; line++) {
        const char *eol = memchr(p, '\r', (size_t)(end - p));
        if (!eol)
            eol = end;
        else if (eol + 1 >= end || eol[1] != '\n')
            return false;
        for (const char *c = p; c < eol; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                return false;
        const char *colon = memchr(p, ':', (size_t)(eol - p));
        if (line && (!colon || colon == p || colon + 1 >= eol || colon[1] != ' '))
            return false;
        p = eol + 2;
    }
    return true;
}

/* Where the trailer section ends that begins at `at`, RESPONSE_SHORT or RESPONSE_BAD. */
static inline long response_trailers(const char *p, size_t len, size_t at) {
    for (;;) {
        const char *line = p + at, *eol = memchr(line, '\n', len - at);
        if (!eol)
            return RESPONSE_SHORT;
        at = (size_t)(eol + 1 - p);
        if (eol == line || eol[-1] != '\r')
            return RESPONSE_BAD;
        if (eol == line + 1)
            return (long)at;
        const char *colon = memchr(line, ':', (size_t)(eol - line));
        if (!colon || colon == line || colon[1] != ' ')
            return RESPONSE_BAD;
        for (const char *c = line; c < eol - 1; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                return RESPONSE_BAD;
    }
}

/* The length of a chunked body with its trailers, RESPONSE_SHORT or RESPONSE_BAD. */
static inline long response_chunks(const char *p, size_t len) {
    size_t at = 0;
    for (;;) {
        const char *eol = memchr(p + at, '\n', len - at);
        if (!eol)
            return RESPONSE_SHORT;
        char *stop;
        unsigned long size = strtoul(p + at, &stop, 16);
        if (stop == p + at || stop[0] != '\r' || stop + 1 != eol)
            return RESPONSE_BAD;
        at = (size_t)(eol + 1 - p);
        if (size == 0)
            return response_trailers(p, len, at);
        if (size > len || len - at < size + 2)
            return RESPONSE_SHORT;
        if (memcmp(p + at + size, "\r\n", 2) != 0)
            return RESPONSE_BAD;
        at += size + 2;
    }
}

/* The first answer in `text`. `eof`: nothing will follow, so a body may end there. `head_only`: it
 * answers HEAD. Returns the bytes it takes, RESPONSE_SHORT or RESPONSE_BAD. */
static inline long response_parse(const char *text, size_t len, bool eof, bool head_only,
                                  struct response *r) {
    memset(r, 0, sizeof *r);
    const char *end = memmem(text, len, "\r\n\r\n", 4);
    if (!end)
        return RESPONSE_SHORT;
    if (len < 13 || memcmp(text, "HTTP/1.1 ", 9) != 0 || text[12] != ' ')
        return RESPONSE_BAD;
    r->status = (int)strtol(text + 9, NULL, 10);
    r->head = text;
    r->head_len = (size_t)(end - text);
    if (r->status < 100 || r->status > 599 || !response_lines_ok(text, end))
        return RESPONSE_BAD;
    size_t n, head = r->head_len + 4;
    const char *length = response_field(r, "Content-Length", &n);
    r->has_length = length != NULL;
    r->chunked = response_field_is(r, "Transfer-Encoding", "chunked");
    r->close = response_field_is(r, "Connection", "close");
    r->body = text + head;
    if (r->has_length && r->chunked)
        return RESPONSE_BAD;
    if (r->status < 200 || r->status == 204 || r->status == 304)
        return r->has_length || r->chunked ? RESPONSE_BAD : (long)head;
    if (!response_field(r, "Date", &n) && r->status != 503)
        return RESPONSE_BAD;
    if (head_only)
        return (long)head;
    if (r->chunked) {
        long chunks = response_chunks(r->body, len - head);
        r->body_len = chunks > 0 ? (size_t)chunks : 0;
        return chunks > 0 ? (long)head + chunks : chunks;
    }
    r->body_len = r->has_length ? strtoul(length, NULL, 10) : len - head;
    if (!r->has_length && !r->close)
        return RESPONSE_BAD;
    if (r->body_len > len - head || (!r->has_length && !eof))
        return RESPONSE_SHORT;
    return (long)(head + r->body_len);
}

#endif
