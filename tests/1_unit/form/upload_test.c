#include "form/upload.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "form/spool.h"

static const struct cl_uploads_config CONFIG = {
    .boundary = CL_STR_INIT("B"),
    .max_parts = 1000,
    .max_part_header = 8192,
    .max_memory = 100000,
    .directory = "/tmp",
};

static int open_descriptors(void) {
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* ---- a message that is made as it is needed ---- */

struct message {
    char *bytes;
    size_t len, room;
};

static void add(struct message *m, const char *bytes, size_t n) {
    if (m->room - m->len < n) {
        m->room = 2 * (m->room + n);
        m->bytes = realloc(m->bytes, m->room);
        assert_non_null(m->bytes);
    }
    memcpy(m->bytes + m->len, bytes, n);
    m->len += n;
}

/* The byte at `i` of part `k`. */
static char byte_of(size_t k, size_t i) {
    return (char)(i * 31 + i / 251 + k);
}

static void add_part(struct message *m, const char *more, size_t k, size_t size) {
    char head[200];
    int n = snprintf(head, sizeof head,
                     "\r\n--B\r\nContent-Disposition: form-data; name=p%zu%s\r\n\r\n", k, more);
    add(m, head, (size_t)n);
    for (size_t i = 0; i < size; i++) {
        char c = byte_of(k, i);
        add(m, &c, 1);
    }
}

#define FILE_PART "; filename=x"
#define END "\r\n--B--\r\n"

static int store(struct cl_uploads *u, const struct message *m, size_t step) {
    int err = CELLO_OK;
    for (size_t at = 0; !err && at < m->len; at += step) {
        size_t n = CL_MIN(step, m->len - at);
        char *copy = malloc(n);
        assert_non_null(copy);
        memcpy(copy, m->bytes + at, n);
        err = cl_uploads_write(u, cl_str(copy, n));
        free(copy);
    }
    return err ? err : cl_uploads_end(u);
}

static void check_bytes(const struct cl_upload *u, size_t k, size_t size) {
    char *bytes = malloc(size + 1);
    size_t n;
    assert_non_null(bytes);
    assert_int_equal(u->size, size);
    assert_int_equal(cl_upload_read_at(u, 0, bytes, size + 1, &n), CELLO_OK);
    assert_int_equal(n, size);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(bytes[i], byte_of(k, i));
    if (size > 3) {
        assert_int_equal(cl_upload_read_at(u, size - 3, bytes, 2, &n), CELLO_OK);
        assert_int_equal(n, 2);
        assert_int_equal(bytes[1], byte_of(k, size - 2));
    }
    assert_int_equal(cl_upload_read_at(u, size, bytes, 1, &n), CELLO_OK);
    assert_int_equal(n, 0);
    free(bytes);
}

/* ---- tests ---- */

static void keeps_what_was_sent_however_cut(void **state) {
    (void)state;
    static const size_t sizes[] = {0,      1, 100, 9000, CL_UPLOAD_SMALL, CL_UPLOAD_SMALL + 1,
                                   400000, 0};
    static const size_t steps[] = {1, 7, 1000, 8000, 32768, 65536, 100000, 1 << 20};
    int before = open_descriptors();
    struct message m = {0};
    for (size_t k = 0; k < CL_ARRAY_LEN(sizes); k++)
        add_part(&m, FILE_PART "\r\nContent-Type: a/b", k, sizes[k]);
    add_part(&m, "", CL_ARRAY_LEN(sizes), 70000);
    add(&m, END, strlen(END));
    for (size_t s = 0; s <= CL_ARRAY_LEN(steps); s++) {
        struct cl_block_pool pool;
        struct cl_uploads u;
        cl_block_pool_init(&pool, 0);
        assert_int_equal(cl_uploads_init(&u, &pool, &CONFIG), CELLO_OK);
        bool in_place = s == CL_ARRAY_LEN(steps);
        if (in_place)
            assert_int_equal(cl_uploads_read(&u, cl_str(m.bytes, m.len)), CELLO_OK);
        else
            assert_int_equal(store(&u, &m, steps[s]), CELLO_OK);
        assert_int_equal(u.count, CL_ARRAY_LEN(sizes) + 1);
        size_t k = 0;
        for (const struct cl_upload *p = u.first; p; p = p->next, k++) {
            bool field = k == CL_ARRAY_LEN(sizes);
            char name[8];
            (void)snprintf(name, sizeof name, "p%zu", k);
            assert_true(cl_str_eq(p->part.name, cl_str(name, strlen(name))));
            assert_int_equal(p->part.is_file, !field);
            assert_true(cl_str_eq(p->part.filename, field ? CL_STR("") : CL_STR("x")));
            assert_true(cl_str_eq(p->part.content_type, field ? CL_STR("") : CL_STR("a/b")));
            size_t size = field ? 70000 : sizes[k];
            assert_int_equal(p->file != NULL, !field && !in_place && size > CL_UPLOAD_SMALL);
            check_bytes(p, k, size);
        }
        assert_int_equal(open_descriptors(), before + (in_place ? 0 : 2));
        cl_uploads_free(&u);
        assert_int_equal(pool.used, 0);
        cl_block_pool_free(&pool);
        assert_int_equal(open_descriptors(), before);
    }
    free(m.bytes);
}

/* Memory and descriptors stay within bounds for any number of files. */
static void shares_a_file_when_there_are_many(void **state) {
    (void)state;
    enum { LARGE = CL_UPLOAD_OWN_FILES + 4, SMALL = 40, SMALL_SIZE = 20000 };
    int before = open_descriptors();
    struct message m = {0};
    for (size_t k = 0; k < LARGE; k++)
        add_part(&m, FILE_PART, k, CL_UPLOAD_SMALL + 1000 + k);
    for (size_t k = LARGE; k < LARGE + SMALL; k++)
        add_part(&m, FILE_PART, k, SMALL_SIZE);
    add(&m, END, strlen(END));
    struct cl_block_pool pool;
    struct cl_uploads u;
    cl_block_pool_init(&pool, 1 << 20);
    assert_int_equal(cl_uploads_init(&u, &pool, &CONFIG), CELLO_OK);
    assert_int_equal(store(&u, &m, 8000), CELLO_OK);
    assert_int_equal(open_descriptors(), before + CL_UPLOAD_OWN_FILES + 1);
    assert_true(pool.used < 3 * CL_UPLOAD_MEMORY);
    size_t k = 0;
    for (const struct cl_upload *p = u.first; p; p = p->next, k++) {
        check_bytes(p, k, k < LARGE ? CL_UPLOAD_SMALL + 1000 + k : SMALL_SIZE);
        assert_int_equal(p->file && p->file->shared, k >= CL_UPLOAD_OWN_FILES && p->file);
    }
    assert_non_null(u.last->file);
    cl_uploads_free(&u);
    cl_block_pool_free(&pool);
    free(m.bytes);
    assert_int_equal(open_descriptors(), before);
}

static int result_of(const struct cl_uploads_config *config, size_t max_bytes,
                     const struct message *m) {
    struct cl_block_pool pool;
    struct cl_uploads u;
    cl_block_pool_init(&pool, max_bytes);
    int err = cl_uploads_init(&u, &pool, config);
    if (!err) {
        err = store(&u, m, 5000);
        cl_uploads_free(&u);
    }
    assert_int_equal(pool.used, 0);
    cl_block_pool_free(&pool);
    return err;
}

static int result_in_place(const struct cl_uploads_config *config, const struct message *m) {
    struct cl_block_pool pool;
    struct cl_uploads u;
    cl_block_pool_init(&pool, 0);
    assert_int_equal(cl_uploads_init(&u, &pool, config), CELLO_OK);
    int err = cl_uploads_read(&u, cl_str(m->bytes, m->len));
    cl_uploads_free(&u);
    cl_block_pool_free(&pool);
    return err;
}

static void limits_files_and_fields(void **state) {
    (void)state;
    struct message files = {0}, fields = {0};
    add_part(&files, FILE_PART, 0, 200000);
    add(&files, END, strlen(END));
    for (size_t k = 0; k < 10; k++)
        add_part(&fields, "", k, 9000);
    add(&fields, END, strlen(END));
    struct cl_uploads_config config = CONFIG;
    config.max_file_size = 200000;
    assert_int_equal(result_of(&config, 0, &files), CELLO_OK);
    assert_int_equal(result_in_place(&config, &files), CELLO_OK);
    config.max_file_size--;
    assert_int_equal(result_of(&config, 0, &files), CELLO_EFILE_TOO_LARGE);
    assert_int_equal(result_in_place(&config, &files), CELLO_EFILE_TOO_LARGE);
    assert_int_equal(result_of(&config, 0, &fields), CELLO_OK);
    config.max_memory = 10 * 9000 + 100; /* not enough for what the heads say */
    assert_int_equal(result_of(&config, 0, &fields), CELLO_EFORM_TOO_LARGE);
    assert_int_equal(result_in_place(&config, &fields), CELLO_EFORM_TOO_LARGE);
    config = CONFIG;
    config.max_parts = 9;
    assert_int_equal(result_of(&config, 0, &fields), CELLO_EPARTS);
    assert_int_equal(result_of(&CONFIG, 10000, &fields), CELLO_ELIMIT);
    assert_int_equal(result_of(&CONFIG, 40000, &fields), CELLO_ELIMIT);
    config.boundary = CL_STR("");
    assert_int_equal(result_of(&config, 0, &fields), CELLO_EBOUNDARY);
    free(files.bytes);
    free(fields.bytes);
}

static void tells_what_a_file_could_not_get(void **state) {
    (void)state;
    struct message m = {0};
    add_part(&m, FILE_PART, 0, 200000);
    add(&m, END, strlen(END));
    struct cl_uploads_config config = CONFIG;
    config.directory = "/nonexistent";
    assert_int_equal(result_of(&config, 0, &m), CELLO_ESYS);

    struct rlimit old, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    int next = dup(0);
    assert_int_equal(close(next), 0);
    none = (struct rlimit){(rlim_t)next, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(result_of(&CONFIG, 0, &m), CELLO_ELIMIT);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);

    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    none = (struct rlimit){100000, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    assert_int_equal(result_of(&CONFIG, 0, &m), CELLO_ENOSPACE);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    (void)signal(SIGXFSZ, handler);
    free(m.bytes);
}

static void survives_every_failed_allocation(void **state) {
    (void)state;
    struct message m = {0};
    add_part(&m, FILE_PART, 0, 100000);
    add_part(&m, "", 1, 30000);
    add(&m, END, strlen(END));
    int err = CELLO_ELIMIT;
    for (uint64_t nth = 1; err && nth < 50; nth++) {
        cl_alloc_fail_nth(nth);
        err = result_of(&CONFIG, 0, &m);
        assert_true(err == CELLO_OK || err == CELLO_ELIMIT);
    }
    cl_alloc_fail_nth(0);
    assert_int_equal(err, CELLO_OK);
    free(m.bytes);
}

/* ---- saving ---- */

static void read_file(const char *path, size_t k, size_t size, struct stat *st) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    for (size_t i = 0; i < size; i++)
        assert_int_equal((char)fgetc(f), byte_of(k, i));
    assert_int_equal(fgetc(f), EOF);
    fclose(f);
    assert_int_equal(stat(path, st), 0);
}

static int files_in(const char *folder) {
    DIR *dir = opendir(folder);
    int n = 0;
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2;
}

static void saves_in(const char *folder, const struct cl_uploads *u, bool same_file_system) {
    char a[100], b[100];
    struct stat st, again, inside;
    (void)snprintf(a, sizeof a, "%s/a", folder);
    (void)snprintf(b, sizeof b, "%s/b", folder);
    size_t k = 0;
    for (const struct cl_upload *p = u->first; p; p = p->next, k++) {
        FILE *old = fopen(a, "wb"); /* stays open over the exchange */
        assert_non_null(old);
        assert_int_equal(fputs("old", old), 1);
        assert_int_equal(cl_upload_save(p, a), CELLO_OK);
        fclose(old);
        read_file(a, k, p->size, &st);
        assert_int_equal(st.st_mode & 07777, 0640);
        assert_int_equal(st.st_nlink, 1);
        bool may_link = p->file && !p->file->shared && same_file_system;
        if (p->file) {
            assert_int_equal(fstat(p->file->fd, &inside), 0);
            assert_int_equal(inside.st_ino == st.st_ino && inside.st_dev == st.st_dev, may_link);
        }
        /* The second copy is a file of its own. */
        assert_int_equal(cl_upload_save(p, b), CELLO_OK);
        read_file(b, k, p->size, &again);
        assert_int_not_equal(st.st_ino, again.st_ino);
        assert_int_equal(files_in(folder), 2);
        assert_int_equal(unlink(a), 0);
        assert_int_equal(unlink(b), 0);
    }
}

static void saves_by_name_or_by_copy(void **state) {
    (void)state;
    char here[] = "/tmp/cello-upload-XXXXXX", other[] = "/dev/shm/cello-upload-XXXXXX", path[200];
    mode_t mask = umask(027);
    assert_non_null(mkdtemp(here));
    bool have_other = mkdtemp(other) != NULL;
    struct message m = {0};
    add_part(&m, FILE_PART, 0, 1000);
    for (size_t k = 1; k < CL_UPLOAD_OWN_FILES + 3; k++)
        add_part(&m, FILE_PART, k, 70000);
    add(&m, END, strlen(END));
    struct cl_block_pool pool;
    struct cl_uploads u;
    struct cl_uploads_config config = CONFIG;
    config.directory = here;
    for (int i = 0; i < 1 + have_other; i++) {
        cl_block_pool_init(&pool, 0);
        assert_int_equal(cl_uploads_init(&u, &pool, &config), CELLO_OK);
        assert_int_equal(store(&u, &m, 65536), CELLO_OK);
        assert_int_equal(files_in(here), 0); /* they have no name */
        saves_in(i ? other : here, &u, i == 0);
        /* What cannot be. */
        (void)snprintf(path, sizeof path, "%s/no/such", here);
        assert_int_equal(cl_upload_save(u.last, path), CELLO_ESYS);
        assert_int_equal(errno, ENOENT);
        assert_int_equal(cl_upload_save(u.first->next, here), CELLO_ESYS);
        assert_int_equal(errno, EISDIR);
        assert_int_equal(files_in(here), 0);
        cl_uploads_free(&u);
        cl_block_pool_free(&pool);
    }
    free(m.bytes);
    assert_int_equal(rmdir(here), 0);
    if (have_other)
        assert_int_equal(rmdir(other), 0);
    (void)umask(mask);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_was_sent_however_cut),
        cmocka_unit_test(shares_a_file_when_there_are_many),
        cmocka_unit_test(limits_files_and_fields),
        cmocka_unit_test(tells_what_a_file_could_not_get),
        cmocka_unit_test(survives_every_failed_allocation),
        cmocka_unit_test(saves_by_name_or_by_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
