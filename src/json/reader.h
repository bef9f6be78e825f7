/* Reads JSON text (RFC 8259) piece by piece: the caller pulls tokens, nothing is built.
 *
 *      struct cl_json_reader r;
 *      cl_json_reader_init(&r, text, depth_limit);
 *      while ((err = cl_json_reader_next(&r, &token)) == CELLO_OK && token.kind != CL_JSON_END)
 *          ...
 *
 * The grammar is checked as a whole: what reached CL_JSON_END was one well-formed value. Strict: no
 * byte order mark, no NaN, UTF-8 only, no escapes of lone surrogates. Numbers beyond the largest
 * double are malformed; integers of any length are well-formed and given as text.
 *
 * The reader holds no memory. Token texts point into the input, valid as long as that is; nothing
 * at or behind its end is read. Thread: one at a time. */
#ifndef CL_JSON_READER_H
#define CL_JSON_READER_H

#include "base/common.h"

enum cl_json_kind {
    CL_JSON_END, /* the value is complete and only white space came after it */
    CL_JSON_OBJECT_BEGIN,
    CL_JSON_OBJECT_END,
    CL_JSON_ARRAY_BEGIN,
    CL_JSON_ARRAY_END,
    CL_JSON_KEY,    /* text: between the quotes, still escaped if has_escapes */
    CL_JSON_STRING, /* the same */
    CL_JSON_INT,    /* i64 */
    CL_JSON_BIGINT, /* text: an integer that does not fit in i64 */
    CL_JSON_DOUBLE, /* f64 */
    CL_JSON_TRUE,
    CL_JSON_FALSE,
    CL_JSON_NULL,
};

struct cl_json_token {
    enum cl_json_kind kind;
    bool has_escapes;
    struct cl_str text; /* the raw text of any scalar */
    union {
        int64_t i64;
        double f64;
    };
};

enum { CL_JSON_READER_MAX_DEPTH = 256 };

struct cl_json_reader {
    const char *begin, *p, *end;
    unsigned depth, max_depth;
    uint8_t state;
    uint8_t is_object[CL_JSON_READER_MAX_DEPTH / 8]; /* one bit for each open container */
    int err;                                         /* the first error, which stays */
    const char *error; /* what is wrong at `p`; static text, or NULL */
};

/* `max_depth` up to CL_JSON_READER_MAX_DEPTH; 0 stands for that. */
void cl_json_reader_init(struct cl_json_reader *r, struct cl_str text, unsigned max_depth);

/* The next token. After CL_JSON_END it is CL_JSON_END again. Errors: CELLO_EJSON,
 * CELLO_EJSON_DEPTH; they stay, r->error says what and r->p - r->begin where. */
int cl_json_reader_next(struct cl_json_reader *r, struct cl_json_token *token) CL_MUST_USE;

/* Skip the value that comes next, or what is left of the container that `token` began. */
int cl_json_reader_skip(struct cl_json_reader *r, const struct cl_json_token *token) CL_MUST_USE;

/* The text of a key or string with its escapes undone, as UTF-8: never longer than token->text.len,
 * which is the room `out` must have. Returns the length. */
size_t cl_json_unescape_text(const struct cl_json_token *token, char *out);

#endif
