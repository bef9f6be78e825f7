#include "http1/segments.h"

/* Measured with 64 connections on both back ends: up to 7 KB, which with their head fit the first
 * block of an output, reading and sending costs up to a quarter less than sendfile(2); from 8 to
 * 12 KB it is the same; from 16 KB on sendfile costs less, and holds no memory for slow readers. */
enum {
    FILE_COPY_MAX = 7168,
    BYTES_COPY_MAX = 4096, /* of the program's own: as for other bodies */
    COPY_MAX = 16384,      /* in one output */
};

static bool is_file(const struct cello_segment *g) {
    return g->fd >= 0;
}

static bool is_copied(const struct cello_segment *g) {
    return is_file(g) ? g->length <= FILE_COPY_MAX : g->bytes.len <= BYTES_COPY_MAX;
}

static size_t copied_len(const struct cello_segment *g) {
    return is_file(g) ? (size_t)g->length : g->bytes.len;
}

size_t cl_h1_segments_room(const struct cl_segments *q) {
    size_t room = 0;
    for (size_t i = 0; i < q->count && is_copied(&q->items[i]); i++) {
        size_t more = room + copied_len(&q->items[i]);
        if (more > COPY_MAX)
            break;
        room = more;
    }
    return room;
}

static int copy(struct cl_out *o, const struct cello_segment *g) {
    size_t len = copied_len(g);
    struct cl_block *b = cl_out_room(o, len);
    if (!b)
        return CELLO_ENOMEM;
    char *to = cl_block_wr(b);
    if (is_file(g)) {
        struct cl_file_part part = {g->fd, g->offset, g->length};
        int err = cl_file_part_read(&part, to, len);
        if (err)
            return err;
    } else {
        memcpy(to, g->bytes.ptr, len);
    }
    b->wr += len;
    bool fits = cl_out_segment(o, to, len);
    assert(fits);
    (void)fits;
    return CELLO_OK;
}

static void lend(struct cl_out *o, const struct cello_segment *g) {
    if (is_file(g)) {
        o->file = (struct cl_file_part){g->fd, g->offset, g->length};
        o->bytes += g->length;
    } else {
        bool fits = cl_out_segment(o, g->bytes.ptr, g->bytes.len);
        assert(fits);
        (void)fits;
    }
}

int cl_h1_put_segments(struct cl_out *o, struct cl_segments *q, bool *lent) {
    size_t copied = 0;
    while (q->at < q->count && o->iov_count < CL_OUT_IOV && !o->file.left) {
        const struct cello_segment *g = &q->items[q->at];
        if (is_copied(g)) {
            copied += copied_len(g);
            if (copied > COPY_MAX)
                break;
            int err = copy(o, g);
            if (err)
                return err;
        } else {
            lend(o, g);
            *lent = true;
        }
        q->at++;
    }
    return CELLO_OK;
}
