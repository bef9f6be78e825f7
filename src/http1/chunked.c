#include "http1/chunked.h"

#include "http1/parser_internal.h"

#define MAX_SIZE_DIGITS 15 /* 60 bits: sums of sizes cannot overflow soon */

/* One state for each place inside
 *   chunk     = 1*HEXDIG *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted ) ] ) CRLF data CRLF
 *   last      = 1*"0" extensions CRLF trailers CRLF
 * The states up to SIZE_LF read a chunk's first line byte by byte. */
enum state {
    SIZE,
    BEFORE_SEMICOLON, /* after BWS: an extension must follow */
    NAME_START,
    NAME,
    AFTER_NAME, /* after BWS: "=" or ";" must follow */
    VALUE_START,
    VALUE,
    QUOTED,
    QUOTED_PAIR,
    AFTER_QUOTED,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILERS,
    FINISHED,
    FAILED,
};

void cl_chunked_init(struct cl_chunked *c, size_t max_trailer_size, struct cl_header *trailers,
                     unsigned max_trailers) {
    *c = (struct cl_chunked){
        .max_trailer_size = (uint32_t)CL_MIN(max_trailer_size, UINT32_MAX),
        .max_trailers = max_trailers,
        .trailers = trailers,
        .state = SIZE,
    };
}

static bool is_token(unsigned char c) {
    return cl_header_token_chars[c];
}

/* What may stand in a quoted string, also behind a backslash; the quote and the backslash are the
 * caller's. */
static bool is_quotable(unsigned char c) {
    return c == '\t' || (c >= ' ' && c != 0x7f);
}

static int hex_value(unsigned char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The state behind a byte that may end a size, a name or a value; FAILED when it is none. */
static enum state after_item(unsigned char c, enum state after_space) {
    switch (c) {
    case '\r': return SIZE_LF;
    case ';': return NAME_START;
    case ' ':
    case '\t': return after_space;
    default: return FAILED;
    }
}

static enum state size_byte(struct cl_chunked *c, unsigned char byte) {
    int digit = hex_value(byte);
    if (digit < 0)
        return c->digits ? after_item(byte, BEFORE_SEMICOLON) : FAILED;
    if (++c->digits > MAX_SIZE_DIGITS)
        return FAILED;
    c->remaining = c->remaining << 4 | (unsigned)digit;
    return SIZE;
}

static enum state extension_byte(enum state state, unsigned char byte) {
    bool space = byte == ' ' || byte == '\t';
    switch (state) {
    case BEFORE_SEMICOLON:
        if (space)
            return state;
        return byte == ';' ? NAME_START : FAILED;
    case NAME_START:
        if (space)
            return state;
        return is_token(byte) ? NAME : FAILED;
    case NAME:
        if (is_token(byte))
            return NAME;
        return byte == '=' ? VALUE_START : after_item(byte, AFTER_NAME);
    case AFTER_NAME:
        if (space)
            return state;
        if (byte == '=')
            return VALUE_START;
        return byte == ';' ? NAME_START : FAILED;
    case VALUE_START:
        if (space)
            return state;
        if (byte == '"')
            return QUOTED;
        return is_token(byte) ? VALUE : FAILED;
    case VALUE: return is_token(byte) ? VALUE : after_item(byte, BEFORE_SEMICOLON);
    case QUOTED:
        if (byte == '"')
            return AFTER_QUOTED;
        if (byte == '\\')
            return QUOTED_PAIR;
        return is_quotable(byte) ? QUOTED : FAILED;
    case QUOTED_PAIR: return is_quotable(byte) ? QUOTED : FAILED;
    case AFTER_QUOTED: return after_item(byte, BEFORE_SEMICOLON);
    default: return FAILED;
    }
}

/* Read a chunk's first line as far as it is there. */
static int size_line(struct cl_chunked *c, const char **p, const char *end) {
    enum state state = (enum state)c->state;
    while (*p < end && state <= SIZE_LF) {
        unsigned char byte = (unsigned char)*(*p)++;
        if (state == SIZE_LF) {
            if (byte != '\n')
                return CELLO_ECHUNK;
            state = c->remaining ? DATA : TRAILERS;
            break;
        }
        if (state == SIZE)
            state = size_byte(c, byte);
        else
            state = extension_byte(state, byte);
        bool extension = state != SIZE && state != SIZE_LF;
        c->extension_bytes += extension;
        if (state == FAILED || c->extension_bytes > CL_CHUNKED_MAX_EXTENSIONS)
            return CELLO_ECHUNK;
    }
    c->state = (uint8_t)state;
    return CELLO_OK;
}

static int expect(struct cl_chunked *c, const char **p, char byte, enum state next) {
    if (*(*p)++ != byte)
        return CELLO_ECHUNK;
    c->state = (uint8_t)next;
    return CELLO_OK;
}

static bool kept(const struct cl_header *h) {
    return h->id == CL_HEADER_OTHER || h->id == CL_HEADER_ETAG;
}

/* The whole section, or CELLO_EAGAIN without having used any of it. */
static int trailers(struct cl_chunked *c, const char **cursor, const char *end) {
    const char *base = *cursor, *p = base;
    bool cut = (size_t)(end - base) > c->max_trailer_size;
    if (cut)
        end = base + c->max_trailer_size;
    int more = cut ? CELLO_EHEAD_TOO_LARGE : CELLO_EAGAIN;
    c->trailer_count = 0;
    for (unsigned n = 0;; n++) {
        if (p == end || (*p == '\r' && end - p < 2))
            return more;
        if (*p == '\r') {
            *cursor = p + 2;
            c->state = FINISHED;
            return p[1] == '\n' ? CELLO_OK : CELLO_EBARELF;
        }
        if (n == c->max_trailers)
            return CELLO_EHEAD_TOO_LARGE;
        struct cl_header h;
        int err = cl_h1_parse_field(p, end, base, &h, &p);
        if (err)
            return err == CELLO_EAGAIN ? more : err;
        if (c->trailers && kept(&h))
            c->trailers[c->trailer_count++] = h;
    }
}

/* As with heads: an incomplete section is read again only when its new bytes may decide something.
 */
static int try_trailers(struct cl_chunked *c, const char **p, const char *end) {
    size_t len = (size_t)(end - *p), seen = CL_MIN(c->scanned, len);
    c->scanned = len;
    bool worth = seen == 0 || len > c->max_trailer_size || memchr(*p + seen, '\n', len - seen);
    return worth ? trailers(c, p, end) : CELLO_EAGAIN;
}

static int take_data(struct cl_chunked *c, const char **p, const char *end, struct cl_str *data) {
    size_t n = (size_t)CL_MIN(c->remaining, (uint64_t)(end - *p));
    *data = cl_str(*p, n);
    *p += n;
    c->remaining -= n;
    if (c->remaining == 0) {
        c->state = DATA_CR;
        c->digits = 0;
    }
    return CL_CHUNKED_DATA;
}

int cl_chunked_decode(struct cl_chunked *c, const char *in, size_t in_len, size_t *in_used,
                      struct cl_str *data) {
    const char *p = in, *end = in + in_len;
    int result = CELLO_OK;
    *data = cl_str(NULL, 0);
    while (result == CELLO_OK && c->state != FINISHED) {
        if (p == end) {
            result = CELLO_EAGAIN;
            break;
        }
        switch (c->state) {
        case DATA: result = take_data(c, &p, end, data); break;
        case DATA_CR: result = expect(c, &p, '\r', DATA_LF); break;
        case DATA_LF: result = expect(c, &p, '\n', SIZE); break;
        case TRAILERS: result = try_trailers(c, &p, end); break;
        default: result = size_line(c, &p, end); break;
        }
    }
    *in_used = (size_t)(p - in);
    return result; /* CELLO_OK is CL_CHUNKED_DONE */
}
