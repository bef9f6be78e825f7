/* Problem documents, RFC 9457, written straight into the connection's output. */
#include "http/response.h"
#include "http/status.h"
#include "json/escape.h"
#include "json/integer.h"
#include "json/writer.h"

static const char TYPE_AND_TITLE[] = "{\"type\":\"about:blank\",\"title\":\"";
static const char STATUS[] = "\",\"status\":";
static const char DETAIL[] = ",\"detail\":";
static const char INSTANCE[] = ",\"instance\":";

/* The constant text, the quotes, and the longest title with room to spare. */
enum { PROBLEM_SIZE = 192 };

#define PUT(sink, literal) cl_sink_put((sink), (literal), sizeof(literal) - 1)

/* Stands in JSON as it is: ASCII without quotes, backslashes and control characters. */
static bool is_plain(struct cl_str text) {
    unsigned odd = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        odd |= (unsigned)(c & 0x80) | (unsigned char)cl_escapes[c][7];
    }
    return !odd;
}

static int put_string(struct cl_sink *sink, struct cl_str text) {
    if (CL_UNLIKELY(!is_plain(text))) {
        struct cl_json_writer w;
        cl_json_writer_init(&w, sink);
        cl_json_writer_string(&w, text);
        return cl_json_writer_finish(&w);
    }
    int err = cl_sink_reserve(sink, text.len + 2);
    if (err)
        return err;
    *sink->p++ = '"';
    cl_sink_put(sink, text.ptr, text.len);
    *sink->p++ = '"';
    return CELLO_OK;
}

/* `key` is written with the comma before and the colon behind it; nothing for an empty value. */
static int put_member(struct cl_sink *sink, struct cl_str key, struct cl_str value) {
    if (!value.len)
        return CELLO_OK;
    int err = cl_sink_write(sink, key.ptr, key.len);
    return err ? err : put_string(sink, value);
}

static int write_problem(struct cl_sink *sink, const struct cl_request *r, struct cl_str detail) {
    struct cl_str title = cl_status_reason(r->response.status);
    if (!title.len)
        title = CL_STR("Error");
    int err = cl_sink_reserve(sink, PROBLEM_SIZE);
    if (err)
        return err;
    PUT(sink, TYPE_AND_TITLE);
    cl_sink_put(sink, title.ptr, title.len);
    PUT(sink, STATUS);
    sink->p = cl_put_i64(sink->p, r->response.status);
    err = put_member(sink, CL_STR(DETAIL), detail);
    if (!err)
        err = put_member(sink, CL_STR(INSTANCE), r->path);
    return err ? err : cl_sink_write(sink, "}", 1);
}

void cl_respond_problem(struct cl_request *r, int status, struct cl_str detail) {
    r->response.status = status;
    r->response.content_type = CL_STR("application/problem+json");
    struct cl_sink *sink = cl_response_sink(r, PROBLEM_SIZE + detail.len + r->path.len);
    if (CL_LIKELY(sink && write_problem(sink, r, detail) == CELLO_OK)) {
        cl_respond_sink(r);
        return;
    }
    cl_response_sink_drop(r);
    cl_respond_empty(r); /* no memory for it, or no client any more */
}
