/* The least that holds connections over TLS: OpenSSL on sockets, one SSL for each, whose buffers
 * are released while it is idle; a constant answers.
 *
 *   tls PORT CERTIFICATE KEY */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "ceiling.h"

enum { EVENTS = 256 };

static SSL *connections[CEILING_FDS];
static struct answers answers;
static int poller;

static SSL_CTX *make_context(const char *certificate, const char *key) {
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
        ERR_print_errors_fp(stderr);
        exit(1);
    }
    return context;
}

static void watch(int fd) {
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
}

static void take(int listener, SSL_CTX *context) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0 || fd >= CEILING_FDS) {
        close(fd);
        return;
    }
    ceiling_no_delay(fd);
    connections[fd] = SSL_new(context);
    SSL_set_fd(connections[fd], fd);
    SSL_set_accept_state(connections[fd]);
    watch(fd);
}

static void drop(int fd) {
    SSL_free(connections[fd]);
    connections[fd] = NULL;
    close(fd);
}

/* A request comes in one record. */
static void serve(int fd) {
    char in[CEILING_RECV_ROOM];
    static struct buffer out;
    int n;
    ERR_clear_error();
    while ((n = SSL_read(connections[fd], in, sizeof in)) > 0) {
        out.len = 0;
        answer_all(&answers, in, (size_t)n, &out);
        if (out.len && SSL_write(connections[fd], out.bytes, (int)out.len) <= 0)
            break;
    }
    if (SSL_get_error(connections[fd], n) != SSL_ERROR_WANT_READ)
        drop(fd);
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 1;
    SSL_CTX *context = make_context(argv[2], argv[3]);
    signal(SIGPIPE, SIG_IGN);
    answers_init(&answers);
    poller = epoll_create1(0);
    int listener = ceiling_listen((int)strtol(argv[1], NULL, 10), SOCK_NONBLOCK);
    watch(listener);
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener)
                take(listener, context);
            else
                serve(events[i].data.fd);
        }
    }
}
