/* TLS of a server: its certificate, and what it asks of clients.
 *
 * Thread: the one that runs the server. */
#ifndef CELLO_TLS_H
#define CELLO_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cello/api.h>
#include <cello/error.h>
#include <cello/str.h>

struct cl_server;

enum cello_tls_version { CELLO_TLS_1_2 = 0x0303, CELLO_TLS_1_3 = 0x0304 };

/* A certificate for clients that ask for `host`: "a.example", or "*.example" for all names that
 * have one label more than "example". */
struct cello_tls_name {
    const char *host;
    const char *cert_path;
    const char *key_path;
};

/* A secret of tickets has this many bytes. */
enum { CELLO_TLS_TICKET_KEY_BYTES = 32 };

struct cello_tls_config {
    const char *cert_path;      /* PEM: the certificate, then those between it and its root */
    const char *key_path;       /* PEM; may be encrypted */
    struct cl_str key_password; /* of all keys; empty: none */
    const char *ca_path;        /* PEM: roots of clients' certificates; NULL: none is asked for */
    bool require_client_cert;   /* else a client may have none */
    enum cello_tls_version min_version, max_version;
    const char *ciphers; /* OpenSSL's list for TLS 1.2, suites for 1.3; NULL: the usual ones */
    const struct cello_tls_name *names;
    size_t name_count;
    const char *ocsp_response;        /* a file, DER, of the main certificate; NULL: none */
    const struct cl_str *ticket_keys; /* the first encrypts, all decrypt; shared by machines */
    size_t ticket_key_count;          /* 0: keys of our own, which change every few hours */
    bool ktls;                        /* by the kernel where that can */
};

#define CELLO_TLS_CONFIG_DEFAULT                                                                   \
    { .min_version = CELLO_TLS_1_2, .max_version = CELLO_TLS_1_3, .ktls = true }

/* Another name that a certificate is for: "DNS", "IP", "EMAIL", "URI" (RFC 5280, 4.2.1.6). */
struct cello_cert_name {
    const char *kind;
    struct cl_str value;
};

/* Whom a client's certificate, which was verified, stands for. */
struct cello_client_cert {
    struct cl_str subject, issuer; /* RFC 2253: "CN=alice,O=Example" */
    struct cl_str serial;          /* hexadecimal, in capitals */
    struct cl_str fingerprint;     /* SHA-256 of the certificate, hexadecimal */
    struct cl_str der;             /* all of it */
    const struct cello_cert_name *names;
    size_t name_count;
    int64_t not_before, not_after; /* seconds since 1970, UTC */
};

/* What a sentence about a wrong configuration needs at most. */
enum { CELLO_TLS_WHY = 512 };

#endif
