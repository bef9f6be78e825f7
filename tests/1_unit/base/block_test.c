#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/block.h"
#include "base/poison.h"

static void put(struct cl_block *b, const char *s) {
    assert_true(cl_block_room(b) >= strlen(s));
    memcpy(cl_block_wr(b), s, strlen(s));
    b->wr += strlen(s);
}

static void a_block_is_empty_and_counted(void **state) {
    (void)state;
    struct cl_block_pool pool;
    cl_block_pool_init(&pool, 0);
    struct cl_block *b = cl_block_new(&pool, 10);
    assert_non_null(b);
    assert_int_equal(b->cap, CL_BLOCK_SIZE);
    assert_int_equal(cl_block_len(b), 0);
    assert_int_equal(cl_block_room(b), CL_BLOCK_SIZE);
    assert_int_equal((uintptr_t)b->data % 16, 0);
    assert_int_equal(pool.used, CL_BLOCK_SIZE);
    struct cl_block *big = cl_block_new(&pool, 100000);
    assert_true(big->cap >= 100000);
    assert_int_equal(pool.used, CL_BLOCK_SIZE + big->cap);
    cl_block_ref(b);
    cl_block_unref(b);
    assert_int_equal(pool.used, CL_BLOCK_SIZE + big->cap);
    cl_block_unref(b);
    cl_block_unref(big);
    assert_int_equal(pool.used, 0);
    cl_block_pool_free(&pool);
}

static void blocks_are_used_again(void **state) {
    (void)state;
#if defined(CL_POISON)
    skip(); /* sanitizer builds have no pool */
#endif
    struct cl_block_pool pool;
    cl_block_pool_init(&pool, 0);
    struct cl_block *a = cl_block_new(&pool, 1), *b = cl_block_new(&pool, 1);
    cl_block_unref(a);
    cl_block_unref(b);
    uint64_t before = cl_alloc_count();
    struct cl_block *c = cl_block_new(&pool, CL_BLOCK_SIZE);
    assert_ptr_equal(c, b); /* the last one, still in the cache */
    put(c, "x");
    cl_block_unref(c);
    c = cl_block_new(&pool, 1);
    assert_int_equal(cl_block_len(c), 0);
    assert_int_equal(cl_alloc_count(), before);
    cl_block_unref(c);
    cl_block_pool_free(&pool);
}

static void the_pool_has_a_limit(void **state) {
    (void)state;
    struct cl_block_pool pool;
    cl_block_pool_init(&pool, 3 * CL_BLOCK_SIZE);
    for (int round = 0; round < 2; round++) { /* from malloc, and from the free list */
        struct cl_block *b[3];
        for (int i = 0; i < 3; i++) {
            b[i] = cl_block_new(&pool, 1);
            assert_non_null(b[i]);
        }
        assert_null(cl_block_new(&pool, 1));
        cl_block_unref(b[0]);
        assert_null(cl_block_new(&pool, CL_BLOCK_SIZE + 1));
        b[0] = cl_block_new(&pool, 1);
        assert_non_null(b[0]);
        for (int i = 0; i < 3; i++)
            cl_block_unref(b[i]);
    }
    assert_null(cl_block_new(&pool, SIZE_MAX));
    cl_block_pool_free(&pool);
    cl_block_pool_init(&pool, 100); /* less than one block */
    assert_null(cl_block_new(&pool, 1));
    cl_block_pool_free(&pool);
}

static void the_free_list_is_bounded(void **state) {
    (void)state;
    struct cl_block_pool pool;
    cl_block_pool_init(&pool, 0);
    enum { N = 600 };
    static struct cl_block *b[N];
    for (int i = 0; i < N; i++)
        b[i] = cl_block_new(&pool, 1);
    for (int i = 0; i < N; i++)
        cl_block_unref(b[i]);
    assert_true(pool.free_count <= pool.free_max);
    cl_block_pool_free(&pool);
}

static void empty_blocks_are_dropped(void **state) {
    (void)state;
    struct cl_block_pool pool;
    cl_block_pool_init(&pool, 0);
    struct cl_block *b = NULL;
    cl_block_drop_empty(&b);
    assert_null(b);
    b = cl_block_new(&pool, 1);
    put(b, "x");
    cl_block_drop_empty(&b);
    assert_non_null(b);
    b->rd = b->wr;
    cl_block_ref(b);
    cl_block_drop_empty(&b); /* somebody else looks at it */
    assert_non_null(b);
    cl_block_unref(b);
    cl_block_drop_empty(&b);
    assert_null(b);
    cl_block_pool_free(&pool);
}

/* ---- reserve -------------------------------------------------------------------------------- */

static void reserve_compacts_when_alone(void **state) {
    (void)state;
    struct cl_block_pool pool;
    cl_block_pool_init(&pool, 0);
    struct cl_block *b = cl_block_new(&pool, 1), *same = b;
    b->wr = CL_BLOCK_SIZE - 4;
    put(b, "abcd");
    b->rd = CL_BLOCK_SIZE - 4;
    assert_int_equal(cl_block_reserve(&b, 100, 10000), CELLO_OK);
    assert_ptr_equal(b, same);
    assert_int_equal(b->rd, 0);
    assert_int_equal(cl_block_len(b), 4);
    assert_memory_equal(cl_block_rd(b), "abcd", 4);
    cl_block_unref(b);
    cl_block_pool_free(&pool);
}

static void reserve_never_moves_what_others_see(void **state) {
    (void)state;
    struct cl_block_pool pool;
    cl_block_pool_init(&pool, 0);
    struct cl_block *b = cl_block_new(&pool, 1), *old = b;
    b->wr = CL_BLOCK_SIZE - 4;
    put(b, "abcd");
    b->rd = CL_BLOCK_SIZE - 4;
    cl_block_ref(old);
    const char *at = cl_block_rd(old);
    assert_int_equal(cl_block_reserve(&b, 100, 10000), CELLO_OK);
    assert_ptr_not_equal(b, old);
    assert_memory_equal(at, "abcd", 4);
    assert_memory_equal(cl_block_rd(b), "abcd", 4);
    assert_int_equal(old->refs, 1);
    cl_block_unref(old);
    cl_block_unref(b);
    cl_block_pool_free(&pool);
}

static void reserve_grows_up_to_the_limit(void **state) {
    (void)state;
    struct cl_block_pool pool;
    cl_block_pool_init(&pool, 0);
    struct cl_block *b = cl_block_new(&pool, 1);
    size_t max = 100000;
    while (cl_block_len(b) < max) {
        size_t n = CL_MIN((size_t)2048, max - cl_block_len(b));
        assert_int_equal(cl_block_reserve(&b, n, max), CELLO_OK);
        memset(cl_block_wr(b), (int)(cl_block_len(b) / 2048), n);
        b->wr += n;
    }
    for (size_t i = 0; i < max; i++)
        assert_int_equal((unsigned char)cl_block_rd(b)[i], i / 2048);
    assert_int_equal(cl_block_reserve(&b, b->cap, max), CELLO_ELIMIT);
    assert_int_equal(cl_block_reserve(&b, max + 1, max), CELLO_ELIMIT);
    assert_int_equal(cl_block_reserve(&b, SIZE_MAX, max), CELLO_ELIMIT);
    cl_block_unref(b);
    cl_block_pool_free(&pool);
}

static void reserve_without_memory_changes_nothing(void **state) {
    (void)state;
    struct cl_block_pool pool;
    cl_block_pool_init(&pool, 0);
    struct cl_block *b = cl_block_new(&pool, 1), *same = b;
    put(b, "abcd");
    cl_alloc_fail_nth(1);
    assert_int_equal(cl_block_reserve(&b, 50000, 100000), CELLO_ENOMEM);
    assert_ptr_equal(b, same);
    assert_memory_equal(cl_block_rd(b), "abcd", 4);
    cl_block_unref(b);
    cl_block_pool_free(&pool);
}

/* Large blocks are kept for the next ones, until they are asked to go. */
static void trim_lets_large_blocks_go(void **state) {
    (void)state;
#if defined(CL_POISON)
    skip(); /* nothing is kept */
#endif
    struct cl_block_pool pool;
    cl_block_pool_init(&pool, 0);
    struct cl_block *b = cl_block_new(&pool, 100000);
    cl_block_unref(b);
    assert_in_range(pool.big_bytes, 100000, SIZE_MAX);
    uint64_t before = cl_alloc_count();
    b = cl_block_new(&pool, 100000);
    assert_int_equal(cl_alloc_count(), before);
    assert_int_equal(pool.big_uses, 1);
    cl_block_unref(b);
    size_t kept = pool.big_bytes, returned = pool.returned;
    cl_block_pool_trim(&pool);
    assert_int_equal(pool.big_bytes, 0);
    assert_int_equal(pool.returned, returned + kept);
    cl_block_pool_free(&pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_is_empty_and_counted),
        cmocka_unit_test(blocks_are_used_again),
        cmocka_unit_test(the_pool_has_a_limit),
        cmocka_unit_test(the_free_list_is_bounded),
        cmocka_unit_test(trim_lets_large_blocks_go),
        cmocka_unit_test(empty_blocks_are_dropped),
        cmocka_unit_test(reserve_compacts_when_alone),
        cmocka_unit_test(reserve_never_moves_what_others_see),
        cmocka_unit_test(reserve_grows_up_to_the_limit),
        cmocka_unit_test(reserve_without_memory_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
