/* Routes of every kind, and requests whose handlers wait for the script. */
#ifndef CL_FUZZ_HANDLERS_H
#define CL_FUZZ_HANDLERS_H

#include <sys/mman.h>
#include <unistd.h>

#include "base/sink.h"
#include "http/method.h"
#include "talking_handlers.h"

static struct cl_app *app;
static struct cl_request *held[HELD_MAX];
static unsigned held_count;
static int file_fd; /* twice `filling` */
static const char filling[20000];

static void on_echo(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    const struct cl_pair *pairs;
    size_t count;
    (void)cello_request_query_pairs(r, &pairs, &count);
    (void)cello_request_cookie_pairs(r, &pairs, &count);
    cello_respond_bytes(r, cello_request_body(r));
}

static void on_sink(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    struct cl_sink *s = cello_response_sink(r, 10);
    struct cl_str target = cello_request_target(r);
    int err = s ? CELLO_OK : CELLO_ENOMEM;
    for (int i = 0; i < 20 && !err; i++)
        err = cl_sink_write(s, target.ptr, target.len);
    if (!err) {
        cello_respond_sink(r);
        return;
    }
    if (s)
        cello_response_sink_drop(r);
    cello_respond_problem(r, 503, target);
}

static void on_hold(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    if (held_count == HELD_MAX) {
        cello_respond_problem(r, 503, CL_STR("enough"));
        return;
    }
    cello_request_ref(r);
    held[held_count++] = r;
}

static void release(void *ctx) {
    free(ctx);
    pins--;
}

static void on_pinned(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    char *body = calloc(1, 10000);
    CHECK(body);
    pins++;
    cello_respond_pinned(r, cl_str(body, 10000), release, body);
}

struct counter {
    struct cl_generator super;
    int left;
};

static void proceed(struct cl_generator *g, struct cl_request *r) {
    struct counter *k = CL_CONTAINER_OF(g, struct counter, super);
    k->left--;
    if (k->left == 1) {
        struct cl_str target = cello_request_target(r);
        (void)cello_response_trailer(r, CL_STR("Target"), target);
    }
    cello_response_chunk(r, k->left % 2 ? CL_STR("0123456789") : cl_str(NULL, 0), k->left == 0);
}

static void stop(struct cl_generator *g, struct cl_request *r) {
    (void)r;
    generators--;
    free(CL_CONTAINER_OF(g, struct counter, super));
}

static void on_stream(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    struct counter *k = calloc(1, sizeof *k);
    CHECK(k);
    *k = (struct counter){{proceed, stop}, 4};
    generators++;
    struct cl_str length;
    bool known = cello_request_query_find(r, CL_STR("l"), &length) == CELLO_OK;
    cello_respond_stream(r, &k->super, known, length.len == 1 ? 20 : 21);
}

static void unpin(void *ctx) {
    (void)ctx;
    pins--;
}

/* Two parts of a file; ?l= their length, which may be more than it has. */
static void on_segments(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    struct cl_str l = CL_STR("100");
    (void)cello_request_query_find(r, CL_STR("l"), &l);
    uint64_t length = 0;
    for (size_t i = 0; i < l.len && i < 5 && l.ptr[i] >= '0' && l.ptr[i] <= '9'; i++)
        length = length * 10 + (uint64_t)(l.ptr[i] - '0');
    const struct cello_segment segments[] = {{.bytes = CL_STR("head"), .fd = -1},
                                             {.fd = file_fd, .offset = 1, .length = length / 2},
                                             {.bytes = {filling, (size_t)length % 9000}, .fd = -1},
                                             {.fd = file_fd, .length = length - length / 2}};
    pins++;
    cello_respond_segments(r, segments, CL_ARRAY_LEN(segments), unpin, NULL);
}

static struct cello_handler handlers[] = {{.on_request = on_echo},   {.on_request = on_sink},
                                          {.on_request = on_hold},   {.on_request = on_pinned},
                                          {.on_request = on_stream}, {.on_request = on_segments},
                                          {.on_request = on_read},   {.on_request = on_tee},
                                          {.on_request = on_later},  {.on_request = on_talk}};
static const char *const paths[] = {"/echo/{a}", "/sink/{p:path}", "/hold", "/pinned", "/stream",
                                    "/segments", "/read",          "/tee",  "/later",  "/talk"};
enum { FIRST_READER = 6 };

static void make_app(void) {
    char err[200];
    app = cello_app_new();
    file_fd = memfd_create("file", MFD_CLOEXEC);
    CHECK(app && file_fd >= 0 && write(file_fd, filling, sizeof filling) == sizeof filling);
    CHECK(write(file_fd, filling, sizeof filling) == sizeof filling);
    CHECK(!cello_app_constant(app, CELLO_GET, CL_STR("/"), NULL, 200, CL_STR("text/plain"), NULL, 0,
                              CL_STR("hello"), err, sizeof err));
    for (size_t i = 0; i < CL_ARRAY_LEN(paths); i++) {
        struct cello_route route = {.methods = CELLO_GET | CELLO_POST | 1u << CL_METHOD_CONNECT,
                                    .path = {paths[i], strlen(paths[i])},
                                    .handler = &handlers[i]};
        if (i >= FIRST_READER)
            route.body = CELLO_BODY_STREAM;
        CHECK(!cello_app_route(app, &route, err, sizeof err));
    }
    CHECK(!cello_app_use(app, cello_step_request_id(CL_STR("X-Request-ID"))));
    cello_app_redirect_slashes(app, true);
}

static void answer_held(void) {
    if (!held_count)
        return;
    struct cl_request *r = held[--held_count];
    cello_respond_bytes(r, CL_STR("late"));
    cello_request_unref(r);
}

static void hint_held(void) {
    static const struct cello_field link = {{"Link", 4}, {"</a>", 4}};
    if (held_count)
        (void)cello_response_early_hints(held[held_count - 1], &link, 1);
}

#endif
