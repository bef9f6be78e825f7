#include "support/talk.h"

struct talk talk;

static void on_ready(struct cello_reader *reader, struct cl_request *r) {
    (void)reader, (void)r;
    talk.ready++;
}

static void proceed(struct cl_generator *g, struct cl_request *r) {
    (void)g, (void)r;
    assert_int_equal(talk.stopped, 0);
    talk.asked = true;
}

static void stop(struct cl_generator *g, struct cl_request *r) {
    (void)g, (void)r;
    talk.stopped++;
    talk.asked = false;
}

static void on_event(struct cello_observer *o, struct cl_request *r, enum cello_event event) {
    (void)o, (void)r;
    talk.draining += event == CELLO_EVENT_DRAINING;
    talk.overdue += event == CELLO_EVENT_OVERDUE;
}

static void on_talk(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    assert_null(talk.r);
    cello_request_ref(r);
    talk.r = r;
}

void talk_begin_with(struct h2_pair *p, const struct cello_http2_config *cfg, uint32_t window) {
    static struct cello_handler handler = {.on_request = on_talk};
    static const struct cello_route route = {.methods = 1u << CL_METHOD_CONNECT,
                                             .path = CL_STR_INIT("/talk/{a}"),
                                             .handler = &handler,
                                             .body = CELLO_BODY_STREAM};
    char err[200];
    talk = (struct talk){{.on_ready = on_ready}, {proceed, stop}, {on_event}, .r = NULL};
    fixture_begin(&p->f, NULL);
    assert_int_equal(cello_app_route(p->f.app, &route, err, sizeof err), CELLO_OK);
    fixture_serve(&p->f);
    h2_open_offering(&p->f, &p->h, cfg, window);
}

void talk_begin(struct h2_pair *p) {
    talk_begin_with(p, NULL, 0);
}

void talk_hang_up(void) {
    if (talk.r)
        cello_request_unref(talk.r);
    talk.r = NULL;
}

void talk_end(struct h2_pair *p) {
    talk_hang_up();
    h2_pair_end(p);
    free(talk.heard);
}

struct h2_message *talk_call(struct h2_pair *p) {
    struct h2_message *m = h2_tunnel(&p->h, "/talk/1", "websocket");
    h2_turn(&p->h);
    assert_non_null(talk.r);
    return m;
}

struct h2_message *talk_open(struct h2_pair *p) {
    struct h2_message *m = talk_call(p);
    cello_respond_stream(talk.r, &talk.generator, false, 0);
    h2_turn(&p->h);
    assert_int_equal(m->status, 200);
    assert_false(m->ended);
    assert_true(talk.asked);
    return m;
}

void talk_say(struct h2_pair *p, struct cl_str bytes, bool last) {
    assert_true(talk.asked);
    talk.asked = false;
    cello_response_chunk(talk.r, bytes, last);
    h2_turn(&p->h);
}

int talk_hear(void) {
    struct cl_str piece;
    int err;
    while ((err = cello_request_read(talk.r, &talk.reader, &piece)) == CELLO_OK) {
        assert_true(piece.len > 0);
        talk.heard = realloc(talk.heard, talk.len + piece.len + 1);
        assert_non_null(talk.heard);
        memcpy(talk.heard + talk.len, piece.ptr, piece.len);
        talk.len += piece.len;
        talk.heard[talk.len] = '\0';
    }
    return err;
}

void talk_expect_heard(const char *text) {
    assert_string_equal(talk.heard ? talk.heard : "", text);
}

char *talk_bytes(size_t n) {
    char *bytes = malloc(n);
    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)(i * 31 + i / 251);
    return bytes;
}

unsigned talk_inflight(const struct h2_pair *p) {
    return p->f.server->worker.inflight;
}
