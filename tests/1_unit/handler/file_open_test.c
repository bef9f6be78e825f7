/* What is opened below a folder, with the kernel's help and without. */
#include "handler/file_open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/folder.h"

static void checks_names(void **state) {
    (void)state;
    static const char *const good[] = {"a",        "a/b",  "a.b/c.d",       "a b",
                                       "a\\..\\b", "a..",  ".well-known/x", "x/.well-known",
                                       "\xc3\xa4", "a\x01"};
    static const char *const bad[] = {"",   ".",     "..",    "a/..",   "../a",        "a/../b",
                                      "/a", "a//b",  "a/",    ".git/x", ".env",        "a/.b",
                                      "/",  "a/./b", "..\\a", "...",    ".well-known2"};
    for (size_t i = 0; i < CL_ARRAY_LEN(good); i++)
        if (!cl_file_name_allowed(cl_str(good[i], strlen(good[i]))))
            fail_msg("%s", good[i]);
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++)
        if (cl_file_name_allowed(cl_str(bad[i], strlen(bad[i]))))
            fail_msg("%s", bad[i]);
    assert_false(cl_file_name_allowed(cl_str("a\0b", 3)));
    char longest[CL_FILE_PATH_MAX];
    memset(longest, 'x', sizeof longest);
    assert_true(cl_file_name_allowed(cl_str(longest, CL_FILE_NAME_MAX)));
    assert_false(cl_file_name_allowed(cl_str(longest, CL_FILE_NAME_MAX + 1)));
    for (size_t i = 100; i < sizeof longest; i += 100)
        longest[i] = '/';
    assert_true(cl_file_name_allowed(cl_str(longest, sizeof longest - 1)));
    assert_false(cl_file_name_allowed(cl_str(longest, sizeof longest)));
}

/* The content, "folder", or the error's number. */
static const char *look(const struct folder *f, const char *path, unsigned flags) {
    static char text[64];
    struct stat st;
    int fd = -1;
    int err = cl_file_open_below(f->path, cl_str(path, strlen(path)), flags, &fd, &st);
    if (err) {
        assert_int_equal(fd, -1);
        snprintf(text, sizeof text, "%d", err);
        return text;
    }
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    ssize_t n = S_ISREG(st.st_mode) ? read(fd, text, sizeof text - 1) : 0;
    text[n] = '\0';
    close(fd);
    return S_ISREG(st.st_mode) ? text : "folder";
}

#define NOTHING "-12"

static void make_special_files(const struct folder *f) {
    char path[512];
    snprintf(path, sizeof path, "%s/fifo", f->path);
    assert_int_equal(mkfifo(path, 0644), 0);
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    assert_true(snprintf(addr.sun_path, sizeof addr.sun_path, "%s/socket", f->path) <
                (int)sizeof addr.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    close(fd);
}

static void check_opening(unsigned flags) {
    struct folder f, outside;
    folder_init(&f);
    folder_init(&outside);
    folder_write(&outside, "secret", "secret", 6);
    folder_write(&f, "a", "1", 1);
    folder_write(&f, "b/c/d", "2", 1);
    folder_write(&f, ".hidden", "3", 1);
    folder_link(&f, "b/c", "inner");
    folder_link(&f, "a", "link");
    folder_link(&f, outside.path, "outer");
    char to[512];
    snprintf(to, sizeof to, "%s/secret", outside.path);
    folder_link(&f, to, "leak");
    folder_link(&f, "../../../../../../etc/passwd", "climb");
    folder_link(&f, "/proc/self/root", "magic");
    folder_link(&f, "/dev/null", "device");
    folder_link(&f, "circle", "circle");
    make_special_files(&f);
    assert_string_equal(look(&f, "a", flags), "1");
    assert_string_equal(look(&f, "b/c/d", flags), "2");
    assert_string_equal(look(&f, "b/c", flags), "folder");
    assert_string_equal(look(&f, "", flags), "folder");
    static const char *const nothing[] = {
        "none",  "a/b",   "b/none/d",        ".hidden", "..",     "outer",  "outer/secret", "leak",
        "climb", "magic", "device",          "fifo",    "socket", "circle", "b/../a",       "/a",
        "a/",    "b//c",  "magic/etc/passwd"};
    for (size_t i = 0; i < CL_ARRAY_LEN(nothing); i++)
        if (strcmp(look(&f, nothing[i], flags), NOTHING) != 0)
            fail_msg("%s was opened", nothing[i]);
    bool links = flags == CL_OPEN_FOLLOW;
    assert_string_equal(look(&f, "link", flags), links ? "1" : NOTHING);
    assert_string_equal(look(&f, "inner/d", flags), links ? "2" : NOTHING);
    folder_free(&outside);
    folder_free(&f);
}

static void opens_files_below(void **state) {
    (void)state;
    check_opening(0);
}

static void follows_links_that_stay(void **state) {
    (void)state;
    check_opening(CL_OPEN_FOLLOW);
}

static void walks_without_openat2(void **state) {
    (void)state;
    check_opening(CL_OPEN_PORTABLE);
    check_opening(CL_OPEN_PORTABLE | CL_OPEN_FOLLOW);
}

static void opens_the_programs_own(void **state) {
    (void)state;
    struct folder f;
    struct stat st;
    char path[512];
    int fd;
    folder_init(&f);
    folder_write(&f, ".a", "1", 1);
    folder_link(&f, ".a", "link");
    snprintf(path, sizeof path, "%s/link", f.path);
    assert_int_equal(cl_file_open_path(path, &fd, &st), CELLO_OK);
    assert_true(S_ISREG(st.st_mode) && st.st_size == 1);
    close(fd);
    assert_int_equal(cl_file_open_path("/dev/null", &fd, &st), CELLO_ENOENT);
    assert_int_equal(cl_file_open_path("", &fd, &st), CELLO_ENOENT);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(cl_file_open_below("/none/at/all", CL_STR("a"), 0, &fd, &st), CELLO_ENOENT);
    folder_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_names),
        cmocka_unit_test(opens_files_below),
        cmocka_unit_test(follows_links_that_stay),
        cmocka_unit_test(walks_without_openat2),
        cmocka_unit_test(opens_the_programs_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
