/* CELLO_WORKER, taken apart. */
#include "base/alloc.h"
#include "cluster/member.h"

/* A number and the character behind it, which is `end` or, where the text may end, nothing. */
static bool take_number(const char **at, char end, bool may_end, uint32_t max, uint32_t *out) {
    const char *p = *at;
    uint64_t n = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        n = 10 * n + (uint64_t)(*p - '0');
        if (n > max)
            return false;
    }
    if (p == *at || (*p != end && !(may_end && *p == '\0')))
        return false;
    *out = (uint32_t)n;
    *at = *p ? p + 1 : p;
    return true;
}

static bool take_fd(const char **at, bool may_end, int *out) {
    uint32_t n;
    if (!take_number(at, ',', may_end, INT32_MAX, &n))
        return false;
    *out = (int)n;
    return true;
}

static size_t count_of(const char *text, char c) {
    size_t n = 0;
    for (; *text; text++)
        n += *text == c;
    return n;
}

/* "2:5,6": the count was read. */
static bool take_sockets(const char **at, struct cl_worker_text *t, uint32_t count) {
    struct cl_worker_address *a = &t->addresses[t->address_count++];
    *a = (struct cl_worker_address){.count = count, .fds = t->fds + t->fd_count};
    for (uint32_t i = 0; i < count; i++, t->fd_count++)
        if (!take_fd(at, i + 1 == count, &t->fds[t->fd_count]))
            return false;
    return true;
}

static int take_addresses(const char *at, struct cl_worker_text *t) {
    while (*at) {
        uint32_t count;
        if (t->address_count == CL_WORKER_ADDRESSES_MAX)
            return CELLO_ELIMIT;
        if (!take_number(&at, ':', false, CL_WORKERS_MAX, &count) || !count ||
            !take_sockets(&at, t, count))
            return CELLO_EINVAL;
    }
    return CELLO_OK;
}

int cl_worker_text_parse(struct cl_worker_text *t, const char *text) {
    *t = (struct cl_worker_text){0};
    const char *at = text;
    size_t length = strlen(text);
    if (!length || text[length - 1] == ',') /* the end stands for a comma below */
        return CELLO_EINVAL;
    if (!take_number(&at, ',', false, 2 * CL_WORKERS_MAX - 1, &t->record) ||
        !take_fd(&at, false, &t->segment) || !take_fd(&at, true, &t->control))
        return CELLO_EINVAL;
    /* No more sockets than commas, and one. */
    t->fds = cl_calloc(count_of(at, ',') + 1, sizeof *t->fds);
    if (!t->fds)
        return CELLO_ENOMEM;
    int err = take_addresses(at, t);
    if (err) {
        cl_free(t->fds);
        *t = (struct cl_worker_text){0};
    }
    return err;
}
