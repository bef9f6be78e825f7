/* The JSON reader on any bytes: it never reads past them, and what it accepts means the same when
 * it is skipped in one go, and when it was written again. */
#include "base/common.h"
#include "check.h"
#include "json/reader.h"
#include "json/writer.h"

/* The token's text without escapes, in a heap block that the caller frees. */
static struct cl_str plain_text(const struct cl_json_token *token) {
    char *text = malloc(token->text.len + 1);
    CHECK(text);
    return cl_str(text, cl_json_unescape_text(token, text));
}

static void write_text(struct cl_json_writer *w, const struct cl_json_token *token) {
    struct cl_str text = plain_text(token);
    if (token->kind == CL_JSON_KEY)
        cl_json_writer_key(w, text);
    else
        cl_json_writer_string(w, text);
    free((char *)(uintptr_t)text.ptr);
}

static void write_token(struct cl_json_writer *w, const struct cl_json_token *token) {
    switch (token->kind) {
    case CL_JSON_OBJECT_BEGIN: cl_json_writer_begin_object(w); break;
    case CL_JSON_OBJECT_END: cl_json_writer_end_object(w); break;
    case CL_JSON_ARRAY_BEGIN: cl_json_writer_begin_array(w); break;
    case CL_JSON_ARRAY_END: cl_json_writer_end_array(w); break;
    case CL_JSON_KEY:
    case CL_JSON_STRING: write_text(w, token); break;
    case CL_JSON_INT: cl_json_writer_int(w, token->i64); break;
    case CL_JSON_DOUBLE: cl_json_writer_double(w, token->f64); break;
    case CL_JSON_END: break;
    default: cl_json_writer_raw(w, token->text);
    }
}

static void check_same(const struct cl_json_token *a, const struct cl_json_token *b) {
    CHECK(a->kind == b->kind);
    if (a->kind == CL_JSON_INT || a->kind == CL_JSON_DOUBLE) {
        CHECK(memcmp(&a->i64, &b->i64, sizeof a->i64) == 0);
    } else if (a->kind == CL_JSON_KEY || a->kind == CL_JSON_STRING) {
        struct cl_str x = plain_text(a), y = plain_text(b);
        CHECK(cl_str_eq(x, y));
        free((char *)(uintptr_t)x.ptr);
        free((char *)(uintptr_t)y.ptr);
    } else {
        CHECK(cl_str_eq(a->text, b->text));
    }
}

static int skip_all(struct cl_str text) {
    struct cl_json_reader r;
    struct cl_json_token token = {.kind = CL_JSON_END};
    cl_json_reader_init(&r, text, 0);
    int err = cl_json_reader_skip(&r, &token);
    return err ? err : cl_json_reader_next(&r, &token);
}

static void check_written_again(struct cl_str text, struct cl_str again) {
    struct cl_json_reader a, b;
    struct cl_json_token x, y;
    cl_json_reader_init(&a, text, 0);
    cl_json_reader_init(&b, again, 0);
    do {
        CHECK(cl_json_reader_next(&a, &x) == CELLO_OK);
        CHECK(cl_json_reader_next(&b, &y) == CELLO_OK);
        check_same(&x, &y);
    } while (x.kind != CL_JSON_END);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *copy = copy_bytes(data, size);
    struct cl_str text = cl_str(copy, size);
    struct cl_heap_sink h;
    cl_heap_sink_init(&h, 64 + 32 * size);
    struct cl_json_writer w;
    cl_json_writer_init(&w, &h.sink);
    struct cl_json_reader r;
    struct cl_json_token token;
    cl_json_reader_init(&r, text, 0);
    int err;
    do {
        err = cl_json_reader_next(&r, &token);
        if (!err)
            write_token(&w, &token);
    } while (!err && token.kind != CL_JSON_END);
    CHECK(r.p >= r.begin && r.p <= r.end);
    CHECK(skip_all(text) == err);
    if (!err && cl_json_writer_finish(&w) == CELLO_OK)
        check_written_again(text, cl_str(h.sink.base, cl_sink_len(&h.sink)));
    cl_heap_sink_free(&h);
    free(copy);
    return 0;
}
