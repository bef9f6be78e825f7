/* Health endpoints of an application: include/cello/health.h. */
#include <cello/health.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "http/response.h"
#include "server/health.h"

struct health {
    struct cello_handler super;
    enum cello_health what;
    struct cello_handler *then;
};

static bool is_stopping(const struct cl_server *s) {
    return s->draining || (s->cluster && atomic_load_explicit(&s->cluster->members->stopping,
                                                              memory_order_relaxed));
}

void cl_health_head(struct cl_request *r, int status) {
    static const struct cl_header no_store = {.name = CL_STR_INIT("Cache-Control"),
                                              .value = CL_STR_INIT("no-store"),
                                              .id = CL_HEADER_CACHE_CONTROL};
    r->response.status = status;
    r->response.content_type = CL_STR("application/json");
    if (cl_response_add(r, &no_store) != CELLO_OK)
        return; /* memory: the answer goes without */
}

static void on_request(const struct cello_handler *h, struct cl_request *r) {
    const struct health *health = CL_CONTAINER_OF(h, struct health, super);
    const struct cl_server *s = CL_CONTAINER_OF(r->worker, struct cl_server, worker);
    if (health->what == CELLO_HEALTH_READY && is_stopping(s)) {
        cl_health_head(r, 503);
        cl_respond_static(r, CL_STR("{\"status\":\"stopping\"}"));
    } else if (health->then) {
        health->then->on_request(health->then, r);
    } else {
        cl_health_head(r, 200);
        cl_respond_static(r, CL_STR("{\"status\":\"ok\"}"));
    }
}

static void del(struct cello_handler *h) {
    struct health *health = CL_CONTAINER_OF(h, struct health, super);
    if (health->then && health->then->del)
        health->then->del(health->then);
    cl_free(health);
}

struct cello_handler *cello_health_handler(enum cello_health what, struct cello_handler *then) {
    struct health *health = cl_malloc(sizeof *health);
    if (!health) {
        if (then && then->del)
            then->del(then);
        return NULL;
    }
    *health = (struct health){
        .super = {.on_request = on_request, .del = del}, .what = what, .then = then};
    return &health->super;
}

void cello_cluster_publish_checks(struct cl_cluster *c, uint32_t checks, uint32_t failing) {
    atomic_store(&c->member->checks, checks);
    atomic_store(&c->member->failing, failing);
    atomic_store(&c->member->checked_ns, cl_now_ns());
}
