/* The memory of nghttp2's sessions. Pieces of the sizes that a stream needs are kept when they are
 * freed, for the next one of any session: a request costs no malloc.
 *
 * Each session's pieces are on a ring. nghttp2 does not survive every failure of its memory (1.52
 * frees what it still refers to when the queue of a stream cannot grow), so that a session that has
 * met one is not taken apart by nghttp2: its pieces go as a whole.
 *
 * Owner: what all sessions of a server share, and each connection. Thread: the server's. */
#ifndef CL_HTTP2_MEMORY_H
#define CL_HTTP2_MEMORY_H

#include <nghttp2/nghttp2.h>

#include "base/common.h"

enum {
    CL_H2_PIECE_STEP = 64, /* sizes, with what stands in front of a piece, are multiples of it */
    CL_H2_PIECE_MAX = 512, /* larger ones are the heap's */
    CL_H2_PIECE_LARGE = 16384, /* from here on a piece holds only the pages that are used */
    CL_H2_PIECE_SIZES = CL_H2_PIECE_MAX / CL_H2_PIECE_STEP,
    CL_H2_KEPT_MAX = 1 << 20, /* bytes: those of a thousand requests at once */
};

struct cl_h2_piece {
    struct cl_h2_piece *next, *prev; /* of the session; kept: next of its size */
    _Alignas(16) size_t bytes;       /* all, this struct included; the data follow */
};

struct cl_h2_memory {
    struct cl_h2_piece *kept[CL_H2_PIECE_SIZES + 1];
    size_t kept_bytes;
};

/* Of one session. */
struct cl_h2_pieces {
    struct cl_h2_memory *memory;
    struct cl_h2_piece ring; /* its head */
    bool failed;             /* there was none: the session must not be used any more */
};

void cl_h2_memory_init(struct cl_h2_memory *m);
/* No session may be left. */
void cl_h2_memory_free(struct cl_h2_memory *m);

/* It stays where it is, as does m. */
void cl_h2_pieces_init(struct cl_h2_pieces *p, struct cl_h2_memory *m);
/* What a session is made with, which copies it. */
nghttp2_mem cl_h2_pieces_calls(struct cl_h2_pieces *p);
/* All that the session has left. */
void cl_h2_pieces_free(struct cl_h2_pieces *p);

#endif
