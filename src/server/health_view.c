#include "server/health_view.h"

bool cl_member_is_hung(const struct cl_member *m, uint64_t heartbeat_ns, uint64_t now_ns) {
    return heartbeat_ns && cl_member_busy_ns(m, now_ns) > heartbeat_ns;
}

bool cl_member_is_checked(const struct cl_member *m, uint64_t now_ns) {
    if (!atomic_load(&m->checks))
        return true;
    return !atomic_load(&m->failing) && now_ns < atomic_load(&m->checked_ns) + CL_CHECKS_FRESH_NS;
}

void cl_health_view(struct cl_health_view *v, const struct cl_members *m, uint32_t records,
                    uint64_t heartbeat_ns, uint64_t now_ns) {
    *v = (struct cl_health_view){.stopping = atomic_load(&m->stopping) != 0};
    for (uint32_t i = 0; i < records; i++) {
        const struct cl_member *at = &m->at[i];
        uint32_t state = atomic_load(&at->state);
        if (state != CL_MEMBER_READY && state != CL_MEMBER_DRAINING)
            continue;
        bool hung = cl_member_is_hung(at, heartbeat_ns, now_ns);
        v->serving++;
        v->hung += hung;
        v->ready += state == CL_MEMBER_READY && !hung && cl_member_is_checked(at, now_ns);
    }
}
