/* Handlers that read and write when the script says so, in any order. */
#ifndef CL_FUZZ_TALKING_HANDLERS_H
#define CL_FUZZ_TALKING_HANDLERS_H

#include "reading_handlers.h"

/* Of /talk; the last of them does what the script says. */
static struct talk {
    struct cello_reader reader;
    struct cl_generator generator;
    struct cl_request *r;
    uint64_t bytes;
    int end;    /* what reading ended with; CELLO_OK: it goes on */
    bool asked; /* for the next chunk */
    bool aborted, stopped, waiting;
} talks[HELD_MAX];
static unsigned talk_count;

static void talk_ready(struct cello_reader *reader, struct cl_request *r) {
    struct talk *t = CL_CONTAINER_OF(reader, struct talk, reader);
    CHECK(t->r == r && t->waiting);
    t->waiting = false;
}

static void talk_proceed(struct cl_generator *g, struct cl_request *r) {
    struct talk *t = CL_CONTAINER_OF(g, struct talk, generator);
    CHECK(t->r == r && !t->asked && !t->stopped && !t->aborted);
    t->asked = true;
}

static void talk_stop(struct cl_generator *g, struct cl_request *r) {
    struct talk *t = CL_CONTAINER_OF(g, struct talk, generator);
    CHECK(t->r == r && !t->stopped);
    t->stopped = true;
    t->asked = false;
    generators--;
}

static void on_talk(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    if (talk_count == HELD_MAX) {
        cello_respond_problem(r, 503, CL_STR("enough"));
        return;
    }
    struct talk *t = &talks[talk_count++];
    *t = (struct talk){{.on_ready = talk_ready}, {talk_proceed, talk_stop}, .r = r};
    cello_request_ref(r);
    generators++;
    cello_respond_stream(r, &t->generator, false, 0);
}

/* 0: a little, 1: much, 2: and no more, 3: it gives up. */
static void say(int what) {
    static const char much[30000];
    struct talk *t = talk_count ? &talks[talk_count - 1] : NULL;
    if (!t || t->stopped || t->aborted)
        return;
    if (what == 3) {
        t->aborted = true;
        cello_response_abort(t->r);
    } else if (t->asked) {
        t->asked = false;
        struct cl_str bytes = what == 1 ? cl_str(much, sizeof much) : CL_STR("some");
        cello_response_chunk(t->r, bytes, what == 2);
    }
}

static void hear(bool wait) {
    if (!talk_count)
        return;
    struct talk *t = &talks[talk_count - 1];
    t->waiting = false;
    int err = read_one(t->r, wait ? &t->reader : NULL, &t->bytes);
    CHECK(!t->end || err == t->end);
    t->waiting = wait && err == CELLO_EAGAIN;
    if (is_end(err))
        t->end = err;
}

static void hear_no_more(void) {
    if (!talk_count)
        return;
    talks[talk_count - 1].waiting = false;
    cello_request_unread(talks[talk_count - 1].r);
}

/* The connection has gone: what came in full can still be read. */
static void end_talk(void) {
    struct talk *t = &talks[talk_count - 1];
    CHECK(t->stopped && !t->waiting);
    if (cello_request_body_mode(t->r) == CELLO_BODY_STREAM)
        while (!t->end)
            hear(false);
    cello_request_unref(t->r);
    talk_count--;
}

#endif
