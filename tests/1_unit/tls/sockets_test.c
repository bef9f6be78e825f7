/* TLS over sockets, on both back ends: a client in a thread of its own, which blocks. The end of a
 * loop asserts that nobody has a block any more. */
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "net/tcp.h"
#include "tls/fixture.h"

enum { TEST_LIMIT_S = 60, LARGE = 3 << 20, BYE = 100 };

static char large[LARGE];

static char byte_at(size_t i) {
    return (char)(i * 31 + i / 253);
}

static int setup(enum cl_backend backend) {
    alarm(TEST_LIMIT_S);
    site_init(&site);
    cl_loop_del(site.loop);
    site.loop = NULL;
    for (size_t i = 0; i < LARGE; i++)
        large[i] = byte_at(i);
    int err = cl_loop_new(&site.loop, &(struct cl_loop_config){backend, 0});
    return err == CELLO_OK || err == CELLO_ENOTSUP ? 0 : -1;
}

static int setup_epoll(void **state) {
    (void)state;
    return setup(CL_BACKEND_EPOLL);
}

static int setup_uring(void **state) {
    (void)state;
    return setup(CL_BACKEND_URING);
}

static int teardown(void **state) {
    (void)state;
    site_free(&site);
    alarm(0);
    return 0;
}

/* ---- the server's side: an echo, or what a letter asks for ---------------------------------- */

struct server {
    struct cl_listener listener;
    struct cl_stream *lower, *stream;
    int opened, closed, ready_err, ends, last_recv, fd;
    size_t taken;
    bool sending, bulk;
    char then; /* what is done when the answer is sent: 'K', 'H' */
    int send_buffer;
    struct iovec iov[2];
    struct cl_file_part part;
};

static void sent(struct server *s, int err) {
    s->sending = err == CELLO_EAGAIN;
    if ((err && err != CELLO_EAGAIN) || (!err && s->then == 'K'))
        cl_stream_close(s->stream);
    else if (!err && s->then == 'H')
        cl_stream_shutdown(s->stream);
}

/* "L": the large bytes; "F": as a file, behind five bytes; "C": close; "S": say the end; "B": a few
 * bytes, and close; "K", "H": the large bytes, and close or say the end when they are sent. */
static void answer(struct server *s, char letter) {
    switch (letter) {
    case 'K':
    case 'H':
    case 'L':
        s->then = letter;
        s->iov[0] = (struct iovec){large, 5};
        s->iov[1] = (struct iovec){large + 5, LARGE - 5};
        sent(s, cl_stream_send(s->stream, s->iov, 2));
        break;
    case 'F':
        s->iov[0] = (struct iovec){large, 5};
        s->part = (struct cl_file_part){s->fd, 5, LARGE - 5};
        sent(s, cl_stream_sendfile(s->stream, s->iov, 1, &s->part));
        break;
    case 'B':
        s->iov[0] = (struct iovec){large, BYE};
        sent(s, cl_stream_send(s->stream, s->iov, 1));
        cl_stream_close(s->stream);
        break;
    case 'C': cl_stream_close(s->stream); break;
    case 'S': cl_stream_shutdown(s->stream); break;
    case 'U': s->bulk = true; break;
    default: break;
    }
}

static void on_recv(struct cl_stream *stream, int result) {
    struct server *s = stream->protocol;
    s->last_recv = result;
    s->ends += result == CELLO_EOF || result == CELLO_ESYS;
    if (result == CELLO_EOF || result == CELLO_ESYS) {
        if (!s->sending)
            cl_stream_close(stream);
        return;
    }
    if (result < 0)
        return;
    char letter = *cl_block_rd(stream->in);
    size_t n = cl_block_len(stream->in);
    stream->in->rd = stream->in->wr;
    if (s->bulk) {
        for (size_t i = 0; i < n; i++)
            assert_int_equal(stream->in->data[stream->in->rd - n + i], byte_at(s->taken + i));
        s->taken += n;
        stream->in_max = 1 << 20;
        stream->in_room = 65536;
    } else {
        answer(s, letter);
    }
}

static void on_sent(struct cl_stream *stream, int err) {
    struct server *s = stream->protocol;
    assert_true(s->sending);
    sent(s, err);
}

static void on_closed(struct cl_stream *stream) {
    struct server *s = stream->protocol;
    s->closed++;
}

static const struct cl_stream_handler handler = {on_recv, on_sent, on_closed};

static void on_ready(struct cl_stream *stream, int err) {
    struct server *s = stream->protocol;
    s->ready_err = err;
    stream->handler = &handler;
    if (err)
        cl_stream_close(stream);
}

static void on_accept(struct cl_listener *l, int fd) {
    struct server *s = CL_CONTAINER_OF(l, struct server, listener);
    if (s->send_buffer)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &s->send_buffer, sizeof s->send_buffer);
    assert_int_equal(cl_tcp_open(site.loop, fd, &handler, s, &s->lower), CELLO_OK);
    assert_int_equal(
        cl_tls_accept(site.context, s->lower, 20 * CL_NS_PER_S, on_ready, s, &s->stream), CELLO_OK);
    s->opened++;
}

static void listener_closed(struct cl_listener *l) {
    CL_CONTAINER_OF(l, struct server, listener)->closed++;
}

/* ---- the client's side ---------------------------------------------------------------------- */

struct talker {
    pthread_t thread;
    struct sockaddr_in address;
    const char *script; /* letters to send; see below */
    bool no_roots;      /* it refuses the server */
    bool slow;          /* it has little room, and always less than there is to read */
    bool has_stranger;  /* it shows a certificate that nobody knows */
    size_t got;         /* bytes, the right ones */
    bool shaken, got_close_notify, done;
    int alert;
};

static void read_large(struct talker *c, SSL *ssl) {
    static char bytes[30000];
    size_t n, from = c->got;
    while (c->got - from < LARGE && SSL_read_ex(ssl, bytes, sizeof bytes, &n) == 1) {
        if (memcmp(bytes, large + (c->got - from), n) != 0)
            abort();
        c->got += n;
        if (c->slow)
            usleep(1000);
    }
}

static void read_bye(struct talker *c, SSL *ssl) {
    char bytes[BYE];
    size_t n;
    if (SSL_read_ex(ssl, bytes, sizeof bytes, &n) == 1 && memcmp(bytes, large, n) == 0)
        c->got += n;
}

static void read_end(struct talker *c, SSL *ssl) {
    char byte;
    ERR_clear_error();
    int n = SSL_read(ssl, &byte, 1);
    c->got_close_notify = n == 0 && SSL_get_error(ssl, n) == SSL_ERROR_ZERO_RETURN;
    c->alert = alert_of_last_error();
}

/* Letters go to the server; but "u": all the large bytes, "." close_notify, "!" an end without. */
static void talk(struct talker *c, SSL *ssl, int fd) {
    for (const char *p = c->script; *p; p++) {
        size_t n;
        if (*p == 'u')
            (void)SSL_write_ex(ssl, large, LARGE, &n);
        else if (*p == '.')
            (void)SSL_shutdown(ssl);
        else if (*p == '!')
            shutdown(fd, SHUT_WR);
        else
            (void)SSL_write_ex(ssl, p, 1, &n);
        if (*p == 'L' || *p == 'F' || *p == 'K' || *p == 'H')
            read_large(c, ssl);
        if (*p == 'B')
            read_bye(c, ssl);
    }
    read_end(c, ssl);
}

static void *run_client(void *arg) {
    struct talker *c = arg;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->slow)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){4096}, sizeof(int));
    if (connect(fd, (struct sockaddr *)&c->address, sizeof c->address) != 0)
        abort();
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!c->no_roots)
        X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), site.ca.x509);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    if (c->has_stranger) {
        struct cert who = cert_make(&(struct cert_wish){.cn = "stranger"});
        SSL_CTX_use_certificate(ctx, who.x509);
        SSL_CTX_use_PrivateKey(ctx, who.key);
        cert_free(&who);
    }
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    c->shaken = SSL_connect(ssl) == 1;
    if (c->shaken)
        talk(c, ssl, fd);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    __atomic_store_n(&c->done, true, __ATOMIC_RELEASE);
    cl_loop_wake(site.loop);
    return NULL;
}

static void run(struct server *s, struct talker *c) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t len = sizeof c->address;
    c->address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)&c->address, len), 0);
    assert_int_equal(listen(fd, 10), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&c->address, &len), 0);
    s->listener.on_accept = on_accept;
    s->listener.on_closed = listener_closed;
    assert_int_equal(cl_listener_open(site.loop, &s->listener, fd), CELLO_OK);
    assert_int_equal(pthread_create(&c->thread, NULL, run_client, c), 0);
    while (!__atomic_load_n(&c->done, __ATOMIC_ACQUIRE) || s->closed < s->opened)
        (void)cl_loop_turn(site.loop, 50 * CL_NS_PER_MS);
    assert_int_equal(pthread_join(c->thread, NULL), 0);
    cl_listener_close(&s->listener);
    while (cl_loop_open_count(site.loop))
        (void)cl_loop_turn(site.loop, 50 * CL_NS_PER_MS);
    assert_int_equal(s->opened, 1);
    assert_int_equal(s->closed, 2);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void test_large_answers(void **state) {
    (void)state;
    if (!site.loop)
        skip();
    struct server s = {.fd = memfd_create("large", MFD_CLOEXEC)};
    struct talker c = {.script = "LFFL."};
    assert_int_equal(write(s.fd, large, LARGE), LARGE);
    run(&s, &c);
    assert_true(c.shaken && c.got_close_notify);
    assert_int_equal(c.got, (size_t)4 * LARGE);
    assert_int_equal(s.last_recv, CELLO_EOF);
    close(s.fd);
}

/* What was sent is not cut by the end behind it, however full the socket is. */
static void test_end_behind_a_full_socket(void **state) {
    (void)state;
    if (!site.loop)
        skip();
    for (const char *how = "KH"; *how; how++) {
        struct server s = {.send_buffer = 30000};
        struct talker c = {.script = *how == 'K' ? "K" : "H.", .slow = true};
        run(&s, &c);
        assert_true(c.shaken);
        assert_int_equal(c.got, LARGE);
        assert_int_equal(s.ends, *how == 'H');
        assert_true(c.got_close_notify || *how == 'K');
    }
}

static void test_large_upload(void **state) {
    (void)state;
    if (!site.loop)
        skip();
    struct server s = {0};
    struct talker c = {.script = "Uu."};
    run(&s, &c);
    assert_int_equal(s.taken, LARGE);
    assert_int_equal(s.last_recv, CELLO_EOF);
    assert_true(c.got_close_notify);
}

static void test_server_ends(void **state) {
    (void)state;
    static const char *const scripts[] = {"C", "S.", "SLx."};
    if (!site.loop)
        skip();
    for (size_t i = 0; i < CL_ARRAY_LEN(scripts); i++) {
        struct server s = {0};
        struct talker c = {.script = scripts[i]};
        run(&s, &c);
        assert_true(c.got_close_notify);
    }
}

/* io_uring is at the send when the close comes. */
static void test_server_ends_behind_a_send(void **state) {
    (void)state;
    if (!site.loop)
        skip();
    struct server s = {0};
    struct talker c = {.script = "B"};
    run(&s, &c);
    assert_int_equal(c.got, BYE);
    assert_true(c.got_close_notify);
}

static void test_client_ends(void **state) {
    (void)state;
    if (!site.loop)
        skip();
    struct server s = {0};
    struct talker c = {.script = "L!"};
    run(&s, &c);
    assert_int_equal(s.ends, 1);
    assert_int_equal(s.last_recv, CELLO_EOF);
    assert_true(c.got_close_notify);
}

/* The alert arrives, though the server hangs up and the client is still talking. */
static void test_failed_handshakes(void **state) {
    (void)state;
    if (!site.loop)
        skip();
    struct server s = {0};
    struct talker c = {.script = "", .no_roots = true};
    run(&s, &c);
    assert_false(c.shaken);
    assert_int_equal(s.ready_err, CELLO_EINVAL);
    site.cfg.ca_path = site.ca_path;
    cl_tls_context_del(site.context);
    site.context = NULL;
    site_load(&site);
    s = (struct server){0};
    c = (struct talker){.script = "xxxxxxxxxx", .has_stranger = true};
    run(&s, &c);
    assert_int_equal(s.ready_err, CELLO_EINVAL);
    assert_int_equal(c.alert, SSL_AD_UNKNOWN_CA);
}

int main(void) {
#define TEST(name)                                                                                 \
    {#name " (epoll)", name, setup_epoll, teardown, NULL}, {                                       \
#name " (io_uring)", name, setup_uring, teardown, NULL                                     \
    }
    const struct CMUnitTest tests[] = {
        TEST(test_large_answers),
        TEST(test_large_upload),
        TEST(test_server_ends),
        TEST(test_client_ends),
        TEST(test_failed_handshakes),
        TEST(test_server_ends_behind_a_send),
        TEST(test_end_behind_a_full_socket),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("tls sockets", tests, NULL, NULL);
}
