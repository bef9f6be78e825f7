/* Handshakes of TLS 1.3, each with one short request behind it, then a close.
 *
 *   handshake PORT COUNT THREADS full|resumed
 *
 * THREADS connections at a time. A resumed handshake offers the newest ticket that the server gave
 * to this thread, and fails when it is not taken; a full one must not be resumed. Prints
 * "COUNT SECONDS P50_US P99_US": the times are from connect() to the answer. */
#include <pthread.h>

#include "tls.h"

enum { THREADS_MAX = 64 };

static struct {
    SSL_CTX *context;
    int port;
    bool resumed;
    size_t count; /* for each thread */
} plan;

struct runner {
    pthread_t thread;
    SSL_SESSION *ticket;
    uint64_t *times_ns;
};

/* OpenSSL calls it for each ticket that comes. */
static int keep_ticket(SSL *ssl, SSL_SESSION *ticket) {
    struct runner *runner = SSL_get_app_data(ssl);
    SSL_SESSION_free(runner->ticket);
    runner->ticket = ticket;
    return 1;
}

/* Once: connection, handshake, request, answer. */
static void shake(struct runner *runner, bool resumed) {
    SSL *ssl = SSL_new(plan.context);
    SSL_set_app_data(ssl, runner);
    tls_connect(ssl, plan.port, resumed ? runner->ticket : NULL);
    if (SSL_session_reused(ssl) != resumed)
        fail("the handshake was %s", resumed ? "not resumed" : "resumed");
    link_ask(&(struct link){.ssl = ssl});
    tls_close(ssl);
}

static void *run(void *arg) {
    struct runner *runner = arg;
    if (plan.resumed)
        shake(runner, false);
    for (size_t i = 0; i < plan.count; i++) {
        uint64_t start = now_ns();
        shake(runner, plan.resumed);
        runner->times_ns[i] = now_ns() - start;
    }
    SSL_SESSION_free(runner->ticket);
    return NULL;
}

int main(int argc, char **argv) {
    static struct runner runners[THREADS_MAX];
    size_t threads = argc == 5 ? strtoul(argv[3], NULL, 10) : 0;
    if (!threads || threads > THREADS_MAX)
        fail("usage: handshake PORT COUNT THREADS full|resumed");
    plan.port = (int)strtol(argv[1], NULL, 10);
    plan.count = strtoul(argv[2], NULL, 10) / threads;
    plan.resumed = !strcmp(argv[4], "resumed");
    plan.context = tls_client("\x08http/1.1");
    SSL_CTX_set_session_cache_mode(plan.context,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(plan.context, keep_ticket);

    size_t total = plan.count * threads;
    uint64_t *times_ns = calloc(total, sizeof *times_ns), start = now_ns();
    if (!times_ns)
        fail("out of memory");
    for (size_t i = 0; i < threads; i++) {
        runners[i].times_ns = times_ns + i * plan.count;
        if (pthread_create(&runners[i].thread, NULL, run, &runners[i]))
            fail("no thread");
    }
    for (size_t i = 0; i < threads; i++)
        pthread_join(runners[i].thread, NULL);
    double seconds = (double)(now_ns() - start) / 1e9;
    double p50 = percentile_us(times_ns, total, 0.5);
    printf("%zu %.3f %.1f %.1f\n", total, seconds, p50, percentile_us(times_ns, total, 0.99));
}
