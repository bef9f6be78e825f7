#define _GNU_SOURCE
#include "store/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cello/version.h>

#include "base/alloc.h"

/* What lies in the areas changes with every version, so that only equals may share. */
static const char MAGIC[32] = "cello segment " CELLO_VERSION;

struct header {
    char magic[sizeof MAGIC];
    uint64_t size;
    struct {
        uint64_t offset;
        uint64_t size;
    } areas[CL_AREA_COUNT];
};

_Static_assert(sizeof(struct header) <= CL_AREA_ALIGN, "the areas begin on the second page");

struct cl_segment {
    int fd;
    size_t size;
    struct header header; /* as it was when it was checked: others write to the memory */
    void *memory;
};

static int map(struct cl_segment **out, int fd, size_t size) {
    struct cl_segment *s = cl_malloc(sizeof *s);
    if (!s)
        return CELLO_ENOMEM;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        cl_free(s);
        return CELLO_ESYS;
    }
    /* Keys of tickets and what programs store are nothing for core files. */
    (void)madvise(memory, size, MADV_DONTDUMP);
    *s = (struct cl_segment){.fd = fd, .size = size, .memory = memory};
    memcpy(&s->header, memory, sizeof s->header);
    *out = s;
    return CELLO_OK;
}

/* False: more than there are addresses. */
static bool lay_out(struct header *h, const size_t sizes[CL_AREA_COUNT]) {
    uint64_t at = CL_AREA_ALIGN;
    for (size_t i = 0; i < CL_AREA_COUNT; i++) {
        uint64_t rounded =
            ((uint64_t)sizes[i] + CL_AREA_ALIGN - 1) & ~(uint64_t)(CL_AREA_ALIGN - 1);
        if (rounded < sizes[i] || rounded > (uint64_t)INT64_MAX - at)
            return false;
        h->areas[i].offset = at;
        h->areas[i].size = sizes[i];
        at += rounded;
    }
    h->size = at;
    return true;
}

int cl_segment_new(struct cl_segment **out, const size_t sizes[CL_AREA_COUNT]) {
    struct header header = {0};
    memcpy(header.magic, MAGIC, sizeof MAGIC);
    if (!lay_out(&header, sizes))
        return CELLO_EINVAL;
    int fd = memfd_create(CL_SEGMENT_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return CELLO_ESYS;
    int err = CELLO_ESYS;
    if (ftruncate(fd, (off_t)header.size) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        err = map(out, fd, (size_t)header.size);
    if (err) {
        int saved = errno;
        close(fd);
        errno = saved;
        return err;
    }
    (*out)->header = header;
    memcpy((*out)->memory, &header, sizeof header);
    return CELLO_OK;
}

static bool is_whole(const struct header *h, size_t size) {
    if (h->size != size)
        return false;
    for (size_t i = 0; i < CL_AREA_COUNT; i++)
        if (h->areas[i].offset > size || h->areas[i].size > size - h->areas[i].offset)
            return false;
    return true;
}

int cl_segment_attach(struct cl_segment **out, int fd) {
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (fstat(fd, &st))
        return CELLO_ESYS;
    if (seals < 0 || !(seals & F_SEAL_SHRINK) || st.st_size < CL_AREA_ALIGN)
        return CELLO_EINVAL;
    int err = map(out, fd, (size_t)st.st_size);
    if (err)
        return err;
    const struct header *h = &(*out)->header;
    if (memcmp(h->magic, MAGIC, sizeof MAGIC) != 0)
        err = memcmp(h->magic, "cello segment ", 14) == 0 ? CELLO_ENOTSUP : CELLO_EINVAL;
    else if (!is_whole(h, (size_t)st.st_size))
        err = CELLO_EINVAL;
    else if (fcntl(fd, F_SETFD, FD_CLOEXEC))
        err = CELLO_ESYS;
    if (err) {
        munmap((*out)->memory, (*out)->size);
        cl_free(*out);
        *out = NULL;
    }
    return err;
}

void cl_segment_del(struct cl_segment *s) {
    if (!s)
        return;
    munmap(s->memory, s->size);
    close(s->fd);
    cl_free(s);
}

int cl_segment_fd(const struct cl_segment *s) {
    return s->fd;
}

void *cl_segment_area(const struct cl_segment *s, enum cl_area area, size_t *size) {
    *size = (size_t)s->header.areas[area].size;
    return *size ? (char *)s->memory + s->header.areas[area].offset : NULL;
}
