/* Whose processes these are: user and group are given up once the sockets are bound, before
 * anything of the user's program runs, and cannot be had back.
 *
 * Thread: one; before others are started, because the kernel knows a user for each thread. */
#ifndef CL_CLUSTER_IDENTITY_H
#define CL_CLUSTER_IDENTITY_H

#include <sys/types.h>

#include "base/common.h"

struct cl_identity {
    uid_t uid; /* (uid_t)-1: stays as it is */
    gid_t gid;
    const char *name; /* of the user, for its further groups; NULL: it has no name. The caller's */
};

enum { CL_IDENTITY_ERROR_MAX = 160 };

/* A user's and a group's name or number, each NULL for none. A user without a group brings their
 * own. Errors: CELLO_ENOENT, and `why` names what there is not. */
int cl_identity_find(struct cl_identity *id, const char *user, const char *group,
                     char why[CL_IDENTITY_ERROR_MAX]) CL_MUST_USE;
/* Become that user, in all of the process's user and group ids, and see that there is no way back.
 * It is no error to be them already. Errors: CELLO_ESYS, CELLO_ESTATE (there is a way back; the
 * process must end), and `why`. */
int cl_identity_take(const struct cl_identity *id, char why[CL_IDENTITY_ERROR_MAX]) CL_MUST_USE;

#endif
