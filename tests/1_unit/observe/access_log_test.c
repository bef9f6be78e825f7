#include "observe/access_log.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "support/fixture.h"

#define MS 1000000ull

/* A server whose log is a pipe that keeps writes apart. */
struct logged {
    struct fixture f;
    struct client c;
    int pipe[2];
    char text[65536]; /* read from the pipe */
};

static void begin(struct logged *l, const char *format) {
    alarm(60);
    assert_int_equal(pipe2(l->pipe, O_DIRECT | O_CLOEXEC), 0);
    struct cello_server_config cfg = fixture_config();
    cfg.access_log_fd = l->pipe[1];
    cfg.access_log_format = cl_str(format, strlen(format));
    fixture_init(&l->f, &cfg);
    client_open(&l->f, &l->c);
}

static void end(struct logged *l) {
    client_free(&l->c);
    fixture_free(&l->f);
    close(l->pipe[0]);
    close(l->pipe[1]);
    alarm(0);
}

/* What one write brought. */
static const char *read_log(struct logged *l) {
    ssize_t n = read(l->pipe[0], l->text, sizeof l->text - 1);
    assert_true(n >= 0);
    l->text[n] = '\0';
    return l->text;
}

static const char *lines_of(struct logged *l, const char *request) {
    client_send(&l->c, request);
    fixture_pass(&l->f, 200 * MS);
    return read_log(l);
}

static void append(char *text, const char *more) {
    memcpy(text + strlen(text), more, strlen(more) + 1);
}

static void expect_end(const char *line, const char *want) {
    size_t have = strlen(line), n = strlen(want);
    if (have < n || strcmp(line + have - n, want) != 0)
        fail_msg("expected at the end: %s\nof: %s", want, line);
}

static void test_combined(void **state) {
    (void)state;
    struct logged l;
    begin(&l, "");
    const char *line =
        lines_of(&l, "GET /item/1?q=a HTTP/1.1\r\nHost: a\r\nUser-Agent: x y\r\n\r\n");
    assert_int_equal(strncmp(line, "- - - [", 7), 0); /* the memory transport has no address */
    expect_end(line, " +0000] \"GET /item/1?q=a HTTP/1.1\" 200 3 \"-\" \"x y\"\n");
    line = lines_of(&l, "HEAD /item/1 HTTP/1.0\r\nReferer: r\r\nConnection: keep-alive\r\n\r\n");
    expect_end(line, "] \"HEAD /item/1 HTTP/1.0\" 200 0 \"r\" \"-\"\n");
    line = lines_of(&l, "\x01\r\n\r\n");
    expect_end(line, "] \"- - HTTP/1.1\" 400 101 \"-\" \"-\"\n");
    end(&l);
}

/* Whatever a client sends stays inside its field, and inside one line. */
static void test_escaping(void **state) {
    (void)state;
    struct logged l;
    begin(&l, "combined");
    const char *line =
        lines_of(&l, "GET /\"\\ HTTP/1.1\r\nHost: a\r\nUser-Agent: \" 200 1\t\xff\r\n\r\n");
    expect_end(line, "\"GET /\\x22\\x5c HTTP/1.1\" 404 113 \"-\" \"\\x22 200 1\\x09\\xff\"\n");
    end(&l);
    begin(&l, "json");
    line = lines_of(&l, "GET /\"\\ HTTP/1.1\r\nHost: a\r\nUser-Agent: \"\t\xff\r\n\r\n");
    assert_non_null(strstr(line, "\"target\":\"/\\u0022\\u005c\",\"protocol\":\"HTTP/1.1\","
                                 "\"status\":404,\"bytes\":113,\"duration_us\":"));
    expect_end(line,
               ",\"request_id\":\"\",\"referer\":\"\",\"user_agent\":\"\\u0022\\u0009\\u00ff\"}\n");
    assert_int_equal(strncmp(line, "{\"time\":\"20", 11), 0);
    end(&l);
}

static void test_template(void **state) {
    (void)state;
    struct logged l;
    begin(&l, "\\{{method}|{path}|{query}|{status}|{header:x-a}|{request_id}\\}");
    assert_string_equal(lines_of(&l, "GET /item/1?q=2 HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n"),
                        "{GET|/item/1|q=2|200|b|-}\n");
    assert_string_equal(lines_of(&l, "PUT /none HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"),
                        "{PUT|/none|-|404|-|-}\n");
    end(&l);
}

static void test_bad_formats(void **state) {
    (void)state;
    static const char *const bad[] = {"{", "{nothing}", "{}", "{header:}", "a{status", "{status}{"};
    struct cl_access_log *log;
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++)
        assert_int_equal(cl_access_log_new(&log, 1, cl_str(bad[i], strlen(bad[i]))), CELLO_EINVAL);
    char many[1000] = "";
    for (int i = 0; i < 40; i++)
        append(many, "{status} ");
    assert_int_equal(cl_access_log_new(&log, 1, cl_str(many, strlen(many))), CELLO_EINVAL);
}

/* A very long value is cut; the line stays whole. */
static void test_long_values(void **state) {
    (void)state;
    struct logged l;
    begin(&l, "{header:x}{path}");
    char request[8000] = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    memset(request + strlen(request), 'x', 6000);
    append(request, "\r\n\r\n");
    const char *line = lines_of(&l, request);
    assert_int_equal(strlen(line), 2048 + 2);
    expect_end(line, "x/\n");
    end(&l);
}

static void test_client_that_left(void **state) {
    (void)state;
    struct logged l;
    begin(&l, "{path} {status} {bytes}");
    client_send(&l.c, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    cl_mem_reset(l.c.stream);
    fixture_pass(&l.f, 200 * MS);
    assert_string_equal(read_log(&l), "/hold 499 0\n");
    end(&l);
}

static unsigned warnings;

static void count_warnings(void *ctx, enum cl_log_level level, const char *line) {
    (void)ctx;
    (void)line;
    warnings += level == CL_LOG_WARNING;
}

#define GET "GET /item/1234 HTTP/1.1\r\nHost: a\r\n\r\n"

/* A reader that has stopped holds nobody up; what finds no room is counted. */
static void test_full_pipe(void **state) {
    (void)state;
    struct logged l;
    begin(&l, "");
    char many[sizeof GET * 50] = "";
    for (int i = 0; i < 50; i++)
        append(many, GET);
    for (int i = 0; i < 600; i++) {
        client_send(&l.c, many);
        cl_mem_output_clear(l.c.stream);
    }
    assert_int_equal(l.f.handled, 30000);
    uint64_t dropped = cl_access_log_dropped(l.f.server->log);
    assert_in_range(dropped, 1, 29999);
    /* What was kept arrives in whole lines. */
    unsigned lines = 0;
    for (int i = 0; i < 2000 && lines + dropped < 30000; i++) {
        fixture_pass(&l.f, 200 * MS);
        const char *text = read_log(&l);
        size_t n = strlen(text);
        assert_true(n && n <= 4096 && text[n - 1] == '\n');
        for (const char *p = text; *p; p += strcspn(p, "\n") + 1, lines++)
            assert_int_equal(strncmp(p, "- - - [", 7), 0);
    }
    assert_int_equal(lines + dropped, 30000);
    cl_log_set_sink(count_warnings, NULL);
    end(&l);
    cl_log_set_sink(NULL, NULL);
    assert_int_equal(warnings, 1);
}

/* The reader has gone: no signal, no error, service goes on. */
static void test_closed_pipe(void **state) {
    (void)state;
    struct logged l;
    begin(&l, "");
    close(l.pipe[0]);
    client_send(&l.c, GET);
    fixture_pass(&l.f, 200 * MS);
    client_send(&l.c, GET);
    client_expect(&l.c, 200, "1234,");
    client_expect(&l.c, 200, "1234,");
    l.pipe[0] = dup(l.pipe[1]);
    end(&l);
}

/* Nothing to write: the loop is not woken for the log. */
static void test_idle_log_needs_no_timer(void **state) {
    (void)state;
    struct logged l;
    begin(&l, "");
    client_free(&l.c);
    assert_int_equal(cl_loop_next_ns(l.f.server->worker.loop), UINT64_MAX);
    client_open(&l.f, &l.c);
    end(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_combined),
        cmocka_unit_test(test_escaping),
        cmocka_unit_test(test_template),
        cmocka_unit_test(test_bad_formats),
        cmocka_unit_test(test_long_values),
        cmocka_unit_test(test_client_that_left),
        cmocka_unit_test(test_full_pipe),
        cmocka_unit_test(test_closed_pipe),
        cmocka_unit_test(test_idle_log_needs_no_timer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
