/* The memory of nghttp2's sessions. Pieces of the sizes that a stream needs are kept when they are
 * freed, for the next one: a request costs no malloc.
 *
 * Owner: what all sessions of a server share. Thread: the server's. */
#ifndef CL_HTTP2_MEMORY_H
#define CL_HTTP2_MEMORY_H

#include <nghttp2/nghttp2.h>

#include "base/common.h"

enum {
    CL_H2_PIECE_STEP = 64, /* sizes are multiples of it */
    CL_H2_PIECE_MAX = 512, /* larger ones are the heap's */
    CL_H2_PIECE_SIZES = CL_H2_PIECE_MAX / CL_H2_PIECE_STEP,
    CL_H2_KEPT_MAX = 1 << 20, /* bytes: those of a thousand requests at once */
};

struct cl_h2_memory {
    nghttp2_mem calls; /* for new sessions */
    void *kept[CL_H2_PIECE_SIZES + 1];
    size_t kept_bytes;
};

/* It stays where it is. */
void cl_h2_memory_init(struct cl_h2_memory *m);
/* No session may be left. */
void cl_h2_memory_free(struct cl_h2_memory *m);

#endif
