/* A response body that is pulled: struct cl_generator of <cello/response.h>.
 *
 * The connection asks (proceed) when it can send more; the generator answers, at once or later,
 * with one cl_response_chunk(). It is never pushed against a slow reader. stop() is always called,
 * once and last: the body is complete, or the peer is gone. */
#ifndef CL_HTTP_GENERATOR_H
#define CL_HTTP_GENERATOR_H

#include <cello/response.h>

#endif
