/* Nanoseconds per HTTP/1 request head, for each instruction set this machine has.
 *
 *   h1_parser_bench [rounds]      under callgrind use few rounds and count instructions instead
 *
 * The large request is the one that picohttpparser's own bench.c measures; the small one is the
 * least a client sends. Both numbers are the minimum of several rounds, target and meaning of the
 * fields included. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/cpu.h"
#include "http1/parser.h"

static const char small_request[] = "GET /hello HTTP/1.1\r\n"
                                    "Host: 127.0.0.1:8000\r\n"
                                    "\r\n";

static const char large_request[] =
    "GET /wp-content/uploads/2010/03/hello-kitty-darth-vader-pink.jpg HTTP/1.1\r\n"
    "Host: www.kittyhell.com\r\n"
    "User-Agent: Mozilla/5.0 (Macintosh; U; Intel Mac OS X 10.6; ja-JP-mac; rv:1.9.2.3) "
    "Gecko/20100401 Firefox/3.6.3 Pathtraq/0.9\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Accept-Language: ja,en-us;q=0.7,en;q=0.3\r\n"
    "Accept-Encoding: gzip,deflate\r\n"
    "Accept-Charset: Shift_JIS,utf-8;q=0.7,*;q=0.7\r\n"
    "Keep-Alive: 115\r\n"
    "Connection: keep-alive\r\n"
    "Cookie: wp_ozh_wsa_visits=2; wp_ozh_wsa_visit_lasttime=xxxxxxxxxx; "
    "__utma=xxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.x; "
    "__utmz=xxxxxxxxx.xxxxxxxxxx.x.x.utmccn=(referral)|utmcsr=reader.livedoor.com|"
    "utmcct=/reader/|utmcmd=referral\r\n"
    "\r\n";

static double now_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static double measure(const char *request, size_t len, int rounds) {
    static const struct cl_h1_limits limits = {8192 + 64, 8192, 16384, 100};
    static struct cl_header headers[100];
    struct cl_h1_head head = {.headers = headers};
    enum { BATCH = 20000 };
    double best = 1e18;
    for (int round = 0; round < rounds; round++) {
        double start = now_ns();
        for (int i = 0; i < BATCH; i++) {
            size_t scanned = 0, consumed;
            /* Hide from the compiler that the input is the same each time. */
            __asm__ volatile("" : "+r"(request) : : "memory");
            if (cl_h1_parse_head(request, len, &scanned, &limits, &head, &consumed) != CELLO_OK)
                abort();
        }
        best = CL_MIN(best, (now_ns() - start) / BATCH);
    }
    return best;
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 50;
    for (int level = CL_CPU_SCALAR; level <= CL_CPU_NEON; level++) {
        if (cl_cpu_set_level((enum cl_cpu_level)level) != CELLO_OK)
            continue;
        printf("%-7s %3zu bytes %6.1f ns   %3zu bytes %6.1f ns\n",
               cl_cpu_level_name((enum cl_cpu_level)level), sizeof(small_request) - 1,
               measure(small_request, sizeof(small_request) - 1, rounds), sizeof(large_request) - 1,
               measure(large_request, sizeof(large_request) - 1, rounds));
    }
    return 0;
}
