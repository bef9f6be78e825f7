/* Nanoseconds per operation of the shared store: alone, and by several processes at once, on keys
 * of their own and all on the same one. Best of some rounds. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/rings.h"
#include "store/store.h"
#include "store/table.h"

enum {
    KEYS = 10000,
    KEY_MAX = 32,
    TIMES = 50000,
    ROUNDS = 20,
    PROCESSES_MAX = 4,
    RECORDS = 2 * PROCESSES_MAX
};

static struct cl_table table;
static struct cl_rings rings;

enum what { GET, SET, SET_1K, INCREMENT, SWAP, PUBLISH, WHATS };
static const char *const names[WHATS] = {"get 20 bytes", "set 20 bytes",    "set 1,000 bytes",
                                         "increment",    "compare and set", "publish 100 bytes"};

static void open_all(void) {
    const struct cello_store_config config = {0};
    struct cl_segment *segment = NULL;
    size_t sizes[CL_AREA_COUNT] = {0}, size;
    if (cl_store_sizes(&config, RECORDS, sizes) || cl_segment_new(&segment, sizes) ||
        cl_store_make(segment, &config, RECORDS))
        exit(1);
    void *area = cl_segment_area(segment, CL_AREA_TABLE, &size);
    bool opened = cl_table_open(&table, area, size);
    area = cl_segment_area(segment, CL_AREA_RINGS, &size);
    if (!opened || !cl_rings_open(&rings, area, size))
        exit(1);
}

static uint64_t cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * CL_NS_PER_S + (uint64_t)t.tv_nsec;
}

static void operate(enum what what, uint32_t process, struct cl_str key) {
    static char value[1000];
    char got[64];
    size_t len;
    int64_t sum;
    struct cl_str short_value = cl_str(value, 20);
    uint64_t now_ns = cl_now_ns();
    switch (what) {
    case GET: (void)!cl_table_get(&table, key, now_ns, got, sizeof got, &len); break;
    case SET: (void)!cl_table_set(&table, key, short_value, 0, now_ns); break;
    case SET_1K: (void)!cl_table_set(&table, key, cl_str(value, sizeof value), 0, now_ns); break;
    case INCREMENT: (void)!cl_table_increment(&table, key, 1, 0, now_ns, &sum); break;
    case SWAP: (void)!cl_table_swap(&table, key, short_value, short_value, 0, now_ns); break;
    default: (void)!cl_rings_publish(&rings, process, key, 0, cl_str(value, 100)); break;
    }
}

/* Names of all keys; the entries that are to be found. */
static void prepare(enum what what, uint32_t process, bool same, struct cl_str *keys) {
    static char texts[KEYS][KEY_MAX];
    for (unsigned i = 0; i < KEYS; i++) {
        int n = snprintf(texts[i], KEY_MAX, "key %u of %u %d", same ? 0 : i, same ? 0 : process,
                         (int)what);
        keys[i] = cl_str(texts[i], (size_t)n);
        if (what == GET || what == SWAP)
            operate(SET, process, keys[i]);
    }
}

/* Of one process. */
static double measure(enum what what, uint32_t process, bool same) {
    static struct cl_str keys[KEYS];
    double best = 1e9;
    prepare(what, process, same, keys);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t start_ns = cpu_ns();
        for (unsigned i = 0; i < TIMES; i++)
            operate(what, process, keys[i * 7 % KEYS]);
        double ns = (double)(cpu_ns() - start_ns) / TIMES;
        best = ns < best ? ns : best;
    }
    return best;
}

/* The slowest of several processes. */
static double measure_together(enum what what, uint32_t processes, bool same) {
    int ends[2];
    double worst = 0, one;
    if (pipe(ends))
        exit(1);
    for (uint32_t i = 0; i < processes; i++)
        if (fork() == 0) {
            one = measure(what, i, same);
            _exit(write(ends[1], &one, sizeof one) != sizeof one);
        }
    for (uint32_t i = 0; i < processes; i++)
        if (read(ends[0], &one, sizeof one) == sizeof one && one > worst)
            worst = one;
    while (wait(NULL) > 0)
        continue;
    close(ends[0]);
    close(ends[1]);
    return worst;
}

int main(void) {
    open_all();
    printf("%-22s %10s %14s %14s\n", "CPU ns per operation", "alone", "2, own keys", "2, same key");
    for (enum what what = 0; what < WHATS; what++)
        printf("%-22s %10.0f %14.0f %14.0f\n", names[what], measure_together(what, 1, false),
               measure_together(what, 2, false), measure_together(what, 2, true));
    return 0;
}
