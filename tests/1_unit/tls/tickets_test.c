/* Keys of tickets: epochs, processes, and what clients can do with tickets. */
#include <sys/mman.h>
#include <sys/wait.h>

#include "tls/fixture.h"
#include "tls/tickets.h"

static const uint64_t epoch_ns = CL_TICKET_EPOCH_S * CL_NS_PER_S;

/* ---- keys ----------------------------------------------------------------------------------- */

static bool is_found(struct cl_ticket_area *a, uint64_t now, const struct cl_ticket_key *k,
                     bool *old) {
    struct cl_ticket_key found;
    if (cl_ticket_find(a, now, k->name, &found, old) != CELLO_OK)
        return false;
    assert_memory_equal(&found, k, sizeof found);
    return true;
}

static void test_epochs(void **state) {
    (void)state;
    struct cl_ticket_area a = {0};
    struct cl_ticket_key keys[8], again;
    bool old;
    for (uint64_t e = 0; e < 8; e++) {
        assert_int_equal(cl_ticket_current(&a, e * epoch_ns, &keys[e]), CELLO_OK);
        assert_int_equal(cl_ticket_current(&a, e * epoch_ns + epoch_ns - 1, &again), CELLO_OK);
        assert_memory_equal(&again, &keys[e], sizeof again);
        for (uint64_t k = 0; k <= e; k++) {
            assert_int_equal(is_found(&a, e * epoch_ns, &keys[k], &old), e - k < CL_TICKET_EPOCHS);
            if (e - k < CL_TICKET_EPOCHS)
                assert_int_equal(old, k < e);
        }
        for (uint64_t k = 0; k < e; k++)
            assert_memory_not_equal(keys[k].aes, keys[e].aes, sizeof keys[e].aes);
    }
    /* A night without clients: nothing of before is good any more. */
    assert_false(is_found(&a, 20 * epoch_ns, &keys[7], &old));
    assert_int_equal(cl_ticket_current(&a, 20 * epoch_ns, &again), CELLO_OK);
    assert_memory_not_equal(&again, &keys[7], sizeof again);
}

/* Who made it last may be killed in the middle: the epoch goes on with the key before. */
static void test_killed_writer(void **state) {
    (void)state;
    struct cl_ticket_area a = {0};
    struct cl_ticket_key first, now;
    a.slots[1].state = 1 * 2;
    assert_int_equal(cl_ticket_current(&a, 0, &now), CELLO_ESTATE);
    assert_int_equal(cl_ticket_current(&a, epoch_ns, &first), CELLO_OK);
    a.slots[3].state = 3 * 2;
    assert_int_equal(cl_ticket_current(&a, 2 * epoch_ns, &now), CELLO_OK);
    assert_memory_equal(&now, &first, sizeof now);
    assert_int_equal(cl_ticket_current(&a, 3 * epoch_ns, &now), CELLO_OK);
    assert_memory_not_equal(&now, &first, sizeof now);
}

/* Processes that begin at the same time agree. */
static void test_processes_agree(void **state) {
    (void)state;
    enum { PROCESSES = 8, EPOCHS = 50 };
    struct shared {
        struct cl_ticket_area area;
        struct cl_ticket_key keys[PROCESSES];
    } *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(s, MAP_FAILED);
    for (uint64_t e = 0; e < EPOCHS; e++) {
        pid_t pids[PROCESSES];
        for (int i = 0; i < PROCESSES; i++) {
            pids[i] = fork();
            assert_true(pids[i] >= 0);
            if (pids[i])
                continue;
            int err;
            do /* in the first epoch somebody else may be just making it */
                err = cl_ticket_current(&s->area, e * epoch_ns, &s->keys[i]);
            while (err == CELLO_ESTATE);
            _exit(err != CELLO_OK);
        }
        for (int i = 0; i < PROCESSES; i++) {
            int status;
            bool old;
            assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
            assert_int_equal(status, 0);
            assert_true(is_found(&s->area, e * epoch_ns, &s->keys[i], &old));
        }
    }
    munmap(s, sizeof *s);
}

static void test_derived(void **state) {
    (void)state;
    struct cl_ticket_key a, b, c;
    assert_int_equal(cl_ticket_derive(CL_STR("0123456789abcdef0123456789abcdef"), &a), CELLO_OK);
    assert_int_equal(cl_ticket_derive(CL_STR("0123456789abcdef0123456789abcdef"), &b), CELLO_OK);
    assert_int_equal(cl_ticket_derive(CL_STR("0123456789abcdef0123456789abcdeg"), &c), CELLO_OK);
    assert_memory_equal(&a, &b, sizeof a);
    assert_memory_not_equal(a.name, c.name, sizeof a.name);
    assert_memory_not_equal(a.hmac, a.aes, sizeof a.aes);
}

/* ---- sessions ------------------------------------------------------------------------------- */

static int new_sessions;
static SSL_SESSION *kept;

static int on_session(SSL *ssl, SSL_SESSION *session) {
    (void)ssl;
    new_sessions++;
    SSL_SESSION_free(kept);
    kept = session;
    return 1;
}

/* A connection, with the session kept before if there is one. Whether it was resumed. */
static bool connect_once(int version, const struct cert *who) {
    struct pair p;
    char got[10];
    pair_init(&p, &site, 0);
    SSL_CTX_set_session_cache_mode(p.client_ctx,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(p.client_ctx, on_session);
    SSL_set_max_proto_version(p.client, version);
    SSL_set_tlsext_host_name(p.client, "a.example");
    if (who) {
        SSL_use_certificate(p.client, who->x509);
        SSL_use_PrivateKey(p.client, who->key);
    }
    if (kept)
        assert_int_equal(SSL_set_session(p.client, kept), 1);
    new_sessions = 0;
    assert_int_equal(pair_shake(&p), 1);
    assert_int_equal(pair_send(&p, "answer"), CELLO_OK);
    assert_int_equal(pair_read(&p, got, sizeof got), 6);
    bool resumed = SSL_session_reused(p.client);
    assert_int_equal(cl_tls_resumed(p.stream->tls), resumed);
    if (who)
        assert_non_null(cl_tls_client_cert(p.stream->tls));
    if (version == TLS1_2_VERSION) { /* a ticket that was renewed is not told of */
        SSL_SESSION_free(kept);
        kept = SSL_get1_session(p.client);
    }
    SSL_set_shutdown(p.client, SSL_SENT_SHUTDOWN); /* or OpenSSL would not use it again */
    pair_free(&p);
    return resumed;
}

static void forget_session(void) {
    SSL_SESSION_free(kept);
    kept = NULL;
}

static void test_resumption(void **state) {
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (int i = 0; i < 2; i++) {
        assert_false(connect_once(versions[i], NULL));
        assert_int_equal(new_sessions, 1);                         /* one ticket, not two */
        assert_int_equal(SSL_SESSION_get_max_early_data(kept), 0); /* it could be replayed */
        assert_int_equal(SSL_SESSION_get_ticket_lifetime_hint(kept), CL_TLS_TICKET_LIFE_S);
        assert_true(connect_once(versions[i], NULL));
        assert_int_equal(new_sessions, i); /* TLS 1.3: the next one */
        assert_int_equal(cl_tls_context_reload(site.context, true, site.why), CELLO_OK);
        assert_true(connect_once(versions[i], NULL));
        forget_session();
    }
}

/* The keys lie in memory that another context, of another process, may have, too. */
static void test_shared_keys(void **state) {
    (void)state;
    struct cl_ticket_area area = {0};
    for (int shared = 0; shared < 2; shared++) {
        for (int i = 0; i < 2; i++) {
            cl_tls_context_del(site.context);
            assert_int_equal(
                cl_tls_context_new(&site.context, &site.cfg, shared ? &area : NULL, site.why),
                CELLO_OK);
            assert_int_equal(connect_once(TLS1_3_VERSION, NULL), shared && i);
        }
        forget_session();
    }
}

static void use_secrets(const char *first, const char *second) {
    struct cl_str secrets[2] = {cl_str(first, strlen(first)),
                                cl_str(second, second ? strlen(second) : 0)};
    site.cfg.ticket_keys = secrets;
    site.cfg.ticket_key_count = second ? 2 : 1;
    cl_tls_context_del(site.context);
    site.context = NULL;
    site_load(&site);
    site.cfg.ticket_keys = NULL;
    site.cfg.ticket_key_count = 0;
}

/* Secrets of the user: the first encrypts, all decrypt. */
static void test_given_keys(void **state) {
    (void)state;
    use_secrets("first secret of at least 32 bytes", NULL);
    assert_false(connect_once(TLS1_2_VERSION, NULL));
    use_secrets("other secret of at least 32 bytes", "first secret of at least 32 bytes");
    assert_true(connect_once(TLS1_2_VERSION, NULL));
    use_secrets("other secret of at least 32 bytes", NULL);
    assert_true(connect_once(TLS1_2_VERSION, NULL)); /* it got a new one with the first */
    use_secrets("first secret of at least 32 bytes", NULL);
    assert_false(connect_once(TLS1_2_VERSION, NULL));
    forget_session();
}

/* A client whose root is not trusted any more does not come in with a ticket. */
static void test_other_roots(void **state) {
    (void)state;
    struct cert alice = cert_make(&(struct cert_wish){.cn = "alice", .issuer = &site.ca});
    struct cert root = cert_make(&(struct cert_wish){.cn = "Other CA", .ca = true});
    site.cfg.ca_path = site.ca_path;
    site.cfg.require_client_cert = true;
    cl_tls_context_del(site.context);
    site.context = NULL;
    site_load(&site);
    assert_false(connect_once(TLS1_3_VERSION, &alice));
    assert_true(connect_once(TLS1_3_VERSION, &alice));
    write_certs(site.ca_path, &site.ca, &root);
    assert_int_equal(cl_tls_context_reload(site.context, true, site.why), CELLO_OK);
    assert_false(connect_once(TLS1_3_VERSION, &alice));
    forget_session();
    cert_free(&alice);
    cert_free(&root);
}

/* A ticket is no better than the certificate that it was given for. */
static void test_expired_client(void **state) {
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    site.cfg.ca_path = site.ca_path;
    cl_tls_context_del(site.context);
    site.context = NULL;
    site_load(&site);
    for (int i = 0; i < 2; i++) {
        struct cert alice = cert_make(
            &(struct cert_wish){.cn = "alice", .issuer = &site.ca, .from_s = -10, .to_s = 2});
        assert_false(connect_once(versions[i], &alice));
        while (X509_cmp_current_time(X509_get0_notAfter(alice.x509)) > 0)
            usleep(10000);
        assert_false(connect_once(versions[i], NULL));
        forget_session();
        cert_free(&alice);
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, site_setup, site_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_epochs),
        cmocka_unit_test(test_killed_writer),
        cmocka_unit_test(test_processes_agree),
        cmocka_unit_test(test_derived),
        TEST(test_resumption),
        TEST(test_shared_keys),
        TEST(test_given_keys),
        TEST(test_other_roots),
        TEST(test_expired_client),
    };
    return cmocka_run_group_tests_name("tls tickets", tests, NULL, NULL);
}
