/* A whole connection: fuzzed bytes in fuzzed pieces against real routes, with slow sends, half
 * closes and resets between them.
 *
 * The input is a script: a byte that chooses what happens, and what it needs.
 *
 *      0..199    bytes of input follow, as the protocol reads that number
 *      200..219  that many turns of the loop
 *      220..229  sends are held from now on, or not
 *      230..239  a held send finishes; every tenth fails
 *      240..243  the next answer of a handler that waits; when none does, one that talks (POST or
 *                CONNECT of /talk) says a little, much, the last thing, or gives up
 *      244       early hints of a handler that waits
 *      245..249  input arrives in pieces of that many minus 244 bytes
 *      250, 251  the client closes its side; resets
 *      252       a handler that reads its body when it likes reads a piece; when there is none, one
 *                that talks
 *      253       the same, and waits when nothing has come; it may have been waiting
 *      254       it answers, whatever it has read
 *      255       it waits no more; nor does one that talks
 *
 * Always: generators are stopped once, nothing is held afterwards, and bodies that are read end,
 * are no longer than they may be, and never wait in more than their window. */
#ifndef CL_FUZZ_CONN_SCRIPT_H
#define CL_FUZZ_CONN_SCRIPT_H

#include "handlers.h"
#include "net/mem.h"
#include "server/server_internal.h"

struct script_protocol {
    const struct cl_stream_handler *handler;
    int (*open)(struct cl_server *s, struct cl_stream *stream);
    /* Input for the server: op is below 200, len bytes of the script follow. Returns how many of
     * them were taken. */
    size_t (*push)(struct cl_stream *stream, uint8_t op, const uint8_t *p, size_t len);
    /* What it has answered so far, in `got`. */
    void (*check)(const uint8_t *data, size_t len);
};

/* What the connection sent, kept when the stream goes. */
static struct {
    char *bytes;
    size_t len;
    bool closed, was_shutdown;
} got;

static void take_output(struct cl_stream *s) {
    struct cl_str out = cl_mem_output(s);
    free(got.bytes);
    got.bytes = malloc(out.len + 1);
    CHECK(got.bytes);
    if (out.len)
        memcpy(got.bytes, out.ptr, out.len);
    got.len = out.len;
    got.was_shutdown = cl_mem_was_shutdown(s);
}

static const struct script_protocol *protocol;
static struct cl_stream_handler handler;

static void on_closed(struct cl_stream *s) {
    take_output(s);
    got.closed = true;
    protocol->handler->on_closed(s);
}

static void turns(struct cl_server *s, int n) {
    for (int i = 0; i < n; i++)
        CHECK(!cello_server_turn(s, 0));
}

/* One step of the script; returns the bytes it took. */
static size_t step(struct cl_server *s, struct cl_stream *stream, const uint8_t *p, size_t len) {
    uint8_t op = p[0];
    size_t n = 0;
    if (op < 200) {
        n = protocol->push(stream, op, p + 1, len - 1);
    } else if (op < 220) {
        turns(s, op - 199);
    } else if (op < 230) {
        cl_mem_hold_sends(stream, op & 1);
    } else if (op < 240) {
        (void)cl_mem_finish_send(stream, op == 239 ? CELLO_ESYS : CELLO_OK);
    } else if (op < 244) {
        if (held_count)
            answer_held();
        else
            say(op - 240);
    } else if (op == 244) {
        hint_held();
    } else if (op < 250) {
        cl_mem_set_chunk(stream, op - 244u);
    } else if (op == 250) {
        cl_mem_eof(stream);
    } else if (op == 251) {
        cl_mem_reset(stream);
    } else if (op < 254) {
        if (later_count)
            read_later(op == 253);
        else
            hear(op == 253);
    } else if (op == 254) {
        answer_later();
    } else {
        unread_later();
        hear_no_more();
    }
    return 1 + n;
}

static void finish(struct cl_server *s, struct cl_stream *stream, const uint8_t *data, size_t len) {
    for (int i = 0; i < 50 && !got.closed; i++) {
        answer_held();
        answer_later();
        say(2);
        (void)cl_mem_finish_send(stream, CELLO_OK);
        turns(s, 2);
    }
    if (!got.closed) {
        take_output(stream);
        protocol->check(data, len);
    }
    while (s->worker.conn_count) /* no drain: its deadline would take real time */
        s->worker.conns.next->ops->close(s->worker.conns.next);
    turns(s, 1);
    CHECK(got.closed);
    protocol->check(data, len);
}

static void run_script(const struct script_protocol *p, const uint8_t *data, size_t len) {
    struct cello_server_config cfg = CELLO_SERVER_CONFIG_DEFAULT;
    struct cl_server *s;
    struct cl_stream *stream;
    cfg.backend = CELLO_BACKEND_EPOLL;
    cfg.limits.max_body_size = MAX_BODY;
    cfg.limits.max_buffered_bytes = len % 4 ? 0 : 40000;
    if (!app)
        make_app();
    protocol = p;
    got.len = 0;
    got.closed = got.was_shutdown = false;
    handler = *p->handler;
    handler.on_closed = on_closed;
    CHECK(!cello_server_new(&s, app, &cfg));
    CHECK(!cl_mem_stream_new(s->worker.loop, &handler, NULL, &stream));
    CHECK(!p->open(s, stream));
    for (size_t at = 0; at < len && !got.closed;)
        at += step(s, stream, data + at, len - at);
    finish(s, stream, data, len);
    while (held_count)
        cello_request_unref(held[--held_count]);
    while (later_count)
        answer_later();
    while (talk_count)
        end_talk();
    CHECK(generators == 0 && pins == 0 && readers == 0);
    CHECK(cl_worker_live_requests(&s->worker) == 0 && s->worker.inflight == 0);
    CHECK(cl_loop_pool(s->worker.loop)->used == 0);
    cello_server_del(s);
}

#endif
