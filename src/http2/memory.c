#include "http2/memory.h"

#include <malloc.h>

#include "base/alloc.h"
#include "base/poison.h"

/* Under AddressSanitizer nothing is kept. */
#if defined(CL_POISON)
enum { KEEPS = 0 };
#else
enum { KEEPS = 1 };
#endif

/* 0: none of the sizes that are kept. */
static size_t size_for(size_t n) {
    return KEEPS && n <= CL_H2_PIECE_MAX ? (CL_MAX(n, 1) + CL_H2_PIECE_STEP - 1) / CL_H2_PIECE_STEP
                                         : 0;
}

static void *take(size_t n, void *user) {
    struct cl_h2_memory *m = user;
    size_t size = size_for(n);
    void *piece = m->kept[size];
    if (CL_UNLIKELY(!size || !piece))
        return cl_malloc(size ? size * CL_H2_PIECE_STEP : n);
    memcpy(&m->kept[size], piece, sizeof(void *));
    m->kept_bytes -= size * CL_H2_PIECE_STEP;
    return piece;
}

/* What the heap gave says how large it is: at least what was asked for. */
static void give_back(void *piece, void *user) {
    struct cl_h2_memory *m = user;
    if (!piece)
        return;
    size_t size = malloc_usable_size(piece) / CL_H2_PIECE_STEP;
    size_t bytes = size * CL_H2_PIECE_STEP;
    if (!KEEPS || size > CL_H2_PIECE_SIZES || m->kept_bytes + bytes > CL_H2_KEPT_MAX) {
        cl_free(piece);
        return;
    }
    memcpy(piece, &m->kept[size], sizeof(void *));
    m->kept[size] = piece;
    m->kept_bytes += bytes;
}

static void *take_zeroed(size_t count, size_t n, void *user) {
    if (n && count > SIZE_MAX / n)
        return NULL;
    void *piece = take(count * n, user);
    if (piece)
        memset(piece, 0, count * n);
    return piece;
}

static void *resize(void *piece, size_t n, void *user) {
    if (!piece)
        return take(n, user);
    size_t room = malloc_usable_size(piece);
    if (room > CL_H2_PIECE_MAX && n > CL_H2_PIECE_MAX)
        return cl_realloc(piece, n);
    if (KEEPS && n <= room - room % CL_H2_PIECE_STEP && n > room / 2)
        return piece;
    void *other = take(n, user);
    if (!other)
        return NULL;
    memcpy(other, piece, CL_MIN(n, room));
    give_back(piece, user);
    return other;
}

void cl_h2_memory_init(struct cl_h2_memory *m) {
    *m = (struct cl_h2_memory){
        .calls = {.mem_user_data = m,
                  .malloc = take,
                  .free = give_back,
                  .calloc = take_zeroed,
                  .realloc = resize},
    };
}

void cl_h2_memory_free(struct cl_h2_memory *m) {
    for (size_t size = 0; size <= CL_H2_PIECE_SIZES; size++) {
        while (m->kept[size]) {
            void *piece = m->kept[size];
            memcpy(&m->kept[size], piece, sizeof(void *));
            cl_free(piece);
        }
    }
}
