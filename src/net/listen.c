#include "net/listen.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail_close(int fd) {
    int saved = errno;
    close(fd);
    errno = saved;
    return CELLO_ESYS;
}

static int set_flag(int fd, int level, int option) {
    return setsockopt(fd, level, option, &(int){1}, sizeof(int));
}

int cl_bind_tcp(const struct cl_addr *addr, bool reuseport, int *fd) {
    int family = addr->len ? addr->sa.sa_family : AF_UNSPEC;
    if (family != AF_INET && family != AF_INET6)
        return CELLO_EINVAL;
    int s = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s < 0)
        return CELLO_ESYS;
    /* SO_REUSEADDR: bind over connections in TIME_WAIT; a listener in the way stays an error.
     * Linux lets accepted sockets inherit TCP_NODELAY, which saves a call for each of them. */
    if (set_flag(s, SOL_SOCKET, SO_REUSEADDR) || set_flag(s, IPPROTO_TCP, TCP_NODELAY) ||
        (reuseport && set_flag(s, SOL_SOCKET, SO_REUSEPORT)) ||
        (family == AF_INET6 && set_flag(s, IPPROTO_IPV6, IPV6_V6ONLY)) ||
        bind(s, &addr->sa, addr->len))
        return fail_close(s);
    *fd = s;
    return CELLO_OK;
}

int cl_listen_tcp(const struct cl_addr *addr, int backlog, bool reuseport, int *fd) {
    int err = cl_bind_tcp(addr, reuseport, fd);
    if (err)
        return err;
    return listen(*fd, backlog) ? fail_close(*fd) : CELLO_OK;
}

/* CELLO_OK: nothing is at the path (any more). Only a socket that refuses connections is removed.
 */
static int remove_stale(const struct cl_addr *addr) {
    struct stat st;
    if (lstat(addr->un.sun_path, &st))
        return errno == ENOENT ? CELLO_OK : CELLO_ESYS;
    if (!S_ISSOCK(st.st_mode)) {
        errno = ENOTSOCK;
        return CELLO_ESYS;
    }
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s < 0)
        return CELLO_ESYS;
    int refused = connect(s, &addr->sa, addr->len) && errno == ECONNREFUSED;
    close(s);
    if (!refused) {
        errno = EADDRINUSE;
        return CELLO_ESYS;
    }
    return unlink(addr->un.sun_path) && errno != ENOENT ? CELLO_ESYS : CELLO_OK;
}

int cl_listen_unix(const char *path, unsigned mode, int backlog, int *fd) {
    struct cl_addr addr;
    int err = cl_addr_unix(&addr, path);
    if (err)
        return err;
    err = remove_stale(&addr);
    if (err)
        return err;
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s < 0)
        return CELLO_ESYS;
    /* Nobody can connect before listen(), so the file never takes connections with the wrong
     * permissions. */
    if (bind(s, &addr.sa, addr.len))
        return fail_close(s);
    if (chmod(path, (mode_t)mode) || listen(s, backlog)) {
        err = fail_close(s);
        unlink(path);
        return err;
    }
    *fd = s;
    return CELLO_OK;
}

void cl_listen_tune(int fd) {
    (void)!set_flag(fd, IPPROTO_TCP, TCP_NODELAY); /* a unix socket has none */
}

int cl_listen_addr(int fd, struct cl_addr *addr) {
    *addr = (struct cl_addr){0};
    socklen_t len = sizeof addr->un;
    if (getsockname(fd, &addr->sa, &len))
        return CELLO_ESYS;
    addr->len = len;
    return CELLO_OK;
}
