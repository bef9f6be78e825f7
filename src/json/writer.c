#include "json/writer.h"

#include <math.h>

#include "base/utf8.h"
#include "json/double.h"
#include "json/escape.h"
#include "json/integer.h"

/* Text is escaped in pieces, so that its worst case asks for little room at a time. */
enum { ESCAPE_PIECE = 512 };

void cl_json_writer_init(struct cl_json_writer *w, struct cl_sink *sink) {
    *w = (struct cl_json_writer){.sink = sink};
}

/* Room for `need` bytes, or false: then nothing may be written. */
static bool has_room(struct cl_json_writer *w, size_t need) {
    if (!w->err)
        w->err = cl_sink_reserve(w->sink, need);
    return !w->err;
}

/* The comma in front of a value, and room for `need` bytes of it. */
static bool begin_value(struct cl_json_writer *w, size_t need) {
    if (!has_room(w, need + 1))
        return false;
    if (w->needs_comma)
        *w->sink->p++ = ',';
    w->needs_comma = true;
    return true;
}

static void open_container(struct cl_json_writer *w, char bracket) {
    if (!begin_value(w, 1))
        return;
    *w->sink->p++ = bracket;
    w->depth++;
    w->needs_comma = false;
}

static void close_container(struct cl_json_writer *w, char bracket) {
    if (!has_room(w, 1))
        return;
    assert(w->depth > 0);
    *w->sink->p++ = bracket;
    w->depth--;
    w->needs_comma = true;
}

void cl_json_writer_begin_object(struct cl_json_writer *w) {
    open_container(w, '{');
}

void cl_json_writer_end_object(struct cl_json_writer *w) {
    close_container(w, '}');
}

void cl_json_writer_begin_array(struct cl_json_writer *w) {
    open_container(w, '[');
}

void cl_json_writer_end_array(struct cl_json_writer *w) {
    close_container(w, ']');
}

static void put_escaped(struct cl_json_writer *w, const char *text, size_t n) {
    while (n) {
        size_t piece = CL_MIN(n, (size_t)ESCAPE_PIECE);
        if (!has_room(w, piece * CL_ESCAPE_WORST + CL_ESCAPE_SLACK))
            return;
        w->sink->p = cl_escape(w->sink->p, text, piece);
        text += piece;
        n -= piece;
    }
}

void cl_json_writer_string(struct cl_json_writer *w, struct cl_str text) {
    if (!begin_value(w, 1))
        return;
    *w->sink->p++ = '"';
    const char *p = text.ptr;
    size_t left = text.len;
    while (left) {
        size_t good = cl_utf8_valid_prefix(p, left);
        put_escaped(w, p, good);
        p += good;
        left -= good;
        if (left) {
            put_escaped(w, "\xef\xbf\xbd", 3);
            p++;
            left--;
        }
    }
    if (has_room(w, 1))
        *w->sink->p++ = '"';
}

void cl_json_writer_key(struct cl_json_writer *w, struct cl_str key) {
    cl_json_writer_string(w, key);
    if (has_room(w, 1))
        *w->sink->p++ = ':';
    w->needs_comma = false;
}

void cl_json_writer_int(struct cl_json_writer *w, int64_t value) {
    if (begin_value(w, CL_INTEGER_MAX))
        w->sink->p = cl_put_i64(w->sink->p, value);
}

void cl_json_writer_uint(struct cl_json_writer *w, uint64_t value) {
    if (begin_value(w, CL_INTEGER_MAX))
        w->sink->p = cl_put_u64(w->sink->p, value);
}

void cl_json_writer_double(struct cl_json_writer *w, double value) {
    if (!isfinite(value))
        cl_json_writer_null(w);
    else if (begin_value(w, CL_DOUBLE_MAX))
        w->sink->p = cl_put_double(w->sink->p, value);
}

void cl_json_writer_raw(struct cl_json_writer *w, struct cl_str json) {
    if (begin_value(w, json.len) && json.len)
        cl_sink_put(w->sink, json.ptr, json.len);
}

void cl_json_writer_bool(struct cl_json_writer *w, bool value) {
    cl_json_writer_raw(w, value ? CL_STR("true") : CL_STR("false"));
}

void cl_json_writer_null(struct cl_json_writer *w) {
    cl_json_writer_raw(w, CL_STR("null"));
}

int cl_json_writer_finish(struct cl_json_writer *w) {
    assert(w->err || w->depth == 0);
    return w->err;
}
