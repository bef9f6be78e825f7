#include "cluster/options.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/clock.h"

enum { ARGS_MAX = 64 };

/* Takes `text` apart at blanks. */
static int parse(struct cl_supervisor_options *o, const char *text,
                 char why[CL_OPTIONS_ERROR_MAX]) {
    static char words[1024];
    static char *argv[ARGS_MAX];
    char *next = words;
    int argc = 0;
    assert_true(strlen(text) < sizeof words);
    memcpy(words, text, strlen(text) + 1);
    for (char *word; (word = strsep(&next, " "));) {
        assert_true(argc < ARGS_MAX - 1);
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    why[0] = '\0';
    return cl_supervisor_options_parse(o, argc, argv, why);
}

static void what_is_not_said_has_a_default(void **state) {
    (void)state;
    struct cl_supervisor_options o;
    char why[CL_OPTIONS_ERROR_MAX];
    assert_int_equal(parse(&o, "cello-supervisor --listen fd:3 -- python a.py", why), CELLO_OK);
    assert_int_equal(o.policy.workers, 1);
    assert_true(o.policy.graceful);
    assert_int_equal(o.policy.max_restarts, 5);
    assert_int_equal(o.policy.shutdown_timeout_ns, 30 * CL_NS_PER_S);
    assert_int_equal(o.policy.max_requests, 0);
    assert_int_equal(o.uds_mode, 0666);
    assert_int_equal(o.log_style, CL_LOG_DEVELOPMENT);
    assert_int_equal(o.log_level, CL_LOG_INFO);
    assert_null(o.user);
    assert_string_equal(o.command[0], "python");
    assert_string_equal(o.command[1], "a.py");
    assert_null(o.command[2]);
}

static void every_option_lands_in_its_place(void **state) {
    (void)state;
    struct cl_supervisor_options o;
    char why[CL_OPTIONS_ERROR_MAX];
    assert_int_equal(
        parse(&o,
              "x --listen tcp:[::1]:80 --listen unix:/s --uds-mode 600 --workers 7 --affinity "
              "--max-restarts 8 --restart-window 9 --drain-delay 0.5 --shutdown-timeout 11 "
              "--no-graceful --max-requests 12 --max-rss-mb 13 --jitter 0.25 "
              "--heartbeat-timeout 14 --startup-timeout 0 --user u --group g --admin a:1 "
              "--health-path /h --access-log /l --store-bytes 15 --ring-bytes 16 --log-format json "
              "--log-level warning -- p --workers",
              why),
        CELLO_OK);
    assert_int_equal(o.place_count, 2);
    assert_int_equal(o.places[0].kind, CL_PLACE_TCP);
    assert_int_equal(o.places[1].kind, CL_PLACE_UNIX);
    assert_int_equal(o.uds_mode, 0600);
    assert_int_equal(o.policy.workers, 7);
    assert_true(o.affinity);
    assert_int_equal(o.policy.max_restarts, 8);
    assert_int_equal(o.policy.restart_window_ns, 9 * CL_NS_PER_S);
    assert_int_equal(o.policy.drain_delay_ns, CL_NS_PER_S / 2);
    assert_int_equal(o.policy.shutdown_timeout_ns, 11 * CL_NS_PER_S);
    assert_false(o.policy.graceful);
    assert_int_equal(o.policy.max_requests, 12);
    assert_int_equal(o.policy.max_rss_bytes, 13 << 20);
    assert_true(o.policy.jitter == 0.25);
    assert_int_equal(o.policy.heartbeat_timeout_ns, 14 * CL_NS_PER_S);
    assert_int_equal(o.policy.startup_timeout_ns, 0);
    assert_string_equal(o.user, "u");
    assert_string_equal(o.group, "g");
    assert_string_equal(o.access_log, "/l");
    assert_string_equal(o.admin, "a:1");
    assert_string_equal(o.health_path, "/h");
    assert_int_equal(o.store_bytes, 15);
    assert_int_equal(o.ring_bytes, 16);
    assert_int_equal(o.log_style, CL_LOG_JSON);
    assert_int_equal(o.log_level, CL_LOG_WARNING);
    assert_string_equal(o.command[1], "--workers"); /* the program's */
}

static void what_is_wrong_is_named(void **state) {
    (void)state;
    static const char *const wrong[][2] = {
        {"x", "write --listen PLACE ... --workers N -- PROGRAM ARGUMENT..."},
        {"x --listen fd:3", "write --listen PLACE ... --workers N -- PROGRAM ARGUMENT..."},
        {"x --listen fd:3 --", "write --listen PLACE ... --workers N -- PROGRAM ARGUMENT..."},
        {"x -- p", "write --listen PLACE ... --workers N -- PROGRAM ARGUMENT..."},
        {"x --listen", "--listen needs a value"},
        {"x --colour red", "there is no option --colour"},
        {"x --listen udp:1", "--listen cannot be udp:1"},
        {"x --listen tcp:80", "--listen cannot be tcp:80"},
        {"x --listen tcp:a:65536", "--listen cannot be tcp:a:65536"},
        {"x --listen unix:", "--listen cannot be unix:"},
        {"x --listen fd:-1", "--listen cannot be fd:-1"},
        {"x --workers 1025", "--workers cannot be 1025"},
        {"x --workers -1", "--workers cannot be -1"},
        {"x --workers 1x", "--workers cannot be 1x"},
        {"x --drain-delay -1", "--drain-delay cannot be -1"},
        {"x --drain-delay nan", "--drain-delay cannot be nan"},
        {"x --drain-delay 1e300", "--drain-delay cannot be 1e300"},
        {"x --jitter 1.1", "--jitter cannot be 1.1"},
        {"x --uds-mode 888", "--uds-mode cannot be 888"},
        {"x --uds-mode 1777", "--uds-mode cannot be 1777"},
        {"x --max-requests 99999999999999999999", "--max-requests cannot be 99999999999999999999"},
        {"x --user ", "--user cannot be "},
        {"x --log-format xml", "--log-format cannot be xml"},
        {"x --log-level loud", "--log-level cannot be loud"},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(wrong); i++) {
        struct cl_supervisor_options o;
        char why[CL_OPTIONS_ERROR_MAX];
        assert_int_equal(parse(&o, wrong[i][0], why), CELLO_EINVAL);
        assert_string_equal(why, wrong[i][1]);
    }
}

static void there_are_as_many_addresses_as_there_is_room(void **state) {
    (void)state;
    char text[1024] = "x", why[CL_OPTIONS_ERROR_MAX];
    struct cl_supervisor_options o;
    for (unsigned i = 0; i < CL_ADDRESSES_MAX; i++)
        memcpy(text + strlen(text), " --listen fd:3", 15);
    memcpy(text + strlen(text), " -- p", 6);
    assert_int_equal(parse(&o, text, why), CELLO_OK);
    memcpy(text + strlen(text) - 5, " --listen fd:3 -- p", 20);
    assert_int_equal(parse(&o, text, why), CELLO_EINVAL);
    assert_string_equal(why, "--listen cannot be fd:3");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_said_has_a_default),
        cmocka_unit_test(every_option_lands_in_its_place),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(there_are_as_many_addresses_as_there_is_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
