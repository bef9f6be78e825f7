#include "observe/access_log.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "support/fixture.h"

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

static void count_errors(void *ctx, enum cl_log_level level, const char *line) {
    (void)ctx;
    (void)line;
    warnings += level == CL_LOG_ERROR;
}

#define GET_ITEM GET("/item/1234")

/* A reader that has stopped holds nobody up; what finds no room is counted. */
static void test_full_pipe(void **state) {
    (void)state;
    struct logged l;
    begin(&l, "");
    char many[sizeof GET_ITEM * 50] = "";
    for (int i = 0; i < 50; i++)
        append(many, GET_ITEM);
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
    client_send(&l.c, GET_ITEM);
    fixture_pass(&l.f, 200 * MS);
    client_send(&l.c, GET_ITEM);
    client_expect(&l.c, 200, "1234,");
    client_expect(&l.c, 200, "1234,");
    l.pipe[0] = dup(l.pipe[1]);
    end(&l);
}

/* ---- a file ---- */

static const char *file_text(struct logged *l, const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, l->text, sizeof l->text - 1);
    assert_true(n >= 0);
    l->text[n] = '\0';
    close(fd);
    return l->text;
}

static void get(struct logged *l, const char *path) {
    char request[100];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
    client_send(&l->c, request);
    cl_mem_output_clear(l->c.stream);
}

static char folder[] = "/tmp/cello_access_log_XXXXXX";

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    return rmdir(folder);
}

#define PATH_SIZE 100

static void path_in(char out[PATH_SIZE], const char *name) {
    snprintf(out, PATH_SIZE, "%s/%s", folder, name);
}

/* What was gathered before a file goes where it went; a file that was moved stays as it is. */
static void test_file(void **state) {
    (void)state;
    struct logged l;
    char path[PATH_SIZE], moved[PATH_SIZE];
    path_in(path, "log");
    path_in(moved, "moved");
    begin(&l, "{path} {worker_id}");
    get(&l, "/a");
    assert_int_equal(cello_server_log_to(l.f.server, path), CELLO_OK);
    assert_string_equal(read_log(&l), "/a 0\n");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0137, 0); /* 0640, or less where a mask says so */
    get(&l, "/b");
    assert_int_equal(rename(path, moved), 0);
    cello_server_reopen_log(l.f.server);
    assert_string_equal(file_text(&l, moved), "/b 0\n");
    cl_access_log_set_worker(l.f.server->log, 7);
    get(&l, "/c");
    fixture_pass(&l.f, 200 * MS);
    assert_string_equal(file_text(&l, path), "/c 7\n");
    end(&l);
    assert_int_equal(unlink(path) | unlink(moved), 0);
}

/* Nothing is lost when its folder is gone. */
static void test_file_that_cannot_be_opened(void **state) {
    (void)state;
    struct logged l;
    char path[PATH_SIZE];
    path_in(path, "none/log");
    begin(&l, "{path}");
    assert_int_equal(cello_server_log_to(l.f.server, path), CELLO_ESYS);
    get(&l, "/a");
    fixture_pass(&l.f, 200 * MS);
    assert_string_equal(read_log(&l), "/a\n");
    path_in(path, "none");
    assert_int_equal(mkdir(path, 0700), 0);
    char file[PATH_SIZE];
    path_in(file, "none/log");
    assert_int_equal(cello_server_log_to(l.f.server, file), CELLO_OK);
    assert_int_equal(unlink(file) | rmdir(path), 0);
    warnings = 0;
    cl_log_set_sink(count_errors, NULL);
    cello_server_reopen_log(l.f.server);
    cl_log_set_sink(NULL, NULL);
    assert_int_equal(warnings, 1);
    end(&l);
}

/* A file that takes a part of a line: no line of another process is glued to it, and it is written
 * again when there is room. */
static void test_cut_line(void **state) {
    (void)state;
    struct logged l;
    char path[PATH_SIZE];
    path_in(path, "log");
    begin(&l, "{path}");
    assert_int_equal(cello_server_log_to(l.f.server, path), CELLO_OK);
    int other = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    struct rlimit before, least;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    least = before;
    least.rlim_cur = 10;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    get(&l, "/1234"); /* lines of 6 bytes */
    get(&l, "/5678");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &least), 0);
    fixture_pass(&l.f, 200 * MS);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    assert_string_equal(file_text(&l, path), "/1234\n/56\n");
    assert_int_equal(write(other, "other\n", 6), 6);
    fixture_pass(&l.f, 200 * MS);
    assert_string_equal(file_text(&l, path), "/1234\n/56\nother\n/5678\n");
    get(&l, "/9");
    fixture_pass(&l.f, 200 * MS);
    assert_string_equal(file_text(&l, path), "/1234\n/56\nother\n/5678\n/9\n"); /* appended */
    close(other);
    end(&l);
    assert_int_equal(unlink(path), 0);
}

/* More than a pipe takes at once, in one write. */
static void test_file_takes_lines_whole(void **state) {
    (void)state;
    struct logged l;
    char path[PATH_SIZE];
    path_in(path, "log");
    begin(&l, "{header:x}{header:x}{header:x}");
    assert_int_equal(cello_server_log_to(l.f.server, path), CELLO_OK);
    char request[4000] = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    memset(request + strlen(request), 'x', 2048);
    append(request, "\r\n\r\n");
    client_send(&l.c, request);
    struct rlimit before, least;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    least = before;
    least.rlim_cur = 6144; /* less than the line: what is written in two does not begin */
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &least), 0);
    fixture_pass(&l.f, 200 * MS);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    const char *text = file_text(&l, path);
    assert_int_equal(strlen(text), 6144);
    assert_int_equal(text[6143], '\n');
    fixture_pass(&l.f, 200 * MS);
    assert_int_equal(strlen(file_text(&l, path)), 6144 + 6145);
    end(&l);
    assert_int_equal(unlink(path), 0);
}

/* Evenly, and errors always. */
static void test_sample(void **state) {
    (void)state;
    struct logged l;
    begin(&l, "{path}");
    struct cl_access_log *log = l.f.server->log;
    cl_access_log_sample(log, 0.25);
    static const char *const paths[] = {"/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9"};
    for (size_t i = 0; i < CL_ARRAY_LEN(paths); i++)
        get(&l, paths[i]);
    fixture_pass(&l.f, 200 * MS);
    assert_string_equal(read_log(&l), "/1\n/5\n/9\n");
    cl_access_log_sample(log, 0);
    get(&l, "/none");
    struct cl_request failed = {.answered = true, .path = CL_STR("/failed")};
    failed.response.status = 500;
    cl_access_log_request(log, &failed);
    failed.response.status = 499;
    cl_access_log_request(log, &failed);
    (void)cl_access_log_flush(log);
    assert_string_equal(read_log(&l), "/failed\n");
    end(&l);
    struct cello_server_config cfg = fixture_config();
    cfg.access_log_fd = 1;
    struct cl_app *app = cello_app_new();
    struct cl_server *server;
    assert_non_null(app);
    for (double share = -0.5; share <= 1.5; share += 2) {
        cfg.access_log_sample = share;
        assert_int_equal(cello_server_new(&server, app, &cfg), CELLO_EINVAL);
    }
    cello_app_del(app);
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
        cmocka_unit_test(test_combined),    cmocka_unit_test(test_escaping),
        cmocka_unit_test(test_template),    cmocka_unit_test(test_bad_formats),
        cmocka_unit_test(test_long_values), cmocka_unit_test(test_client_that_left),
        cmocka_unit_test(test_full_pipe),   cmocka_unit_test(test_closed_pipe),
        cmocka_unit_test(test_file),        cmocka_unit_test(test_file_that_cannot_be_opened),
        cmocka_unit_test(test_cut_line),    cmocka_unit_test(test_file_takes_lines_whole),
        cmocka_unit_test(test_sample),      cmocka_unit_test(test_idle_log_needs_no_timer),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
