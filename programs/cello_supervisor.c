/* cello-supervisor: holds the sockets of an application and keeps its workers running. It is
 * started by app.run(workers=...) and `cello run --workers`, and lies beside the Python module.
 *
 *     cello-supervisor [OPTION...] -- PROGRAM ARGUMENT...
 *
 * The options are in src/cluster/options.c. It exits with 0 after an orderly stop, 1 when it gave
 * up or could not listen, 2 when its command line is wrong. */
#include <cello/diagnosis.h>
#include <cello/health.h>

#include <errno.h>

#include "cluster/report.h"
#include "cluster/supervisor.h"
#include "observe/access_log.h"

/* The listener for health, where one is wanted; false: it cannot be, as the log says. */
static bool serve_health(struct cello_health_server **out, const struct cl_supervisor *s,
                         const struct cl_supervisor_options *options) {
    const struct cello_health_config cfg = {
        .address = options->admin,
        .path = options->health_path ? options->health_path : "/health",
        .segment = cl_supervisor_segment(s),
        .heartbeat_ns = options->policy.heartbeat_timeout_ns,
        .waits = cl_supervisor_is_heir(s), /* until the other one has left */
    };
    int err = options->admin ? cello_health_serve(out, &cfg) : CELLO_OK;
    if (err)
        cl_log(CL_LOG_ERROR, "cannot listen on %s for health: %s", options->admin,
               err == CELLO_ESYS ? strerror(errno) : cello_strerror(err));
    return !err;
}

/* Workers would say it one after the other, and again. With the rights that they will have. */
static bool can_log(const struct cl_supervisor_options *options) {
    if (!options->access_log || cl_access_log_try(options->access_log) == CELLO_OK)
        return true;
    cl_log(CL_LOG_ERROR, "cannot write the access log %s: %s", options->access_log,
           strerror(errno));
    return false;
}

int main(int argc, char **argv) {
    struct cl_supervisor_options options;
    struct cl_supervisor *supervisor;
    char why[CL_OPTIONS_ERROR_MAX];
    int err = cl_supervisor_options_parse(&options, argc, argv, why);
    cl_report_open(options.log_style, options.log_level, -1);
    if (err) {
        cl_log(CL_LOG_ERROR, "cello-supervisor: %s", why);
        return 2;
    }
    if (cl_supervisor_new(&supervisor, &options))
        return 1;
    const struct cello_diagnosis nobody = {.worker_id = -1};
    if (cello_diagnosis_start(&nobody))
        cl_log(CL_LOG_WARNING, "a crash of the supervisor will not be reported: %s",
               strerror(errno));
    struct cello_health_server *health = NULL;
    bool can = can_log(&options) && serve_health(&health, supervisor, &options);
    int status = can ? cl_supervisor_run(supervisor) : 1;
    cello_health_end(health);
    cl_supervisor_del(supervisor);
    return status;
}
