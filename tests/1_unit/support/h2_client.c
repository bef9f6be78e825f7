#include "support/h2_client.h"

#include <stdio.h>

static struct h2_message *message_of(struct h2_client *h, int32_t id) {
    for (unsigned i = 0; i < h->count; i++)
        if (h->messages[i]->id == id)
            return h->messages[i];
    return NULL;
}

/* ---- what comes ---- */

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user) {
    (void)session;
    (void)flags;
    struct h2_message *m = message_of(user, frame->hd.stream_id);
    assert_non_null(m);
    if (name_len == 7 && !memcmp(name, ":status", 7)) {
        if (value[0] == '1')
            m->interim[m->interims++ % 4] =
                (value[0] - '0') * 100 + (value[1] - '0') * 10 + value[2] - '0';
        else
            m->status = (value[0] - '0') * 100 + (value[1] - '0') * 10 + value[2] - '0';
        return 0;
    }
    bool trailer = frame->headers.cat == NGHTTP2_HCAT_HEADERS && m->status;
    char *to = trailer ? m->trailers : m->fields;
    size_t cap = trailer ? sizeof m->trailers : sizeof m->fields, used = strlen(to);
    assert_true(used + name_len + value_len + 4 < cap);
    snprintf(to + used, cap - used, "%.*s: %.*s\n", (int)name_len, (const char *)name,
             (int)value_len, (const char *)value);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t n, void *user) {
    (void)session;
    (void)flags;
    struct h2_message *m = message_of(user, id);
    assert_non_null(m);
    m->body = realloc(m->body, m->len + n + 1);
    assert_non_null(m->body);
    memcpy(m->body + m->len, data, n);
    m->len += n;
    m->body[m->len] = '\0';
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    (void)session;
    struct h2_client *h = user;
    struct h2_message *m = message_of(h, frame->hd.stream_id);
    switch (frame->hd.type) {
    case NGHTTP2_DATA:
        if (h->data_frames < CL_ARRAY_LEN(h->order))
            h->order[h->data_frames] = frame->hd.stream_id;
        h->data_frames++;
        break;
    case NGHTTP2_SETTINGS:
        for (size_t i = 0; i < frame->settings.niv; i++)
            if (frame->settings.iv[i].settings_id < 0x0a)
                h->settings[frame->settings.iv[i].settings_id & 7] = frame->settings.iv[i].value;
        break;
    case NGHTTP2_GOAWAY:
        h->goaways++;
        h->goaway_error = frame->goaway.error_code;
        h->goaway_last = frame->goaway.last_stream_id;
        break;
    case NGHTTP2_PING: h->pings += !(frame->hd.flags & NGHTTP2_FLAG_ACK); break;
    case NGHTTP2_WINDOW_UPDATE: h->window_updates++; break;
    default: break;
    }
    if (m && (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
        frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        m->ended = true;
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user) {
    (void)session;
    struct h2_message *m = message_of(user, id);
    if (m) {
        m->closed = true;
        m->error = error;
    }
    return 0;
}

/* ---- the connection ---- */

static void make_session(struct h2_client *h, bool narrow) {
    nghttp2_session_callbacks *k;
    nghttp2_option *option;
    assert_int_equal(nghttp2_session_callbacks_new(&k), 0);
    assert_int_equal(nghttp2_option_new(&option), 0);
    nghttp2_session_callbacks_set_on_header_callback(k, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(k, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(k, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(k, on_close);
    nghttp2_option_set_no_auto_window_update(option, narrow);
    assert_int_equal(nghttp2_session_client_new2(&h->session, k, h, option), 0);
    nghttp2_session_callbacks_del(k);
    nghttp2_option_del(option);
}

static void connect_with(struct fixture *f, struct h2_client *h,
                         const struct cello_http2_config *cfg, bool narrow, bool offering) {
    static const struct cello_http2_config standard = CELLO_HTTP2_CONFIG_DEFAULT;
    memset(h, 0, sizeof *h);
    h->context = cl_h2_context_new(cfg ? cfg : &standard);
    assert_non_null(h->context);
    if (offering)
        cl_h2_context_offer_connect(h->context, CL_STR("websocket"));
    client_connect(f, &h->c, &cl_h2_stream_handler);
    assert_int_equal(cl_h2_open(h->context, &f->server->worker, h->c.stream), CELLO_OK);
    make_session(h, narrow);
}

void h2_connect(struct fixture *f, struct h2_client *h, const struct cello_http2_config *cfg) {
    connect_with(f, h, cfg, false, false);
}

/* Its windows are of this size; 0: of the usual one. */
static void begin(struct h2_client *h, uint32_t window) {
    nghttp2_settings_entry entry = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window};
    assert_int_equal(nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, &entry, window ? 1 : 0),
                     0);
    h2_turn(h);
}

void h2_open(struct fixture *f, struct h2_client *h, const struct cello_http2_config *cfg) {
    connect_with(f, h, cfg, false, false);
    begin(h, 0);
    assert_int_equal(h->settings[NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS],
                     cfg ? cfg->max_concurrent_streams : 100);
}

void h2_open_narrow(struct fixture *f, struct h2_client *h, uint32_t window) {
    connect_with(f, h, NULL, true, false);
    begin(h, window);
}

void h2_open_offering(struct fixture *f, struct h2_client *h, const struct cello_http2_config *cfg,
                      uint32_t window) {
    connect_with(f, h, cfg, window != 0, true);
    begin(h, window);
}

static void delete_context(struct h2_client *h) {
    cl_h2_context_del(h->context);
    h->context = NULL;
}

void h2_forget(struct h2_client *h) {
    for (unsigned i = 0; i < h->count; i++) {
        free(h->messages[i]->body);
        free(h->messages[i]);
    }
    h->count = 0;
}

void h2_free(struct h2_client *h) {
    client_free(&h->c);
    nghttp2_session_del(h->session);
    h2_forget(h);
    delete_context(h);
}

static struct cl_str output(const struct h2_client *h) {
    return h->c.stream ? cl_mem_output(h->c.stream) : cl_str(h->c.out, h->c.out_len);
}

/* What the session has to say goes to the server. */
static bool speak(struct h2_client *h) {
    const uint8_t *bytes;
    bool spoke = false;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(h->session, &bytes)) > 0) {
        client_push(&h->c, bytes, (size_t)n);
        spoke = true;
    }
    assert_int_equal(n, 0);
    return spoke;
}

static bool listen_to(struct h2_client *h) {
    struct cl_str out = output(h);
    size_t n = out.len - h->fed;
    if (!n)
        return false;
    ssize_t used = nghttp2_session_mem_recv(h->session, (const uint8_t *)out.ptr + h->fed, n);
    assert_int_equal(used, n);
    h->fed += n;
    return true;
}

void h2_turn(struct h2_client *h) {
    fixture_turn(h->c.f);
    for (bool more = true; more;) {
        more = speak(h);
        more = listen_to(h) || more;
    }
}

void h2_gather(struct h2_client *h, struct h2_bytes *to) {
    const uint8_t *bytes;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(h->session, &bytes)) > 0) {
        to->ptr = realloc(to->ptr, to->len + (size_t)n);
        assert_non_null(to->ptr);
        memcpy(to->ptr + to->len, bytes, (size_t)n);
        to->len += (size_t)n;
    }
    assert_int_equal(n, 0);
}

void h2_turn_at_once(struct h2_client *h) {
    struct h2_bytes all = {0};
    h2_gather(h, &all);
    client_push(&h->c, all.ptr, all.len);
    free(all.ptr);
    h2_turn(h);
}

/* ---- requests ---- */

static ssize_t read_upload(nghttp2_session *session, int32_t id, uint8_t *buf, size_t room,
                           uint32_t *flags, nghttp2_data_source *source, void *user) {
    (void)id;
    (void)user;
    struct h2_message *m = source->ptr;
    size_t n = CL_MIN(room, m->upload_left);
    if (n)
        memcpy(buf, m->upload, n);
    m->upload += n;
    m->upload_left -= n;
    if (!m->upload_left && !m->upload_open) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (m->upload_trailer) {
            nghttp2_nv nv = {(uint8_t *)(uintptr_t) "x-trailer",
                             (uint8_t *)(uintptr_t)m->upload_trailer, 9, strlen(m->upload_trailer),
                             0};
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            assert_int_equal(nghttp2_submit_trailer(session, m->id, &nv, 1), 0);
        }
    } else if (!n) {
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)n;
}

static nghttp2_nv field(const char *name, const char *value) {
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), 0};
}

enum { FIELDS_MAX = 1200 };

static size_t put_fields(nghttp2_nv nv[FIELDS_MAX], size_t n, const char *const *fields) {
    for (; fields && fields[0]; fields += 2) {
        assert_true(n < FIELDS_MAX);
        nv[n++] = field(fields[0], fields[1]);
    }
    return n;
}

static struct h2_message *submit(struct h2_client *h, struct h2_message *m, const nghttp2_nv *nv,
                                 size_t n, bool has_body) {
    nghttp2_data_provider body = {.source = {.ptr = m}, .read_callback = read_upload};
    m->id = nghttp2_submit_request(h->session, NULL, nv, n, has_body ? &body : NULL, NULL);
    assert_true(m->id > 0);
    return m;
}

static struct h2_message *ask(struct h2_client *h, struct h2_message *m, const char *method,
                              const char *path, const char *const *fields, bool has_body) {
    static nghttp2_nv nv[FIELDS_MAX];
    const char *const pseudo[] = {":method", method,  ":scheme", "http", ":authority",
                                  "test:80", ":path", path,      NULL};
    return submit(h, m, nv, put_fields(nv, put_fields(nv, 0, pseudo), fields), has_body);
}

static struct h2_message *new_message(struct h2_client *h) {
    assert_true(h->count < H2_MESSAGES);
    struct h2_message *m = calloc(1, sizeof *m);
    assert_non_null(m);
    h->messages[h->count++] = m;
    return m;
}

struct h2_message *h2_request(struct h2_client *h, const char *method, const char *path,
                              const char *const *fields) {
    return ask(h, new_message(h), method, path, fields, false);
}

struct h2_message *h2_get(struct h2_client *h, const char *path) {
    return h2_request(h, "GET", path, NULL);
}

struct h2_message *h2_bare(struct h2_client *h, const char *const *fields) {
    static nghttp2_nv nv[FIELDS_MAX];
    return submit(h, new_message(h), nv, put_fields(nv, 0, fields), false);
}

struct h2_message *h2_post(struct h2_client *h, const char *path, const char *const *fields,
                           const char *body, size_t len, bool open) {
    struct h2_message *m = new_message(h);
    m->upload = body;
    m->upload_left = len;
    m->upload_open = open;
    return ask(h, m, "POST", path, fields, true);
}

struct h2_message *h2_tunnel(struct h2_client *h, const char *path, const char *protocol) {
    const char *fields[] = {":protocol", protocol, NULL};
    struct h2_message *m = new_message(h);
    m->upload_open = true;
    return ask(h, m, "CONNECT", path, fields, true);
}

void h2_upload(struct h2_client *h, struct h2_message *m, const char *body, size_t len, bool open) {
    assert_int_equal(m->upload_left, 0);
    m->upload = body;
    m->upload_left = len;
    m->upload_open = open;
    (void)nghttp2_session_resume_data(h->session, m->id);
    h2_turn(h);
}

void h2_reset(struct h2_client *h, struct h2_message *m, uint32_t code) {
    assert_int_equal(nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, m->id, code), 0);
    h2_turn(h);
}

/* ---- answers ---- */

void h2_expect(const struct h2_message *m, int status, const char *body) {
    if (m->status != status || !m->ended)
        fail_msg("stream %d: status %d, ended %d, closed %d with error %u, %d expected: %s%.300s",
                 m->id, m->status, m->ended, m->closed, m->error, status, m->fields,
                 m->body ? m->body : "");
    if (body) {
        assert_int_equal(m->len, strlen(body));
        assert_true(!m->len || !memcmp(m->body, body, m->len));
    }
}

void h2_expect_reset(const struct h2_message *m, uint32_t error) {
    if (!m->closed || m->error != error)
        fail_msg("stream %d: status %d, ended %d, closed %d with error %u, error %u expected",
                 m->id, m->status, m->ended, m->closed, m->error, error);
}

const char *h2_field(const struct h2_message *m, const char *name) {
    static char value[H2_FIELDS];
    size_t len = strlen(name);
    for (const char *p = m->fields; *p; p = strchr(p, '\n') + 1) {
        if (strncmp(p, name, len) || p[len] != ':')
            continue;
        size_t n = strcspn(p + len + 2, "\n");
        memcpy(value, p + len + 2, n);
        value[n] = '\0';
        return value;
    }
    return NULL;
}

void h2_expect_goaway(struct h2_client *h, uint32_t error) {
    h2_turn(h);
    if (h->c.stream && cl_mem_was_shutdown(h->c.stream))
        client_eof(&h->c);
    if (!h->goaways || h->goaway_error != error || h->c.stream)
        fail_msg("%u goaways, the last with error %u, closed %d; error %u expected", h->goaways,
                 h->goaway_error, !h->c.stream, error);
}

void h2_raw(struct h2_client *h, uint8_t type, uint8_t flags, int32_t id, const void *payload,
            size_t len) {
    uint8_t head[9] = {
        (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len,       type,       flags,
        (uint8_t)(id >> 24),  (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};
    if (h->c.stream)
        assert_int_equal(cl_mem_push(h->c.stream, head, sizeof head), CELLO_OK);
    if (h->c.stream && len)
        assert_int_equal(cl_mem_push(h->c.stream, payload, len), CELLO_OK);
}

/* ---- a server and one client of it ---- */

void h2_pair_begin(struct h2_pair *p) {
    h2_pair_begin_with(p, NULL, NULL);
}

void h2_pair_begin_with(struct h2_pair *p, const struct cello_server_config *server,
                        const struct cello_http2_config *http2) {
    fixture_init(&p->f, server);
    h2_open(&p->f, &p->h, http2);
}

void h2_pair_begin_narrow(struct h2_pair *p, uint32_t window) {
    fixture_init(&p->f, NULL);
    h2_open_narrow(&p->f, &p->h, window);
}

void h2_pair_begin_silent(struct h2_pair *p) {
    fixture_init(&p->f, NULL);
    h2_connect(&p->f, &p->h, NULL);
}

void h2_pair_end(struct h2_pair *p) {
    h2_free(&p->h);
    fixture_free(&p->f);
}

struct h2_message *h2_pair_get(struct h2_pair *p, const char *path) {
    return h2_pair_request(p, "GET", path, NULL);
}

struct h2_message *h2_pair_request(struct h2_pair *p, const char *method, const char *path,
                                   const char *const *fields) {
    struct h2_message *m = h2_request(&p->h, method, path, fields);
    h2_turn(&p->h);
    return m;
}

struct h2_message *h2_pair_bare(struct h2_pair *p, const char *const *fields) {
    struct h2_message *m = h2_bare(&p->h, fields);
    h2_turn(&p->h);
    return m;
}

struct h2_message *h2_pair_post(struct h2_pair *p, const char *path, const char *const *fields,
                                const char *body, size_t len, bool open) {
    struct h2_message *m = h2_post(&p->h, path, fields, body, len, open);
    h2_turn(&p->h);
    return m;
}

void h2_pair_answer(struct h2_pair *p, const char *body) {
    fixture_answer(&p->f, body);
    h2_turn(&p->h);
}

void h2_pair_give(struct h2_pair *p, struct cl_str bytes, bool last) {
    fixture_give(&p->f, bytes, last);
    h2_turn(&p->h);
}

void h2_pair_window(struct h2_pair *p, int32_t id, int32_t n) {
    assert_int_equal(nghttp2_submit_window_update(p->h.session, NGHTTP2_FLAG_NONE, id, n), 0);
    h2_turn(&p->h);
}
