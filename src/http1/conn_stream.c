/* Bodies that are pulled from generators. */
#include "http1/conn_internal.h"

enum {
    COPY_MAX = 4096,  /* chunks up to this are copied: the generator may be asked again before the
                         write, and the next ones join it */
    CHUNK_SLACK = 32, /* the size, its line end, the one behind the bytes, the last chunk */
};

/* "1f40\r\n" at the end of `text`; returns where it begins. */
static const char *chunk_size(char text[static 20], size_t len) {
    static const char hex[] = "0123456789abcdef";
    char *p = text + 20;
    *--p = '\n';
    *--p = '\r';
    for (size_t v = len; v; v >>= 4)
        *--p = hex[v & 15];
    return p;
}

static size_t trailers_bound(const struct cl_response *s) {
    size_t n = 0;
    for (uint16_t i = 0; i < s->trailer_count; i++)
        n += s->trailers[i].name.len + s->trailers[i].value.len + 4;
    return n;
}

/* The last chunk and the trailer section: RFC 9112, 7.1. */
static bool write_last(struct cl_out *o, struct cl_block *b, const struct cl_response *s) {
    char *start = cl_block_wr(b), *p = cl_h1_put(start, "0\r\n", 3);
    for (uint16_t i = 0; i < s->trailer_count; i++)
        p = cl_h1_put_field(p, &s->trailers[i]);
    p = cl_h1_put(p, "\r\n", 2);
    b->wr += (size_t)(p - start);
    return cl_out_segment(o, start, (size_t)(p - start));
}

static bool write_bytes(struct cl_h1 *c, struct cl_out *o, struct cl_block *b,
                        struct cl_str bytes) {
    c->stream_in_place = bytes.len > COPY_MAX;
    return c->stream_in_place ? cl_out_segment(o, bytes.ptr, bytes.len)
                              : cl_out_copy(o, b, bytes.ptr, bytes.len);
}

static bool write_chunk(struct cl_h1 *c, struct cl_out *o, struct cl_block *b,
                        struct cl_str bytes) {
    char text[20];
    const char *size = chunk_size(text, bytes.len);
    return cl_out_copy(o, b, size, (size_t)(text + sizeof text - size)) &&
           write_bytes(c, o, b, bytes) && cl_out_copy(o, b, "\r\n", 2);
}

static bool write(struct cl_h1 *c, struct cl_response *s, struct cl_str bytes, bool last) {
    size_t need = CHUNK_SLACK + (bytes.len > COPY_MAX ? 0 : bytes.len);
    if (last)
        need += trailers_bound(s);
    struct cl_out *o = cl_h1_out_get(c);
    struct cl_block *b = o ? cl_out_room(o, need) : NULL;
    if (!b)
        return false;
    if (!c->stream_chunked)
        return !bytes.len || write_bytes(c, o, b, bytes);
    return (!bytes.len || write_chunk(c, o, b, bytes)) && (!last || write_last(o, b, s));
}

void cl_h1_chunk(struct cl_request *r, struct cl_str bytes, bool last) {
    struct cl_h1 *c = cl_h1_of(r->conn);
    assert(c->state == CL_H1_STREAM && c->stream_asked);
    if (!cl_response_keeps_length(&r->response, bytes.len, last) ||
        !write(c, &r->response, bytes, last)) {
        cl_h1_close(c);
        return;
    }
    c->stream_asked = false;
    c->stream_done = last;
    r->response.bytes_sent += bytes.len;
    if (c->peer_eof)
        cl_h1_read_by(c, UINT64_MAX);
    cl_h1_flush_later(c);
}

/* What was given before leaves first. */
void cl_h1_abort(struct cl_request *r) {
    struct cl_h1 *c = cl_h1_of(r->conn);
    if (!c->fill && !c->fly) {
        cl_h1_close(c);
        return;
    }
    c->stream_cut = true;
    cl_h1_flush_later(c);
}

void cl_h1_pull(struct cl_h1 *c) {
    struct cl_generator *g = c->req->response.generator;
    if (c->stream_done) {
        cl_h1_finish_stream(c);
        return;
    }
    c->stream_asked = true;
    g->proceed(g, c->req);
    cl_h1_stream_eof(c);
}

void cl_h1_stream_eof(struct cl_h1 *c) {
    if (c->peer_eof && c->state == CL_H1_STREAM && c->stream_asked)
        cl_h1_read_by(c, cl_h1_after(c, CL_EOF_GRACE_NS));
}
