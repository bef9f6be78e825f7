/* A connection of HTTP/1: conn_script.h. What a script pushes goes to the server as it is.
 *
 * Always: every answer is well-formed, nothing follows an answer that says close, and an error of
 * framing ends the connection. */
#include "../tests/1_unit/support/response_check.h"
#include "conn_script.h"
#include "http1/conn.h"

static int open_conn(struct cl_server *s, struct cl_stream *stream) {
    return cl_h1_open(&s->worker, stream);
}

static size_t push(struct cl_stream *stream, uint8_t op, const uint8_t *p, size_t len) {
    size_t n = CL_MIN(op, len);
    CHECK(!cl_mem_push(stream, p, n));
    return n;
}

/* HEAD answers have no body: with HEAD in the input only heads can be told apart, and not always.
 */
static void check_answers(const uint8_t *data, size_t len) {
    bool any_head = memmem(data, len, "HEAD", 4) != NULL;
    size_t at = 0;
    bool said_close = false;
    while (!any_head && at < got.len) {
        struct response r;
        bool eof = got.was_shutdown || got.closed;
        long n = response_parse(got.bytes + at, got.len - at, eof, false, &r);
        CHECK(n != RESPONSE_BAD);
        if (n == RESPONSE_SHORT)
            return; /* cut off: the client or the generator broke it */
        CHECK(!said_close);
        said_close = r.close;
        /* A problem without an instance: there was no request that could be understood. */
        bool framing = r.status >= 400 && r.body_len && r.body[0] == '{' &&
                       !memmem(r.body, r.body_len, "\"instance\"", 10);
        CHECK(said_close || !framing);
        at += (size_t)n;
    }
}

static const struct script_protocol http1 = {&cl_h1_stream_handler, open_conn, push, check_answers};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    run_script(&http1, data, len);
    return 0;
}
