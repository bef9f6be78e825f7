/* The public face of HTTP/2: include/cello/http2.h. */
#include <cello/http2.h>

#include "server/server_internal.h"

int cello_server_use_http2(struct cl_server *s, const struct cello_http2_config *cfg) {
    if (cfg->max_concurrent_streams == 0 || cfg->max_concurrent_streams > CELLO_HTTP2_MAX_STREAMS ||
        cfg->initial_window_size == 0 || cfg->initial_window_size > CELLO_HTTP2_MAX_WINDOW ||
        cfg->max_frame_size < CELLO_HTTP2_MIN_FRAME ||
        cfg->max_frame_size > CELLO_HTTP2_MAX_FRAME || cfg->max_header_list_size == 0)
        return CELLO_EINVAL;
    s->http2 = *cfg;
    s->has_http2 = true;
    return CELLO_OK;
}
