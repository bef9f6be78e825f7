/* Whether this kernel can encrypt records itself (kTLS).
 *
 * Records are encrypted in the process all the same: no machine of ours has such a kernel, and what
 * is not tested is not used. With ktls the server log says once what the kernel has.
 *
 * Thread: any. */
#ifndef CL_TLS_KERNEL_H
#define CL_TLS_KERNEL_H

#include "base/common.h"

bool cl_tls_kernel_can(void);

#endif
