/* The body of an HTTP/1 answer that is made of bytes and parts of files (CL_BODY_SEGMENTS).
 *
 * What is small is copied behind the head, so that a small file costs one read and leaves with its
 * head in one send. Larger bytes are sent from where they lie, and larger parts of files by the
 * kernel, one with each write, behind whatever stands before it. */
#ifndef CL_HTTP1_SEGMENTS_H
#define CL_HTTP1_SEGMENTS_H

#include "http/out.h"
#include "http/request.h"

/* How many bytes cl_h1_put_segments will copy at the beginning of the body. */
size_t cl_h1_segments_room(const struct cl_segments *q);
/* Put what comes next into the output, up to and with one part of a file that the kernel sends;
 * q->at moves on. *lent: something of it is not a copy. Errors: CELLO_ENOMEM; CELLO_EOF: a
 * file has become shorter; CELLO_ESYS: it cannot be read. Some may have been put then. */
int cl_h1_put_segments(struct cl_out *o, struct cl_segments *q, bool *lent) CL_MUST_USE;

#endif
