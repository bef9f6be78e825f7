/* Handlers that read bodies while they come. */
#ifndef CL_FUZZ_READING_HANDLERS_H
#define CL_FUZZ_READING_HANDLERS_H

#include <cello/cello.h>

#include "check.h"

enum { HELD_MAX = 8, MAX_BODY = 20000 };

/* Made by handlers and not ended yet. */
static unsigned generators, pins, readers;

/* Of /later, which reads when the script says so. */
static struct later {
    struct cello_reader super;
    struct cl_request *r;
    uint64_t bytes;
    int end; /* CELLO_OK: more may come */
    bool waiting;
} later[HELD_MAX];
static unsigned later_count;

static bool is_end(int err) {
    switch (err) {
    case CELLO_EOF:
    case CELLO_ECANCELED:
    case CELLO_EBODY_TOO_LARGE:
    case CELLO_ENOMEM:
    case CELLO_ECHUNK:
    case CELLO_EHEADER_NAME:
    case CELLO_EHEADER_VALUE:
    case CELLO_EOBSFOLD:
    case CELLO_EBARELF:
    case CELLO_EHEAD_TOO_LARGE: return true;
    default: return false; /* time does not pass here */
    }
}

/* What stands behind an extended CONNECT may be of any length. */
static bool is_within(struct cl_request *r, uint64_t bytes) {
    return bytes <= MAX_BODY || cl_str_eq(cello_request_method(r), CL_STR("CONNECT"));
}

static int read_one(struct cl_request *r, struct cello_reader *reader, uint64_t *bytes) {
    struct cl_str piece;
    int err = cello_request_read(r, reader, &piece);
    CHECK(err == CELLO_OK || err == CELLO_EAGAIN || is_end(err));
    if (err)
        return err;
    CHECK(piece.len > 0);
    volatile char sum = 0; /* the whole piece can be read */
    for (size_t i = 0; i < piece.len; i++)
        sum = (char)(sum ^ piece.ptr[i]);
    *bytes += piece.len;
    CHECK(is_within(r, *bytes));
    return CELLO_OK;
}

struct counting {
    struct cello_reader super;
    uint64_t bytes;
};

static void counting_ready(struct cello_reader *reader, struct cl_request *r) {
    struct counting *k = CL_CONTAINER_OF(reader, struct counting, super);
    int err;
    while ((err = read_one(r, reader, &k->bytes)) == CELLO_OK)
        continue;
    if (err == CELLO_EAGAIN)
        return;
    CHECK(read_one(r, reader, &k->bytes) == err); /* an end stays */
    readers--;
    free(k);
    cello_respond_bytes(r, CL_STR("read"));
    cello_request_unref(r);
}

static void on_read(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    struct counting *k = calloc(1, sizeof *k);
    CHECK(k);
    k->super.on_ready = counting_ready;
    readers++;
    cello_request_ref(r);
    counting_ready(&k->super, r);
}

struct tee {
    struct cello_reader reader;
    struct cl_generator generator;
    uint64_t bytes;
};

static void tee_ready(struct cello_reader *reader, struct cl_request *r) {
    struct tee *t = CL_CONTAINER_OF(reader, struct tee, reader);
    struct cl_str piece;
    int err = cello_request_read(r, reader, &piece);
    CHECK(err == CELLO_OK || err == CELLO_EAGAIN || is_end(err));
    if (err == CELLO_OK)
        CHECK(is_within(r, t->bytes += piece.len));
    if (err == CELLO_OK)
        cello_response_chunk(r, piece, false);
    else if (err == CELLO_EOF)
        cello_response_chunk(r, cl_str(NULL, 0), true);
    else if (err != CELLO_EAGAIN)
        cello_response_abort(r);
}

static void tee_proceed(struct cl_generator *g, struct cl_request *r) {
    tee_ready(&CL_CONTAINER_OF(g, struct tee, generator)->reader, r);
}

static void tee_stop(struct cl_generator *g, struct cl_request *r) {
    cello_request_unread(r);
    generators--;
    free(CL_CONTAINER_OF(g, struct tee, generator));
}

static void on_tee(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    struct tee *t = calloc(1, sizeof *t);
    CHECK(t);
    *t = (struct tee){{.on_ready = tee_ready}, {tee_proceed, tee_stop}, 0};
    generators++;
    cello_respond_stream(r, &t->generator, false, 0);
}

static void later_ready(struct cello_reader *reader, struct cl_request *r) {
    struct later *l = CL_CONTAINER_OF(reader, struct later, super);
    CHECK(l->r == r && l->waiting);
    l->waiting = false;
}

static void on_later(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    if (later_count == HELD_MAX) {
        cello_respond_problem(r, 503, CL_STR("enough"));
        return;
    }
    cello_request_ref(r);
    later[later_count++] = (struct later){.super.on_ready = later_ready, .r = r};
}

/* One read, with what must hold of the end. */
static void later_read(struct later *l, bool wait) {
    l->waiting = false;
    int err = read_one(l->r, wait ? &l->super : NULL, &l->bytes);
    CHECK(!l->end || err == l->end);
    l->waiting = wait && err == CELLO_EAGAIN;
    if (is_end(err))
        l->end = err;
}

static void later_unread(struct later *l) {
    l->waiting = false;
    cello_request_unread(l->r);
}

static void read_later(bool wait) {
    if (later_count)
        later_read(&later[later_count - 1], wait);
}

static void unread_later(void) {
    if (later_count)
        later_unread(&later[later_count - 1]);
}

static void answer_later(void) {
    if (!later_count)
        return;
    unread_later();
    struct cl_request *r = later[--later_count].r;
    cello_respond_bytes(r, CL_STR("later"));
    cello_request_unref(r);
}

#endif
