/* Requests and answers over HTTP/2. */
#include "support/h2_client.h"

#include <stdio.h>

struct pair {
    struct fixture f;
    struct h2_client h;
};

static void begin(struct pair *p) {
    fixture_init(&p->f, NULL);
    h2_open(&p->f, &p->h, NULL);
}

static void end(struct pair *p) {
    h2_free(&p->h);
    fixture_free(&p->f);
}

static void test_get(void **state) {
    (void)state;
    struct pair p;
    begin(&p);
    struct h2_message *m = h2_get(&p.h, "/");
    h2_turn(&p.h);
    h2_expect(m, 200, "hello");
    assert_string_equal(h2_field(m, "content-type"), "text/plain");
    assert_string_equal(h2_field(m, "content-length"), "5");
    assert_int_equal(strlen(h2_field(m, "date")), 29);
    assert_true(m->closed);
    assert_int_equal(m->error, NGHTTP2_NO_ERROR);
    end(&p);
}

static void test_every_kind_of_body(void **state) {
    (void)state;
    static const char *const kinds[] = {"pinned", "sink", "bytes", "static"};
    static const size_t sizes[] = {0, 1, 100, 2048, 2049, 5000, 16384, 16385, 60000, 500000};
    struct pair p;
    begin(&p);
    for (size_t k = 0; k < CL_ARRAY_LEN(kinds); k++) {
        for (size_t i = 0; i < CL_ARRAY_LEN(sizes); i++) {
            char path[64];
            snprintf(path, sizeof path, "/%s/%zu", kinds[k], sizes[i]);
            struct h2_message *m = h2_get(&p.h, path);
            h2_turn(&p.h);
            h2_expect(m, 200, NULL);
            assert_int_equal(m->len, sizes[i]);
            for (size_t b = 0; b < m->len; b++)
                assert_int_equal(m->body[b], 'x');
        }
    }
    end(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_every_kind_of_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
