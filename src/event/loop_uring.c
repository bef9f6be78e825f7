#include "event/loop_internal.h"

int cl_loop_uring_new(struct cl_loop **out, int wake_fd) {
    (void)out;
    (void)wake_fd;
    return CELLO_ENOTSUP;
}
