#include "store/segment.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/members.h"

static struct cl_segment *segment_of(size_t members, size_t table) {
    const size_t sizes[CL_AREA_COUNT] = {[CL_AREA_MEMBERS] = members, [CL_AREA_TABLE] = table};
    struct cl_segment *s = NULL;
    assert_int_equal(cl_segment_new(&s, sizes), CELLO_OK);
    return s;
}

static void areas_lie_apart_and_are_zero(void **state) {
    (void)state;
    struct cl_segment *s = segment_of(100, 5000);
    size_t size, other;
    char *members = cl_segment_area(s, CL_AREA_MEMBERS, &size);
    assert_int_equal(size, 100);
    char *table = cl_segment_area(s, CL_AREA_TABLE, &other);
    assert_int_equal(other, 5000);
    assert_true(table >= members + size);
    for (size_t i = 0; i < other; i++)
        assert_int_equal(table[i], 0);
    assert_null(cl_segment_area(s, CL_AREA_RINGS, &size));
    assert_int_equal(size, 0);
    cl_segment_del(s);
}

static void another_process_sees_what_one_writes(void **state) {
    (void)state;
    struct cl_segment *s = segment_of(64, 0);
    size_t size;
    volatile int *here = cl_segment_area(s, CL_AREA_MEMBERS, &size);
    pid_t pid = fork();
    if (pid == 0) {
        struct cl_segment *mine = NULL;
        if (cl_segment_attach(&mine, dup(cl_segment_fd(s))))
            _exit(1);
        volatile int *there = cl_segment_area(mine, CL_AREA_MEMBERS, &size);
        *there = 42;
        _exit(there == here);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(*here, 42);
    cl_segment_del(s);
}

static void core_files_do_not_have_it(void **state) {
    (void)state;
    struct cl_segment *s = segment_of(64, 0);
    size_t size;
    uintptr_t area = (uintptr_t)cl_segment_area(s, CL_AREA_MEMBERS, &size);
    FILE *maps = fopen("/proc/self/smaps", "re");
    assert_non_null(maps);
    char line[512];
    bool inside = false, left_out = false;
    while (fgets(line, sizeof line, maps)) {
        char *end;
        uintptr_t from = strtoul(line, &end, 16);
        if (*end == '-')
            inside = from <= area && area < strtoul(end + 1, NULL, 16);
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            left_out = strstr(line, " dd") != NULL;
    }
    fclose(maps);
    assert_true(left_out);
    cl_segment_del(s);
}

static void nobody_can_cut_it(void **state) {
    (void)state;
    struct cl_segment *s = segment_of(64, 0);
    assert_int_not_equal(ftruncate(cl_segment_fd(s), 0), 0);
    cl_segment_del(s);
}

static void strangers_are_refused(void **state) {
    (void)state;
    struct cl_segment *s = NULL;
    int fd = memfd_create("other", MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(fd, 8192), 0);
    assert_int_equal(cl_segment_attach(&s, fd), CELLO_EINVAL); /* can be cut */
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    assert_int_equal(cl_segment_attach(&s, fd), CELLO_EINVAL); /* no header */
    assert_int_equal(pwrite(fd, "cello segment 0.0.0-other", 25, 0), 25);
    assert_int_equal(cl_segment_attach(&s, fd), CELLO_ENOTSUP);
    assert_null(s);
    close(fd);
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(cl_segment_attach(&s, pipes[0]), CELLO_EINVAL);
    close(pipes[0]);
    close(pipes[1]);
}

static void a_size_beyond_all_addresses_is_refused(void **state) {
    (void)state;
    const size_t sizes[CL_AREA_COUNT] = {[CL_AREA_TABLE] = SIZE_MAX - 1};
    struct cl_segment *s = NULL;
    assert_int_equal(cl_segment_new(&s, sizes), CELLO_EINVAL);
    assert_null(s);
}

static void members_are_found_in_their_area(void **state) {
    (void)state;
    struct cl_segment *s = segment_of(cl_members_size(3), 0);
    assert_null(cl_members_of(s, 0)); /* not filled in */
    struct cl_members *m = cl_members_of(s, 3);
    assert_non_null(m);
    assert_int_equal(m->count, 6);
    assert_ptr_equal(cl_members_of(s, 0), m);
    assert_null(cl_members_of(s, 4)); /* no room */
    cl_segment_del(s);
    s = segment_of(0, 64);
    assert_null(cl_members_of(s, 1));
    cl_segment_del(s);
}

static void a_busy_time_counts_from_its_mark(void **state) {
    (void)state;
    struct cl_member m = {0};
    assert_int_equal(cl_member_busy_ns(&m, 100), 0);
    m.busy_since_ns = 40;
    assert_int_equal(cl_member_busy_ns(&m, 100), 60);
    assert_int_equal(cl_member_busy_ns(&m, 30), 0); /* marked after the reader took the time */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(areas_lie_apart_and_are_zero),
        cmocka_unit_test(another_process_sees_what_one_writes),
        cmocka_unit_test(core_files_do_not_have_it),
        cmocka_unit_test(nobody_can_cut_it),
        cmocka_unit_test(strangers_are_refused),
        cmocka_unit_test(a_size_beyond_all_addresses_is_refused),
        cmocka_unit_test(members_are_found_in_their_area),
        cmocka_unit_test(a_busy_time_counts_from_its_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
