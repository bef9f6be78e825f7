/* For tests of TLS: the files of a server, and what was loaded from them. */
#ifndef CL_TEST_TLS_SITE_H
#define CL_TEST_TLS_SITE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/mem.h"
#include "support/folder.h"
#include "tls/certs.h"
#include "tls/stream.h"

/* A loop, files, and a context made of them: one at a time. */
struct site {
    struct folder folder;
    struct cl_loop *loop;
    struct cello_tls_config cfg;
    struct cl_tls_context *context;
    struct cert ca, cert;
    char cert_path[100], key_path[100], ca_path[100];
    char why[CELLO_TLS_WHY];
};

CL_UNUSED static const char *site_path(const struct site *s, char to[100], const char *name) {
    struct cl_str folder = folder_path(&s->folder);
    snprintf(to, 100, "%.*s/%s", (int)folder.len, folder.ptr, name);
    return to;
}

CL_UNUSED static void site_load(struct site *s) {
    int err = cl_tls_context_new(&s->context, &s->cfg, NULL, s->why);
    if (err)
        fail_msg("%s", s->why);
}

/* cert.pem and key.pem for a.example and *.b.example, signed by ca.pem. */
CL_UNUSED static void site_begin(struct site *s) {
    *s = (struct site){.cfg = CELLO_TLS_CONFIG_DEFAULT};
    s->cfg.ktls = true; /* where the kernel can */
    folder_init(&s->folder);
    assert_int_equal(cl_loop_new(&s->loop, &(struct cl_loop_config){CL_BACKEND_EPOLL, 0}), 0);
    s->ca = cert_make(&(struct cert_wish){.cn = "Test CA", .ca = true});
    s->cert = cert_make(&(struct cert_wish){
        .cn = "a.example", .san = "DNS:a.example,DNS:*.b.example", .issuer = &s->ca});
    s->cfg.cert_path = site_path(s, s->cert_path, "cert.pem");
    s->cfg.key_path = site_path(s, s->key_path, "key.pem");
    site_path(s, s->ca_path, "ca.pem");
    write_certs(s->cert_path, &s->cert, &s->ca);
    write_certs(s->ca_path, &s->ca, NULL);
    write_key(s->key_path, &s->cert, NULL);
}

CL_UNUSED static void site_init(struct site *s) {
    site_begin(s);
    site_load(s);
}

CL_UNUSED static void site_free(struct site *s) {
    cl_tls_context_del(s->context);
    cl_loop_del(s->loop);
    cert_free(&s->ca);
    cert_free(&s->cert);
    folder_free(&s->folder);
}

/* That of the program, for its tests one by one or for their group. */
CL_UNUSED static struct site site;

CL_UNUSED static int site_setup(void **state) {
    (void)state;
    site_init(&site);
    return 0;
}

CL_UNUSED static int site_teardown(void **state) {
    (void)state;
    site_free(&site);
    return 0;
}

#endif
