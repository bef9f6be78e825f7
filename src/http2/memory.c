#include "http2/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/poison.h"

/* Under AddressSanitizer nothing is kept. */
#if defined(CL_POISON)
enum { KEEPS = 0 };
#else
enum { KEEPS = 1 };
#endif

static struct cl_h2_piece *piece_of(void *data) {
    return (struct cl_h2_piece *)data - 1;
}

static void link_piece(struct cl_h2_pieces *p, struct cl_h2_piece *piece) {
    struct cl_h2_piece *head = &p->ring;
    piece->next = head->next;
    piece->prev = head;
    piece->next->prev = head->next = piece;
}

static void unlink_piece(struct cl_h2_piece *piece) {
    piece->next->prev = piece->prev;
    piece->prev->next = piece->next;
}

/* 0: larger than what is kept. */
static size_t size_for(size_t bytes) {
    return KEEPS && bytes <= CL_H2_PIECE_MAX ? (bytes + CL_H2_PIECE_STEP - 1) / CL_H2_PIECE_STEP
                                             : 0;
}

/* A session keeps room for a frame of any length, and hardly ever needs more than its first page.
 * Pages that were something else's before go back to the system until they are needed. */
static void *new_large(size_t bytes) {
    char *all = cl_malloc(bytes);
    size_t page = (size_t)sysconf(_SC_PAGESIZE), skip = -(uintptr_t)all % page;
    if (all && bytes > skip + page)
        (void)madvise(all + skip, (bytes - skip) / page * page, MADV_DONTNEED);
    return all;
}

/* Of `bytes` or more. */
static struct cl_h2_piece *find(struct cl_h2_memory *m, size_t bytes) {
    size_t size = size_for(bytes);
    struct cl_h2_piece *piece = m->kept[size];
    if (CL_LIKELY(piece)) {
        m->kept[size] = piece->next;
        m->kept_bytes -= piece->bytes;
        return piece;
    }
    if (size)
        bytes = size * CL_H2_PIECE_STEP;
    piece = bytes < CL_H2_PIECE_LARGE ? cl_malloc(bytes) : new_large(bytes);
    if (piece)
        piece->bytes = bytes;
    return piece;
}

static void *take(size_t n, void *user) {
    struct cl_h2_pieces *p = user;
    struct cl_h2_piece *piece =
        n <= SIZE_MAX - sizeof *piece ? find(p->memory, n + sizeof *piece) : NULL;
    if (CL_UNLIKELY(!piece)) {
        p->failed = true;
        return NULL;
    }
    link_piece(p, piece);
    return piece + 1;
}

static void keep(struct cl_h2_memory *m, struct cl_h2_piece *piece) {
    size_t size = size_for(piece->bytes);
    if (CL_UNLIKELY(!size || m->kept_bytes + piece->bytes > CL_H2_KEPT_MAX)) {
        cl_free(piece);
        return;
    }
    piece->next = m->kept[size];
    m->kept[size] = piece;
    m->kept_bytes += piece->bytes;
}

static void give_back(void *data, void *user) {
    struct cl_h2_pieces *p = user;
    if (!data)
        return;
    struct cl_h2_piece *piece = piece_of(data);
    unlink_piece(piece);
    keep(p->memory, piece);
}

static void *take_zeroed(size_t count, size_t n, void *user) {
    void *data = take(n && count > SIZE_MAX / n ? SIZE_MAX : count * n, user);
    if (data)
        memset(data, 0, count * n);
    return data;
}

static void *resize(void *data, size_t n, void *user) {
    if (!data)
        return take(n, user);
    size_t room = piece_of(data)->bytes - sizeof(struct cl_h2_piece);
    if (n <= room && n > room / 2)
        return data;
    void *other = take(n, user);
    if (!other)
        return NULL;
    memcpy(other, data, CL_MIN(n, room));
    give_back(data, user);
    return other;
}

void cl_h2_memory_init(struct cl_h2_memory *m) {
    *m = (struct cl_h2_memory){0};
}

void cl_h2_memory_free(struct cl_h2_memory *m) {
    for (size_t size = 0; size <= CL_H2_PIECE_SIZES; size++) {
        while (m->kept[size]) {
            struct cl_h2_piece *piece = m->kept[size];
            m->kept[size] = piece->next;
            cl_free(piece);
        }
    }
}

void cl_h2_pieces_init(struct cl_h2_pieces *p, struct cl_h2_memory *m) {
    p->memory = m;
    p->ring.next = p->ring.prev = &p->ring;
    p->failed = false;
}

nghttp2_mem cl_h2_pieces_calls(struct cl_h2_pieces *p) {
    return (nghttp2_mem){p, take, give_back, take_zeroed, resize};
}

void cl_h2_pieces_free(struct cl_h2_pieces *p) {
    while (p->ring.next != &p->ring)
        give_back(p->ring.next + 1, p);
}
