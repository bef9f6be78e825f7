#include "form/delimiter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cpu.h"

enum { ROOM = 400, ROUNDS = 20000 };

static uint32_t random_state = 1;

static size_t below(size_t n) {
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % n;
}

static const char *plain_search(const char *in, size_t len, const char *delimiter, size_t n) {
    for (size_t at = 0; at + n <= len; at++)
        if (memcmp(in + at, delimiter, n) == 0)
            return in + at;
    return NULL;
}

/* Few different bytes, so that much looks like a delimiter; sometimes one is put in. */
static void search_once(void) {
    static const char bytes[] = "\r-\nB";
    size_t len = below(ROOM), n = 2 + below(74);
    char delimiter[76], *in = malloc(len ? len : 1); /* of that size: nothing is read behind it */
    assert_non_null(in);
    for (size_t i = 0; i < n; i++)
        delimiter[i] = bytes[i ? below(2) : 0];
    for (size_t i = 0; i < len; i++)
        in[i] = bytes[below(below(2) ? 2 : 4)];
    if (len >= n && below(2))
        memcpy(in + below(len - n + 1), delimiter, n);
    assert_ptr_equal(cl_delimiter_find(in, len, delimiter, n), plain_search(in, len, delimiter, n));
    free(in);
}

static void finds_what_a_plain_search_finds(void **state) {
    (void)state;
    for (int level = CL_CPU_SCALAR; level <= CL_CPU_NEON; level++) {
        if (cl_cpu_set_level((enum cl_cpu_level)level) != CELLO_OK)
            continue;
        for (int i = 0; i < ROUNDS; i++)
            search_once();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_a_plain_search_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
