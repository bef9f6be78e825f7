#include "cluster/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/listen.h"
#include "store/members.h"

enum { BACKLOG = 4096, HOST_MAX = 256 };

struct address {
    int *fds; /* in cl_sockets.fds */
    uint32_t count;
    struct cl_addr bound;
    bool ours; /* a file that cl_sockets_open made */
    dev_t device;
    ino_t inode;
};

struct cl_sockets {
    struct address addresses[CL_ADDRESSES_MAX];
    size_t address_count;
    bool open;
    size_t fd_count;
    int fds[];
};

/* ---- places --------------------------------------------------------------------------------- */

static bool number(const char *text, unsigned long max, unsigned long *out) {
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *out = strtoul(text, &end, 10);
    return !errno && !*end && *out <= max;
}

static int parse_tcp(struct cl_place *place, const char *text) {
    const char *colon = strrchr(text, ':');
    unsigned long port;
    if (!colon || colon == text || colon - text >= HOST_MAX ||
        !number(colon + 1, UINT16_MAX, &port))
        return CELLO_EINVAL;
    place->text = text;
    place->len = (size_t)(colon - text);
    place->port = (uint16_t)port;
    return CELLO_OK;
}

int cl_place_parse(struct cl_place *place, const char *text) {
    unsigned long n;
    *place = (struct cl_place){.fd = -1};
    if (!strncmp(text, "tcp:", 4)) {
        place->kind = CL_PLACE_TCP;
        return parse_tcp(place, text + 4);
    }
    if (!strncmp(text, "unix:", 5) && text[5]) {
        place->kind = CL_PLACE_UNIX;
        place->text = text + 5;
        place->len = strlen(place->text);
        return CELLO_OK;
    }
    if (strncmp(text, "fd:", 3) != 0 || !number(text + 3, INT32_MAX, &n))
        return CELLO_EINVAL;
    place->kind = CL_PLACE_FD;
    place->fd = (int)n;
    return CELLO_OK;
}

/* ---- opening -------------------------------------------------------------------------------- */

/* The first socket is bound alone, so that a port in use is an error even where its owner shares
 * it; from then on it shares with the others. */
static int bind_group(struct address *a, const struct cl_addr *addr, uint32_t count) {
    int err = cl_bind_tcp(addr, false, &a->fds[0]);
    if (err)
        return err;
    a->count = 1;
    if (count > 1 && setsockopt(a->fds[0], SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int)) != 0)
        return CELLO_ESYS;
    err = cl_listen_addr(a->fds[0], &a->bound);
    for (; !err && a->count < count; a->count++) {
        err = cl_bind_tcp(&a->bound, true, &a->fds[a->count]);
        if (err)
            break;
    }
    for (uint32_t i = 0; !err && i < a->count; i++)
        if (listen(a->fds[i], BACKLOG))
            err = CELLO_ESYS;
    return err;
}

static int open_tcp(struct address *a, const struct cl_place *place, uint32_t workers) {
    char host[HOST_MAX];
    struct cl_addr addr;
    memcpy(host, place->text, place->len);
    host[place->len] = '\0';
    int err = cl_addr_parse(&addr, host, place->port);
    return err ? err : bind_group(a, &addr, workers);
}

static int open_unix(struct address *a, const struct cl_place *place,
                     const struct cl_sockets_config *config) {
    struct stat st;
    int err = cl_listen_unix(place->text, config->uds_mode, BACKLOG, &a->fds[0]);
    if (err)
        return err;
    a->count = 1;
    err = cl_listen_addr(a->fds[0], &a->bound);
    if (err || lstat(place->text, &st))
        return CELLO_ESYS;
    a->ours = true;
    a->device = st.st_dev;
    a->inode = st.st_ino;
    return lchown(place->text, config->owner, config->group) ? CELLO_ESYS : CELLO_OK;
}

static int open_fd(struct address *a, const struct cl_place *place) {
    int listens = 0;
    socklen_t len = sizeof listens;
    if (getsockopt(place->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len))
        return CELLO_ESYS;
    if (!listens)
        return CELLO_EINVAL;
    if (fcntl(place->fd, F_SETFD, FD_CLOEXEC))
        return CELLO_ESYS;
    a->fds[0] = place->fd;
    a->count = 1;
    return cl_listen_addr(place->fd, &a->bound);
}

static int open_place(struct address *a, const struct cl_place *place,
                      const struct cl_sockets_config *config) {
    switch (place->kind) {
    case CL_PLACE_TCP: return open_tcp(a, place, config->workers);
    case CL_PLACE_UNIX: return open_unix(a, place, config);
    case CL_PLACE_FD: return open_fd(a, place);
    }
    return CELLO_EINVAL;
}

static void explain(char why[CL_SOCKETS_ERROR_MAX], const struct cl_place *place, int err) {
    const char *reason = err == CELLO_ESYS     ? strerror(errno)
                         : err == CELLO_ENOENT ? "there is no such host"
                                               : cello_strerror(err);
    if (place->kind == CL_PLACE_FD && err == CELLO_EINVAL)
        reason = "it is no listening socket";
    if (place->kind == CL_PLACE_FD)
        snprintf(why, CL_SOCKETS_ERROR_MAX, "cannot listen on descriptor %d: %s", place->fd,
                 reason);
    else if (place->kind == CL_PLACE_UNIX)
        snprintf(why, CL_SOCKETS_ERROR_MAX, "cannot listen on %s: %s", place->text, reason);
    else
        snprintf(why, CL_SOCKETS_ERROR_MAX, "cannot listen on %.*s:%u: %s", (int)place->len,
                 place->text, place->port, reason);
}

/* Without addresses, and with room for all. */
static int new_sockets(struct cl_sockets **out, const struct cl_sockets_config *config,
                       char why[CL_SOCKETS_ERROR_MAX]) {
    if (!config->count || config->count > CL_ADDRESSES_MAX || !config->workers ||
        config->workers > CL_WORKERS_MAX) {
        snprintf(why, CL_SOCKETS_ERROR_MAX, "there can be 1 to %d addresses", CL_ADDRESSES_MAX);
        return CELLO_ELIMIT;
    }
    size_t room = config->count * config->workers;
    struct cl_sockets *s = cl_calloc(1, sizeof *s + room * sizeof s->fds[0]);
    if (!s) {
        snprintf(why, CL_SOCKETS_ERROR_MAX, "%s", cello_strerror(CELLO_ENOMEM));
        return CELLO_ENOMEM;
    }
    s->open = true;
    *out = s;
    return CELLO_OK;
}

int cl_sockets_open(struct cl_sockets **out, const struct cl_sockets_config *config,
                    char why[CL_SOCKETS_ERROR_MAX]) {
    struct cl_sockets *s;
    int err = new_sockets(&s, config, why);
    for (size_t i = 0; !err && i < config->count; i++) {
        struct address *a = &s->addresses[s->address_count++];
        a->fds = &s->fds[s->fd_count];
        err = open_place(a, &config->places[i], config);
        s->fd_count += a->count;
        if (err) {
            explain(why, &config->places[i], err);
            cl_sockets_close(s, true);
            cl_sockets_del(s);
        }
    }
    if (!err)
        *out = s;
    return err;
}

/* ---- inheriting ----------------------------------------------------------------------------- */

static bool is_of_place(const struct cl_addr *bound, const struct cl_place *place) {
    bool is_unix = bound->len && bound->sa.sa_family == AF_UNIX;
    if (place->kind == CL_PLACE_TCP)
        return !is_unix && (!place->port || cl_addr_port(bound) == place->port);
    return place->kind == CL_PLACE_FD ||
           (is_unix && !strncmp(bound->un.sun_path, place->text, sizeof bound->un.sun_path));
}

static int inherit(struct address *a, const struct cl_worker_address *from,
                   const struct cl_place *place, uint32_t workers) {
    struct stat st;
    uint32_t count = place->kind == CL_PLACE_TCP ? workers : 1;
    int err = from->count == count ? cl_listen_addr(from->fds[0], &a->bound) : CELLO_EINVAL;
    if (err || !is_of_place(&a->bound, place))
        return err ? err : CELLO_EINVAL;
    for (uint32_t i = 0; i < count; i++) {
        a->fds[i] = from->fds[i];
        if (fcntl(a->fds[i], F_SETFD, FD_CLOEXEC))
            return CELLO_ESYS;
    }
    a->count = count;
    if (place->kind == CL_PLACE_UNIX && lstat(place->text, &st) == 0) {
        a->ours = true;
        a->device = st.st_dev;
        a->inode = st.st_ino;
    }
    return CELLO_OK;
}

int cl_sockets_inherit(struct cl_sockets **out, const struct cl_sockets_config *config,
                       const struct cl_worker_text *text, char why[CL_SOCKETS_ERROR_MAX]) {
    struct cl_sockets *s;
    int err = new_sockets(&s, config, why);
    if (err)
        return err;
    if (text->address_count != config->count)
        err = CELLO_EINVAL;
    for (size_t i = 0; !err && i < config->count; i++) {
        struct address *a = &s->addresses[s->address_count++];
        a->fds = &s->fds[s->fd_count];
        err = inherit(a, &text->addresses[i], &config->places[i], config->workers);
        s->fd_count += a->count;
    }
    if (err) {
        snprintf(why, CL_SOCKETS_ERROR_MAX,
                 "cannot take over the sockets of another supervisor: %s",
                 err == CELLO_ESYS ? strerror(errno) : "they are not those of the same addresses");
        cl_free(s);
        return err;
    }
    *out = s;
    return CELLO_OK;
}

/* ---- closing -------------------------------------------------------------------------------- */

static void unlink_own(const struct address *a) {
    struct stat st;
    const char *path = a->bound.un.sun_path;
    if (a->ours && lstat(path, &st) == 0 && st.st_dev == a->device && st.st_ino == a->inode)
        unlink(path);
}

void cl_sockets_close(struct cl_sockets *s, bool unlinks) {
    if (!s->open)
        return;
    s->open = false;
    for (size_t i = 0; unlinks && i < s->address_count; i++)
        unlink_own(&s->addresses[i]);
    for (size_t i = 0; i < s->fd_count; i++)
        close(s->fds[i]);
}

void cl_sockets_del(struct cl_sockets *s) {
    if (!s)
        return;
    cl_sockets_close(s, false);
    cl_free(s);
}

/* ---- telling -------------------------------------------------------------------------------- */

bool cl_sockets_are_divided(const struct cl_sockets *s) {
    for (size_t i = 0; i < s->address_count; i++)
        if (s->addresses[i].count > 1)
            return true;
    return false;
}

size_t cl_sockets_fds(const struct cl_sockets *s, const int **fds) {
    *fds = s->fds;
    return s->fd_count;
}

static void add(char *out, size_t size, size_t *at, const char *format, ...) CL_PRINTF(4, 5);

static void add(char *out, size_t size, size_t *at, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(*at < size ? out + *at : NULL, *at < size ? size - *at : 0, format, args);
    va_end(args);
    *at += n > 0 ? (size_t)n : 0;
}

size_t cl_sockets_text(const struct cl_sockets *s, char *out, size_t size) {
    size_t at = 0;
    for (size_t i = 0; i < s->address_count; i++) {
        const struct address *a = &s->addresses[i];
        add(out, size, &at, "%s%u", i ? "," : "", a->count);
        for (uint32_t k = 0; k < a->count; k++)
            add(out, size, &at, "%s%d", k ? "," : ":", a->fds[k]);
    }
    return at;
}

void cl_sockets_urls(const struct cl_sockets *s, size_t https, char *out, size_t size) {
    size_t at = 0;
    for (size_t i = 0; i < s->address_count; i++) {
        const struct cl_addr *addr = &s->addresses[i].bound;
        char host[CL_ADDR_TEXT_MAX];
        cl_addr_host(addr, host);
        add(out, size, &at, "%s", i ? ", " : "");
        if (addr->len && addr->sa.sa_family == AF_UNIX)
            add(out, size, &at, "%s", host);
        else
            add(out, size, &at, strchr(host, ':') ? "%s://[%s]:%u" : "%s://%s:%u",
                i < https ? "https" : "http", host, cl_addr_port(addr));
    }
}
