#include "event/tail.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "event/loop_internal.h"

/* A slow reader takes longer than this for the rest of its socket's buffer. */
#define LOOK_NS (20 * CL_NS_PER_MS)

struct cl_tail {
    struct cl_tail *next;
    struct cl_tail **owner;
    cl_tail_settled_fn settled;
    uint64_t bytes;
    uint64_t until_ns;
    int fd; /* another one of the same socket */
};

static void look_later(struct cl_loop *l) {
    if (l->tails.all)
        cl_timer_set(&l->timers, &l->tails.timer, l->now_ns + LOOK_NS);
}

static void del(struct cl_loop *l, struct cl_tail **at) {
    struct cl_tail *t = *at;
    *at = t->next;
    l->tails.count--;
    if (t->owner)
        *t->owner = NULL;
    close(t->fd);
    cl_free(t);
}

/* End those that are settled, and those whose time is up. */
static void look(struct cl_loop *l, uint64_t now_ns) {
    struct cl_tail **at = &l->tails.all;
    while (*at) {
        struct cl_tail *t = *at;
        if (t->until_ns > now_ns && !t->settled(t->fd, t->bytes)) {
            at = &t->next;
            continue;
        }
        shutdown(t->fd, SHUT_WR);
        del(l, at);
    }
}

static void on_timer(struct cl_timer *timer) {
    struct cl_loop *l = CL_CONTAINER_OF(timer, struct cl_loop, tails.timer);
    look(l, l->now_ns);
    look_later(l);
}

bool cl_tail_begin(struct cl_loop *l, int fd, cl_tail_settled_fn settled, uint64_t bytes,
                   struct cl_tail **owner) {
    if (l->tails.count >= CL_TAILS_MAX || l->stopped)
        return false;
    struct cl_tail *t = cl_calloc(1, sizeof *t);
    if (!t)
        return false;
    t->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (t->fd < 0) {
        cl_free(t);
        return false;
    }
    t->settled = settled;
    t->bytes = bytes;
    t->until_ns = l->now_ns + CL_TAIL_NS;
    t->owner = owner;
    if (owner)
        *owner = t;
    t->next = l->tails.all;
    l->tails.all = t;
    l->tails.count++;
    look_later(l);
    cl_loop_need_turn(l);
    return true;
}

void cl_tail_leave(struct cl_tail *t) {
    if (t)
        t->owner = NULL;
}

void cl_tail_cut(struct cl_loop *l, struct cl_tail *t) {
    struct cl_tail **at = &l->tails.all;
    if (!t)
        return;
    while (*at != t)
        at = &(*at)->next;
    del(l, at);
}

void cl_tails_init(struct cl_tails *t) {
    *t = (struct cl_tails){0};
    cl_timer_init(&t->timer, on_timer);
}

/* Nobody turns the loop any more. */
void cl_tails_stop(struct cl_loop *l) {
    const struct timespec pause = {.tv_nsec = 5 * CL_NS_PER_MS};
    uint64_t now_ns = cl_now_ns(), until_ns = now_ns + CL_TAIL_STOP_NS;
    cl_timer_stop(&l->timers, &l->tails.timer);
    for (look(l, now_ns); l->tails.all && now_ns < until_ns; look(l, now_ns = cl_now_ns()))
        nanosleep(&pause, NULL);
    look(l, UINT64_MAX);
}
