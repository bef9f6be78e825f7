#include "store/members.h"

static size_t size_of(uint32_t count) {
    return sizeof(struct cl_members) + count * sizeof(struct cl_member);
}

size_t cl_members_size(uint32_t workers) {
    return size_of(2 * workers);
}

struct cl_members *cl_members_of(const struct cl_segment *s, uint32_t workers) {
    size_t size;
    struct cl_members *m = cl_segment_area(s, CL_AREA_MEMBERS, &size);
    if (!m || size < sizeof *m)
        return NULL;
    if (workers) {
        m->workers = workers;
        m->count = 2 * workers;
    }
    if (!m->workers || m->workers > CL_WORKERS_MAX || m->count != 2 * m->workers ||
        size < size_of(m->count))
        return NULL;
    return m;
}
