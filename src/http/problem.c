/* Problem documents, RFC 9457, written straight into the connection's output. */
#include "http/response.h"
#include "http/status.h"
#include "json/writer.h"

enum { PROBLEM_SIZE = 160 }; /* without the strings that differ */

static int write_problem(struct cl_sink *sink, const struct cl_request *r, struct cl_str detail) {
    struct cl_str title = cl_status_reason(r->response.status);
    struct cl_json_writer w;
    cl_json_writer_init(&w, sink);
    cl_json_writer_begin_object(&w);
    cl_json_writer_key(&w, CL_STR("type"));
    cl_json_writer_string(&w, CL_STR("about:blank"));
    cl_json_writer_key(&w, CL_STR("title"));
    cl_json_writer_string(&w, title.len ? title : CL_STR("Error"));
    cl_json_writer_key(&w, CL_STR("status"));
    cl_json_writer_int(&w, r->response.status);
    if (detail.len) {
        cl_json_writer_key(&w, CL_STR("detail"));
        cl_json_writer_string(&w, detail);
    }
    if (r->path.len) {
        cl_json_writer_key(&w, CL_STR("instance"));
        cl_json_writer_string(&w, r->path);
    }
    cl_json_writer_end_object(&w);
    return cl_json_writer_finish(&w);
}

void cl_respond_problem(struct cl_request *r, int status, struct cl_str detail) {
    r->response.status = status;
    r->response.content_type = CL_STR("application/problem+json");
    struct cl_sink *sink = cl_response_sink(r, PROBLEM_SIZE + detail.len + r->path.len);
    if (CL_LIKELY(sink && write_problem(sink, r, detail) == CELLO_OK)) {
        cl_respond_sink(r);
        return;
    }
    cl_response_sink_drop(r);
    cl_respond_empty(r); /* no memory for it, or no client any more */
}
