#include "cluster/spawn.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "cluster/protocol.h"
#include "store/members.h"

static char *const ENVIRON[] = {"KEPT=1", "LISTEN_FDS=1", "NOTIFY_SOCKET=@x", "CELLO_WORKER=old",
                                NULL};

static struct cl_segment *new_segment(void) {
    const size_t sizes[CL_AREA_COUNT] = {[CL_AREA_MEMBERS] = cl_members_size(1)};
    struct cl_segment *s = NULL;
    assert_int_equal(cl_segment_new(&s, sizes), CELLO_OK);
    return s;
}

static struct cl_spawner *new_spawner(char *const *command, const struct cl_segment *segment,
                                      bool affinity) {
    struct cl_spawner_config config = {
        .variable = segment ? CL_WORKER_VARIABLE : CL_SOCKETS_VARIABLE,
        .command = command,
        .environ = ENVIRON,
        .sockets = "1:9",
        .segment = segment,
        .affinity = affinity,
    };
    struct cl_spawner *s = NULL;
    sigemptyset(&config.mask);
    assert_int_equal(cl_spawner_new(&s, &config), CELLO_OK);
    return s;
}

/* Runs `script` as a worker; the status it ends with. */
static int run(const char *script, const struct cl_segment *segment, bool affinity) {
    char *const command[] = {"/bin/sh", "-c", (char *)script, NULL};
    struct cl_spawner *s = new_spawner(command, segment, affinity);
    pid_t pid;
    int control, status;
    assert_int_equal(cl_spawn(s, 5, 1, &pid, &control), CELLO_OK);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(control);
    cl_spawner_del(s);
    return status;
}

static void a_worker_knows_what_it_has_inherited(void **state) {
    (void)state;
    struct cl_segment *segment = new_segment();
    char script[256];
    snprintf(script, sizeof script,
             "case $CELLO_WORKER in 5,%d,*,1:9) ;; *) exit 1;; esac;"
             "IFS=,; set -- $CELLO_WORKER; test -e /proc/$$/fd/$2 -a -e /proc/$$/fd/$3",
             cl_segment_fd(segment));
    assert_int_equal(run(script, segment, false), 0);
    assert_int_equal(run("test $KEPT && test ! \"$LISTEN_FDS$NOTIFY_SOCKET\"", segment, false), 0);
    cl_segment_del(segment);
}

static void an_heir_goes_on_talking_to_systemd(void **state) {
    (void)state;
    assert_int_equal(
        run("test $CELLO_SOCKETS -a $NOTIFY_SOCKET && test ! \"$LISTEN_FDS\"", NULL, false), 0);
}

/* What comes for an heir before it watches its signals waits for it. */
static void an_heir_keeps_the_mask_of_signals(void **state) {
    (void)state;
    static const char script[] = "case $(grep SigBlk /proc/$$/status) in *001) ;; *) exit 1;; esac";
    static const char none[] = "case $(grep SigBlk /proc/$$/status) in *000) ;; *) exit 1;; esac";
    struct cl_segment *segment = new_segment();
    sigset_t mask, before;
    sigemptyset(&mask);
    sigaddset(&mask, SIGHUP);
    assert_int_equal(sigprocmask(SIG_BLOCK, &mask, &before), 0);
    assert_int_equal(run(script, NULL, false), 0);
    assert_int_equal(run(none, segment, false), 0);
    assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
    cl_segment_del(segment);
}

static void a_worker_keeps_to_one_cpu(void **state) {
    (void)state;
    struct cl_segment *segment = new_segment();
    assert_int_equal(
        run("case $(grep Cpus_allowed_list /proc/self/status) in *[,-]*) exit 1;; esac", segment,
            true),
        0);
    cl_segment_del(segment);
}

static void a_program_that_is_not_there_says_so(void **state) {
    (void)state;
    char *const command[] = {"/nowhere", NULL};
    struct cl_segment *segment = new_segment();
    struct cl_spawner *s = new_spawner(command, segment, false);
    struct cl_control packet = {0};
    pid_t pid;
    int control, status;
    assert_int_equal(cl_spawn(s, 0, 0, &pid, &control), CELLO_OK);
    assert_int_equal(recv(control, &packet, sizeof packet, 0), sizeof packet);
    assert_int_equal(packet.kind, CL_CONTROL_NO_PROGRAM);
    assert_int_equal(packet.value, ENOENT);
    assert_int_equal(recv(control, &packet, sizeof packet, 0), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 127);
    close(control);
    cl_spawner_del(s);
    cl_segment_del(segment);
}

static void without_descriptors_nothing_is_started(void **state) {
    (void)state;
    char *const command[] = {"/bin/true", NULL};
    struct cl_segment *segment = new_segment();
    struct cl_spawner *s = new_spawner(command, segment, false);
    struct rlimit limit, none;
    pid_t pid;
    int control;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){.rlim_cur = 3, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int err = cl_spawn(s, 0, 0, &pid, &control), why = errno;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(err, CELLO_ESYS);
    assert_int_equal(why, EMFILE);
    cl_spawner_del(s);
    cl_segment_del(segment);
}

static void no_memory_is_an_error(void **state) {
    (void)state;
    const struct cl_spawner_config config = {
        .variable = CL_WORKER_VARIABLE, .environ = ENVIRON, .sockets = ""};
    struct cl_spawner *s;
    for (unsigned n = 1; n <= 4; n++) {
        cl_alloc_fail_nth(n);
        assert_int_equal(cl_spawner_new(&s, &config), CELLO_ENOMEM);
    }
    cl_alloc_fail_nth(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_knows_what_it_has_inherited),
        cmocka_unit_test(an_heir_goes_on_talking_to_systemd),
        cmocka_unit_test(an_heir_keeps_the_mask_of_signals),
        cmocka_unit_test(a_worker_keeps_to_one_cpu),
        cmocka_unit_test(a_program_that_is_not_there_says_so),
        cmocka_unit_test(without_descriptors_nothing_is_started),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
