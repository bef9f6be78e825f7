/* Provided buffers: the kernel chooses one of the pool's blocks when bytes arrive, and the block
 * itself is handed to the connection. Blocks freed in a turn are offered again at its end, the one
 * used last, still in the cache, first. */
#ifdef CELLO_HAVE_URING

#include <errno.h>
#include <sys/mman.h>

#include "event/loop_uring_internal.h"

enum { RING_BYTES = CL_URING_BUFS_MAX * sizeof(struct io_uring_buf) };

_Static_assert((CL_URING_BUFS_MAX & (CL_URING_BUFS_MAX - 1)) == 0, "the ring is masked");
_Static_assert(CL_URING_BUFS_MAX <= UINT16_MAX, "buffer ids have 16 bits");

int cl_uring_bufs_init(struct cl_uring *u) {
    struct cl_uring_bufs *bufs = &u->bufs;
    void *mem = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (mem == MAP_FAILED)
        return CELLO_ENOMEM;
    struct io_uring_buf_reg reg = {
        .ring_addr = (uint64_t)(uintptr_t)mem,
        .ring_entries = CL_URING_BUFS_MAX,
        .bgid = CL_URING_BUF_GROUP,
    };
    int err = io_uring_register_buf_ring(&u->ring, &reg, 0);
    if (err) {
        munmap(mem, RING_BYTES);
        return err == -ENOMEM ? CELLO_ENOMEM : CELLO_ENOTSUP;
    }
    bufs->ring = mem;
    io_uring_buf_ring_init(bufs->ring);
    bufs->target = CL_URING_BUFS_FIRST;
    for (uint16_t id = 0; id < CL_URING_BUFS_MAX; id++)
        bufs->free_ids[bufs->free_count++] = id;
    return CELLO_OK;
}

/* Call after the ring is gone: the kernel writes into the blocks until then. */
void cl_uring_bufs_free(struct cl_uring *u) {
    struct cl_uring_bufs *bufs = &u->bufs;
    for (size_t id = 0; id < CL_URING_BUFS_MAX; id++)
        if (bufs->blocks[id])
            cl_block_unref(bufs->blocks[id]);
    if (bufs->ring)
        munmap(bufs->ring, RING_BYTES);
}

/* At most a quarter of a limited pool lies ready for the kernel, and at least one block. */
static unsigned most(const struct cl_uring *u) {
    size_t blocks = u->super.pool.max_bytes / CL_BLOCK_SIZE / 4;
    return (unsigned)CL_MIN(CL_MAX(blocks, (size_t)1), (size_t)CL_URING_BUFS_MAX);
}

void cl_uring_bufs_grow(struct cl_uring *u) {
    /* Once for all connections that met the empty ring. */
    if (!u->bufs.count && u->bufs.target < CL_URING_BUFS_MAX && !u->bufs.grown) {
        u->bufs.target *= 2;
        u->bufs.grown = true;
    }
}

void cl_uring_bufs_refill(struct cl_uring *u) {
    struct cl_uring_bufs *bufs = &u->bufs;
    bufs->grown = false;
    unsigned target = bufs->target;
    if (CL_LIKELY(bufs->count >= target))
        return;
    target = CL_MIN(target, most(u));
    int added = 0;
    for (; bufs->count < target; bufs->count++, added++) {
        struct cl_block *b = cl_block_new(&u->super.pool, CL_BLOCK_SIZE);
        if (!b)
            break;
        uint16_t id = bufs->free_ids[--bufs->free_count];
        bufs->blocks[id] = b;
        io_uring_buf_ring_add(bufs->ring, b->data, (unsigned)b->cap, id,
                              io_uring_buf_ring_mask(CL_URING_BUFS_MAX), added);
    }
    io_uring_buf_ring_advance(bufs->ring, added);
}

struct cl_block *cl_uring_bufs_take(struct cl_uring *u, uint32_t cqe_flags, size_t n) {
    struct cl_uring_bufs *bufs = &u->bufs;
    uint16_t id = (uint16_t)(cqe_flags >> IORING_CQE_BUFFER_SHIFT);
    struct cl_block *b = bufs->blocks[id];
    bufs->blocks[id] = NULL;
    bufs->free_ids[bufs->free_count++] = id;
    bufs->count--;
    b->wr = n;
    return b;
}

#else

/* An ISO C file has at least one declaration. */
typedef int cl_uring_bufs_absent;

#endif
