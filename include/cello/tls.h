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

struct cl_cluster;
struct cl_request;
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
    bool ktls; /* the kernel encrypts what is sent, where it can: TLS 1.3 with AES-GCM on TCP */
    bool last_redirects; /* of the sockets that a worker inherits: cello_server_listen_redirect */
};

#define CELLO_TLS_CONFIG_DEFAULT                                                                   \
    { .min_version = CELLO_TLS_1_2, .max_version = CELLO_TLS_1_3 }

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

/* Connections speak TLS, on all addresses but those of cello_server_listen_redirect; before it
 * listens. The files are read with the rights that the process has now, and again once a second
 * when they have changed: what is wrong then is said in the server log, and what was in use stays.
 * Everything in cfg is copied. cluster: whose workers resume each other's sessions; NULL: this
 * server alone. Errors, with a sentence in `why` that says which file and why: CELLO_EINVAL,
 * CELLO_ESYS, CELLO_ENOMEM. */
CELLO_API int cello_server_use_tls(struct cl_server *s, struct cl_cluster *cluster,
                                   const struct cello_tls_config *cfg, char why[CELLO_TLS_WHY]);
/* Whether that would work. Thread: any. */
CELLO_API int cello_tls_check(const struct cello_tls_config *cfg, char why[CELLO_TLS_WHY]);
/* Read the files now, changed or not. Connections that are open stay as they are. False: something
 * is wrong, as the server log says, and what was in use stays; or there is no TLS. */
CELLO_API bool cello_server_reload_tls(struct cl_server *s);
/* Listen for plain HTTP that is answered with the address of the same resource at the first of the
 * others, 308; nothing else is. Errors: as cello_server_listen. */
CELLO_API int cello_server_listen_redirect(struct cl_server *s, const char *host, uint16_t port);

/* For development: leave a pair at these paths that is good for localhost, 127.0.0.1 and ::1, the
 * one that lies there or a new one, signed by itself. *made: it is new. Errors, with a sentence in
 * `why`: CELLO_ESYS (a file cannot be written), CELLO_ENOMEM, CELLO_EINVAL. Thread: any. */
CELLO_API int cello_tls_make_local(const char *cert_path, const char *key_path, bool *made,
                                   char why[CELLO_TLS_WHY]);

/* Whether nobody on the way could read the request. */
CELLO_API bool cello_request_is_secure(const struct cl_request *r);
/* NULL: the client has none, or the request is not on its connection any more. As long as that.
 * Thread: the worker's; any, when the request is not secure. */
CELLO_API const struct cello_client_cert *cello_request_client_cert(const struct cl_request *r);

#endif
