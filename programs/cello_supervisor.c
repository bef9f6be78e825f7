/* cello-supervisor: holds the sockets of an application and keeps its workers running. It is
 * started by app.run(workers=...) and `cello run --workers`, and lies beside the Python module.
 *
 *     cello-supervisor [OPTION...] -- PROGRAM ARGUMENT...
 *
 * The options are in src/cluster/options.c. It exits with 0 after an orderly stop, 1 when it gave
 * up or could not listen, 2 when its command line is wrong. */
#include "cluster/report.h"
#include "cluster/supervisor.h"

int main(int argc, char **argv) {
    struct cl_supervisor_options options;
    struct cl_supervisor *supervisor;
    char why[CL_OPTIONS_ERROR_MAX];
    int err = cl_supervisor_options_parse(&options, argc, argv, why);
    cl_report_open(options.log_style, options.log_level);
    if (err) {
        cl_log(CL_LOG_ERROR, "cello-supervisor: %s", why);
        return 2;
    }
    if (cl_supervisor_new(&supervisor, &options))
        return 1;
    int status = cl_supervisor_run(supervisor);
    cl_supervisor_del(supervisor);
    return status;
}
