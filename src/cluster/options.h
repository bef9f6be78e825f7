/* The command line of cello-supervisor. `cello run` and app.run() write it, nobody types it; so
 * there is one way to say each thing. */
#ifndef CL_CLUSTER_OPTIONS_H
#define CL_CLUSTER_OPTIONS_H

#include "base/log.h"
#include "cluster/policy.h"
#include "cluster/sockets.h"

enum cl_log_style { CL_LOG_DEVELOPMENT, CL_LOG_PRODUCTION, CL_LOG_JSON };

struct cl_supervisor_options {
    char *const *self;    /* the supervisor's own command line */
    char *const *command; /* of a worker: a program, its arguments, NULL */
    struct cl_place places[CL_ADDRESSES_MAX];
    size_t place_count;
    uint32_t https; /* of the places: the first so many have TLS, for the log */
    unsigned uds_mode;
    bool affinity; /* each worker keeps to one CPU */
    struct cl_policy_config policy;
    const char *user, *group;         /* NULL: as it was started */
    const char *admin, *health_path;  /* NULL: no listener for health checks */
    const char *access_log;           /* that workers will write into; NULL: no file */
    uint64_t store_bytes, ring_bytes; /* 0: the default */
    enum cl_log_style log_style;
    enum cl_log_level log_level;
};

enum { CL_OPTIONS_ERROR_MAX = 160 };

/* `o` borrows from argv. Errors: CELLO_EINVAL, and `why` says what is wrong. */
int cl_supervisor_options_parse(struct cl_supervisor_options *o, int argc, char *const *argv,
                                char why[CL_OPTIONS_ERROR_MAX]) CL_MUST_USE;

#endif
