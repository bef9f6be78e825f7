#include "base/cpu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void environment_forces_a_level(void **state) {
    (void)state;
    assert_int_equal(setenv("CELLO_CPU", "scalar", 1), 0);
    assert_int_equal(cl_cpu_detect(), CL_CPU_SCALAR);
    assert_int_equal(cl_cpu_level(), CL_CPU_SCALAR);
}

static void unknown_names_are_ignored(void **state) {
    (void)state;
    assert_int_equal(unsetenv("CELLO_CPU"), 0);
    int best = cl_cpu_detect();
    assert_int_equal(setenv("CELLO_CPU", "quantum", 1), 0);
    assert_int_equal(cl_cpu_detect(), best);
    assert_true(cl_cpu_has((enum cl_cpu_level)best));
}

static void set_level_refuses_what_is_not_there(void **state) {
    (void)state;
    for (int i = CL_CPU_SCALAR; i <= CL_CPU_NEON; i++) {
        enum cl_cpu_level level = (enum cl_cpu_level)i;
        assert_int_equal(cl_cpu_set_level(CL_CPU_SCALAR), CELLO_OK);
        assert_int_equal(cl_cpu_set_level(level), cl_cpu_has(level) ? CELLO_OK : CELLO_ENOTSUP);
        assert_int_equal(cl_cpu_level(), cl_cpu_has(level) ? level : CL_CPU_SCALAR);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(environment_forces_a_level),
        cmocka_unit_test(unknown_names_are_ignored),
        cmocka_unit_test(set_level_refuses_what_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
