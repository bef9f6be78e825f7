/* A server with TLS: its certificates, and the handshakes of its connections. */
#include <cello/tls.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/waiting.h"
#include "tls/local.h"
#include "tls/stream.h"

#define RELOAD_NS CL_NS_PER_S

struct tls {
    struct cl_server_tls super;
    struct cl_server *server;
    struct cl_tls_context *context;
    struct cl_timer reload_timer;
};

static struct tls *of_server(const struct cl_server *s) {
    return CL_CONTAINER_OF(s->tls, struct tls, super);
}

/* ---- handshakes ---- */

static void give_up(struct cl_server *s, struct cl_stream *stream) {
    cl_server_leave(s, stream);
    stream->handler = &cl_server_no_protocol;
    cl_stream_close(stream);
    cl_server_review_accepting(&s->worker);
}

/* For debugging only: anybody can make as many of these as they like. */
static void report_failure(const struct cl_stream *stream) {
    char host[CL_ADDR_TEXT_MAX];
    cl_addr_host(&stream->peer, host);
    cl_log(CL_LOG_DEBUG, "a TLS handshake with %s failed: %s", host, cl_tls_failure(stream->tls));
}

static void on_ready(struct cl_stream *stream, int err) {
    struct cl_waiting *w = cl_waiting_of(stream);
    struct cl_server *s = cl_waiting_server(w);
    if (err != CELLO_OK && err != CELLO_ENOTSUP) {
        if (err == CELLO_EINVAL)
            report_failure(stream);
        cl_waiting_close(w);
        return;
    }
    cl_waiting_end(w);
    stream->secure = err == CELLO_OK;
    if (stream->secure)
        err = cl_server_open_secured(s, stream, cl_tls_alpn(stream->tls));
    else /* it speaks HTTP, and hears so in clear: plain.c */
        err = cl_server_open_plain(s, stream = cl_tls_give_back(stream));
    if (err)
        give_up(s, stream);
}

static int begin(struct cl_server *s, struct cl_stream *stream) {
    struct cl_waiting *w;
    int err = cl_waiting_begin(s, stream, &cl_server_no_protocol, 0, &w);
    if (err)
        return err;
    w->counted = true;
    err = cl_tls_accept(of_server(s)->context, stream, s->worker.timeouts.handshake_ns, on_ready, w,
                        &w->super.stream);
    if (err)
        cl_waiting_end(w);
    return err;
}

/* ---- certificates ---- */

static void set_reload_timer(struct tls *t) {
    struct cl_loop *loop = t->server->worker.loop;
    cl_timer_set(cl_loop_timers(loop), &t->reload_timer, cl_loop_now_ns(loop) + RELOAD_NS);
}

static bool reload(struct tls *t, bool always) {
    char why[CELLO_TLS_WHY];
    int err = cl_tls_context_reload(t->context, always, why);
    if (err == CELLO_OK)
        cl_log(CL_LOG_INFO, "new connections get the certificates as they are now");
    else if (err != CELLO_EAGAIN)
        cl_log(CL_LOG_ERROR, "the certificates stay as they were: %s", why);
    return err == CELLO_OK;
}

static void on_reload_timer(struct cl_timer *timer) {
    struct tls *t = CL_CONTAINER_OF(timer, struct tls, reload_timer);
    (void)reload(t, false);
    set_reload_timer(t);
}

bool cello_server_reload_tls(struct cl_server *s) {
    return s->tls && reload(of_server(s), true);
}

static void del(struct cl_server_tls *super) {
    struct tls *t = CL_CONTAINER_OF(super, struct tls, super);
    cl_timer_stop(cl_loop_timers(t->server->worker.loop), &t->reload_timer);
    cl_tls_context_del(t->context);
    cl_free(t);
}

static struct cl_ticket_area *area_of(const struct cl_cluster *c) {
    size_t size;
    return c ? cl_segment_area(c->segment, CL_AREA_TICKETS, &size) : NULL;
}

int cello_server_use_tls(struct cl_server *s, struct cl_cluster *cluster,
                         const struct cello_tls_config *cfg, char why[CELLO_TLS_WHY]) {
    struct tls *t = cl_calloc(1, sizeof *t);
    int err = t ? cl_tls_context_new(&t->context, cfg, area_of(cluster), why) : CELLO_ENOMEM;
    if (err) {
        cl_free(t);
        return err;
    }
    cl_tls_context_offer_h2(t->context, s->http2.open != NULL);
    t->super = (struct cl_server_tls){.begin = begin, .del = del};
    t->server = s;
    cl_timer_init(&t->reload_timer, on_reload_timer);
    set_reload_timer(t);
    if (s->tls)
        s->tls->del(s->tls);
    s->tls = &t->super;
    s->secured = true;
    if (s->log)
        cl_access_log_show_tls(s->log, cl_tls_version, cl_tls_cipher);
    s->last_redirects = cfg->last_redirects;
    return CELLO_OK;
}

int cello_tls_check(const struct cello_tls_config *cfg, char why[CELLO_TLS_WHY]) {
    struct cl_tls_context *tls;
    int err = cl_tls_context_new(&tls, cfg, NULL, why);
    if (!err)
        cl_tls_context_del(tls);
    return err;
}

int cello_tls_make_local(const char *cert_path, const char *key_path, bool *made,
                         char why[CELLO_TLS_WHY]) {
    return cl_tls_local_pair(cert_path, key_path, made, why);
}

/* ---- requests ---- */

bool cello_request_is_secure(const struct cl_request *r) {
    return r->secure;
}

const struct cello_client_cert *cello_request_client_cert(const struct cl_request *r) {
    struct cl_tls *tls = r->secure && r->conn ? r->conn->stream->tls : NULL;
    return tls ? cl_tls_client_cert(tls) : NULL;
}
