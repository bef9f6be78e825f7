/* The vector kernels of one level against the plainest code for the same. Included by one test per
 * level, which defines CL_SIMD_... and LEVEL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "base/utf8.h"
#include "support/random.h"
#include "json/escape.h"
#include "json/scan.h"
#include "json/transcode.h"

enum { HEAD = 32, LONGEST = 200 };

/* Mostly letters, now and then a byte that matters. `block` is exactly HEAD + n bytes. */
static void fill(char *block, size_t n) {
    static const char odd[] = "\"\\\n\x1f\x7f\x80\xff ";
    memset(block, 'h', HEAD);
    for (size_t i = 0; i < n; i++)
        block[HEAD + i] = next_random() % 40 ? (char)('a' + next_random() % 26)
                                             : odd[next_random() % (sizeof odd - 1)];
}

static size_t plain_bytes(const char *text, size_t n) {
    size_t i = 0;
    while (i < n && !cl_escapes[(unsigned char)text[i]][7])
        i++;
    return i;
}

CL_SIMD_BEGIN

static void escaping_and_scanning(void **state) {
    (void)state;
    for (int round = 0; round < 20000; round++) {
        size_t n = next_random() % LONGEST;
        char *block = malloc(HEAD + n), *text = block + HEAD;
        fill(block, n);
        size_t plain = plain_bytes(text, n);
        char out[LONGEST * CL_ESCAPE_WORST + 64], want[sizeof out], *end = want;
        assert_int_equal(cl_copy_plain(out, text, n), plain);
        assert_memory_equal(out, text, plain);
        assert_int_equal(cl_copy_plain_behind_head(out, text, n), plain);
        assert_memory_equal(out, text, plain);
        bool high = false, is_high = false;
        for (size_t i = 0; i < n; i++) {
            if (i < plain)
                is_high |= (unsigned char)text[i] >= 0x80;
            if (cl_escapes[(unsigned char)text[i]][7])
                end = cl_put_escape(end, text[i]);
            else
                *end++ = text[i];
        }
        assert_int_equal(cl_escape(out, text, n) - out, end - want);
        assert_memory_equal(out, want, (size_t)(end - want));
        const char *stop = cl_scan_string(text, text + n, text + n - CL_VEC_SIZE, &high);
        assert_int_equal(stop - text, plain);
        assert_int_equal(high, is_high);
        free(block);
    }
}

/* Random code points up to `limit`, most of them of one kind for a while. */
static size_t random_points(uint32_t *points, size_t n, uint32_t limit) {
    static const uint32_t firsts[] = {'a', 0x20, 0xa0, 0x400, 0x4e00, 0x1f600};
    uint32_t first = 'a';
    for (size_t i = 0; i < n; i++) {
        if (next_random() % 6 == 0)
            first = firsts[next_random() % CL_ARRAY_LEN(firsts)];
        points[i] = first + (uint32_t)(next_random() % 24);
        if (points[i] > limit)
            points[i] = next_random() % 8 ? limit : '"';
    }
    return n;
}

static void transcoding(void **state) {
    (void)state;
    for (int round = 0; round < 20000; round++) {
        uint32_t points[LONGEST];
        bool is_latin = round % 2;
        size_t n = random_points(points, next_random() % LONGEST, is_latin ? 0xff : 0xffff);
        char want[LONGEST * CL_ESCAPE_WORST], out[LONGEST * CL_ESCAPE_WORST + 64], *end = want;
        char *raw = malloc(n * 3 + 17), *raw_end = raw;
        char *head = malloc(HEAD + 2 * n);
        uint16_t *narrow = (uint16_t *)(void *)(head + HEAD);
        bool is_wide = false;
        for (size_t i = 0; i < n; i++) {
            end = cl_escape_code_point(end, points[i]);
            raw_end = cl_put_utf8(raw_end, points[i]);
            is_wide |= points[i] > 0xff;
            if (is_latin)
                head[HEAD + i] = (char)points[i];
            else
                narrow[i] = (uint16_t)points[i];
        }
        memset(raw_end, '"', 16);
        const uint16_t *at = narrow;
        char *got = is_latin ? cl_escape_ucs1(out, (unsigned char *)head + HEAD, n)
                             : cl_escape_ucs2(out, &at, n);
        assert_int_equal(got - out, end - want);
        assert_memory_equal(out, want, (size_t)(end - want));
        uint16_t back[LONGEST + CL_TRANSCODE_SLACK];
        const char *text = raw;
        bool wide = false;
        assert_int_equal(cl_utf8_to_ucs2(&text, raw_end, raw_end, back, &wide) - back, n);
        assert_ptr_equal(text, raw_end);
        assert_int_equal(wide, is_wide);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(back[i], points[i]);
        free(head);
        free(raw);
    }
}

/* How far `text` is UTF-8 of characters that 16 bits hold, and how many they are. */
static size_t good_prefix(const char *text, size_t n, size_t *count) {
    size_t good = cl_utf8_valid_prefix(text, n), i = 0;
    for (*count = 0; i < good && (unsigned char)text[i] < 0xf0; (*count)++)
        for (i++; i < good && (text[i] & 0xc0) == 0x80;)
            i++;
    return i;
}

/* Well-formed text with some bytes replaced: it is read exactly as far as it is good. */
static void malformed_text_stops_the_reader(void **state) {
    (void)state;
    for (int round = 0; round < 50000; round++) {
        uint32_t points[LONGEST];
        size_t n = random_points(points, 1 + next_random() % (LONGEST - 1), 0xffff), count;
        char raw[LONGEST * 3 + 16], *end = raw;
        for (size_t i = 0; i < n; i++)
            end = cl_put_utf8(end, points[i]);
        for (uint64_t i = next_random() % 3; i > 0; i--)
            raw[next_random() % (size_t)(end - raw)] = (char)next_random();
        memset(end, '"', 16);
        size_t good = good_prefix(raw, (size_t)(end - raw), &count);
        uint16_t out[LONGEST * 3 + CL_TRANSCODE_SLACK];
        const char *at = raw;
        bool wide = false;
        assert_int_equal(cl_utf8_to_ucs2(&at, end, end, out, &wide) - out, count);
        assert_int_equal(at - raw, good);
    }
}

static void surrogates_stop_the_writer(void **state) {
    (void)state;
    for (size_t at = 0; at < 40; at++) {
        for (int before = 'a'; before < 0x5000; before += 0x3f0) {
            uint16_t text[8 + 40];
            for (size_t i = 0; i < CL_ARRAY_LEN(text); i++)
                text[i] = (uint16_t)before;
            text[8 + at] = 0xdabc;
            char out[40 * CL_ESCAPE_WORST + 64];
            const uint16_t *src = text + 8;
            (void)cl_escape_ucs2(out, &src, 40);
            assert_int_equal(src - (text + 8), at);
        }
    }
}

CL_SIMD_END

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escaping_and_scanning),
        cmocka_unit_test(transcoding),
        cmocka_unit_test(malformed_text_stops_the_reader),
        cmocka_unit_test(surrogates_stop_the_writer),
    };
    if (!cl_cpu_has(LEVEL))
        return 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
