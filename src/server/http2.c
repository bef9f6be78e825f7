/* The public face of HTTP/2: include/cello/http2.h. Whoever does not use it (the supervisor, whose
 * health endpoints are a server, too) does not load nghttp2: nothing else names its functions. */
#include <cello/http2.h>

#include "http2/conn.h"
#include "server/server_internal.h"

static int open_conn(struct cl_server *s, struct cl_stream *stream) {
    int err = cl_h2_open(s->http2.context, &s->worker, stream);
    if (err == CELLO_OK)
        cl_server_hand_over(stream, &cl_h2_stream_handler);
    return err;
}

int cello_server_use_http2(struct cl_server *s, const struct cello_http2_config *cfg) {
    if (cfg->max_concurrent_streams == 0 || cfg->max_concurrent_streams > CELLO_HTTP2_MAX_STREAMS ||
        cfg->initial_window_size == 0 || cfg->initial_window_size > CELLO_HTTP2_MAX_WINDOW ||
        cfg->max_frame_size < CELLO_HTTP2_MIN_FRAME ||
        cfg->max_frame_size > CELLO_HTTP2_MAX_FRAME || cfg->max_header_list_size == 0)
        return CELLO_EINVAL;
    struct cl_h2_context *context = cl_h2_context_new(cfg);
    if (!context)
        return CELLO_ENOMEM;
    cl_h2_context_del(s->http2.context);
    s->http2 = (struct cl_server_http2){
        .context = context, .h2c = cfg->h2c, .open = open_conn, .del = cl_h2_context_del};
    return CELLO_OK;
}
