/* Open files of a worker: what was found out about a path is kept, and looked at again once a turn.
 *
 * An entry holds the descriptor of a file or, of a small one, its content. Once in a turn that asks
 * for it the path is examined with one stat: when the file there is another one, or was written to,
 * the entry is given up and the path opened again. So a change is seen by the next request of a
 * later turn, and an ordinary request opens, reads and closes nothing.
 *
 * Time stamps of files are as coarse as the kernel's ticks, and coarser on some file systems: two
 * writes within one look the same. A file that was young (CL_FILE_YOUNG_NS) when it was read is
 * therefore read again in the next turn, and has a weak entity tag.
 *
 * Bounds: CL_FILES_MAX entries; descriptors up to an eighth of RLIMIT_NOFILE, CL_FILES_OPEN_MAX at
 * most; content up to CL_FILES_CONTENT_MAX. Beyond, what was used longest ago goes. What somebody
 * holds stays until it is released. Paths that lead to no file are not kept: to try them again is
 * as cheap as to look whether they have come.
 *
 * Thread: the worker's. */
#ifndef CL_HANDLER_FILE_CACHE_H
#define CL_HANDLER_FILE_CACHE_H

#include <sys/stat.h>

#include "base/common.h"

struct cl_worker;
struct cl_file_cache;

enum {
    CL_FILES_MAX = 2048,
    CL_FILES_OPEN_MAX = 512,
    /* Larger files are sent by the kernel from its own cache. Measured, CPU us a request on epoll:
     * 32 KB from memory 10.3, by sendfile 12.5; 64 KB 21.6 and 16.6. */
    CL_FILE_CONTENT_MAX = 32 << 10,
    CL_FILES_CONTENT_MAX = 8 << 20,
};
#define CL_FILE_YOUNG_NS (2 * CL_NS_PER_S)
#define CL_FILE_MISSING_NS CL_NS_PER_S

/* W/"size-mtime", hexadecimal. */
enum { CL_FILE_ETAG_MAX = 2 + 2 + 16 + 1 + 16, CL_FILE_DATE_MAX = 29 };

/* Content codings of which a file may lie beside it, in the order of preference. */
enum cl_coding { CL_CODING_ZSTD, CL_CODING_BR, CL_CODING_GZIP, CL_CODING_COUNT };

struct cl_file_ring {
    struct cl_file_ring *next, *prev;
};

/* A regular file. Read by whoever holds a reference. */
struct cl_file {
    struct cl_file_ring lru;     /* of those with a descriptor, or of those with content */
    struct cl_file *chain;       /* of its bucket */
    struct cl_file_cache *cache; /* NULL: it is not kept any more */
    uint32_t refs;
    int fd;        /* -1: there is content */
    char *content; /* all `size` bytes */
    uint64_t size;
    int64_t modified_ns;
    struct cl_str type; /* static */
    uint8_t etag_len, date_len;
    char etag[CL_FILE_ETAG_MAX];                /* weak; the strong one begins two bytes later */
    char date[CL_FILE_DATE_MAX];                /* as Last-Modified */
    bool provisional;                           /* content that was read while the file was young */
    uint64_t checked_ns;                        /* of the loop */
    uint64_t missing_until_ns[CL_CODING_COUNT]; /* there is no such file beside it */
    struct stat st;
    uint64_t hash;
    uint32_t root_len, path_len; /* of `path`; root_len 0: of the program's own */
    unsigned flags;              /* CL_OPEN_FOLLOW */
    char path[];                 /* root, a slash, path; with a NUL */
};

/* The worker's, made at the first call; the worker owns it. NULL: out of memory. */
struct cl_file_cache *cl_file_cache_of(struct cl_worker *w) CL_MUST_USE;
/* Files that somebody holds stay until they are released. NULL is ignored. */
void cl_file_cache_del(struct cl_file_cache *cache);

/* What is asked for; spans need to be valid during the call only. */
struct cl_file_name {
    struct cl_str root; /* absolute, without a slash at its end; empty: path is the program's own */
    struct cl_str path; /* below a root: cl_file_name_allowed() */
    unsigned flags;     /* CL_OPEN_FOLLOW, below a root */
};

/* *file gets a reference. Errors: CELLO_ENOENT (nothing that may be read, or a path that is too
 * long, errno tells; EISDIR: a folder), CELLO_ELIMIT (no descriptors left), CELLO_ENOMEM,
 * CELLO_ESYS. */
int cl_file_get(struct cl_file_cache *cache, const struct cl_file_name *name,
                struct cl_file **file) CL_MUST_USE;
void cl_file_release(struct cl_file *file);

/* The file beside it that is it in a coding: "app.js.br". It is not older than the file, or it is
 * stale and none. That there is none is believed for CL_FILE_MISSING_NS. NULL: there is none. */
struct cl_file *cl_file_beside(struct cl_file *file, enum cl_coding coding);
struct cl_str cl_coding_name(enum cl_coding coding);

/* The entity tag that holds at `now_ns` (wall clock): weak while the file is young. */
struct cl_str cl_file_etag(const struct cl_file *file, uint64_t now_ns);
bool cl_file_is_young(const struct cl_file *file, uint64_t now_ns);

/* For tests. */
struct cl_file_counts {
    unsigned files, open;
    size_t content;
};
struct cl_file_counts cl_file_cache_counts(const struct cl_file_cache *cache);

#endif
