/* From the last byte of a request to the first byte of the answer's body, one request at a time
 * on one connection, the paths taking turns.
 *
 *   first_byte PORT SECONDS PATH...
 *
 * Answers have a Content-Length or are chunked. Prints "COUNT P50_US P99_US" for each path. */
#include "client.h"

enum { PATHS_MAX = 8, SAMPLES_MAX = 1 << 18 };

static uint64_t samples[PATHS_MAX][SAMPLES_MAX];
static size_t counts[PATHS_MAX];

static bool complete(const char *answer, size_t len, const char *body) {
    const char *value = head_field(answer, "content-length");
    if (value && value < body)
        return len >= (size_t)(body - answer) + strtoul(value, NULL, 10);
    return len >= 5 && !memcmp(answer + len - 5, "0\r\n\r\n", 5);
}

/* Returns how long the first byte of the body took. */
static uint64_t ask(int fd, const char *path) {
    char request[512], answer[CLIENT_HEAD_ROOM];
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path);
    send_all(fd, request, (size_t)n);
    uint64_t start = now_ns(), first = 0;
    size_t len = 0;
    const char *body = NULL;
    while (!body || !complete(answer, len, body)) {
        if (len == sizeof answer - 1)
            fail("an answer that is too long");
        len += receive(fd, answer + len, sizeof answer - 1 - len);
        answer[len] = 0;
        const char *end = body ? NULL : strstr(answer, "\r\n\r\n");
        if (end)
            body = end + 4;
        if (!first && body && len > (size_t)(body - answer))
            first = now_ns();
    }
    check_status(answer);
    return first - start;
}

int main(int argc, char **argv) {
    int paths = argc - 3;
    if (paths < 1 || paths > PATHS_MAX)
        fail("usage: first_byte PORT SECONDS PATH...");
    int fd = connect_to((int)strtol(argv[1], NULL, 10));
    uint64_t end = now_ns() + (uint64_t)(strtod(argv[2], NULL) * 1e9);
    while (now_ns() < end && counts[0] < SAMPLES_MAX) {
        for (int i = 0; i < paths; i++)
            samples[i][counts[i]++] = ask(fd, argv[3 + i]);
    }
    for (int i = 0; i < paths; i++) {
        double p50 = percentile_us(samples[i], counts[i], 0.5);
        printf("%zu %.2f %.2f\n", counts[i], p50, percentile_us(samples[i], counts[i], 0.99));
    }
}
