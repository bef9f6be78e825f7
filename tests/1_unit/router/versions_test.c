#include "router/versions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "http/method.h"

#define BIT(method) (1u << CL_METHOD_##method)

static struct cl_str span(const char *s) {
    return cl_str(s, strlen(s));
}

/* A target is the text of its version. */
static void add(struct cl_versions *v, uint32_t methods, const char *version, const char *target) {
    assert_int_equal(
        cl_versions_add(v, methods, span(version), "app.py:1", (void *)(uintptr_t)target),
        CELLO_OK);
}

static struct cl_version_rule rule_of(enum cl_version_kind kind, const char *fallback) {
    return (struct cl_version_rule){.kind = kind, .fallback = span(fallback)};
}

/* The target for a field in a block of its own length, so that a read beyond its end is seen. */
static const char *pick(const struct cl_versions *v, struct cl_version_rule rule, unsigned method,
                        const char *field) {
    size_t len = strlen(field);
    char *copy = malloc(len ? len : 1);
    memcpy(copy, field, len);
    const char *target = cl_versions_pick(v, &rule, method, cl_str(copy, len));
    free(copy);
    return target ? target : "none";
}

static void a_header_names_the_version(void **state) {
    (void)state;
    struct cl_versions v = {0};
    struct cl_version_rule rule = rule_of(CL_VERSION_HEADER, "");
    add(&v, BIT(GET), "v1", "one");
    add(&v, BIT(GET) | BIT(POST), "v2", "two");
    assert_string_equal(pick(&v, rule, CL_METHOD_GET, "v1"), "one");
    assert_string_equal(pick(&v, rule, CL_METHOD_GET, " V2\t"), "two");
    assert_string_equal(pick(&v, rule, CL_METHOD_POST, "v2"), "two");
    assert_string_equal(pick(&v, rule, CL_METHOD_POST, "v1"), "none");
    assert_string_equal(pick(&v, rule, CL_METHOD_GET, "v"), "none");
    assert_string_equal(pick(&v, rule, CL_METHOD_GET, "v11"), "none");
    assert_string_equal(pick(&v, rule, CL_METHOD_GET, ""), "none");
    rule.fallback = span("v2");
    assert_string_equal(pick(&v, rule, CL_METHOD_GET, " "), "two");
    assert_string_equal(pick(&v, rule, CL_METHOD_GET, "v3"), "none");
    add(&v, BIT(GET), "", "all");
    assert_string_equal(pick(&v, rule, CL_METHOD_GET, "v3"), "all");
    assert_string_equal(pick(&v, rule, CL_METHOD_GET, "v1"), "one");
    assert_string_equal(pick(&v, rule, CL_METHOD_GET, ""), "two");
    cl_versions_free(&v);
}

static void head_follows_get(void **state) {
    (void)state;
    struct cl_versions v = {0};
    struct cl_version_rule rule = rule_of(CL_VERSION_HEADER, "");
    add(&v, BIT(GET), "v1", "one");
    add(&v, BIT(GET), "v2", "two");
    add(&v, BIT(HEAD), "v2", "head");
    assert_string_equal(pick(&v, rule, CL_METHOD_HEAD, "v1"), "one");
    assert_string_equal(pick(&v, rule, CL_METHOD_HEAD, "v2"), "head");
    cl_versions_free(&v);
}

static void a_media_type_names_the_version(void **state) {
    (void)state;
    static const struct {
        const char *accept, *target;
    } cases[] = {
        {"application/vnd.shop.v1+json", "one"},
        {"application/vnd.shop.V2", "two"},
        {"application/vnd.acme.shop.v2+json", "two"},
        {"application/json; version=v1", "one"},
        {"application/json;charset=utf-8;Version=\"v2\"", "two"},
        {"application/vnd.shop.v1+json;version=v2", "two"},
        {"application/vnd.shop.v3+json", "none"},
        {"application/vnd.v1+json", "two"}, /* a vendor and no version: the fallback */
        {"application/vnd.+json", "two"},
        {"application/vnd.shop.+json", "two"},
        {"application/json", "two"},
        {"*/*", "two"},
        {"application/vnd.shop.v3+json, */*;q=0.1", "two"},
        {"application/vnd.shop.v2+json;q=0.5, application/vnd.shop.v1+json", "one"},
        {"application/vnd.shop.v1+json;q=0, */*;q=0", "none"},
        {"*/*, application/vnd.shop.v1+json", "one"},
        {"application/vnd.shop.v1+json;q=0.9, */*", "two"},
        {"application/vnd.shop.v1+json, application/vnd.shop.v2+json", "one"},
        {"nonsense, application/vnd.shop.v1+json;q=2, application/vnd.shop.v1+json", "one"},
        {"nonsense", "none"},
        {"", "two"},
    };
    struct cl_versions v = {0};
    struct cl_version_rule rule = rule_of(CL_VERSION_MEDIA_TYPE, "v2");
    add(&v, BIT(GET), "v1", "one");
    add(&v, BIT(GET), "v2", "two");
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++)
        assert_string_equal(pick(&v, rule, CL_METHOD_GET, cases[i].accept), cases[i].target);
    add(&v, BIT(GET), "", "all");
    assert_string_equal(pick(&v, rule, CL_METHOD_GET, "application/vnd.shop.v3"), "all");
    rule.fallback = span("");
    assert_string_equal(pick(&v, rule, CL_METHOD_GET, "application/json"), "all");
    cl_versions_free(&v);
}

static void the_list_is_cut_at_its_end(void **state) {
    (void)state;
    struct cl_versions v = {0};
    char text[16];
    add(&v, BIT(GET), "", "all");
    assert_false(cl_versions_matter(&v));
    add(&v, BIT(GET), "v1", "one");
    add(&v, BIT(POST), "v2", "two");
    add(&v, BIT(GET), "v3", "three");
    assert_true(cl_versions_matter(&v));
    assert_int_equal(cl_versions_list(&v, CL_METHOD_HEAD, text, sizeof text), 6);
    assert_memory_equal(text, "v1, v3", 6);
    assert_int_equal(cl_versions_list(&v, CL_METHOD_GET, text, 5), 2);
    assert_int_equal(cl_versions_list(&v, CL_METHOD_PUT, text, sizeof text), 0);
    cl_versions_free(&v);
}

static void what_is_taken_is_told(void **state) {
    (void)state;
    struct cl_versions v = {0};
    add(&v, BIT(GET) | BIT(PUT), "v1", "one");
    assert_string_equal(cl_versions_where(&v, BIT(PUT) | BIT(POST), span("V1")), "app.py:1");
    assert_null(cl_versions_where(&v, BIT(POST), span("v1")));
    assert_null(cl_versions_where(&v, BIT(GET), span("")));
    assert_int_equal(cl_versions_add(&v, BIT(POST), span(""), NULL, &v), CELLO_OK);
    assert_string_equal(cl_versions_where(&v, BIT(POST), span("")), "");
    assert_int_equal(v.methods, BIT(GET) | BIT(PUT) | BIT(POST));
    cl_versions_drop_last(&v);
    assert_int_equal(v.methods, BIT(GET) | BIT(PUT));
    cl_versions_free(&v);
}

static void nothing_is_added_without_memory(void **state) {
    (void)state;
    struct cl_versions v = {0};
    for (unsigned long n = 1;; n++) {
        cl_alloc_fail_nth(n);
        int err = cl_versions_add(&v, BIT(GET), span("v1"), "app.py:1", &v);
        cl_alloc_fail_nth(0);
        assert_int_equal(v.count, err == CELLO_OK);
        if (err == CELLO_OK)
            break;
        assert_int_equal(err, CELLO_ENOMEM);
    }
    cl_versions_free(&v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_names_the_version),
        cmocka_unit_test(head_follows_get),
        cmocka_unit_test(a_media_type_names_the_version),
        cmocka_unit_test(the_list_is_cut_at_its_end),
        cmocka_unit_test(what_is_taken_is_told),
        cmocka_unit_test(nothing_is_added_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
