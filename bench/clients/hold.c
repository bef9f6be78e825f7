/* Connections that ask once and then stay idle.
 *
 *   hold PORT COUNT http|h2c|https|h2
 *
 * Opens one after the other, each with one request that is answered, prints "ready", and keeps all
 * of them open until its input ends. */
#include "tls.h"

enum { FRAME_HEAD = 9, ROOM = 65536, H2_HEADERS = 1, H2_SETTINGS = 4, H2_GOAWAY = 7 };
enum { END_STREAM = 1, ACK = 1 };
enum {
    H2_OK = 0x88,
    H2_OK_WITHIN = 4
}; /* `:status: 200`, behind the size of HPACK's table, if at all */

/* The preface, SETTINGS without a setting, and HEADERS of stream 1 that end it: GET, the scheme,
 * /constant, localhost; indexed where HPACK's static table has them, literal else. */
#define H2_OPENING(scheme)                                                                         \
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"                                                             \
    "\0\0\0\x04\0\0\0\0\0"                                                                         \
    "\0\0\x18\x01\x05\0\0\0\x01"                                                                   \
    "\x82" scheme "\x04\x09/constant"                                                              \
    "\x01\x09localhost"
static const char OPENING[] = H2_OPENING("\x86"), OPENING_TLS[] = H2_OPENING("\x87");
static const char SETTINGS_ACK[] = "\0\0\0\x04\x01\0\0\0\0";

/* Reads frames until stream 1 has ended, and acknowledges the server's settings. */
static void ask_h2(struct link *l) {
    char in[ROOM];
    size_t len = 0;
    bool settled = false, ended = false;
    if (l->ssl)
        link_put(l, OPENING_TLS, sizeof OPENING_TLS - 1);
    else
        link_put(l, OPENING, sizeof OPENING - 1);
    while (!settled || !ended) {
        len += link_get(l, in + len, sizeof in - len);
        size_t used = 0;
        while (len - used >= FRAME_HEAD) {
            const uint8_t *f = (const uint8_t *)in + used;
            size_t size = FRAME_HEAD + ((size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2]);
            if (len - used < size)
                break;
            if (f[3] == H2_GOAWAY)
                fail("the server said GOAWAY");
            if (f[3] == H2_HEADERS && !memchr(f + FRAME_HEAD, H2_OK, H2_OK_WITHIN))
                fail("answered another status than 200");
            if (f[3] == H2_SETTINGS && !(f[4] & ACK)) {
                link_put(l, SETTINGS_ACK, sizeof SETTINGS_ACK - 1);
                settled = true;
            }
            if (f[3] <= H2_HEADERS && f[8] == 1 && f[4] & END_STREAM)
                ended = true;
            used += size;
        }
        memmove(in, in + used, len -= used);
    }
}

int main(int argc, char **argv) {
    if (argc != 4)
        fail("usage: hold PORT COUNT http|h2c|https|h2");
    int port = (int)strtol(argv[1], NULL, 10);
    bool h2 = argv[3][1] == '2', tls = !strcmp(argv[3], "https") || !strcmp(argv[3], "h2");
    SSL_CTX *context = tls ? tls_client(h2 ? "\x02h2" : "\x08http/1.1") : NULL;
    for (long i = strtol(argv[2], NULL, 10); i > 0; i--) {
        struct link l = {.fd = -1, .ssl = tls ? SSL_new(context) : NULL};
        if (tls)
            tls_connect(l.ssl, port, NULL);
        else
            l.fd = connect_to(port);
        if (h2)
            ask_h2(&l);
        else
            link_ask(&l);
    }
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF)
        continue;
}
