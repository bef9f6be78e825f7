/* Configurations: what is wrong with them, in a sentence; reloads; stapled OCSP responses. */
#include <openssl/ocsp.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/log.h"
#include "net/ktls.h"
#include "tls/fixture.h"
#include "tls/tickets.h"
#include "tls/tls_internal.h"

static char logged[600], detail[600]; /* the last warning, the last line for debugging */

static void log_line(void *ctx, enum cl_log_level level, const char *line) {
    (void)ctx;
    snprintf(level == CL_LOG_DEBUG ? detail : logged, sizeof logged, "%s", line);
}

static int setup(void **state) {
    (void)state;
    site_begin(&site);
    cl_log_set_sink(log_line, NULL);
    *logged = '\0';
    return 0;
}

static int teardown(void **state) {
    (void)state;
    cl_log_set_sink(NULL, NULL);
    site_free(&site);
    return 0;
}

/* ---- sentences ------------------------------------------------------------------------------ */

/* A path below the site's folder, until the next but three. */
static const char *path(const char *name) {
    static char paths[4][100];
    static unsigned at;
    return site_path(&site, paths[at++ % 4], name);
}

static void write_text(const char *name, const char *text) {
    folder_write(&site.folder, name, text, strlen(text));
}

/* `format` has a %s for the path `name` in the site's folder. */
static void expect_wrong(int error, const char *format, const char *name) {
    struct cl_tls_context *context = NULL;
    char expected[CELLO_TLS_WHY];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(expected, sizeof expected, format, path(name));
#pragma GCC diagnostic pop
    int err = cl_tls_context_new(&context, &site.cfg, NULL, site.why);
    assert_string_equal(site.why, expected);
    assert_int_equal(err, error);
    assert_null(context);
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_files_that_are_not_there(void **state) {
    (void)state;
    site.cfg.cert_path = path("none.pem");
    expect_wrong(CELLO_ESYS, "cannot read the certificate '%s': No such file or directory",
                 "none.pem");
    site.cfg.cert_path = site.cert_path;
    site.cfg.key_path = path("none.key");
    expect_wrong(CELLO_ESYS, "cannot read the key '%s': No such file or directory", "none.key");
    site.cfg.key_path = site.key_path;
    site.cfg.cert_path = path(".");
    expect_wrong(CELLO_ESYS, "cannot read the certificate '%s': Is a directory", ".");
    site.cfg.cert_path = site.cert_path;
    site.cfg.ca_path = path("none.ca");
    expect_wrong(CELLO_ESYS, "cannot read the certificate '%s': No such file or directory",
                 "none.ca");
    site.cfg.ca_path = NULL;
    site.cfg.ocsp_response = path("none.ocsp");
    expect_wrong(CELLO_ESYS, "cannot read the OCSP response '%s': No such file or directory",
                 "none.ocsp");
}

static void test_files_of_another_kind(void **state) {
    (void)state;
    write_text("text", "Good morning.\n");
    site.cfg.cert_path = path("text");
    expect_wrong(CELLO_EINVAL, "there is no PEM certificate in '%s'", "text");
    site.cfg.cert_path = site.key_path;
    expect_wrong(CELLO_EINVAL, "there is no PEM certificate in '%s'", "key.pem");
    site.cfg.cert_path = site.cert_path;
    site.cfg.key_path = path("text");
    expect_wrong(CELLO_EINVAL, "there is no PEM private key in '%s'", "text");
    site.cfg.key_path = site.cert_path;
    expect_wrong(CELLO_EINVAL, "there is no PEM private key in '%s'", "cert.pem");
    site.cfg.key_path = site.key_path;
    site.cfg.ca_path = path("text");
    expect_wrong(CELLO_EINVAL, "there is no PEM certificate in '%s'", "text");
    site.cfg.ca_path = NULL;
    site.cfg.ocsp_response = path("text");
    expect_wrong(CELLO_EINVAL, "'%s' is not an OCSP response in DER", "text");
    site.cfg.ocsp_response = NULL;
    write_text("empty", "");
    site.cfg.cert_path = path("empty");
    expect_wrong(CELLO_EINVAL, "there is no PEM certificate in '%s'", "empty");
    write_text("bad", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    site.cfg.cert_path = path("bad");
    expect_wrong(CELLO_EINVAL, "the certificate '%s' is damaged", "bad");
}

static void test_large_file(void **state) {
    (void)state;
    write_text("large", "");
    site.cfg.cert_path = path("large");
    assert_int_equal(truncate(site.cfg.cert_path, CL_TLS_FILE_MAX + 1), 0);
    expect_wrong(CELLO_EINVAL, "the certificate '%s' is too large, or changes while it is read",
                 "large");
}

static void test_keys(void **state) {
    (void)state;
    struct cert other = cert_make(&(struct cert_wish){.cn = "other"});
    write_key(path("other.key"), &other, NULL);
    write_key(path("secret.key"), &site.cert, "open sesame");
    site.cfg.key_path = path("secret.key");
    expect_wrong(CELLO_EINVAL, "the key '%s' is encrypted, and there is no key_password",
                 "secret.key");
    site.cfg.key_password = CL_STR("sesame");
    expect_wrong(CELLO_EINVAL, "key_password does not open the key '%s'", "secret.key");
    site.cfg.key_password = CL_STR("open sesame");
    site_load(&site);
    site.cfg.key_path = path("other.key");
    char expected[CELLO_TLS_WHY];
    snprintf(expected, sizeof expected, "the key '%s' does not belong to the certificate '%s'",
             site.cfg.key_path, site.cert_path);
    struct cl_tls_context *context;
    assert_int_equal(cl_tls_context_new(&context, &site.cfg, NULL, site.why), CELLO_EINVAL);
    assert_string_equal(site.why, expected);
    cert_free(&other);
}

static void test_rules(void **state) {
    (void)state;
    const char *versions = "TLS has the versions 1.2 and 1.3, and min_version must not be above "
                           "max_version";
    site.cfg.min_version = CELLO_TLS_1_3;
    site.cfg.max_version = CELLO_TLS_1_2;
    expect_wrong(CELLO_EINVAL, versions, "");
    site.cfg.min_version = (enum cello_tls_version)0x0302;
    expect_wrong(CELLO_EINVAL, versions, "");
    site.cfg.min_version = CELLO_TLS_1_2;
    site.cfg.max_version = CELLO_TLS_1_3;
    site.cfg.ciphers = "ECDHE+AESGCM:BETTER-THAN-AES";
    expect_wrong(CELLO_EINVAL, "OpenSSL does not know the cipher 'BETTER-THAN-AES'", "");
    site.cfg.ciphers = "TLS_AES_512_GCM_SHA512";
    expect_wrong(CELLO_EINVAL, "OpenSSL does not know the cipher 'TLS_AES_512_GCM_SHA512'", "");
    char long_list[5000];
    memset(long_list, 'x', sizeof long_list - 1);
    long_list[sizeof long_list - 1] = '\0';
    site.cfg.ciphers = long_list;
    expect_wrong(CELLO_EINVAL, "ciphers is longer than 4095 bytes", "");
    site.cfg.ciphers = "TLS_AES_128_GCM_SHA256:ECDHE+CHACHA20:!aNULL:@STRENGTH";
    site_load(&site);
    site.cfg.ciphers = NULL;
    site.cfg.require_client_cert = true;
    expect_wrong(
        CELLO_EINVAL,
        "require_client_cert needs ca_path, whose certificates tell which clients are good", "");
}

static void test_wrong_names(void **state) {
    (void)state;
    static const char *const hosts[] = {"",      "*",         "a..b",  ".a",   "a b",       "a.*.b",
                                        "*.*.b", "https://a", "a:443", "*a.b", "a.example."};
    struct cello_tls_name name = {NULL, site.cert_path, site.key_path};
    site.cfg.names = &name;
    site.cfg.name_count = 1;
    for (size_t i = 0; i < CL_ARRAY_LEN(hosts); i++) {
        struct cl_tls_context *context;
        name.host = hosts[i];
        assert_int_equal(cl_tls_context_new(&context, &site.cfg, NULL, site.why), CELLO_EINVAL);
        assert_non_null(strstr(site.why, "is no host name that clients could ask for"));
    }
    name.host = "fine.example";
    name.cert_path = path("none.pem");
    expect_wrong(CELLO_ESYS, "cannot read the certificate '%s': No such file or directory",
                 "none.pem");
}

static void test_dates(void **state) {
    (void)state;
    static const struct {
        long from_s, to_s;
        const char *words;
    } dates[] = {{-7200, -3600, "has expired: clients will refuse it"},
                 {3600, 7200, "is not valid yet: clients will refuse it"}};
    for (size_t i = 0; i < CL_ARRAY_LEN(dates); i++) {
        struct cert c = cert_make(&(struct cert_wish){
            .cn = "a.example", .from_s = dates[i].from_s, .to_s = dates[i].to_s});
        write_certs(site.cert_path, &c, NULL);
        write_key(site.key_path, &c, NULL);
        site_load(&site);
        assert_non_null(strstr(logged, dates[i].words));
        assert_non_null(strstr(logged, site.cert_path));
        cl_tls_context_del(site.context);
        site.context = NULL;
        cert_free(&c);
    }
}

/* What the kernel says of itself is what was found out; whether it seals, too, only a try tells. */
static void test_kernel(void **state) {
    (void)state;
    char known[200] = "";
    FILE *f = fopen("/proc/sys/net/ipv4/tcp_available_ulp", "r");
    if (f && !fgets(known, sizeof known, f))
        *known = '\0';
    if (f)
        fclose(f);
    bool can = cl_ktls_can();
    assert_true(!can || strstr(known, "tls"));
    site.cfg.ktls = true;
    site_load(&site);
    assert_non_null(strstr(detail, can ? "it seals the records" : "sealed in the process"));
    assert_int_equal(cl_tls_context_setup(site.context)->kernel, can);
    cl_tls_context_del(site.context);
    *detail = '\0';
    site.cfg.ktls = false;
    site_load(&site);
    assert_string_equal(detail, "");
    assert_false(cl_tls_context_setup(site.context)->kernel);
}

/* ---- reload --------------------------------------------------------------------------------- */

static const char *served(void) {
    static char got[100];
    struct pair p;
    pair_init(&p, &site, 0);
    SSL_set_verify(p.client, SSL_VERIFY_NONE, NULL);
    assert_int_equal(pair_shake(&p), 1);
    X509 *x = SSL_get0_peer_certificate(p.client);
    X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, got, sizeof got);
    pair_free(&p);
    return got;
}

static int reload(bool always) {
    return cl_tls_context_reload(site.context, always, site.why);
}

static void test_reload(void **state) {
    (void)state;
    struct pair old;
    struct cert next = cert_make(&(struct cert_wish){.cn = "next"});
    site_load(&site);
    assert_string_equal(served(), "a.example");
    assert_int_equal(reload(false), CELLO_EAGAIN);
    pair_init(&old, &site, 0);
    assert_int_equal(pair_shake(&old), 1);
    write_certs(path("cert.new"), &next, NULL);
    assert_int_equal(rename(path("cert.new"), site.cert_path), 0);
    assert_int_equal(reload(false), CELLO_EAGAIN); /* half of it, as it seems */
    write_key(site.key_path, &next, NULL);
    assert_int_equal(reload(false), CELLO_EAGAIN);
    assert_string_equal(served(), "a.example");
    assert_int_equal(reload(false), CELLO_OK);
    assert_string_equal(served(), "next");
    assert_int_equal(reload(false), CELLO_EAGAIN);
    pair_write(&old, "still", 5);
    assert_int_equal(old.taken_len, 5);
    pair_free(&old);
    cert_free(&next);
}

/* What is broken is told once, and what was good stays. */
static void test_broken_reload(void **state) {
    (void)state;
    struct cert next = cert_make(&(struct cert_wish){.cn = "next"});
    site_load(&site);
    write_certs(site.cert_path, &next, NULL);
    assert_int_equal(reload(false), CELLO_EAGAIN);
    assert_int_equal(reload(false), CELLO_EINVAL);
    assert_non_null(strstr(site.why, "does not belong to the certificate"));
    assert_int_equal(reload(false), CELLO_EAGAIN);
    assert_string_equal(served(), "a.example");
    assert_int_equal(reload(true), CELLO_EINVAL); /* when asked, it is told again */
    assert_int_equal(unlink(site.cert_path), 0);
    assert_int_equal(reload(true), CELLO_ESYS);
    assert_string_equal(served(), "a.example");
    write_certs(site.cert_path, &next, NULL);
    write_key(site.key_path, &next, NULL);
    assert_int_equal(reload(true), CELLO_OK);
    assert_string_equal(served(), "next");
    cert_free(&next);
}

/* What passes by itself does not cost a renewal: it is told once, and tried until it is over. */
static void test_reload_without_descriptors(void **state) {
    (void)state;
    struct rlimit usual, none;
    struct cert next = cert_make(&(struct cert_wish){.cn = "next"});
    site_load(&site);
    write_certs(site.cert_path, &next, NULL);
    write_key(site.key_path, &next, NULL);
    assert_int_equal(reload(false), CELLO_EAGAIN);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = usual.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int first = reload(false), again = reload(false), asked = reload(true);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
    assert_int_equal(first, CELLO_ESYS);
    assert_int_equal(again, CELLO_EAGAIN);
    assert_int_equal(asked, CELLO_ESYS);
    assert_string_equal(served(), "a.example");
    assert_int_equal(reload(false), CELLO_OK);
    assert_string_equal(served(), "next");
    assert_int_equal(reload(false), CELLO_EAGAIN);
    cert_free(&next);
}

/* ---- keys that are not secret --------------------------------------------------------------- */

static int warnings;

static void count_warning(void *ctx, enum cl_log_level level, const char *line) {
    log_line(ctx, level, line);
    warnings += level == CL_LOG_WARNING;
}

static void expect_warnings(int n) {
    assert_int_equal(warnings, n);
    warnings = 0;
}

/* Loaded anew, with the key in this mode. */
static void load_with_mode(mode_t mode) {
    cl_tls_context_del(site.context);
    site.context = NULL;
    assert_int_equal(chmod(site.key_path, mode), 0);
    site_load(&site);
}

static void test_modes_of_keys(void **state) {
    (void)state;
    static const mode_t quiet[] = {0400, 0600, 0640, 0440, 0700, 0750};
    static const mode_t loud[] = {0602, 0620, 0660, 0666, 0646};
    char expected[CELLO_TLS_WHY];
    cl_log_set_sink(count_warning, NULL);
    for (size_t i = 0; i < CL_ARRAY_LEN(quiet); i++)
        load_with_mode(quiet[i]);
    expect_warnings(0);
    for (size_t i = 0; i < CL_ARRAY_LEN(loud); i++) {
        load_with_mode(loud[i]);
        expect_warnings(1);
        assert_non_null(strstr(logged, "others may change it"));
    }
    load_with_mode(0644);
    expect_warnings(1);
    snprintf(expected, sizeof expected,
             "the key '%s' is not secret: its mode is 0644, everybody may read it; chmod 600 (or "
             "640) it",
             site.key_path);
    assert_string_equal(logged, expected);
}

/* The same file by another name and for another host; certificates are for everybody. */
static void test_a_key_is_warned_of_once(void **state) {
    (void)state;
    char link_path[100], cert_path[100];
    const struct cello_tls_name names[] = {
        {"one.example", site_path(&site, cert_path, "cert.pem"), site.key_path},
        {"two.example", cert_path, site_path(&site, link_path, "link.key")},
    };
    cl_log_set_sink(count_warning, NULL);
    assert_int_equal(symlink(site.key_path, link_path), 0);
    site.cfg.names = names;
    site.cfg.name_count = CL_ARRAY_LEN(names);
    load_with_mode(0644);
    expect_warnings(1);
    assert_int_equal(reload(true), CELLO_OK);
    expect_warnings(0);
    assert_int_equal(chmod(site.key_path, 0604), 0);
    assert_int_equal(reload(false), CELLO_EAGAIN);
    assert_int_equal(reload(false), CELLO_OK);
    expect_warnings(1);
    assert_int_equal(chmod(site.key_path, 0600), 0);
    assert_int_equal(reload(true), CELLO_OK);
    expect_warnings(0);
}

/* One process has warned for all. */
static void test_a_key_of_workers(void **state) {
    (void)state;
    static struct cl_ticket_area area;
    cl_log_set_sink(count_warning, NULL);
    assert_int_equal(chmod(site.key_path, 0644), 0);
    assert_int_equal(cl_tls_context_new(&site.context, &site.cfg, &area, site.why), CELLO_OK);
    expect_warnings(0);
    assert_int_equal(chmod(site.key_path, 0604), 0);
    assert_int_equal(reload(true), CELLO_OK);
    expect_warnings(1);
}

static void test_offer_stays(void **state) {
    (void)state;
    struct pair p;
    site_load(&site);
    cl_tls_context_offer_h2(site.context, true);
    assert_int_equal(reload(true), CELLO_OK);
    pair_init(&p, &site, 0);
    SSL_set_alpn_protos(p.client, (const unsigned char *)"\x02h2", 3);
    assert_int_equal(pair_shake(&p), 1);
    pair_free(&p);
}

/* ---- OCSP ----------------------------------------------------------------------------------- */

struct response_wish {
    const struct cert *about, *issuer, *signer;
    int status;
    long from_s, to_s;
};

static void write_response(const char *name, const struct response_wish *w) {
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, w->about->x509, w->issuer->x509);
    ASN1_TIME *from = X509_gmtime_adj(NULL, w->from_s), *to = X509_gmtime_adj(NULL, w->to_s);
    bool revoked = w->status == V_OCSP_CERTSTATUS_REVOKED;
    assert_non_null(
        OCSP_basic_add1_status(basic, id, w->status, 0, revoked ? from : NULL, from, to));
    assert_int_equal(OCSP_basic_sign(basic, w->signer->x509, w->signer->key, EVP_sha256(), NULL, 0),
                     1);
    OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    unsigned char *der = NULL;
    int n = i2d_OCSP_RESPONSE(response, &der);
    assert_true(n > 0);
    folder_write(&site.folder, name, der, (size_t)n);
    OPENSSL_free(der);
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
}

/* The bytes stapled for a client who asks; 0: none. */
static long stapled(void) {
    const unsigned char *der;
    struct pair p;
    pair_init(&p, &site, 0);
    SSL_set_tlsext_status_type(p.client, TLSEXT_STATUSTYPE_ocsp);
    assert_int_equal(pair_shake(&p), 1);
    long n = SSL_get_tlsext_status_ocsp_resp(p.client, &der);
    pair_free(&p);
    return n < 0 ? 0 : n;
}

static void test_staple(void **state) {
    (void)state;
    const struct response_wish good = {&site.cert, &site.ca, &site.ca, V_OCSP_CERTSTATUS_GOOD,
                                       -60,        3600};
    struct response_wish w = good;
    struct cert other = cert_make(&(struct cert_wish){.cn = "other", .issuer = &site.ca});
    char ocsp_path[100];
    site.cfg.ocsp_response = site_path(&site, ocsp_path, "ocsp");
    write_response("ocsp", &w);
    site_load(&site);
    assert_true(stapled() > 100);
    w.status = V_OCSP_CERTSTATUS_REVOKED;
    write_response("ocsp", &w);
    expect_wrong(CELLO_EINVAL, "the OCSP response '%s' says that the certificate is revoked",
                 "ocsp");
    assert_int_equal(reload(true), CELLO_EINVAL);
    assert_true(stapled() > 100);
    w = good;
    w.about = &other;
    write_response("ocsp", &w);
    expect_wrong(CELLO_EINVAL, "the OCSP response '%s' is not about the certificate", "ocsp");
    w = good;
    w.signer = &other;
    write_response("ocsp", &w);
    expect_wrong(CELLO_EINVAL, "the OCSP response '%s' is not signed by the certificate's issuer",
                 "ocsp");
    w = good;
    w.from_s = -7200;
    w.to_s = -3600;
    write_response("ocsp", &w);
    assert_int_equal(reload(true), CELLO_OK);
    assert_non_null(strstr(logged, "is not valid now: it is not stapled"));
    assert_int_equal(stapled(), 0);
    write_certs(site.cert_path, &site.cert, NULL);
    expect_wrong(CELLO_EINVAL,
                 "ocsp_response needs the issuer's certificate behind the server's in cert_path",
                 "");
    cert_free(&other);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_files_that_are_not_there),
        TEST(test_files_of_another_kind),
        TEST(test_large_file),
        TEST(test_keys),
        TEST(test_rules),
        TEST(test_wrong_names),
        TEST(test_dates),
        TEST(test_kernel),
        TEST(test_reload),
        TEST(test_broken_reload),
        TEST(test_reload_without_descriptors),
        TEST(test_modes_of_keys),
        TEST(test_a_key_is_warned_of_once),
        TEST(test_a_key_of_workers),
        TEST(test_offer_stays),
        TEST(test_staple),
    };
    return cmocka_run_group_tests_name("tls context", tests, NULL, NULL);
}
