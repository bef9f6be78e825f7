/* Opening what a client names below a folder of the program, and nothing else.
 *
 * The kernel keeps the walk below the folder (openat2 with RESOLVE_BENEATH); where it cannot, the
 * path is walked here, a segment at a time. Names are checked before: nothing reaches the kernel
 * that could mean another folder.
 *
 * Thread: any; no state. */
#ifndef CL_HANDLER_FILE_OPEN_H
#define CL_HANDLER_FILE_OPEN_H

#include <sys/stat.h>

#include "base/common.h"

enum { CL_FILE_PATH_MAX = 4096, CL_FILE_NAME_MAX = 255 };

enum {
    CL_OPEN_FOLLOW = 1 << 0,   /* symbolic links that stay below the folder */
    CL_OPEN_PORTABLE = 1 << 1, /* as if the kernel had no openat2: no symbolic links at all */
};

/* Whether a client may name this, relative to a folder: segments between single slashes, none of
 * them empty, longer than CL_FILE_NAME_MAX, with a NUL, or beginning with a dot (which rules out
 * "..", and what is hidden: .git, .env); but ".well-known" (RFC 8615). The empty path, which is the
 * folder itself, is none. */
bool cl_file_name_allowed(struct cl_str path);

/* Open a regular file or a folder for reading, close-on-exec and without waiting; `st` is what it
 * is. `root` is a folder, with a NUL; `path` may be empty: the folder itself; flags as above.
 * Errors: CELLO_ENOENT (not allowed, or nothing there that may be read: errno tells why),
 * CELLO_ELIMIT (no descriptors left), CELLO_ENOMEM, CELLO_ESYS. */
int cl_file_open_below(const char *root, struct cl_str path, unsigned flags, int *fd,
                       struct stat *st) CL_MUST_USE;
/* The same for a path of the program's own, with a NUL: anywhere, links are followed. */
int cl_file_open_path(const char *path, int *fd, struct stat *st) CL_MUST_USE;

#endif
