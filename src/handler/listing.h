/* A folder as a page of links. */
#ifndef CL_HANDLER_LISTING_H
#define CL_HANDLER_LISTING_H

#include "http/request.h"

/* More entries than this are not shown, and the page says so. */
enum { CL_LISTING_MAX = 2000 };

/* Answer with what the folder `fd`, which is closed, holds for clients: folders first, each part in
 * the order of its bytes. Left out are names that cl_file_name_allowed() refuses or that are not
 * UTF-8, what is neither a file nor a folder, and symbolic links. Errors: CELLO_ENOMEM, CELLO_ESYS;
 * the request is then not answered. */
int cl_respond_listing(struct cl_request *r, int fd) CL_MUST_USE;

#endif
