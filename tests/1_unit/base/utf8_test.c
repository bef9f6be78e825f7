#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "support/random.h"

/* The answer for a heap copy of exactly the text's size, at every level, which must agree. */
static size_t valid_prefix(const char *text, size_t n) {
    char *copy = malloc(n ? n : 1);
    if (n)
        memcpy(copy, text, n);
    size_t first = SIZE_MAX;
    for (int level = CL_CPU_SCALAR; level <= CL_CPU_NEON; level++) {
        if (cl_cpu_set_level((enum cl_cpu_level)level))
            continue;
        size_t got = cl_utf8_valid_prefix(copy, n);
        if (first == SIZE_MAX)
            first = got;
        assert_int_equal(got, first);
    }
    free(copy);
    return first;
}

static void good_and_bad_forms(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t valid;
    } cases[] = {
        {"", 0},
        {"abc", 3},
        {"\x7f", 1},
        {"\xc2\x80", 2},
        {"\xdf\xbf", 2},
        {"\xe0\xa0\x80", 3},
        {"\xed\x9f\xbf", 3},
        {"\xee\x80\x80", 3},
        {"\xef\xbf\xbf", 3},
        {"\xf0\x90\x80\x80", 4},
        {"\xf4\x8f\xbf\xbf", 4},
        {"\x80", 0},
        {"\xbf", 0},
        {"\xc0\x80", 0},
        {"\xc1\xbf", 0},
        {"\xc2", 0},
        {"\xc2"
         "a",
         0},
        {"\xe0\x9f\xbf", 0},
        {"\xe0\xa0", 0},
        {"\xed\xa0\x80", 0},
        {"\xed\xbf\xbf", 0},
        {"\xf0\x8f\xbf\xbf", 0},
        {"\xf4\x90\x80\x80", 0},
        {"\xf5\x80\x80\x80", 0},
        {"\xff", 0},
        {"\xf0\x90\x80", 0},
        {"\xc2\x80\x80", 2},
        {"\xe1\x80\x80\x80", 3},
    };
    char text[200];
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        size_t n = strlen(cases[i].text);
        for (size_t before = 0; before < 70; before++) {
            for (size_t after = 0; after < 70; after += 23) {
                memset(text, 'x', sizeof text);
                memcpy(text + before, cases[i].text, n);
                bool is_good = cases[i].valid == n;
                size_t want = is_good ? before + n + after : before + cases[i].valid;
                assert_int_equal(valid_prefix(text, before + n + after), want);
            }
        }
    }
}

static bool is_valid_by_decoding(const unsigned char *p, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t size = p[i] < 0x80 ? 1 : p[i] >= 0xf0 ? 4 : p[i] >= 0xe0 ? 3 : 2;
        if ((p[i] >= 0x80 && p[i] < 0xc0) || p[i] > 0xf7 || size > n - i)
            return false;
        uint32_t c = size == 1 ? p[i] : p[i] & (0x7fU >> size);
        for (size_t k = 1; k < size; k++) {
            if ((p[i + k] & 0xc0) != 0x80)
                return false;
            c = c << 6 | (p[i + k] & 0x3fU);
        }
        static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        if (c < least[size] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
            return false;
        i += size;
    }
    return true;
}

/* Random characters, some of them then spoilt. */
static void random_texts(void **state) {
    (void)state;
    static const char *const parts[] = {"a",
                                        "xyz",
                                        "\xc3\xa9",
                                        "\xe4\xb8\xad",
                                        "\xf0\x9f\x98\x80",
                                        "\xed\x9f\xbf",
                                        "\xf4\x8f\xbf\xbf",
                                        "0123456789abcdef"};
    for (int i = 0; i < 20000; i++) {
        char text[160];
        size_t n = 0, want = next_random() % 128;
        while (n < want) {
            const char *part = parts[next_random() % CL_ARRAY_LEN(parts)];
            memcpy(text + n, part, strlen(part));
            n += strlen(part);
        }
        if (n && next_random() % 2)
            text[next_random() % n] = (char)next_random();
        size_t valid = valid_prefix(text, n);
        assert_true(is_valid_by_decoding((const unsigned char *)text, valid));
        assert_int_equal(valid == n, is_valid_by_decoding((const unsigned char *)text, n));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_and_bad_forms),
        cmocka_unit_test(random_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
