/* What a server accepts from. */
#include <errno.h>
#include <unistd.h>

#include <cello/tls.h>

#include "base/alloc.h"
#include "net/listen.h"
#include "server/server_internal.h"

enum { BACKLOG = 4096 };

static void on_closed(struct cl_listener *listener) {
    struct cl_server_listener *l = CL_CONTAINER_OF(listener, struct cl_server_listener, super);
    l->server->open_listeners--;
    if (cl_worker_is_full(&l->server->worker))
        cl_server_leave_to_others(l->server);
    if (l->adopted)
        cl_free(l);
}

static int check_listens(int fd) {
    int listens = 0;
    socklen_t size = sizeof listens;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size))
        return CELLO_ESYS;
    errno = EINVAL;
    return listens ? CELLO_OK : CELLO_ESYS;
}

/* l is filled with zeros, but for whose it is. */
static int open_listener(struct cl_server *s, struct cl_server_listener *l, int fd) {
    l->server = s;
    l->super.on_accept = cl_server_on_accept;
    l->super.on_closed = on_closed;
    int err = check_listens(fd);
    if (!err)
        err = cl_listen_addr(fd, &l->addr);
    if (!err)
        err = cl_listener_open(s->worker.loop, &l->super, fd);
    if (err)
        return err;
    l->next = s->open;
    s->open = l;
    s->open_listeners++;
    if (s->accepting_paused)
        cl_listener_pause(&l->super);
    return CELLO_OK;
}

/* `at`: in the list of those that are open. */
static void close_listener(struct cl_server_listener **at) {
    struct cl_server_listener *l = *at;
    *at = l->next;
    if (l->owns_path)
        unlink(l->addr.un.sun_path);
    l->closing = true;
    cl_listener_close(&l->super);
}

void cl_server_close_listeners(struct cl_server *s) {
    while (s->open)
        close_listener(&s->open);
}

/* ---- other workers' sockets ---- */

int cl_server_adopt(struct cl_server *s, int fd, uint32_t owner, bool redirects) {
    struct cl_server_listener *l = cl_calloc(1, sizeof *l);
    if (!l)
        return CELLO_ENOMEM;
    l->adopted = true;
    l->redirects = redirects;
    l->owner = owner;
    int err = open_listener(s, l, fd);
    if (err)
        cl_free(l);
    return err;
}

void cl_server_release(struct cl_server *s, uint32_t owner) {
    struct cl_server_listener **at = &s->open;
    while (*at) {
        if ((*at)->adopted && (*at)->owner == owner)
            close_listener(at);
        else
            at = &(*at)->next;
    }
}

/* To begin to wait is to look first. */
void cl_server_look(struct cl_server *s) {
    if (s->accepting_paused)
        return;
    for (struct cl_server_listener *l = s->open; l; l = l->next) {
        cl_listener_pause(&l->super);
        cl_listener_resume(&l->super);
    }
}

/* ---- its own ---- */

static int listen_on(struct cl_server *s, int fd, bool shared) {
    if (s->listener_count == CL_MAX_LISTENERS)
        return CELLO_ELIMIT;
    struct cl_server_listener *l = &s->listeners[s->listener_count];
    *l = (struct cl_server_listener){.super.shared = shared};
    cl_listen_tune(fd);
    int err = open_listener(s, l, fd);
    if (!err)
        s->listener_count++;
    return err;
}

int cello_server_listen_fd(struct cl_server *s, int fd) {
    return listen_on(s, fd, false);
}

int cl_server_listen_own(struct cl_server *s, int fd, bool shared) {
    int err = listen_on(s, fd, shared);
    if (err) {
        int saved = errno;
        close(fd);
        errno = saved;
    }
    return err;
}

int cello_server_listen(struct cl_server *s, const char *host, uint16_t port) {
    struct cl_addr addr;
    int fd;
    int err = cl_addr_parse(&addr, host, port);
    if (!err)
        err = cl_listen_tcp(&addr, BACKLOG, false, &fd);
    return err ? err : cl_server_listen_own(s, fd, false);
}

int cello_server_listen_redirect(struct cl_server *s, const char *host, uint16_t port) {
    int err = cello_server_listen(s, host, port);
    if (!err)
        s->listeners[s->listener_count - 1].redirects = true;
    return err;
}

int cello_server_listen_unix(struct cl_server *s, const char *path, unsigned mode) {
    int fd;
    int err = cl_listen_unix(path, mode, BACKLOG, &fd);
    if (!err)
        err = cl_server_listen_own(s, fd, false);
    if (!err)
        s->listeners[s->listener_count - 1].owns_path = true;
    return err;
}

size_t cello_server_address_count(const struct cl_server *s) {
    return s->listener_count;
}

void cello_server_address(const struct cl_server *s, size_t i, char host[128], uint16_t *port) {
    _Static_assert(CL_ADDR_TEXT_MAX == 128, "the public header says 128");
    cl_addr_host(&s->listeners[i].addr, host);
    *port = cl_addr_port(&s->listeners[i].addr);
}
