/* The certificate for development: it serves, stays while it is good, and its key is its owner's.
 */
#include "tls/local.h"

#include <sys/stat.h>

#include "tls/fixture.h"

static int setup(void **state) {
    (void)state;
    site_begin(&site);
    (void)unlink(site.cert_path);
    (void)unlink(site.key_path);
    return 0;
}

static bool make(void) {
    bool made;
    int err = cl_tls_local_pair(site.cert_path, site.key_path, &made, site.why);
    if (err)
        fail_msg("%s", site.why);
    return made;
}

/* A client that trusts the certificate itself, for a name or an address. */
static int connect_to(const char *name, const char *address) {
    struct pair p;
    X509 *cert;
    pair_init(&p, &site, 0);
    FILE *f = fopen(site.cert_path, "r");
    assert_non_null(f);
    cert = PEM_read_X509(f, NULL, NULL, NULL);
    fclose(f);
    assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(p.client_ctx), cert), 1);
    X509_free(cert);
    X509_VERIFY_PARAM *param = SSL_get0_param(p.client);
    if (name)
        X509_VERIFY_PARAM_set1_host(param, name, 0);
    else
        X509_VERIFY_PARAM_set1_ip_asc(param, address);
    int done = pair_shake(&p);
    pair_free(&p);
    return done;
}

static void test_it_serves(void **state) {
    (void)state;
    struct stat st;
    assert_true(make());
    site_load(&site);
    assert_int_equal(connect_to("localhost", NULL), 1);
    assert_int_equal(connect_to(NULL, "127.0.0.1"), 1);
    assert_int_equal(connect_to(NULL, "::1"), 1);
    assert_int_not_equal(connect_to("a.example", NULL), 1);
    assert_int_equal(stat(site.key_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_it_stays(void **state) {
    (void)state;
    struct stat before, after;
    assert_true(make());
    assert_int_equal(stat(site.cert_path, &before), 0);
    assert_false(make());
    assert_int_equal(stat(site.cert_path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
}

/* Too old, of another key, or cut off: a new pair. */
static void test_it_is_replaced(void **state) {
    (void)state;
    struct cert old = cert_make(&(struct cert_wish){.cn = "old", .from_s = -3600, .to_s = 3600});
    struct cert other = cert_make(&(struct cert_wish){.cn = "other"});
    write_certs(site.cert_path, &old, NULL);
    write_key(site.key_path, &old, NULL);
    assert_true(make());
    write_key(site.key_path, &other, NULL);
    assert_true(make());
    assert_int_equal(truncate(site.cert_path, 100), 0);
    assert_true(make());
    assert_false(make());
    cert_free(&old);
    cert_free(&other);
}

static void test_no_such_folder(void **state) {
    (void)state;
    bool made;
    char cert_path[100], key_path[100], expected[CELLO_TLS_WHY];
    site_path(&site, cert_path, "none/cert.pem");
    site_path(&site, key_path, "none/key.pem");
    assert_int_equal(cl_tls_local_pair(cert_path, key_path, &made, site.why), CELLO_ESYS);
    snprintf(expected, sizeof expected, "cannot write '%s': No such file or directory", key_path);
    assert_string_equal(site.why, expected);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, site_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_it_serves),
        TEST(test_it_stays),
        TEST(test_it_is_replaced),
        TEST(test_no_such_folder),
    };
    return cmocka_run_group_tests_name("tls local", tests, NULL, NULL);
}
