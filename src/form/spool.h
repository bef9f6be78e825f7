/* Unnamed files, and how they get a name. System calls that may wait for a disk; no state.
 * Thread: any. */
#ifndef CL_FORM_SPOOL_H
#define CL_FORM_SPOOL_H

#include "form/upload.h"

/* A file without a name, open for both, close-on-exec, with the permissions of a new file of the
 * process. Errors: CELLO_ELIMIT: no descriptor left; CELLO_ENOSPACE; CELLO_ESYS. */
int cl_spool_open(const char *directory, int *fd) CL_MUST_USE;

/* All of two pieces, the second of which may be empty. Errors: CELLO_ENOSPACE, CELLO_ESYS. */
int cl_spool_write(int fd, uint64_t offset, struct cl_str a, struct cl_str b) CL_MUST_USE;

/* Up to `len` bytes of an upload from `at` on; *n is 0 at its end only. Errors: CELLO_ESYS. */
int cl_upload_read_at(const struct cl_upload *u, uint64_t at, char *out, size_t len,
                      size_t *n) CL_MUST_USE;

/* Give the upload the name `path`, in place of a file that has it: at every moment the name stands
 * for the one or for the other, whole. An unnamed file of the same file system gets the name and is
 * not copied, the first time. Permissions are those of a new file; nothing is synchronised with the
 * disk. Thread: any.
 * Errors: CELLO_ENOSPACE; CELLO_ESYS with errno. */
int cl_upload_save(const struct cl_upload *u, const char *path) CL_MUST_USE;

#endif
