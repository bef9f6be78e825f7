/* The public face of crash reports and stacks: include/cello/diagnosis.h. */
#include <cello/diagnosis.h>

#include <unistd.h>

#include <cello/request.h>

#include "cluster/report.h"
#include "cluster/stacks.h"
#include "observe/crash.h"
#include "observe/report.h"
#include "server/server_internal.h"

static bool started;
static int worker_id = -1;

_Thread_local const struct cl_request *cl_request_entered;

void cello_request_enter(const struct cl_request *r) {
    cl_request_entered = r;
}

/* Patterns, never targets: these may hold secrets. */
static void describe(int fd) {
    struct cl_report r = CL_REPORT(fd);
    cl_report_put(&r, "build ");
    cl_report_put(&r, *cl_report_build_id() ? cl_report_build_id() : "unknown");
    cl_report_put(&r, ", process ");
    cl_report_number(&r, (uint64_t)getpid(), 10);
    cl_report_put(&r, ", thread ");
    cl_report_number(&r, (uint64_t)gettid(), 10);
    if (worker_id >= 0) {
        cl_report_put(&r, ", worker ");
        cl_report_number(&r, (uint64_t)worker_id, 10);
    }
    cl_report_put(&r, "\n");
    cl_report_flush(&r);
    const struct cl_request *request = cl_request_entered;
    if (!request || !request->route)
        return;
    cl_report_put(&r, "handling ");
    cl_report_str(&r, request->method_name);
    cl_report_put(&r, " ");
    cl_report_str(&r, request->route->path);
    cl_report_put(&r, "\n");
    cl_report_flush(&r);
}

int cello_diagnosis_start(const struct cello_diagnosis *cfg) {
    const struct cl_diagnosis d = {.describe = describe, .other_stacks = cfg->other_stacks};
    worker_id = cfg->worker_id;
    started = true;
    cello_diagnosis_thread_begin();
    cl_crash_start(&d);
    return cl_stacks_start(&d);
}

int cello_diagnosis_fd(void) {
    return cl_stacks_fd();
}

void cello_diagnosis_thread_begin(void) {
    if (started)
        cl_crash_thread_begin();
}

void cello_diagnosis_thread_end(void) {
    cl_crash_thread_end();
}

int cello_log_open(const struct cello_log_config *cfg) {
    enum cl_log_style style;
    enum cl_log_level level;
    if (!cl_report_style(cfg->format, &style) || !cl_report_level(cfg->level, &level))
        return CELLO_EINVAL;
    cl_report_open(style, level, cfg->worker_id);
    return CELLO_OK;
}

int cello_stacks_signal(void) {
    return CL_STACKS_SIGNAL;
}

int cello_stacks_read(pid_t pid, int to, uint64_t timeout_ns) {
    return cl_stacks_read(pid, to, timeout_ns);
}
