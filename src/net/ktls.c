#include "net/ktls.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* What TLS 1.3 with AES-GCM adds to each record: head, type, tag. */
enum { RECORD_MORE = 5 + 1 + 16 };
/* Times to look for a moment without acknowledgements. */
enum { TRIES = 8 };
/* A record on loopback is there at once. */
enum { PROBE_MS = 1000 };

bool cl_ktls_prepare(int fd) {
    static const char name[] = "tls";
    return setsockopt(fd, IPPROTO_TCP, TCP_ULP, name, sizeof name) == 0;
}

bool cl_ktls_begin(int fd, const void *key, size_t n) {
    return setsockopt(fd, SOL_TLS, TLS_TX, key, (socklen_t)n) == 0;
}

/* ---- what has left --------------------------------------------------------------------------- */

static bool get_acked(int fd, uint64_t *acked) {
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len))
        return false;
    *acked = info.tcpi_bytes_acked;
    return true;
}

/* An acknowledgement between the calls would make it wrong. */
bool cl_ktls_in_tcp(int fd, uint64_t *bytes) {
    uint64_t before, after = 0;
    int queued = 0;
    for (int i = 0; i < TRIES; i++) {
        if (!get_acked(fd, &before) || ioctl(fd, SIOCOUTQ, &queued) || !get_acked(fd, &after))
            return false;
        if (before == after) {
            *bytes = after + (uint64_t)queued;
            return true;
        }
    }
    return false;
}

static uint64_t number_of(const unsigned char *p) {
    uint64_t n = 0;
    for (int i = 0; i < 8; i++)
        n = n << 8 | p[i];
    return n;
}

/* How many records the kernel has made; UINT64_MAX: it does not say. It also tells the key. */
static uint64_t records_of(int fd) {
    union {
        struct tls_crypto_info info;
        struct tls12_crypto_info_aes_gcm_128 gcm128;
        struct tls12_crypto_info_aes_gcm_256 gcm256;
    } key;
    uint64_t n = UINT64_MAX;
    socklen_t len = sizeof key.gcm128;
    memset(&key, 0, sizeof key);
    if (getsockopt(fd, SOL_TLS, TLS_TX, &key, &len) == 0) {
        n = number_of(key.gcm128.rec_seq);
    } else {
        len = sizeof key.gcm256;
        if (getsockopt(fd, SOL_TLS, TLS_TX, &key, &len) == 0)
            n = number_of(key.gcm256.rec_seq);
    }
    explicit_bzero(&key, sizeof key);
    return n;
}

bool cl_ktls_settled(int fd, uint64_t bytes) {
    uint64_t records = records_of(fd), in_tcp = 0;
    return records == UINT64_MAX ||
           (cl_ktls_in_tcp(fd, &in_tcp) && in_tcp >= bytes + records * RECORD_MORE);
}

/* ---- whether it can at all ------------------------------------------------------------------- */

/* One that knows TLS says that the socket is not connected; others, that they do not know it. */
static bool knows(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool known = cl_ktls_prepare(fd) || errno == ENOTCONN;
    close(fd);
    return known;
}

static int connect_pair(int fd[2]) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fd[1] = -1;
    if (listener >= 0 && fd[0] >= 0 && bind(listener, (struct sockaddr *)&a, len) == 0 &&
        listen(listener, 1) == 0 && getsockname(listener, (struct sockaddr *)&a, &len) == 0 &&
        connect(fd[0], (struct sockaddr *)&a, len) == 0)
        fd[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (listener >= 0)
        close(listener);
    return fd[1] >= 0 ? CELLO_OK : CELLO_ESYS;
}

static bool seals(const int fd[2]) {
    const struct tls12_crypto_info_aes_gcm_128 key = {
        .info = {.version = TLS_1_3_VERSION, .cipher_type = TLS_CIPHER_AES_GCM_128}};
    char record[RECORD_MORE + 2];
    struct pollfd p = {.fd = fd[1], .events = POLLIN};
    return cl_ktls_prepare(fd[0]) && cl_ktls_begin(fd[0], &key, sizeof key) &&
           send(fd[0], "", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 && poll(&p, 1, PROBE_MS) == 1 &&
           recv(fd[1], record, sizeof record, MSG_DONTWAIT) == RECORD_MORE + 1;
}

bool cl_ktls_can(void) {
    int fd[2];
    if (!knows())
        return false;
    bool can = connect_pair(fd) == CELLO_OK && seals(fd);
    for (int i = 0; i < 2; i++)
        if (fd[i] >= 0)
            close(fd[i]);
    return can;
}
