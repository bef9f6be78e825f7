/* Processes that are killed at any instruction of an operation. A child does one operation, step by
 * step under ptrace, and is killed after n instructions, for n up to the operation's end; each time
 * others must find what was there before or what should be there afterwards, and can go on. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/shared_store.h"

enum { RECORDS = 2, OTHERS = 40, STRIDE = 23 };

static struct shared_store store;

static bool may_trace(void) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    return false; /* their own code between any two instructions, and their own signals */
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
    return false;
#endif
#endif
    pid_t pid = fork();
    int status;
    if (pid == 0)
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0);
    return waitpid(pid, &status, 0) == pid && status == 0;
}

/* Runs the operation in a child for `steps` instructions, then kills it. False: it was done. */
static bool kill_after(void (*operation)(void), unsigned steps) {
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
            _exit(2);
        raise(SIGSTOP);
        operation();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    bool alive = WIFSTOPPED(status);
    for (unsigned i = 0; alive && i < steps; i++) {
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        alive = WIFSTOPPED(status);
    }
    if (alive) {
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
    } else {
        assert_int_equal(status, 0);
    }
    return alive;
}

/* ---- the table ---- */

static char before[400], after[500]; /* values of several cells */

static struct cl_str text(const char *s) {
    return cl_str(s, strlen(s));
}

static void set_key(const char *key, const void *value, size_t len) {
    if (cl_table_set(&store.table, text(key), cl_str(value, len), 0, 1))
        abort();
}

static void do_set(void) {
    set_key("key", after, sizeof after);
}

static void do_delete(void) {
    (void)!cl_table_delete(&store.table, text("key"), 1);
}

static void do_swap(void) {
    (void)!cl_table_swap(&store.table, text("key"), cl_str(before, sizeof before),
                         cl_str(after, sizeof after), 0, 1);
}

static void do_increment(void) {
    int64_t sum;
    (void)!cl_table_increment(&store.table, text("key"), 1, 0, 1, &sum);
}

/* Of the other entries: they are what they were. */
static void check_others(void) {
    char key[16], got[400];
    for (unsigned i = 0; i < OTHERS; i++) {
        size_t len;
        snprintf(key, sizeof key, "other %u", i);
        assert_int_equal(cl_table_get(&store.table, text(key), 1, got, sizeof got, &len), CELLO_OK);
        assert_int_equal(len, i * 10);
        for (size_t k = 0; k < len; k++)
            assert_int_equal(got[k], 'a' + i % 26);
    }
}

static void set_others(void) {
    char key[16], value[400];
    for (unsigned i = 0; i < OTHERS; i++) {
        snprintf(key, sizeof key, "other %u", i);
        memset(value, 'a' + (int)(i % 26), sizeof value);
        set_key(key, value, i * 10);
    }
}

/* No cell is lost, and none is there twice: what others use and what is in use are the same. */
static void check_cells(uint64_t expected_bytes, uint64_t expected_entries) {
    struct cl_table_stats stats;
    cl_table_stats(&store.table, &stats);
    assert_int_equal(stats.entries, expected_entries);
    assert_int_equal(stats.bytes, expected_bytes);
}

static bool has_value(const char *value, size_t len) {
    char got[600];
    size_t n;
    return cl_table_get(&store.table, text("key"), 1, got, sizeof got, &n) == CELLO_OK &&
           n == len && memcmp(got, value, n) == 0;
}

struct outcome {
    const char *value; /* NULL: no such key */
    size_t len;
};

static bool is_outcome(const struct outcome *o) {
    size_t n;
    if (!o->value)
        return cl_table_get(&store.table, text("key"), 1, NULL, 0, &n) == CELLO_ENOENT;
    return has_value(o->value, o->len);
}

static void prepare(const struct outcome *o) {
    if (o->value)
        set_key("key", o->value, o->len);
    else
        (void)!cl_table_delete(&store.table, text("key"), 1);
}

/* The operation leads from `from` to `to`, or is not done. */
static void kill_everywhere(void (*operation)(void), struct outcome from, struct outcome to) {
    struct cl_table_stats stats;
    uint64_t bytes[2], entries[2];
    bool alive = true, seen[2] = {false, false};
    set_others();
    for (int i = 0; i < 2; i++) {
        prepare(i ? &to : &from);
        cl_table_stats(&store.table, &stats);
        bytes[i] = stats.bytes;
        entries[i] = stats.entries;
    }
    for (unsigned steps = 1; alive; steps += STRIDE) {
        prepare(&from);
        alive = kill_after(operation, steps);
        bool done = !is_outcome(&from);
        assert_true(!done || is_outcome(&to));
        assert_true(alive || done);
        seen[done] = true;
        check_cells(bytes[done], entries[done]);
        check_others();
    }
    assert_true(seen[0] && seen[1]);
}

static void tables_bear_a_death_at_any_instruction(void **state) {
    (void)state;
    if (!may_trace())
        skip();
    shared_store_open(&store, RECORDS);
    memset(before, 'b', sizeof before);
    memset(after, 'a', sizeof after);
    const struct outcome none = {0}, old = {before, sizeof before}, new = {after, sizeof after};
    kill_everywhere(do_set, none, new);
    kill_everywhere(do_set, old, new);
    kill_everywhere(do_delete, old, none);
    kill_everywhere(do_swap, old, new);
    kill_everywhere(do_increment, none, (struct outcome){"1", 1});
    kill_everywhere(do_increment, (struct outcome){"41", 2}, (struct outcome){"42", 2});
    shared_store_close(&store);
}

/* ---- the rings ---- */

static char message[300];

static void do_publish(void) {
    if (cl_rings_publish(&store.rings, 1, text("topic"), 0, cl_str(message, sizeof message)))
        abort();
}

/* What the reader gets of messages that are all alike. */
static unsigned read_all(struct cl_ring_reader *reader, uint64_t *lost) {
    struct cl_ring_item item;
    unsigned count = 0;
    while (cl_ring_reader_next(reader, &item)) {
        char got[sizeof message];
        *lost += item.lost;
        assert_true(cl_str_eq(item.topic, text("topic")));
        assert_int_equal(item.message_len, sizeof message);
        assert_true(cl_ring_reader_copy(reader, got));
        assert_memory_equal(got, message, sizeof message);
        count++;
    }
    return count;
}

static void rings_bear_a_death_at_any_instruction(void **state) {
    (void)state;
    if (!may_trace())
        skip();
    shared_store_open(&store, RECORDS);
    memset(message, 'm', sizeof message);
    struct cl_ring_reader *reader = NULL;
    assert_int_equal(cl_ring_reader_new(&reader, &store.rings, 0), CELLO_OK);
    bool alive = true, seen[2] = {false, false};
    uint64_t killed = 0, lost = 0;
    for (unsigned i = 0; i < 1000; i++) /* full, so that each one has to make room */
        do_publish();
    (void)read_all(reader, &lost);
    lost = 0;
    for (unsigned steps = 1; alive; steps += STRIDE) {
        alive = kill_after(do_publish, steps);
        killed += alive;
        unsigned got = read_all(reader, &lost);
        assert_true(got <= 1 && (alive || got == 1));
        seen[got] = true;
        do_publish(); /* the successor goes on */
        assert_int_equal(read_all(reader, &lost), 1);
    }
    assert_true(seen[0] && seen[1]);
    assert_true(lost <= killed);
    cl_ring_reader_del(reader);
    shared_store_close(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_bear_a_death_at_any_instruction),
        cmocka_unit_test(rings_bear_a_death_at_any_instruction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
