/* A foreign descriptor in the server's loop. */
#include "base/alloc.h"
#include "server/server_internal.h"

struct cl_watch {
    struct cl_poll poll;
    void (*on_ready)(void *ctx);
    void *ctx;
};

static void on_ready(struct cl_poll *p) {
    struct cl_watch *w = CL_CONTAINER_OF(p, struct cl_watch, poll);
    w->on_ready(w->ctx);
}

int cello_server_watch(struct cl_server *s, struct cl_watch **out, int fd, void (*ready)(void *ctx),
                       void *ctx) {
    struct cl_watch *w = cl_calloc(1, sizeof *w);
    if (!w)
        return CELLO_ENOMEM;
    *w = (struct cl_watch){.poll = {.on_ready = on_ready}, .on_ready = ready, .ctx = ctx};
    int err = cl_poll_open(s->worker.loop, &w->poll, fd);
    if (err)
        cl_free(w);
    else
        *out = w;
    return err;
}

void cello_server_unwatch(struct cl_watch *w) {
    if (!w)
        return;
    cl_poll_close(&w->poll);
    cl_free(w);
}
