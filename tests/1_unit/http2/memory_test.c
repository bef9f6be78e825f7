/* What nghttp2 gives back is what it gets next, and never too little. */
#include "http2/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/poison.h"

enum { LARGEST_KEPT = CL_H2_PIECE_MAX - sizeof(struct cl_h2_piece) };

struct memory {
    struct cl_h2_memory shared;
    struct cl_h2_pieces pieces;
    nghttp2_mem calls;
};

static int setup(void **state) {
    static struct memory m;
    cl_h2_memory_init(&m.shared);
    cl_h2_pieces_init(&m.pieces, &m.shared);
    m.calls = cl_h2_pieces_calls(&m.pieces);
    *state = &m;
    return 0;
}

static int teardown(void **state) {
    struct memory *m = *state;
    cl_h2_pieces_free(&m->pieces);
    cl_h2_memory_free(&m->shared);
    return 0;
}

static void *take(struct memory *m, size_t n) {
    char *piece = m->calls.malloc(n, m->calls.mem_user_data);
    assert_non_null(piece);
    memset(piece, 0x5a, n);
    return piece;
}

static void give(struct memory *m, void *piece) {
    m->calls.free(piece, m->calls.mem_user_data);
}

static void usual_sizes_cost_no_malloc(void **state) {
    struct memory *m = *state;
#if defined(CL_POISON)
    (void)m;
    skip(); /* nothing is kept */
#else
    for (size_t n = 0; n <= LARGEST_KEPT; n++)
        give(m, take(m, n));
    uint64_t before = cl_alloc_count();
    for (size_t n = 0; n <= LARGEST_KEPT; n++)
        give(m, take(m, n));
    assert_int_equal(cl_alloc_count(), before);
#endif
}

static size_t size_of(size_t i, size_t round) {
    return (i * 37 + round * 101) % 900;
}

/* Every byte that was asked for is there, whatever was given back before. */
static void pieces_are_large_enough(void **state) {
    struct memory *m = *state;
    char *pieces[64];
    for (size_t round = 0; round < 40; round++) {
        for (size_t i = 0; i < CL_ARRAY_LEN(pieces); i++) {
            size_t n = size_of(i, round);
            pieces[i] = take(m, n);
            memset(pieces[i], (int)i, n);
        }
        for (size_t i = 0; i < CL_ARRAY_LEN(pieces); i++) {
            for (size_t k = 0; k < size_of(i, round); k++)
                assert_int_equal(pieces[i][k], i);
        }
        for (size_t i = 0; i < CL_ARRAY_LEN(pieces); i++)
            give(m, pieces[(i * 13) % CL_ARRAY_LEN(pieces)]);
    }
    assert_true(m->shared.kept_bytes <= CL_H2_KEPT_MAX);
}

static void zeroed_is_zero(void **state) {
    struct memory *m = *state;
    give(m, take(m, 100));
    char *piece = m->calls.calloc(10, 10, m->calls.mem_user_data);
    assert_non_null(piece);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(piece[i], 0);
    give(m, piece);
    assert_null(m->calls.calloc(SIZE_MAX / 2, 3, m->calls.mem_user_data));
}

static void resized_keeps_its_bytes(void **state) {
    struct memory *m = *state;
    static const size_t sizes[] = {1, 60, 64, 65, 400, 512, 513, 5000, 100000, 700, 500, 20, 1};
    char *piece = NULL;
    for (size_t i = 0; i < CL_ARRAY_LEN(sizes); i++) {
        size_t before = i ? sizes[i - 1] : 0;
        piece = m->calls.realloc(piece, sizes[i], m->calls.mem_user_data);
        assert_non_null(piece);
        for (size_t k = 0; k < CL_MIN(before, sizes[i]); k++)
            assert_int_equal((unsigned char)piece[k], k & 0xff);
        for (size_t k = 0; k < sizes[i]; k++)
            piece[k] = (char)k;
    }
    give(m, piece);
}

static void keeps_no_more_than_its_limit(void **state) {
    struct memory *m = *state;
    enum { MANY = 2 * CL_H2_KEPT_MAX / CL_H2_PIECE_MAX };
    void **pieces = cl_calloc(MANY, sizeof *pieces);
    assert_non_null(pieces);
    for (size_t i = 0; i < MANY; i++)
        pieces[i] = take(m, LARGEST_KEPT);
    for (size_t i = 0; i < MANY; i++)
        give(m, pieces[i]);
    assert_true(m->shared.kept_bytes <= CL_H2_KEPT_MAX);
    cl_free(pieces);
}

/* Though the heap had given this memory to somebody else before. */
static void large_ones_hold_no_page(void **state) {
    struct memory *m = *state;
    enum { BYTES = 3 * CL_H2_PIECE_LARGE };
    give(m, take(m, BYTES));
    char *piece = m->calls.malloc(BYTES, m->calls.mem_user_data);
    assert_non_null(piece);
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    char *first = piece + (page - (uintptr_t)piece % page);
    unsigned char resident[BYTES / 1024];
    size_t pages = (size_t)(piece + BYTES - first) / page;
    assert_int_equal(mincore(first, pages * page, resident), 0);
    for (size_t i = 0; i < pages; i++)
        assert_int_equal(resident[i] & 1, 0);
    give(m, piece);
}

static void says_when_memory_is_out(void **state) {
    struct memory *m = *state;
    void *piece = take(m, 10);
    cl_alloc_fail_nth(1);
    assert_null(m->calls.malloc(10, m->calls.mem_user_data));
    cl_alloc_fail_nth(1);
    assert_null(m->calls.realloc(piece, 1000, m->calls.mem_user_data));
    assert_true(m->pieces.failed);
    give(m, piece);
}

/* Whoever made them, and whatever refers to them. */
static void all_go_together(void **state) {
    struct memory *m = *state;
    for (size_t n = 0; n < 2000; n += 7)
        (void)take(m, n);
    cl_h2_pieces_free(&m->pieces);
    assert_ptr_equal(m->pieces.ring.next, &m->pieces.ring);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(usual_sizes_cost_no_malloc, setup, teardown),
        cmocka_unit_test_setup_teardown(pieces_are_large_enough, setup, teardown),
        cmocka_unit_test_setup_teardown(zeroed_is_zero, setup, teardown),
        cmocka_unit_test_setup_teardown(resized_keeps_its_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_no_more_than_its_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(large_ones_hold_no_page, setup, teardown),
        cmocka_unit_test_setup_teardown(says_when_memory_is_out, setup, teardown),
        cmocka_unit_test_setup_teardown(all_go_together, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
