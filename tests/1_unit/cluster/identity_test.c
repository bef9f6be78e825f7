#include "cluster/identity.h"

#include <errno.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void names_and_numbers_are_found(void **state) {
    (void)state;
    struct cl_identity id;
    char why[CL_IDENTITY_ERROR_MAX];
    assert_int_equal(cl_identity_find(&id, NULL, NULL, why), CELLO_OK);
    assert_true(id.uid == (uid_t)-1 && id.gid == (gid_t)-1);
    assert_int_equal(cl_identity_find(&id, "root", NULL, why), CELLO_OK);
    assert_int_equal(id.uid, 0);
    assert_int_equal(id.gid, 0);
    assert_string_equal(id.name, "root");
    assert_int_equal(cl_identity_find(&id, "54321", "54322", why), CELLO_OK);
    assert_int_equal(id.uid, 54321);
    assert_int_equal(id.gid, 54322);
    assert_null(id.name);
    assert_int_equal(cl_identity_find(&id, "0", NULL, why), CELLO_OK);
    assert_int_equal(id.gid, 0); /* of the user who has the number */
}

static void who_is_not_there_is_named(void **state) {
    (void)state;
    struct cl_identity id;
    char why[CL_IDENTITY_ERROR_MAX];
    assert_int_equal(cl_identity_find(&id, "no-such-user", NULL, why), CELLO_ENOENT);
    assert_string_equal(why, "there is no user no-such-user");
    assert_int_equal(cl_identity_find(&id, NULL, "no-such-group", why), CELLO_ENOENT);
    assert_string_equal(why, "there is no group no-such-group");
    assert_int_equal(cl_identity_find(&id, "54321", NULL, why), CELLO_ENOENT);
    assert_string_equal(why, "user 54321 has no group: name one");
    assert_int_equal(cl_identity_find(&id, "4294967295", "1", why), CELLO_ENOENT);
    assert_int_equal(cl_identity_find(&id, "", NULL, why), CELLO_ENOENT);
}

static void who_they_are_already_they_may_be(void **state) {
    (void)state;
    struct cl_identity id = {.uid = geteuid(), .gid = getegid()};
    char why[CL_IDENTITY_ERROR_MAX];
    pid_t pid = fork();
    if (pid == 0)
        _exit(cl_identity_take(&id, why) != CELLO_OK);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* In a process of its own, where there is a root to give up. */
static int give_up_root(void) {
    struct cl_identity id;
    char why[CL_IDENTITY_ERROR_MAX];
    gid_t groups[8];
    if (cl_identity_find(&id, "54321", "54322", why) || cl_identity_take(&id, why))
        return 1;
    if (getuid() != 54321 || geteuid() != 54321 || getgid() != 54322 || getegid() != 54322)
        return 2;
    if (getgroups(8, groups) != 1 || groups[0] != 54322)
        return 3;
    if (setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0)
        return 4;
    if (cl_identity_find(&id, "root", NULL, why) || cl_identity_take(&id, why) != CELLO_ESYS ||
        errno != EPERM)
        return 5;
    return cl_identity_find(&id, "54321", "54322", why) || cl_identity_take(&id, why) ? 6 : 0;
}

static void root_is_given_up_for_good(void **state) {
    (void)state;
    if (geteuid() != 0)
        skip();
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(give_up_root());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_numbers_are_found),
        cmocka_unit_test(who_is_not_there_is_named),
        cmocka_unit_test(who_they_are_already_they_may_be),
        cmocka_unit_test(root_is_given_up_for_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
