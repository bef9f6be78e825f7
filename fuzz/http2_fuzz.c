/* A connection of HTTP/2: conn_script.h. A script that pushes
 *
 *      0..99     that many bytes as they are
 *      100       the preface and empty SETTINGS
 *      101..199  a frame: a byte each for its type, flags and half its stream (31 stands for none),
 *                and that many minus 101 bytes of its payload
 *
 * Extended CONNECT is offered to half of the scripts, by their length.
 *
 * Always: the server sends whole frames, SETTINGS first (or GOAWAY, and no more), of known types,
 * on streams that clients open, header blocks in one piece, and nothing but WINDOW_UPDATE and
 * RST_STREAM on a stream that it has ended. */
#include "conn_script.h"
#include "http2/conn.h"

enum { FRAME_HEAD = 9, STREAMS = 512 };
enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION };
enum { END_STREAM = 1, END_HEADERS = 4 };

static bool offers;

static int open_conn(struct cl_server *s, struct cl_stream *stream) {
    const struct cello_http2_config config = CELLO_HTTP2_CONFIG_DEFAULT;
    CHECK(!cello_server_use_http2(s, &config));
    if (offers)
        cl_h2_context_offer_connect(s->http2.context, CL_STR("websocket"));
    return cl_h2_open(s->http2.context, &s->worker, stream);
}

/* ---- what clients send ---- */

static void push_frame(struct cl_stream *stream, const uint8_t kind[3], const uint8_t *payload,
                       size_t n) {
    uint32_t id = kind[2] == 31 ? 0 : kind[2] * 2u + 1;
    uint8_t frame[FRAME_HEAD + 100] = {0, 0, (uint8_t)n,         kind[0],    kind[1],
                                       0, 0, (uint8_t)(id >> 8), (uint8_t)id};
    memcpy(frame + FRAME_HEAD, payload, n);
    CHECK(!cl_mem_push(stream, frame, FRAME_HEAD + n));
}

static size_t push(struct cl_stream *stream, uint8_t op, const uint8_t *p, size_t len) {
    static const char begin[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
    if (op == 100) {
        CHECK(!cl_mem_push(stream, begin, sizeof begin));
        return 0;
    }
    if (op < 100 || len < 3) {
        size_t n = CL_MIN(op, len);
        CHECK(!cl_mem_push(stream, p, n));
        return n;
    }
    size_t n = CL_MIN(op - 101u, len - 3);
    push_frame(stream, p, p + 3, n);
    return 3 + n;
}

/* ---- what the server sends ---- */

struct frame {
    size_t length;
    uint8_t type, flags;
    uint32_t stream;
};

static struct frame head_of(const char *at) {
    const uint8_t *p = (const uint8_t *)at;
    return (struct frame){
        .length = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2],
        .type = p[3],
        .flags = p[4],
        .stream = (uint32_t)p[5] << 24 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 8 | p[8],
    };
}

/* The streams whose end was sent, and the one whose header block goes on; 0: none. */
struct seen {
    bool ended[STREAMS];
    uint32_t block;
};

static void check_frame(struct seen *seen, const struct frame *f) {
    bool is_block = f->type == HEADERS || f->type == CONTINUATION;
    CHECK(f->type <= CONTINUATION && f->type != PUSH && f->type != PRIORITY);
    CHECK(seen->block ? f->type == CONTINUATION && f->stream == seen->block
                      : f->type != CONTINUATION);
    if (is_block)
        seen->block = f->flags & END_HEADERS ? 0 : f->stream;
    bool of_stream = is_block || f->type == DATA || f->type == RST_STREAM;
    CHECK(of_stream ? f->stream % 2 == 1 : f->type == WINDOW || f->stream == 0);
    uint32_t i = f->stream / 2;
    if (!of_stream || i >= STREAMS)
        return;
    CHECK(!seen->ended[i] || f->type == RST_STREAM || f->type == CONTINUATION);
    seen->ended[i] |= f->type == RST_STREAM || (f->flags & END_STREAM && f->type != CONTINUATION);
}

static void check_frames(const uint8_t *data, size_t len) {
    (void)data, (void)len;
    struct seen seen = {0};
    size_t at = 0;
    while (got.len - at >= FRAME_HEAD) {
        struct frame f = head_of(got.bytes + at);
        CHECK(at > 0 || f.type == SETTINGS || f.type == GOAWAY);
        check_frame(&seen, &f);
        if (got.len - at - FRAME_HEAD < f.length)
            break;
        at += FRAME_HEAD + f.length;
    }
    CHECK(at == got.len || got.closed);
}

static const struct script_protocol http2 = {&cl_h2_stream_handler, open_conn, push, check_frames};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    offers = len % 2;
    run_script(&http2, data, len);
    return 0;
}
