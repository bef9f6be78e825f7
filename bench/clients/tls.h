/* What the clients over TLS share: a context that asks for nothing but TLS 1.3, a connection, which
 * may be in clear, and one request on it. Certificates are not verified: they were made a moment
 * ago. */
#ifndef CLIENT_TLS_H
#define CLIENT_TLS_H

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "client.h"

_Noreturn static inline void fail_tls(const char *what) {
    fail("%s: %s", what, ERR_reason_error_string(ERR_peek_error()));
}

/* `protocol` is an ALPN name with its length in front. */
static inline SSL_CTX *tls_client(const char *protocol) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION))
        fail_tls("context");
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_alpn_protos(context, (const uint8_t *)protocol, (unsigned)strlen(protocol));
    return context;
}

/* Connects and shakes hands. The session, NULL for none, is offered to the server. */
static inline void tls_connect(SSL *ssl, int port, SSL_SESSION *session) {
    SSL_set_fd(ssl, connect_to(port));
    SSL_set_tlsext_host_name(ssl, "localhost");
    if (session)
        SSL_set_session(ssl, session);
    if (SSL_connect(ssl) != 1)
        fail_tls("handshake");
}

static inline void tls_write(SSL *ssl, const char *bytes, size_t len) {
    if (SSL_write(ssl, bytes, (int)len) != (int)len)
        fail_tls("write");
}

/* At least one byte. */
static inline size_t tls_read(SSL *ssl, char *bytes, size_t room) {
    int n = SSL_read(ssl, bytes, (int)room);
    if (n <= 0)
        fail_tls("read");
    return (size_t)n;
}

/* Without waiting for the other side's close_notify. */
static inline void tls_close(SSL *ssl) {
    int fd = SSL_get_fd(ssl);
    SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
}

/* ---- either ---- */

/* A connection, over TLS or in clear. */
struct link {
    int fd;
    SSL *ssl; /* NULL: in clear */
};

static inline void link_put(const struct link *l, const char *bytes, size_t len) {
    if (l->ssl)
        tls_write(l->ssl, bytes, len);
    else
        send_all(l->fd, bytes, len);
}

/* At least one byte. */
static inline size_t link_get(const struct link *l, char *bytes, size_t room) {
    return l->ssl ? tls_read(l->ssl, bytes, room) : receive(l->fd, bytes, room);
}

/* One request of HTTP/1.1, and its answer. */
static inline void link_ask(const struct link *l) {
    static const char request[] = "GET /constant HTTP/1.1\r\nHost: localhost\r\n\r\n";
    static const char wanted[] = "Hello, World!";
    char answer[CLIENT_HEAD_ROOM];
    size_t len = 0;
    link_put(l, request, sizeof request - 1);
    do {
        if (len == sizeof answer - 1)
            fail("an answer that is too long");
        len += link_get(l, answer + len, sizeof answer - 1 - len);
        answer[len] = 0;
    } while (!strstr(answer, wanted));
    check_status(answer);
}

#endif
