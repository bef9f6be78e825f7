/* The parts of a form while they arrive and once they are there: small ones in memory, large ones
 * in unnamed files.
 *
 *      write, write, ... -> parser -> fields, and files up to 64 KB   blocks of the worker's pool
 *                                     larger files                    an unnamed file each
 *                                     files behind the 16th of those  one more file for them all
 *
 * Memory is bounded whatever is sent: `max_memory` of fields and of what parts say of themselves,
 * CL_UPLOAD_MEMORY of files, and the room of one head. So are descriptors. What is in files goes
 * with them: they have no name, and are gone when they are closed.
 *
 * Owner: whoever embeds it. Thread: the pool's, but what was stored may be read from any. */
#ifndef CL_FORM_UPLOAD_H
#define CL_FORM_UPLOAD_H

#include <stdatomic.h>

#include "base/block.h"
#include "form/multipart.h"

/* A file of at most this stays in memory, while CL_UPLOAD_MEMORY is not used up. */
enum { CL_UPLOAD_SMALL = 65536, CL_UPLOAD_MEMORY = 262144 };

/* Files of their own, which can be saved without a copy; the parts behind share one. */
enum { CL_UPLOAD_OWN_FILES = 16 };

/* Pieces are gathered to this before they are written; one of half its size is written, with what
 * was gathered, where it lies. */
enum { CL_UPLOAD_WRITE = 65536 };
_Static_assert((int)CL_UPLOAD_WRITE >= (int)CL_UPLOAD_SMALL,
               "what was in memory is gathered first");

struct cl_upload_file {
    struct cl_upload_file *next;
    uint64_t size;
    int fd;
    bool shared;        /* with other parts */
    atomic_bool linked; /* has got a name: the next one to save it copies */
};

struct cl_upload {
    struct cl_upload *next;
    struct cl_part part;
    struct cl_upload_file *file; /* NULL: in memory, at `bytes` */
    const char *bytes;
    uint64_t offset; /* in the file */
    uint64_t size;
};

struct cl_uploads_config {
    struct cl_str boundary;
    uint32_t max_parts;
    size_t max_part_header;
    size_t max_memory;
    uint64_t max_file_size; /* 0: no limit */
    const char *directory;  /* of unnamed files; must stay valid */
};

struct cl_uploads {
    struct cl_upload *first, *last;
    uint32_t count;
    struct cl_uploads_config config;
    struct cl_multipart parser;
    struct cl_block_pool *pool;
    struct cl_block *blocks;  /* newest first; holds all that is kept in memory */
    struct cl_block *head;    /* the parser's */
    struct cl_block *pending; /* of the part that is being written to a file */
    struct cl_upload_file *files;
    struct cl_upload_file *shared;
    size_t memory, file_memory; /* in use, of fields and of files */
    uint32_t own_files;
    bool in_place; /* data stays in the input */
};

/* Errors: CELLO_EBOUNDARY; CELLO_ELIMIT: no memory. */
int cl_uploads_init(struct cl_uploads *u, struct cl_block_pool *pool,
                    const struct cl_uploads_config *config) CL_MUST_USE;
/* Closes all files. */
void cl_uploads_free(struct cl_uploads *u);

/* The next bytes of the body, cut anywhere. After an error only cl_uploads_free may follow.
 * Errors: of cl_multipart_next; CELLO_EFORM_TOO_LARGE, CELLO_EFILE_TOO_LARGE; CELLO_ELIMIT: no
 * memory or no descriptor left; CELLO_ENOSPACE: no room for a file; CELLO_ESYS. */
int cl_uploads_write(struct cl_uploads *u, struct cl_str piece) CL_MUST_USE;
/* The body is complete. Errors: those of cl_multipart_finish. */
int cl_uploads_end(struct cl_uploads *u) CL_MUST_USE;

/* Both for a body that lies in memory and stays there as long as `u`: its data is not copied. */
int cl_uploads_read(struct cl_uploads *u, struct cl_str body) CL_MUST_USE;

#endif
