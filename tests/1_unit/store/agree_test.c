/* Several processes on one store agree with a model, also while some of them are killed at random
 * moments: what each was told that it has done adds up to what is there at the end. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/shared_store.h"

enum { PROCESSES = 4, KEYS = 8, RECORDS = 2 * PROCESSES, SEED = 20240229 };

/* What a process has been told; in shared memory, so that it outlives the process. `trying` is set
 * while an operation may have happened and is not counted yet. */
struct diary {
    volatile int64_t added[KEYS];   /* by increments */
    volatile int64_t trying[KEYS];  /* the increment that is being done */
    volatile uint64_t won[KEYS];    /* compare-and-sets */
    volatile uint64_t maybe[KEYS];  /* 1: one is being done */
    volatile uint64_t claims[4096]; /* adds that succeeded, by number of the key */
    volatile uint64_t operations;
};

struct shared {
    volatile bool stop;
    struct diary of[PROCESSES * 64]; /* one for each life */
};

static struct shared_store store;
static struct shared *shared;

static int open_all(void **state) {
    (void)state;
    shared_store_open(&store, RECORDS);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    return 0;
}

static int close_all(void **state) {
    (void)state;
    munmap(shared, sizeof *shared);
    shared_store_close(&store);
    return 0;
}

/* ---- random numbers, the same in every run ---- */

static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static struct cl_str name(char text[32], const char *kind, uint64_t i) {
    return cl_str(text, (size_t)snprintf(text, 32, "%s %u", kind, (unsigned)i));
}

/* ---- what a process does ---- */

static void must(bool right) {
    if (!right)
        abort();
}

static void increment(struct diary *d, uint64_t k, int64_t by) {
    char text[32];
    int64_t sum;
    d->trying[k] = by;
    must(cl_table_increment(&store.table, name(text, "sum", k), by, 0, 1, &sum) == CELLO_OK);
    d->added[k] += by;
    d->trying[k] = 0;
}

/* Counts by compare-and-set: each number is the successor of exactly one. */
static void count_by_swap(struct diary *d, uint64_t k) {
    char text[32], old[24], new[24];
    size_t len;
    struct cl_str key = name(text, "swap", k);
    int err = cl_table_get(&store.table, key, 1, old, sizeof old - 1, &len);
    must(err == CELLO_OK || err == CELLO_ENOENT);
    old[err ? 0 : len] = 0;
    int n = snprintf(new, sizeof new, "v%lu", err ? 1 : strtoul(old + 1, NULL, 10) + 1);
    struct cl_str value = cl_str(new, (size_t)n);
    d->maybe[k] = 1;
    err = err ? cl_table_add(&store.table, key, value, 0, 1)
              : cl_table_swap(&store.table, key, cl_str(old, len), value, 0, 1);
    must(err == CELLO_OK || err == CELLO_EEXIST);
    d->won[k] += err == CELLO_OK;
    d->maybe[k] = 0;
}

static void claim(struct diary *d, uint64_t i) {
    char text[32];
    int err = cl_table_add(&store.table, name(text, "claim", i), CL_STR("x"), 0, 1);
    must(err == CELLO_OK || err == CELLO_EEXIST);
    if (!err)
        d->claims[i] = 1;
}

/* A value says its own length and who wrote it; a torn or mixed one would not. */
static void write_and_read(uint64_t k, uint64_t r) {
    char text[32], value[1500];
    size_t len = 2 + r % (sizeof value - 2);
    memset(value, 'a' + (int)(len % 26), sizeof value);
    struct cl_str key = name(text, "value", k);
    must(cl_table_set(&store.table, key, cl_str(value, len), 0, 1) == CELLO_OK);
    int err = cl_table_get(&store.table, key, 1, value, sizeof value, &len);
    must(err == CELLO_OK || err == CELLO_ENOENT);
    for (size_t i = 0; !err && i < len; i++)
        must(value[i] == 'a' + (char)(len % 26));
    if (r % 3 == 0)
        (void)!cl_table_delete(&store.table, key, 1);
}

static void publish(uint32_t record, uint64_t r) {
    char message[300];
    size_t len = 1 + r % sizeof message;
    memset(message, 'a' + (int)(len % 26), len);
    must(cl_rings_publish(&store.rings, record, CL_STR("t"), 0, cl_str(message, len)) == CELLO_OK);
    cl_rings_ring_bells(&store.rings, record);
}

static void operate(unsigned life, uint32_t record, uint64_t most) {
    struct diary *d = &shared->of[life];
    uint64_t random = SEED + life;
    for (uint64_t i = 0; i < most && !shared->stop; i++) {
        uint64_t r = next_random(&random), k = r % KEYS;
        switch (r >> 8 & 7) {
        case 0:
        case 1: increment(d, k, (int64_t)(r >> 20 & 15) - 5); break;
        case 2:
        case 3: count_by_swap(d, k); break;
        case 4: claim(d, (r >> 20) % CL_ARRAY_LEN(d->claims)); break;
        case 5: publish(record, r >> 20); break;
        default: write_and_read(k, r >> 20); break;
        }
        d->operations++;
    }
    _exit(0);
}

static pid_t begin(unsigned life, uint32_t record, uint64_t most) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        operate(life, record, most);
    return pid;
}

/* ---- what must be true afterwards ---- */

static bool read_text(const char *kind, uint64_t k, char got[32]) {
    char text[32];
    size_t len;
    int err = cl_table_get(&store.table, name(text, kind, k), 1, got, 31, &len);
    assert_true(err == CELLO_OK || err == CELLO_ENOENT);
    got[err ? 0 : len] = 0;
    return !err;
}

static void check_sums(unsigned lives) {
    for (uint64_t k = 0; k < KEYS; k++) {
        char got[32];
        int64_t sum = 0, least = 0, most = 0;
        for (unsigned i = 0; i < lives; i++) {
            int64_t open = shared->of[i].trying[k];
            sum += shared->of[i].added[k];
            least += open < 0 ? open : 0;
            most += open > 0 ? open : 0;
        }
        int64_t there = read_text("sum", k, got) ? strtoll(got, NULL, 10) : 0;
        assert_true(there >= sum + least && there <= sum + most);
    }
}

static void check_swaps(unsigned lives) {
    for (uint64_t k = 0; k < KEYS; k++) {
        char got[32];
        uint64_t won = 0, maybe = 0;
        for (unsigned i = 0; i < lives; i++) {
            won += shared->of[i].won[k];
            maybe += shared->of[i].maybe[k];
        }
        uint64_t there = read_text("swap", k, got) ? strtoul(got + 1, NULL, 10) : 0;
        assert_in_range(there, won, won + maybe);
    }
}

static void check_claims(unsigned lives) {
    uint64_t unsaid = 0;
    for (uint64_t k = 0; k < CL_ARRAY_LEN(shared->of[0].claims); k++) {
        char got[32];
        unsigned winners = 0;
        for (unsigned i = 0; i < lives; i++)
            winners += shared->of[i].claims[k] != 0;
        bool there = read_text("claim", k, got);
        assert_true(winners <= (unsigned)there);
        unsaid += there && !winners; /* killed between the add and its note of it */
    }
    assert_in_range(unsaid, 0, lives - PROCESSES);
}

/* All entries and cells are accounted for: without any, nothing is in use. */
static void check_cells(void) {
    struct cl_table_stats stats;
    cl_table_stats(&store.table, &stats);
    assert_int_equal(stats.evictions, 0); /* what is evicted would not add up */
    cl_table_clear(&store.table);
    cl_table_stats(&store.table, &stats);
    assert_int_equal(stats.entries, 0);
    assert_int_equal(stats.bytes, 0);
}

static uint64_t drain(struct cl_ring_reader *reader) {
    struct cl_ring_item item;
    uint64_t count = 0;
    while (cl_ring_reader_next(reader, &item)) {
        char got[300];
        assert_in_range(item.message_len, 1, sizeof got);
        count++;
        if (!cl_ring_reader_copy(reader, got))
            continue;
        for (size_t i = 0; i < item.message_len; i++)
            assert_int_equal(got[i], 'a' + (char)(item.message_len % 26));
    }
    return count;
}

static void processes_agree_with_a_model(void **state) {
    (void)state;
    pid_t pids[PROCESSES];
    for (unsigned i = 0; i < PROCESSES; i++)
        pids[i] = begin(i, i, 20000);
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    check_sums(PROCESSES);
    check_swaps(PROCESSES);
    check_claims(PROCESSES);
    check_cells();
}

static void what_killed_processes_leave_adds_up(void **state) {
    (void)state;
    struct cl_ring_reader *reader = NULL;
    pid_t pids[PROCESSES];
    unsigned lives = 0;
    uint64_t random = SEED, read = 0;
    assert_int_equal(cl_ring_reader_new(&reader, &store.rings, RECORDS - 1), CELLO_OK);
    for (; lives < PROCESSES; lives++)
        pids[lives] = begin(lives, lives, UINT64_MAX);
    while (lives < CL_ARRAY_LEN(shared->of)) {
        unsigned victim = (unsigned)(next_random(&random) % PROCESSES);
        struct timespec pause = {.tv_nsec = (long)(next_random(&random) % 10000000)};
        nanosleep(&pause, NULL);
        read += drain(reader);
        assert_int_equal(kill(pids[victim], SIGKILL), 0);
        int status;
        assert_int_equal(waitpid(pids[victim], &status, 0), pids[victim]);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); /* not an abort() */
        pids[victim] = begin(lives++, victim, UINT64_MAX);
    }
    shared->stop = true;
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    read += drain(reader);
    assert_true(read > 0);
    check_sums(lives);
    check_swaps(lives);
    check_claims(lives);
    check_cells();
    cl_ring_reader_del(reader);
}

#define WITH_ALL(f) cmocka_unit_test_setup_teardown(f, open_all, close_all)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_ALL(processes_agree_with_a_model),
        WITH_ALL(what_killed_processes_leave_adds_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
