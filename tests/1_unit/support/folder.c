#include "support/folder.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void folder_init(struct folder *f) {
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(f->path, sizeof f->path, "%s/cello-test-XXXXXX", base);
    assert_non_null(mkdtemp(f->path));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

void folder_free(struct folder *f) {
    assert_int_equal(nftw(f->path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void full(const struct folder *f, const char *name, char out[512]) {
    assert_true(snprintf(out, 512, "%s/%s", f->path, name) < 512);
}

static void make_folders(const struct folder *f, char *path) {
    for (char *p = path + strlen(f->path) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        (void)mkdir(path, 0755);
        *p = '/';
    }
}

void folder_write(const struct folder *f, const char *name, const void *bytes, size_t len) {
    char path[512];
    full(f, name, path);
    make_folders(f, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    close(fd);
}

void folder_set_time(const struct folder *f, const char *name, long seconds) {
    char path[512];
    full(f, name, path);
    const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

void folder_age(const struct folder *f, const char *name, unsigned seconds) {
    folder_set_time(f, name, time(NULL) - (long)seconds);
}

void folder_write_old(const struct folder *f, const char *name, const char *text) {
    folder_write(f, name, text, strlen(text));
    folder_age(f, name, 3600);
}

void folder_link(const struct folder *f, const char *to, const char *name) {
    char path[512];
    full(f, name, path);
    make_folders(f, path);
    assert_int_equal(symlink(to, path), 0);
}

void folder_remove(const struct folder *f, const char *name) {
    char path[512];
    full(f, name, path);
    assert_int_equal(unlink(path), 0);
}

struct cl_str folder_path(const struct folder *f) {
    return cl_str(f->path, strlen(f->path));
}
