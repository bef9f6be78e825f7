/* Socket addresses: IPv4, IPv6, unix. */
#ifndef CL_NET_ADDR_H
#define CL_NET_ADDR_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/common.h"

enum { CL_ADDR_TEXT_MAX = 128 };

struct cl_addr {
    socklen_t len; /* 0: unknown or unnamed */
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
};

/* The process at the other end of a unix socket, as it was when it connected. */
struct cl_credentials {
    bool known; /* false: of another kind of socket */
    pid_t pid;  /* 0: of another pid namespace */
    uid_t uid;
    gid_t gid;
};

/* Numeric IPv4 or IPv6 ("127.0.0.1", "::1", with or without brackets) or a name ("localhost",
 * resolved by getaddrinfo, first answer). Errors: CELLO_EINVAL, CELLO_ENOENT. */
int cl_addr_parse(struct cl_addr *a, const char *host, uint16_t port) CL_MUST_USE;
int cl_addr_unix(struct cl_addr *a, const char *path) CL_MUST_USE;
/* The host part, without port: "127.0.0.1", "::1", "unix:" + path. NUL-terminated; the length. */
size_t cl_addr_host(const struct cl_addr *a, char out[CL_ADDR_TEXT_MAX]);
/* 0 for unix sockets. */
uint16_t cl_addr_port(const struct cl_addr *a);

#endif
