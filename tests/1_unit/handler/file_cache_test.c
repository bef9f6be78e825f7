#include "handler/file_cache.h"

#include <stdio.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "handler/file_open.h"
#include "support/folder.h"

struct world {
    struct fixture fixture;
    struct folder folder;
    struct cl_file_cache *cache;
};

static void world_init(struct world *w) {
    fixture_init(&w->fixture, NULL);
    folder_init(&w->folder);
    w->cache = cl_file_cache_of(&w->fixture.server->worker);
    assert_non_null(w->cache);
    assert_ptr_equal(cl_file_cache_of(&w->fixture.server->worker), w->cache);
}

static void world_free(struct world *w) {
    folder_free(&w->folder);
    fixture_free(&w->fixture);
}

static int get(struct world *w, const char *path, struct cl_file **file) {
    const struct cl_file_name name = {folder_path(&w->folder), cl_str(path, strlen(path)), 0};
    *file = NULL;
    return cl_file_get(w->cache, &name, file);
}

static struct cl_file *expect(struct world *w, const char *path, const char *content) {
    struct cl_file *f;
    assert_int_equal(get(w, path, &f), CELLO_OK);
    assert_int_equal(f->size, strlen(content));
    assert_true(f->content && memcmp(f->content, content, f->size) == 0);
    return f;
}

static void next_turn(struct world *w) {
    fixture_pass(&w->fixture, CL_NS_PER_MS);
}

static void keeps_files(void **state) {
    (void)state;
    struct world w;
    world_init(&w);
    folder_write_old(&w.folder, "a.html", "one");
    struct cl_file *f = expect(&w, "a.html", "one");
    assert_true(cl_str_eq(f->type, CL_STR("text/html; charset=utf-8")));
    assert_true(cl_str_eq(cl_file_etag(f, cl_wall_ns()), cl_str(f->etag + 2, f->etag_len - 2u)));
    struct cl_file *again = expect(&w, "a.html", "one");
    assert_ptr_equal(f, again);
    assert_int_equal(cl_file_cache_counts(w.cache).files, 1);
    assert_int_equal(cl_file_cache_counts(w.cache).content, 3);
    cl_file_release(f);
    cl_file_release(again);
    struct cl_file *none;
    assert_int_equal(get(&w, "none", &none), CELLO_ENOENT);
    assert_int_equal(get(&w, "", &none), CELLO_ENOENT);
    assert_int_equal(cl_file_cache_counts(w.cache).files, 1);
    world_free(&w);
}

/* ctime cannot be set: until the file is old enough it is read in every turn. */
static void sees_changes(void **state) {
    (void)state;
    struct world w;
    world_init(&w);
    folder_write_old(&w.folder, "a", "one");
    struct cl_file *old = expect(&w, "a", "one");
    folder_write_old(&w.folder, "a", "two");
    cl_file_release(expect(&w, "a", "one")); /* looked at once in a turn */
    next_turn(&w);
    cl_file_release(expect(&w, "a", "two"));
    assert_memory_equal(old->content, "one", 3); /* still held */
    cl_file_release(old);
    folder_remove(&w.folder, "a");
    next_turn(&w);
    struct cl_file *none;
    assert_int_equal(get(&w, "a", &none), CELLO_ENOENT);
    assert_int_equal(cl_file_cache_counts(w.cache).files, 0);
    folder_link(&w.folder, "/etc/passwd", "a");
    next_turn(&w);
    assert_int_equal(get(&w, "a", &none), CELLO_ENOENT);
    world_free(&w);
}

/* The clock that files are stamped with has moved on. */
static void wait_for_a_tick(void) {
    uint64_t now = cl_wall_ns();
    while (cl_wall_ns() == now)
        continue;
}

/* With size, inode and time of modification as they were. */
static void sees_changes_that_were_covered_up(void **state) {
    (void)state;
    struct world w;
    world_init(&w);
    folder_write(&w.folder, "a", "one", 3);
    folder_set_time(&w.folder, "a", 1000000000);
    struct cl_file *f = expect(&w, "a", "one");
    f->provisional = false; /* as if it had been old */
    next_turn(&w);
    cl_file_release(expect(&w, "a", "one"));
    wait_for_a_tick();
    folder_write(&w.folder, "a", "two", 3);
    folder_set_time(&w.folder, "a", 1000000000);
    next_turn(&w);
    cl_file_release(expect(&w, "a", "two"));
    cl_file_release(f);
    world_free(&w);
}

/* Also of writes within one tick. */
static void sees_every_write(void **state) {
    (void)state;
    struct world w;
    char text[16];
    world_init(&w);
    for (int i = 0; i < 500; i++) {
        snprintf(text, sizeof text, "%05d", i);
        folder_write(&w.folder, "a", text, 5);
        next_turn(&w);
        cl_file_release(expect(&w, "a", text));
    }
    world_free(&w);
}

static void is_weak_while_young(void **state) {
    (void)state;
    struct world w;
    world_init(&w);
    folder_write(&w.folder, "a", "one", 3);
    struct cl_file *f = expect(&w, "a", "one");
    uint64_t now = cl_wall_ns();
    assert_memory_equal(cl_file_etag(f, now).ptr, "W/\"3-", 5);
    assert_true(cl_file_is_young(f, now));
    assert_memory_equal(cl_file_etag(f, now + 2 * CL_FILE_YOUNG_NS).ptr, "\"3-", 3);
    next_turn(&w); /* and read again: not every kernel stamps two writes apart */
    struct cl_file *again = expect(&w, "a", "one");
    assert_ptr_not_equal(again, f);
    cl_file_release(again);
    cl_file_release(f);
    world_free(&w);
}

static void write_large(struct world *w, const char *name, size_t size) {
    char *bytes = calloc(1, size);
    assert_non_null(bytes);
    folder_write(&w->folder, name, bytes, size);
    folder_age(&w->folder, name, 3600);
    free(bytes);
}

static void sends_large_files_from_the_kernel(void **state) {
    (void)state;
    struct world w;
    struct cl_file *small, *large;
    world_init(&w);
    write_large(&w, "small", CL_FILE_CONTENT_MAX);
    write_large(&w, "large", CL_FILE_CONTENT_MAX + 1);
    assert_int_equal(get(&w, "small", &small), CELLO_OK);
    assert_int_equal(get(&w, "large", &large), CELLO_OK);
    assert_true(small->fd < 0 && small->content);
    assert_true(large->fd >= 0 && !large->content);
    struct cl_file_counts counts = cl_file_cache_counts(w.cache);
    assert_int_equal(counts.open, 1);
    assert_int_equal(counts.content, CL_FILE_CONTENT_MAX);
    cl_file_release(small);
    cl_file_release(large);
    world_free(&w);
}

static void is_bounded(void **state) {
    (void)state;
    struct world w;
    struct cl_file *f, *held;
    struct rlimit limit;
    char name[32];
    world_init(&w);
    write_large(&w, "held", CL_FILE_CONTENT_MAX + 1);
    assert_int_equal(get(&w, "held", &held), CELLO_OK);
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "s%d", i);
        folder_write(&w.folder, name, name, strlen(name));
        assert_int_equal(get(&w, name, &f), CELLO_OK);
        cl_file_release(f);
    }
    assert_int_equal(cl_file_cache_counts(w.cache).files, CL_FILES_MAX);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "l%d", i);
        write_large(&w, name, CL_FILE_CONTENT_MAX + 1);
        assert_int_equal(get(&w, name, &f), CELLO_OK);
        cl_file_release(f);
        snprintf(name, sizeof name, "m%d", i);
        write_large(&w, name, CL_FILE_CONTENT_MAX);
        assert_int_equal(get(&w, name, &f), CELLO_OK);
        cl_file_release(f);
        folder_remove(&w.folder, name);
        snprintf(name, sizeof name, "l%d", i);
        folder_remove(&w.folder, name);
    }
    struct cl_file_counts counts = cl_file_cache_counts(w.cache);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(counts.open <= CL_FILES_OPEN_MAX && counts.open <= limit.rlim_cur / 8);
    assert_true(counts.content <= CL_FILES_CONTENT_MAX && counts.files <= CL_FILES_MAX);
    assert_null(held->cache); /* given up, and open as long as it is held */
    struct stat st;
    assert_int_equal(fstat(held->fd, &st), 0);
    cl_file_release(held);
    world_free(&w);
}

static void gives_descriptors_back_when_they_run_out(void **state) {
    (void)state;
    struct world w;
    struct cl_file *f;
    struct rlimit limit, low;
    world_init(&w);
    write_large(&w, "a", CL_FILE_CONTENT_MAX + 1);
    write_large(&w, "b", CL_FILE_CONTENT_MAX + 1);
    assert_int_equal(get(&w, "a", &f), CELLO_OK);
    int fd = f->fd;
    cl_file_release(f);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = limit;
    low.rlim_cur = (rlim_t)fd + 1; /* the place of the folder below it is free */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    int err = get(&w, "b", &f);
    struct cl_file *none;
    int full = CELLO_OK;
    if (!err) {
        low.rlim_cur = (rlim_t)fd;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        full = get(&w, "a", &none);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(err, CELLO_OK);
    assert_int_equal(full, CELLO_ELIMIT);
    cl_file_release(f);
    world_free(&w);
}

static void finds_what_is_beside(void **state) {
    (void)state;
    struct world w;
    world_init(&w);
    folder_write_old(&w.folder, "a.js", "one");
    folder_write_old(&w.folder, "a.js.gz", "gz");
    folder_write_old(&w.folder, "a.js.br", "br");
    folder_age(&w.folder, "a.js.br", 3660); /* stale */
    struct cl_file *f = expect(&w, "a.js", "one");
    assert_null(cl_file_beside(f, CL_CODING_ZSTD));
    assert_null(cl_file_beside(f, CL_CODING_BR));
    struct cl_file *gz = cl_file_beside(f, CL_CODING_GZIP);
    assert_non_null(gz);
    assert_memory_equal(gz->content, "gz", 2);
    cl_file_release(gz);
    /* That there is none is believed for a while. */
    folder_write_old(&w.folder, "a.js.zst", "zst");
    next_turn(&w);
    assert_null(cl_file_beside(f, CL_CODING_ZSTD));
    fixture_pass(&w.fixture, CL_FILE_MISSING_NS);
    struct cl_file *zst = cl_file_beside(f, CL_CODING_ZSTD);
    assert_non_null(zst);
    cl_file_release(zst);
    cl_file_release(f);
    world_free(&w);
}

static void survives_its_worker(void **state) {
    (void)state;
    struct world w;
    world_init(&w);
    folder_write_old(&w.folder, "a", "one");
    struct cl_file *f = expect(&w, "a", "one");
    world_free(&w);
    assert_memory_equal(f->content, "one", 3);
    assert_null(cl_file_beside(f, CL_CODING_BR));
    cl_file_release(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_files),
        cmocka_unit_test(sees_changes),
        cmocka_unit_test(sees_changes_that_were_covered_up),
        cmocka_unit_test(sees_every_write),
        cmocka_unit_test(is_weak_while_young),
        cmocka_unit_test(sends_large_files_from_the_kernel),
        cmocka_unit_test(is_bounded),
        cmocka_unit_test(gives_descriptors_back_when_they_run_out),
        cmocka_unit_test(finds_what_is_beside),
        cmocka_unit_test(survives_its_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
