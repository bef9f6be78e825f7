#include "cluster/policy.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

enum { TEXT_MAX = 8192, RECORDS_MAX = 32 };

#define SECOND CL_NS_PER_S
#define EXIT(status) ((status) << 8)

/* A policy whose actions and log lines become text; processes are numbers, time is a variable. */
struct cluster {
    struct cl_policy *policy;
    uint64_t now;
    int32_t pids[RECORDS_MAX];
    int32_t next_pid;
    bool no_process; /* the next one cannot be started */
    int status;      /* of the last EXIT; -1: none */
    char acts[TEXT_MAX], log[TEXT_MAX];
};

static void add(char *text, const char *format, ...) CL_PRINTF(2, 3);

static void add(char *text, const char *format, ...) {
    size_t n = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + n, TEXT_MAX - n, format, args);
    va_end(args);
}

static void keep_line(void *ctx, enum cl_log_level level, const char *line) {
    struct cluster *c = ctx;
    if (level > CL_LOG_DEBUG)
        add(c->log, "%s\n", line);
}

static const struct cl_policy_config CONFIG = {
    .workers = 2,
    .sockets_of_seats = true,
    .graceful = true,
    .max_restarts = 3,
    .restart_window_ns = 60 * SECOND,
    .startup_timeout_ns = 20 * SECOND,
    .shutdown_timeout_ns = 30 * SECOND,
    .heartbeat_timeout_ns = 5 * SECOND,
    .seed = 1,
};

static void cluster_init(struct cluster *c, const struct cl_policy_config *config) {
    *c = (struct cluster){.now = 1000 * SECOND, .next_pid = 100, .status = -1};
    cl_log_set_sink(keep_line, c);
    assert_int_equal(cl_policy_new(&c->policy, config), CELLO_OK);
}

static void cluster_free(struct cluster *c) {
    cl_policy_del(c->policy);
    cl_log_set_sink(NULL, NULL);
}

static const char *control_name(uint32_t kind) {
    static const char *const names[] = {"nothing", "STOP",   "RETIRE", "ADOPT",
                                        "RELEASE", "REOPEN", "LAST"};
    assert_true(kind < CL_ARRAY_LEN(names));
    return names[kind];
}

static void perform(struct cluster *c, const struct cl_action *a) {
    int32_t pid = c->pids[a->record];
    switch (a->kind) {
    case CL_ACTION_START:
        if (c->no_process) {
            add(c->acts, "no process for %u; ", a->worker_id);
            cl_policy_not_started(c->policy, a->record, "there is none", c->now);
            return;
        }
        assert_int_equal(pid, 0);
        c->pids[a->record] = c->next_pid++;
        add(c->acts, "start %u as %d; ", a->worker_id, c->pids[a->record]);
        cl_policy_started(c->policy, a->record, c->pids[a->record], c->now);
        return;
    case CL_ACTION_TELL:
        assert_int_not_equal(pid, 0);
        add(c->acts, "%s", control_name(a->control.kind));
        if (a->control.kind <= CL_CONTROL_RETIRE)
            add(c->acts, " %.1f%s", (double)a->control.ns / 1e9,
                a->control.value ? " and wait" : "");
        else if (a->control.kind <= CL_CONTROL_RELEASE)
            add(c->acts, " %u", a->control.value);
        add(c->acts, " to %d; ", pid);
        return;
    case CL_ACTION_HANG_UP: add(c->acts, "hang up on %d; ", pid); return;
    case CL_ACTION_DUMP: add(c->acts, "dump %d; ", pid); return;
    case CL_ACTION_KILL: add(c->acts, "kill %d; ", pid); return;
    case CL_ACTION_RUNNING: add(c->acts, "running; "); return;
    case CL_ACTION_STOPPING: add(c->acts, "stopping; "); return;
    case CL_ACTION_CLOSE: add(c->acts, "close; "); return;
    case CL_ACTION_EXIT:
        add(c->acts, "exit %d; ", a->status);
        c->status = a->status;
        return;
    }
}

/* All there is to do now is this. */
static void expect(struct cluster *c, const char *acts) {
    struct cl_action action;
    c->acts[0] = '\0';
    for (unsigned i = 0; cl_policy_next(c->policy, c->now, &action); i++) {
        assert_true(i < 1000);
        perform(c, &action);
    }
    assert_string_equal(c->acts, acts);
    assert_true(cl_policy_wake_ns(c->policy) > c->now); /* its owner does not spin */
}

static void expect_log(struct cluster *c, const char *part) {
    if (!strstr(c->log, part))
        fail_msg("no \"%s\" in:\n%s", part, c->log);
    c->log[0] = '\0';
}

static uint32_t record_of(const struct cluster *c, int32_t pid) {
    for (uint32_t i = 0; i < RECORDS_MAX; i++)
        if (c->pids[i] == pid)
            return i;
    fail_msg("there is no process %d", pid);
    return 0;
}

static void ready(struct cluster *c, int32_t pid) {
    cl_policy_ready(c->policy, record_of(c, pid), c->now);
}

static void ended(struct cluster *c, int32_t pid) {
    cl_policy_ended(c->policy, record_of(c, pid), c->now);
}

static void dies(struct cluster *c, int32_t pid, int status) {
    uint32_t record = record_of(c, pid);
    c->pids[record] = 0;
    cl_policy_exited(c->policy, record, status, c->now);
}

static void see(struct cluster *c, int32_t pid, struct cl_sight sight) {
    cl_policy_saw(c->policy, record_of(c, pid), &sight, c->now);
}

/* The clock goes to where something is due, which has to be so many seconds away. */
static void wait_between(struct cluster *c, double least, double most) {
    uint64_t wake = cl_policy_wake_ns(c->policy);
    assert_true(wake != UINT64_MAX);
    double seconds = wake > c->now ? (double)(wake - c->now) / 1e9 : 0;
    if (seconds < least || seconds > most)
        fail_msg("due in %f s", seconds);
    c->now = CL_MAX(c->now, wake);
}

/* Two workers, 100 and 101, serve. */
static void running_init(struct cluster *c, const struct cl_policy_config *config) {
    cluster_init(c, config);
    expect(c, "start 0 as 100; start 1 as 101; ");
    ready(c, 100);
    ready(c, 101);
    expect(c, "running; ");
    c->log[0] = '\0';
}

/* The same, and a stop has told them to end. */
static void stopping_init(struct cluster *c) {
    running_init(c, &CONFIG);
    cl_policy_stop(c->policy, c->now);
    assert_true(cl_policy_is_stopping(c->policy));
    expect(c, "stopping; STOP 27.0 to 100; STOP 27.0 to 101; close; ");
}

/* The same, of which they hear ten seconds later. */
static void delayed_stop_init(struct cluster *c) {
    struct cl_policy_config config = CONFIG;
    config.drain_delay_ns = 10 * SECOND;
    running_init(c, &config);
    cl_policy_stop(c->policy, c->now);
    expect(c, "stopping; ");
}

/* ---- starting and restarting ---------------------------------------------------------------- */

static void all_start_at_once(void **state) {
    (void)state;
    struct cluster c;
    cluster_init(&c, &CONFIG);
    expect(&c, "start 0 as 100; start 1 as 101; ");
    ready(&c, 101);
    expect(&c, "ADOPT 0 to 101; ");
    assert_int_equal(cl_policy_serving_count(c.policy), 1);
    ready(&c, 100);
    expect(&c, "RELEASE 0 to 101; running; ");
    assert_int_equal(cl_policy_serving_pid(c.policy, 0), 100);
    assert_true(cl_policy_wake_ns(c.policy) == UINT64_MAX);
    cluster_free(&c);
}

static void a_dead_worker_is_replaced_at_once(void **state) {
    (void)state;
    struct cluster c;
    running_init(&c, &CONFIG);
    dies(&c, 101, SIGSEGV);
    expect(&c, "ADOPT 1 to 100; start 1 as 102; ");
    expect_log(&c, "worker 1 (pid 101) was killed by signal 11 (Segmentation fault); starting "
                   "another\n");
    ready(&c, 102);
    expect(&c, "RELEASE 1 to 100; ");
    cluster_free(&c);
}

static void restarts_are_delayed_more_and_more_and_then_given_up(void **state) {
    (void)state;
    struct cluster c;
    running_init(&c, &CONFIG);
    dies(&c, 101, EXIT(1));
    expect(&c, "ADOPT 1 to 100; start 1 as 102; ");
    dies(&c, 102, EXIT(1));
    expect(&c, "");
    wait_between(&c, 0.05, 0.1);
    expect(&c, "start 1 as 103; ");
    ready(&c, 103);
    expect(&c, "RELEASE 1 to 100; ");
    dies(&c, 103, SIGKILL);
    expect_log(&c, "worker 1 (pid 103) was killed by signal 9 (Killed, by somebody else or for "
                   "lack of memory); starting another in 0.");
    expect(&c, "ADOPT 1 to 100; ");
    wait_between(&c, 0.1, 0.2);
    expect(&c, "start 1 as 104; ");
    dies(&c, 104, EXIT(1));
    expect_log(&c, "worker 1 (pid 104) ended with status 1; that is the end number 4 within 60 s: "
                   "giving up\n");
    expect(&c, "STOP 27.0 to 100; stopping; close; ");
    ended(&c, 100);
    expect(&c, "LAST to 100; ");
    dies(&c, 100, EXIT(0));
    expect(&c, "exit 1; ");
    cluster_free(&c);
}

static void old_crashes_are_forgiven(void **state) {
    (void)state;
    struct cluster c;
    running_init(&c, &CONFIG);
    for (int32_t pid = 101; pid < 121; pid++) {
        dies(&c, pid, SIGSEGV);
        c.now += 30 * SECOND;
        struct cl_action action;
        while (cl_policy_next(c.policy, c.now, &action))
            perform(&c, &action);
        assert_false(cl_policy_is_stopping(c.policy));
        ready(&c, pid + 1);
    }
    cluster_free(&c);
}

static void crashes_of_one_worker_do_not_count_for_another(void **state) {
    (void)state;
    struct cl_policy_config config = CONFIG;
    struct cluster c;
    config.workers = 8;
    config.max_restarts = 1;
    cluster_init(&c, &config);
    struct cl_action action;
    while (cl_policy_next(c.policy, c.now, &action))
        perform(&c, &action);
    for (int32_t pid = 100; pid < 108; pid++)
        ready(&c, pid);
    for (int32_t pid = 100; pid < 108; pid++)
        dies(&c, pid, SIGSEGV);
    assert_false(cl_policy_is_stopping(c.policy));
    cluster_free(&c);
}

static void who_says_that_it_cannot_start_ends_all(void **state) {
    (void)state;
    struct cluster c;
    cluster_init(&c, &CONFIG);
    expect(&c, "start 0 as 100; start 1 as 101; ");
    dies(&c, 100, EXIT(3));
    expect_log(&c, "worker 0 (pid 100) ended with status 3 before any worker was ready: giving "
                   "up\n");
    expect(&c, "STOP 27.0 and wait to 101; stopping; close; ");
    dies(&c, 101, EXIT(3));
    expect(&c, "exit 1; ");
    cluster_free(&c);
}

static void who_never_gets_ready_is_killed_and_counts(void **state) {
    (void)state;
    struct cluster c;
    running_init(&c, &CONFIG);
    dies(&c, 101, EXIT(1));
    expect(&c, "ADOPT 1 to 100; start 1 as 102; ");
    wait_between(&c, 20, 20);
    expect(&c, "kill 102; ");
    expect_log(&c, "worker 1 (pid 102) was not ready within 20 s: killing it\n");
    expect(&c, ""); /* once */
    dies(&c, 102, SIGKILL);
    expect_log(&c, "worker 1 (pid 102) was killed by signal 9 (Killed); starting another in 0.");
    cluster_free(&c);
}

static void without_processes_it_goes_on_with_those_that_live(void **state) {
    (void)state;
    struct cluster c;
    running_init(&c, &CONFIG);
    c.no_process = true;
    dies(&c, 101, EXIT(1));
    expect(&c, "ADOPT 1 to 100; no process for 1; ");
    expect_log(&c, "worker 1 cannot be started: there is none; trying again in 0.");
    for (int i = 0; i < 40; i++) {
        wait_between(&c, 0.05, 30);
        expect(&c, "no process for 1; ");
    }
    wait_between(&c, 15, 30);
    c.no_process = false;
    expect(&c, "start 1 as 102; ");
    ready(&c, 102);
    expect(&c, "RELEASE 1 to 100; ");
    cluster_free(&c);
}

static void an_adopter_that_dies_has_a_successor(void **state) {
    (void)state;
    struct cl_policy_config config = CONFIG;
    struct cluster c;
    config.workers = 3;
    cluster_init(&c, &config);
    expect(&c, "start 0 as 100; start 1 as 101; start 2 as 102; ");
    ready(&c, 100);
    ready(&c, 101);
    ready(&c, 102);
    expect(&c, "running; ");
    dies(&c, 100, SIGSEGV);
    expect(&c, "ADOPT 0 to 101; start 0 as 103; ");
    dies(&c, 101, SIGSEGV);
    expect(&c, "ADOPT 0 to 102; ADOPT 1 to 102; start 1 as 104; ");
    dies(&c, 102, SIGSEGV);
    expect(&c, "start 2 as 105; "); /* nobody is left */
    ready(&c, 104);
    expect(&c, "ADOPT 0 to 104; ADOPT 2 to 104; ");
    cluster_free(&c);
}

static void shared_sockets_need_no_adoption(void **state) {
    (void)state;
    struct cl_policy_config config = CONFIG;
    struct cluster c;
    config.sockets_of_seats = false;
    running_init(&c, &config);
    dies(&c, 101, SIGSEGV);
    expect(&c, "start 1 as 102; ");
    cluster_free(&c);
}

/* ---- replacing ------------------------------------------------------------------------------ */

static void a_reload_replaces_one_after_the_other(void **state) {
    (void)state;
    struct cluster c;
    running_init(&c, &CONFIG);
    cl_policy_reload(c.policy);
    expect(&c, "start 0 as 102; ");
    ready(&c, 102);
    expect(&c, "RETIRE 27.0 to 100; start 1 as 103; ");
    expect_log(&c, "worker 0 (pid 102) is ready and replaces pid 100\n");
    ended(&c, 100); /* the first worker would wait for the end of the others */
    expect(&c, "hang up on 100; ");
    ready(&c, 103);
    expect(&c, "RETIRE 27.0 to 101; running; ");
    expect_log(&c, "all workers have been replaced\n");
    dies(&c, 100, EXIT(0));
    expect(&c, "");
    wait_between(&c, 30, 30); /* the other one takes too long */
    expect(&c, "kill 101; ");
    dies(&c, 101, SIGKILL);
    expect(&c, "");
    cluster_free(&c);
}

static void a_reload_ends_with_the_first_that_fails(void **state) {
    (void)state;
    struct cluster c;
    running_init(&c, &CONFIG);
    cl_policy_reload(c.policy);
    expect(&c, "start 0 as 102; ");
    dies(&c, 102, EXIT(1));
    expect_log(&c, "worker 0 (pid 102) ended with status 1 before it was ready; the old one (pid "
                   "100) goes on, and the reload ends here\n");
    expect(&c, "running; ");
    assert_true(cl_policy_wake_ns(c.policy) == UINT64_MAX);
    cl_policy_reload(c.policy); /* and is tried again at once when somebody asks */
    expect(&c, "start 0 as 103; ");
    cluster_free(&c);
}

static void a_reload_within_a_reload_begins_again(void **state) {
    (void)state;
    struct cluster c;
    running_init(&c, &CONFIG);
    cl_policy_reload(c.policy);
    expect(&c, "start 0 as 102; ");
    cl_policy_reload(c.policy);
    ready(&c, 102); /* has read the old files, perhaps */
    expect(&c, "RETIRE 27.0 to 100; start 0 as 103; ");
    dies(&c, 100, EXIT(0));
    ready(&c, 103);
    expect(&c, "RETIRE 27.0 to 102; start 1 as 104; ");
    ready(&c, 104);
    expect(&c, "RETIRE 27.0 to 101; running; ");
    cluster_free(&c);
}

static void a_reload_starts_the_missing_at_once(void **state) {
    (void)state;
    struct cluster c;
    running_init(&c, &CONFIG);
    dies(&c, 101, EXIT(1));
    expect(&c, "ADOPT 1 to 100; start 1 as 102; ");
    dies(&c, 102, EXIT(1));
    expect(&c, "");
    cl_policy_reload(c.policy);
    expect(&c, "start 1 as 103; start 0 as 104; ");
    ready(&c, 103);
    ready(&c, 104);
    expect(&c, "RETIRE 27.0 to 100; running; "); /* which lets go of all that it serves */
    cluster_free(&c);
}

static void records_that_still_leave_hold_up_a_reload(void **state) {
    (void)state;
    struct cluster c;
    running_init(&c, &CONFIG);
    cl_policy_reload(c.policy);
    expect(&c, "start 0 as 102; ");
    ready(&c, 102);
    expect(&c, "RETIRE 27.0 to 100; start 1 as 103; ");
    ready(&c, 103);
    expect(&c, "RETIRE 27.0 to 101; running; ");
    cl_policy_reload(c.policy);
    expect(&c, ""); /* four processes are all there can be */
    dies(&c, 102, SIGSEGV);
    expect(&c, "ADOPT 0 to 103; start 0 as 104; "); /* but one that is missing has a place */
    ready(&c, 104);
    expect(&c, "RELEASE 0 to 103; ");
    dies(&c, 100, EXIT(0));
    expect(&c, "start 1 as 105; ");
    cluster_free(&c);
}

/* A wish whose time came while another one is being replaced waits for that one, not for a time. */
static void one_that_may_start_again_waits_for_its_turn(void **state) {
    (void)state;
    struct cluster c;
    struct cl_policy_config config = CONFIG;
    config.max_requests = 10;
    config.startup_timeout_ns = 60 * SECOND;
    running_init(&c, &config);
    see(&c, 101, (struct cl_sight){.requests = 10});
    expect(&c, "start 1 as 102; ");
    dies(&c, 102, EXIT(1));
    see(&c, 100, (struct cl_sight){.requests = 10});
    expect(&c, "start 0 as 103; ");
    c.now += 31 * SECOND; /* the back-off of the other one is over; this one takes its time */
    expect(&c, "");
    ready(&c, 103);
    expect(&c, "RETIRE 27.0 to 100; start 1 as 104; ");
    cluster_free(&c);
}

static void one_that_has_served_enough_is_replaced(void **state) {
    (void)state;
    struct cl_policy_config config = CONFIG;
    struct cluster c;
    config.max_requests = 1000;
    config.jitter = 0.5;
    config.max_rss_bytes = 100 << 20;
    running_init(&c, &config);
    see(&c, 100, (struct cl_sight){.requests = 999, .rss_bytes = 100 << 20});
    expect(&c, "");
    see(&c, 101, (struct cl_sight){.requests = 1500});
    see(&c, 100, (struct cl_sight){.rss_bytes = 101 << 20});
    expect(&c, "start 0 as 102; "); /* one at a time */
    expect_log(&c, "worker 1 (pid 101) has answered 1500 requests: replacing it\n"
                   "worker 0 (pid 100) has 101 MB of memory: replacing it\n");
    see(&c, 101, (struct cl_sight){.requests = 1600});
    assert_string_equal(c.log, ""); /* said once */
    ready(&c, 102);
    expect(&c, "RETIRE 27.0 to 100; start 1 as 103; ");
    ready(&c, 103);
    expect(&c, "RETIRE 27.0 to 101; ");
    cluster_free(&c);
}

static void a_successor_that_fails_is_tried_again_later(void **state) {
    (void)state;
    struct cl_policy_config config = CONFIG;
    struct cluster c;
    config.max_requests = 1000;
    running_init(&c, &config);
    for (int32_t pid = 102; pid < 112; pid++) {
        see(&c, 101, (struct cl_sight){.requests = 2000});
        struct cl_action action;
        while (cl_policy_next(c.policy, c.now, &action))
            perform(&c, &action);
        dies(&c, pid, EXIT(1));
        expect(&c, ""); /* nobody is missing, so that it does not count */
        wait_between(&c, 30, 30);
    }
    cluster_free(&c);
}

/* ---- watching ------------------------------------------------------------------------------- */

static void look_for(struct cluster *c, int32_t pid, uint64_t mark, unsigned seconds) {
    for (unsigned i = 0; i < seconds; i++) {
        see(c, pid, (struct cl_sight){.busy_since_ns = mark});
        c->now += SECOND;
    }
}

static void a_loop_that_hangs_is_dumped_and_killed(void **state) {
    (void)state;
    struct cluster c;
    running_init(&c, &CONFIG);
    look_for(&c, 101, 77, 5);
    expect(&c, "");
    look_for(&c, 101, 77, 1);
    expect(&c, "dump 101; ");
    expect_log(&c, "worker 1 (pid 101) has not been back at its loop for 5 s: asking for its "
                   "stacks\n");
    wait_between(&c, 1, 1);
    expect(&c, "kill 101; ");
    expect_log(&c, "worker 1 (pid 101) hangs: killing it\n");
    expect(&c, "");
    dies(&c, 101, SIGKILL);
    expect(&c, "ADOPT 1 to 100; start 1 as 102; ");
    cluster_free(&c);
}

/* Its loop waits, and will not come back from that. */
static void a_process_that_is_stopped_hangs(void **state) {
    (void)state;
    struct cluster c;
    running_init(&c, &CONFIG);
    for (unsigned i = 0; i < 6; i++, c.now += SECOND)
        see(&c, 101, (struct cl_sight){.stopped = true});
    expect(&c, "dump 101; ");
    see(&c, 101, (struct cl_sight){.stopped = false});
    expect_log(&c, "worker 1 (pid 101) is back at its loop, and goes on\n");
    for (unsigned i = 0; i < 6; i++, c.now += SECOND)
        see(&c, 101, (struct cl_sight){.stopped = i % 2 == 0});
    expect(&c, "");
    cluster_free(&c);
}

static void a_loop_that_comes_back_is_spared(void **state) {
    (void)state;
    struct cluster c;
    running_init(&c, &CONFIG);
    look_for(&c, 101, 77, 6);
    expect(&c, "dump 101; ");
    look_for(&c, 101, 78, 1);
    expect_log(&c, "worker 1 (pid 101) is back at its loop, and goes on\n");
    c.now += 10 * SECOND;
    expect(&c, "");
    cluster_free(&c);
}

static void a_busy_loop_that_turns_does_not_hang(void **state) {
    (void)state;
    struct cluster c;
    running_init(&c, &CONFIG);
    for (uint64_t mark = 1; mark < 100; mark++)
        look_for(&c, 101, mark, 2);
    look_for(&c, 101, 0, 100);
    expect(&c, "");
    cluster_free(&c);
}

/* The whole machine was stopped, or a debugger held the supervisor. */
static void time_that_nobody_watched_hangs_nobody(void **state) {
    (void)state;
    struct cluster c;
    running_init(&c, &CONFIG);
    look_for(&c, 101, 77, 1);
    c.now += 3600 * SECOND;
    look_for(&c, 101, 77, 1);
    expect(&c, "");
    look_for(&c, 101, 0, 1);
    expect(&c, "");
    cluster_free(&c);
}

static void one_that_drains_by_itself_has_a_successor(void **state) {
    (void)state;
    struct cluster c;
    running_init(&c, &CONFIG);
    see(&c, 100, (struct cl_sight){.draining = true});
    expect_log(&c, "worker 0 (pid 100) drains, and nobody here has told it to; starting another\n");
    expect(&c, "ADOPT 0 to 101; start 0 as 102; ");
    ended(&c, 100);
    expect(&c, "hang up on 100; ");
    dies(&c, 100, EXIT(0));
    expect(&c, "");
    cluster_free(&c);
}

/* It was told by somebody else, and has drained before the supervisor looked. */
static void one_that_has_ended_by_itself_has_time_to_exit(void **state) {
    (void)state;
    struct cluster c;
    running_init(&c, &CONFIG);
    ended(&c, 101);
    expect(&c, "hang up on 101; ADOPT 1 to 100; start 1 as 102; ");
    assert_int_equal(cl_policy_serving_pid(c.policy, record_of(&c, 101)), 0);
    expect_log(&c, "worker 1 (pid 101) drains, and nobody here has told it to; starting another\n");
    dies(&c, 101, EXIT(0));
    expect(&c, "");
    cluster_free(&c);
}

static void one_that_ends_during_the_delay_of_a_stop_is_missed_by_nobody(void **state) {
    (void)state;
    struct cluster c;
    delayed_stop_init(&c);
    ended(&c, 101);
    expect(&c, "hang up on 101; ADOPT 1 to 100; ");
    dies(&c, 101, EXIT(0));
    expect(&c, "");
    cluster_free(&c);
}

/* ---- stopping ------------------------------------------------------------------------------- */

static void a_stop_ends_the_first_worker_last(void **state) {
    (void)state;
    struct cluster c;
    stopping_init(&c);
    ended(&c, 100);
    expect(&c, "");
    dies(&c, 101, EXIT(0));
    expect(&c, "LAST to 100; ");
    dies(&c, 100, EXIT(0));
    expect(&c, "exit 0; ");
    expect(&c, "");
    cluster_free(&c);
}

static void a_delayed_stop_still_serves(void **state) {
    (void)state;
    struct cluster c;
    delayed_stop_init(&c);
    dies(&c, 101, SIGSEGV);
    expect(&c, "ADOPT 1 to 100; "); /* its sockets are served, but nobody new comes */
    cl_policy_reload(c.policy);
    expect(&c, "");
    wait_between(&c, 10, 10);
    expect(&c, "STOP 27.0 to 100; close; ");
    cluster_free(&c);
}

/* Without the first worker another one waits for the end of all. */
static void somebody_is_the_last(void **state) {
    (void)state;
    struct cluster c;
    delayed_stop_init(&c);
    dies(&c, 100, SIGSEGV);
    expect(&c, "ADOPT 0 to 101; ");
    wait_between(&c, 10, 10);
    expect(&c, "STOP 27.0 and wait to 101; close; ");
    ended(&c, 101);
    expect(&c, "LAST to 101; ");
    dies(&c, 101, EXIT(0));
    expect(&c, "exit 0; ");
    cluster_free(&c);
}

static void who_does_not_stop_in_time_is_killed(void **state) {
    (void)state;
    struct cluster c;
    stopping_init(&c);
    ended(&c, 100);
    wait_between(&c, 30, 30);
    expect(&c, "kill 101; ");
    expect_log(&c, "worker 1 (pid 101) has not ended in time: killing it\n");
    dies(&c, 101, SIGKILL);
    expect(&c, "LAST to 100; "); /* who has a little more, for the hooks of all */
    wait_between(&c, 3, 3);
    expect(&c, "kill 100; ");
    dies(&c, 100, SIGKILL);
    expect(&c, "exit 0; ");
    cluster_free(&c);
}

static void the_second_signal_hurries(void **state) {
    (void)state;
    struct cluster c;
    delayed_stop_init(&c);
    cl_policy_stop(c.policy, c.now);
    expect(&c, "STOP 0.0 to 100; STOP 0.0 to 101; close; ");
    wait_between(&c, 1, 1);
    expect(&c, "kill 101; ");
    cluster_free(&c);
    stopping_init(&c);
    cl_policy_stop(c.policy, c.now);
    expect(&c, "STOP 0.0 to 100; STOP 0.0 to 101; ");
    wait_between(&c, 1, 1);
    cluster_free(&c);
}

static void a_stop_without_grace_leaves_time_for_hooks_only(void **state) {
    (void)state;
    struct cl_policy_config config = CONFIG;
    struct cluster c;
    config.graceful = false;
    config.drain_delay_ns = 10 * SECOND;
    running_init(&c, &config);
    cl_policy_stop(c.policy, c.now);
    expect(&c, "stopping; STOP 0.0 to 100; STOP 0.0 to 101; close; ");
    wait_between(&c, 30, 30);
    cluster_free(&c);
}

static void a_stop_amidst_a_reload_ends_all(void **state) {
    (void)state;
    struct cluster c;
    running_init(&c, &CONFIG);
    cl_policy_reload(c.policy);
    expect(&c, "start 0 as 102; ");
    ready(&c, 102);
    expect(&c, "RETIRE 27.0 to 100; start 1 as 103; ");
    cl_policy_stop(c.policy, c.now);
    expect(&c, "stopping; STOP 27.0 to 100; STOP 27.0 to 101; STOP 27.0 to 102; STOP 27.0 to 103; "
               "close; ");
    ready(&c, 103); /* was on its way */
    ended(&c, 100);
    ended(&c, 102);
    expect(&c, "hang up on 100; ");
    dies(&c, 103, EXIT(0));
    dies(&c, 101, EXIT(0));
    expect(&c, "");
    dies(&c, 100, EXIT(0));
    expect(&c, "LAST to 102; ");
    dies(&c, 102, EXIT(0));
    expect(&c, "exit 0; ");
    cluster_free(&c);
}

static void handing_over_retires_all(void **state) {
    (void)state;
    struct cluster c;
    running_init(&c, &CONFIG);
    cl_policy_hand_over(c.policy, c.now);
    expect(&c, "RETIRE 27.0 to 100; RETIRE 27.0 to 101; close; "); /* nobody hears of a stop */
    cl_policy_stop(c.policy, c.now);
    expect(&c, "STOP 27.0 to 100; STOP 27.0 to 101; stopping; ");
    dies(&c, 101, EXIT(0));
    ended(&c, 100);
    expect(&c, "LAST to 100; ");
    dies(&c, 100, EXIT(0));
    expect(&c, "exit 0; ");
    cluster_free(&c);
}

static void no_memory_is_an_error(void **state) {
    (void)state;
    struct cl_policy *p;
    for (unsigned n = 1; n <= 4; n++) {
        cl_alloc_fail_nth(n);
        assert_int_equal(cl_policy_new(&p, &CONFIG), CELLO_ENOMEM);
    }
    struct cl_policy_config config = CONFIG;
    config.workers = 0;
    assert_int_equal(cl_policy_new(&p, &config), CELLO_EINVAL);
    config = CONFIG;
    config.jitter = 2;
    assert_int_equal(cl_policy_new(&p, &config), CELLO_EINVAL);
}

/* Whatever happens in whatever order: never more processes than records, at most one too many
 * besides those that leave, and a stop ends. */
static void any_order_of_events_ends_well(void **state) {
    (void)state;
    struct cl_policy_config config = CONFIG;
    config.workers = 5;
    config.max_restarts = 1000;
    config.max_requests = 10;
    for (unsigned seed = 1; seed < 300; seed++) {
        struct cluster c;
        srand(seed);
        cluster_init(&c, &config);
        for (unsigned step = 0; c.status < 0; step++) {
            uint32_t record = (uint32_t)rand() % 10;
            struct cl_action action;
            assert_true(step < 5000);
            c.now += (unsigned)rand() % SECOND;
            c.no_process = rand() % 10 == 0;
            c.log[0] = c.acts[0] = '\0';
            while (cl_policy_next(c.policy, c.now, &action))
                perform(&c, &action);
            assert_true(cl_policy_wake_ns(c.policy) > c.now);
            assert_true(cl_policy_serving_count(c.policy) <= 5);
            if (rand() % 100 == 0)
                cl_policy_reload(c.policy);
            if (step > 400 && rand() % 50 == 0)
                cl_policy_stop(c.policy, c.now);
            if (!c.pids[record])
                continue;
            const struct cl_sight sight = {.requests = (uint64_t)rand() % 12,
                                           .busy_since_ns = (uint64_t)rand() % 2};
            switch (rand() % 6) {
            case 0:
            case 1: cl_policy_ready(c.policy, record, c.now); break;
            case 2: cl_policy_ended(c.policy, record, c.now); break;
            case 3: cl_policy_saw(c.policy, record, &sight, c.now); break;
            default: dies(&c, c.pids[record], rand() % 2 ? SIGKILL : EXIT(rand() % 2)); break;
            }
        }
        for (unsigned i = 0; i < 10; i++)
            assert_int_equal(c.pids[i], 0);
        cluster_free(&c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_start_at_once),
        cmocka_unit_test(a_dead_worker_is_replaced_at_once),
        cmocka_unit_test(restarts_are_delayed_more_and_more_and_then_given_up),
        cmocka_unit_test(old_crashes_are_forgiven),
        cmocka_unit_test(crashes_of_one_worker_do_not_count_for_another),
        cmocka_unit_test(who_says_that_it_cannot_start_ends_all),
        cmocka_unit_test(who_never_gets_ready_is_killed_and_counts),
        cmocka_unit_test(without_processes_it_goes_on_with_those_that_live),
        cmocka_unit_test(an_adopter_that_dies_has_a_successor),
        cmocka_unit_test(shared_sockets_need_no_adoption),
        cmocka_unit_test(a_reload_replaces_one_after_the_other),
        cmocka_unit_test(a_reload_ends_with_the_first_that_fails),
        cmocka_unit_test(a_reload_within_a_reload_begins_again),
        cmocka_unit_test(a_reload_starts_the_missing_at_once),
        cmocka_unit_test(records_that_still_leave_hold_up_a_reload),
        cmocka_unit_test(one_that_may_start_again_waits_for_its_turn),
        cmocka_unit_test(one_that_has_served_enough_is_replaced),
        cmocka_unit_test(a_successor_that_fails_is_tried_again_later),
        cmocka_unit_test(a_loop_that_hangs_is_dumped_and_killed),
        cmocka_unit_test(a_process_that_is_stopped_hangs),
        cmocka_unit_test(a_loop_that_comes_back_is_spared),
        cmocka_unit_test(a_busy_loop_that_turns_does_not_hang),
        cmocka_unit_test(time_that_nobody_watched_hangs_nobody),
        cmocka_unit_test(one_that_drains_by_itself_has_a_successor),
        cmocka_unit_test(one_that_has_ended_by_itself_has_time_to_exit),
        cmocka_unit_test(one_that_ends_during_the_delay_of_a_stop_is_missed_by_nobody),
        cmocka_unit_test(a_stop_ends_the_first_worker_last),
        cmocka_unit_test(a_delayed_stop_still_serves),
        cmocka_unit_test(somebody_is_the_last),
        cmocka_unit_test(who_does_not_stop_in_time_is_killed),
        cmocka_unit_test(the_second_signal_hurries),
        cmocka_unit_test(a_stop_without_grace_leaves_time_for_hooks_only),
        cmocka_unit_test(a_stop_amidst_a_reload_ends_all),
        cmocka_unit_test(handing_over_retires_all),
        cmocka_unit_test(no_memory_is_an_error),
        cmocka_unit_test(any_order_of_events_ends_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
