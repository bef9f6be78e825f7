#include "net/addr.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>

/* A DNS name has at most 253 characters (RFC 1035, 2.3.4). */
enum { HOST_MAX = 253 };

/* Copies `host` without brackets; false: too long or the brackets do not match. */
static bool strip_brackets(char out[HOST_MAX + 1], const char *host, bool *brackets) {
    size_t n = strlen(host);
    *brackets = n && host[0] == '[';
    if (*brackets) {
        if (n < 2 || host[n - 1] != ']')
            return false;
        host++;
        n -= 2;
    }
    if (!n || n > HOST_MAX)
        return false;
    memcpy(out, host, n);
    out[n] = '\0';
    return true;
}

static int resolve(struct cl_addr *a, const char *name, bool numeric) {
    struct addrinfo hints = {
        .ai_family = numeric ? AF_INET6 : AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = numeric ? AI_NUMERICHOST : 0,
    };
    struct addrinfo *found;
    if (getaddrinfo(name, NULL, &hints, &found))
        return CELLO_ENOENT;
    int err = CELLO_ENOENT;
    if (found->ai_addrlen <= sizeof a->in6) {
        memcpy(&a->sa, found->ai_addr, found->ai_addrlen);
        a->len = found->ai_addrlen;
        err = CELLO_OK;
    }
    freeaddrinfo(found);
    return err;
}

int cl_addr_parse(struct cl_addr *a, const char *host, uint16_t port) {
    char name[HOST_MAX + 1];
    bool brackets;
    *a = (struct cl_addr){0};
    if (!strip_brackets(name, host, &brackets))
        return CELLO_EINVAL;
    if (!brackets && inet_pton(AF_INET, name, &a->in.sin_addr) == 1) {
        a->in.sin_family = AF_INET;
        a->len = sizeof a->in;
    } else {
        /* getaddrinfo also reads a scope: fe80::1%eth0. */
        bool numeric = brackets || strchr(name, ':');
        int err = resolve(a, name, numeric);
        if (err)
            return numeric ? CELLO_EINVAL : err;
    }
    if (a->sa.sa_family == AF_INET6)
        a->in6.sin6_port = htons(port);
    else
        a->in.sin_port = htons(port);
    return CELLO_OK;
}

int cl_addr_unix(struct cl_addr *a, const char *path) {
    *a = (struct cl_addr){0};
    size_t n = strlen(path);
    if (!n || n >= sizeof a->un.sun_path)
        return CELLO_EINVAL;
    a->un.sun_family = AF_UNIX;
    memcpy(a->un.sun_path, path, n + 1);
    a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
    return CELLO_OK;
}

static size_t unix_text(const struct cl_addr *a, char out[CL_ADDR_TEXT_MAX]) {
    size_t head = offsetof(struct sockaddr_un, sun_path);
    size_t n = a->len > head ? strnlen(a->un.sun_path, a->len - head) : 0;
    memcpy(out, "unix:", 5);
    memcpy(out + 5, a->un.sun_path, n);
    out[5 + n] = '\0';
    return 5 + n;
}

_Static_assert(sizeof((struct sockaddr_un *)0)->sun_path + 6 <= CL_ADDR_TEXT_MAX,
               "the longest path fits behind unix:");
_Static_assert(INET6_ADDRSTRLEN <= CL_ADDR_TEXT_MAX, "the longest address fits");

size_t cl_addr_host(const struct cl_addr *a, char out[CL_ADDR_TEXT_MAX]) {
    out[0] = '\0';
    if (!a->len)
        return 0;
    switch (a->sa.sa_family) {
    case AF_INET: inet_ntop(AF_INET, &a->in.sin_addr, out, CL_ADDR_TEXT_MAX); break;
    case AF_INET6:
        /* A dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d; they are IPv4 peers. */
        if (IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
            inet_ntop(AF_INET, &a->in6.sin6_addr.s6_addr[12], out, CL_ADDR_TEXT_MAX);
        else
            inet_ntop(AF_INET6, &a->in6.sin6_addr, out, CL_ADDR_TEXT_MAX);
        break;
    case AF_UNIX: return unix_text(a, out);
    default: break;
    }
    return strlen(out);
}

uint16_t cl_addr_port(const struct cl_addr *a) {
    if (!a->len)
        return 0;
    if (a->sa.sa_family == AF_INET)
        return ntohs(a->in.sin_port);
    return a->sa.sa_family == AF_INET6 ? ntohs(a->in6.sin6_port) : 0;
}
