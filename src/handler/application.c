#include "handler/application.h"

#include "http/request.h"
#include "http/worker.h"

void cl_app_queue_init(struct cl_app_queue *q) {
    *q = (struct cl_app_queue){.tail = &q->head};
}

void cl_app_queue_push(struct cl_app_queue *q, struct cl_request *r) {
    cl_request_ref(r);
    r->next = NULL;
    *q->tail = r;
    q->tail = &r->next;
    q->pushed++;
}

struct cl_request *cl_app_queue_pop(struct cl_app_queue *q) {
    for (;;) {
        struct cl_request *r = q->head;
        if (!r)
            return NULL;
        q->head = r->next;
        if (!q->head)
            q->tail = &q->head;
        r->next = NULL;
        if (CL_LIKELY(r->conn))
            return r;
        cl_request_unref(r);
    }
}

static void on_request(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    cl_app_queue_push(r->worker->app_queue, r);
    /* What was pipelined behind answers that have just been sent comes after this turn's batch. */
    cl_loop_need_batch(r->worker->loop);
}

struct cello_handler *cello_application_handler(void) {
    static struct cello_handler slot = {.on_request = on_request};
    return &slot;
}
