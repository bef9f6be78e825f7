/* Handlers that read and write when the script says so, in any order. */
#ifndef CL_FUZZ_TALKING_HANDLERS_H
#define CL_FUZZ_TALKING_HANDLERS_H

#include "reading_handlers.h"

/* Of /talk; the last of them does what the script says. */
static struct talk {
    struct later reads; /* it has the request */
    struct cl_generator generator;
    bool asked; /* for the next chunk */
    bool aborted, stopped;
} talks[HELD_MAX];
static unsigned talk_count;

static void talk_proceed(struct cl_generator *g, struct cl_request *r) {
    struct talk *t = CL_CONTAINER_OF(g, struct talk, generator);
    CHECK(t->reads.r == r && !t->asked && !t->stopped && !t->aborted);
    t->asked = true;
}

static void talk_stop(struct cl_generator *g, struct cl_request *r) {
    struct talk *t = CL_CONTAINER_OF(g, struct talk, generator);
    CHECK(t->reads.r == r && !t->stopped);
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
    *t = (struct talk){.reads = {.super.on_ready = later_ready, .r = r},
                       .generator = {talk_proceed, talk_stop}};
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
        cello_response_abort(t->reads.r);
    } else if (t->asked) {
        t->asked = false;
        struct cl_str bytes = what == 1 ? cl_str(much, sizeof much) : CL_STR("some");
        cello_response_chunk(t->reads.r, bytes, what == 2);
    }
}

static void hear(bool wait) {
    if (talk_count)
        later_read(&talks[talk_count - 1].reads, wait);
}

static void hear_no_more(void) {
    if (talk_count)
        later_unread(&talks[talk_count - 1].reads);
}

/* The connection has gone: what came in full can still be read. */
static void end_talk(void) {
    struct talk *t = &talks[talk_count - 1];
    CHECK(t->stopped && !t->reads.waiting);
    if (cello_request_body_mode(t->reads.r) == CELLO_BODY_STREAM)
        while (!t->reads.end)
            hear(false);
    cello_request_unref(t->reads.r);
    talk_count--;
}

#endif
