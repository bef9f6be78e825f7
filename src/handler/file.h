/* What <cello/file.h> does with a file that was found. */
#ifndef CL_HANDLER_FILE_H
#define CL_HANDLER_FILE_H

#include <cello/file.h>

#include "handler/file_cache.h"
#include "http/request.h"

/* cello_respond_file, for a file that the caller has a reference to; taken over in any case. */
int cl_respond_file(struct cl_request *r, struct cl_file *f,
                    const struct cello_file *how) CL_MUST_USE;

#endif
