/* Routes of one path that differ in their version: what is registered, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "server/app.h"

static void unused(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    (void)r;
}

static struct cello_handler handler = {.on_request = unused};

static char why[256];

static int add(struct cl_app *app, unsigned methods, const char *path, const char *version) {
    struct cl_str versions[] = {{version, version ? strlen(version) : 0}};
    const struct cello_route route = {
        .methods = methods,
        .path = {path, strlen(path)},
        .where = "app.py:7",
        .handler = &handler,
        .versions = versions,
        .version_count = version != NULL,
    };
    return cello_app_route(app, &route, why, sizeof why);
}

static struct cl_app *new_app(void) {
    struct cl_app *app = cello_app_new();
    assert_non_null(app);
    assert_int_equal(
        cello_app_versioning(app, CELLO_VERSION_HEADER, CL_STR("X-Version"), CL_STR("v1")),
        CELLO_OK);
    return app;
}

static void versions_share_a_path(void **state) {
    (void)state;
    struct cl_app *app = new_app();
    assert_int_equal(add(app, CELLO_GET, "/a", "v1"), CELLO_OK);
    assert_int_equal(add(app, CELLO_GET | CELLO_POST, "/a", "v2"), CELLO_OK);
    assert_int_equal(add(app, CELLO_GET, "/a", NULL), CELLO_OK);
    assert_int_equal(add(app, CELLO_GET, "/b", NULL), CELLO_OK);
    assert_int_equal(add(app, CELLO_PUT | CELLO_POST, "/a", "V2"), CELLO_EEXIST);
    assert_string_equal(why, "app.py:7: route \"POST /a\", version V2, conflicts with the one "
                             "registered at app.py:7");
    assert_int_equal(add(app, CELLO_GET, "/a", NULL), CELLO_EEXIST);
    assert_int_equal(cello_app_freeze(app), CELLO_OK);
    struct cl_route_match m;
    assert_int_equal(cl_router_find(app->router, CL_METHOD_PUT, CL_STR("/a"), &m),
                     CL_ROUTE_NOT_ALLOWED); /* the refused route left nothing */
    assert_int_equal(cl_router_find(app->router, CL_METHOD_POST, CL_STR("/a"), &m), CL_ROUTE_FOUND);
    const struct cl_route *front = m.target;
    assert_int_equal(front->versions.count, 3);
    assert_int_equal(front->chain.count, 1); /* Vary */
    assert_int_equal(cl_router_find(app->router, CL_METHOD_GET, CL_STR("/b"), &m), CL_ROUTE_FOUND);
    front = m.target;
    assert_int_equal(front->chain.count, 0);
    cello_app_del(app);
}

static void a_refused_route_leaves_no_version(void **state) {
    (void)state;
    struct cl_app *app = new_app();
    const struct cl_str versions[] = {CL_STR("v2"), CL_STR("v1")};
    const struct cello_route both = {
        .methods = CELLO_GET | CELLO_POST,
        .path = CL_STR("/a"),
        .handler = &handler,
        .versions = versions,
        .version_count = CL_ARRAY_LEN(versions),
    };
    assert_int_equal(add(app, CELLO_GET, "/a", "v1"), CELLO_OK);
    assert_int_equal(cello_app_route(app, &both, why, sizeof why), CELLO_EEXIST);
    assert_int_equal(add(app, CELLO_GET, "/a", "v2"), CELLO_OK);
    assert_int_equal(cello_app_freeze(app), CELLO_OK);
    assert_int_equal(cl_router_allow(app->router, CL_STR("/a")) & CELLO_POST, 0);
    cello_app_del(app);
}

static void names_of_parameters_must_agree(void **state) {
    (void)state;
    struct cl_app *app = new_app();
    assert_int_equal(add(app, CELLO_GET, "/{a}", "v1"), CELLO_OK);
    assert_int_equal(add(app, CELLO_GET, "/{b}", "v2"), CELLO_EEXIST);
    assert_non_null(strstr(why, "conflicts with \"GET /{a}\" registered at app.py:7"));
    cello_app_del(app);
}

static void it_is_declared_first_and_with_a_header(void **state) {
    (void)state;
    struct cl_app *app = new_app();
    const enum cello_versioning how = CELLO_VERSION_MEDIA_TYPE;
    assert_int_equal(cello_app_versioning(app, how, CL_STR("a b"), CL_STR("")), CELLO_EINVAL);
    assert_int_equal(cello_app_versioning(app, how, CL_STR("Accept"), CL_STR("")), CELLO_OK);
    assert_int_equal(add(app, CELLO_GET, "/", "v1"), CELLO_OK);
    assert_int_equal(cello_app_versioning(app, how, CL_STR("Accept"), CL_STR("")), CELLO_ESTATE);
    cello_app_del(app);
}

static void nothing_is_half_done_without_memory(void **state) {
    (void)state;
    for (unsigned long n = 1, ok = 0; !ok; n++) {
        struct cl_app *app = cello_app_new();
        assert_non_null(app);
        cl_alloc_fail_nth(n);
        int err = cello_app_versioning(app, CELLO_VERSION_HEADER, CL_STR("X-V"), CL_STR("v1"));
        bool versioned = err == CELLO_OK;
        err = err ? err : add(app, CELLO_GET, "/a", "v1");
        err = err ? err : add(app, CELLO_GET | CELLO_POST, "/a", "v2");
        err = err ? err : cello_app_freeze(app);
        cl_alloc_fail_nth(0);
        ok = err == CELLO_OK;
        assert_true(ok || err == CELLO_ENOMEM);
        if (versioned && !ok) { /* what was refused can be tried again */
            err = add(app, CELLO_POST, "/a", "v2");
            assert_true(err == CELLO_OK || err == CELLO_EEXIST);
        }
        cello_app_del(app);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_share_a_path),
        cmocka_unit_test(a_refused_route_leaves_no_version),
        cmocka_unit_test(names_of_parameters_must_agree),
        cmocka_unit_test(it_is_declared_first_and_with_a_header),
        cmocka_unit_test(nothing_is_half_done_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
