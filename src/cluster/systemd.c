#include "cluster/systemd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

enum { TEXT_MAX = 1024 };

/* An environment variable that is a number; 0: there is none. */
static uint64_t number_of(const char *variable) {
    const char *text = getenv(variable);
    char *end;
    if (!text || *text < '0' || *text > '9')
        return 0;
    errno = 0;
    uint64_t n = strtoull(text, &end, 10);
    return errno || *end ? 0 : n;
}

/* A path, or the name of an abstract socket behind '@'. */
static bool parse_address(const char *text, struct sockaddr_un *addr, socklen_t *len) {
    size_t n = strlen(text);
    if ((text[0] != '/' && text[0] != '@') || n < 2 || n >= sizeof addr->sun_path)
        return false;
    *addr = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(addr->sun_path, text, n);
    if (text[0] == '@')
        addr->sun_path[0] = '\0';
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    return true;
}

static int connect_to(const char *text) {
    struct sockaddr_un addr;
    socklen_t len;
    if (!text || !parse_address(text, &addr, &len))
        return -1;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&addr, len)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

void cl_notify_open(struct cl_notify *n) {
    uint64_t period_us = number_of("WATCHDOG_USEC"), pid = number_of("WATCHDOG_PID");
    *n = (struct cl_notify){.fd = connect_to(getenv("NOTIFY_SOCKET"))};
    if (n->fd >= 0 && (!pid || pid == (uint64_t)getpid()) && period_us < UINT64_MAX / 1000)
        n->watchdog_ns = period_us * 1000 / 2;
}

void cl_notify_close(struct cl_notify *n) {
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}

void cl_notify_say(const struct cl_notify *n, const char *format, ...) {
    char text[TEXT_MAX];
    va_list args;
    if (n->fd < 0)
        return;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len > 0 && (size_t)len < sizeof text)
        send(n->fd, text, (size_t)len, MSG_NOSIGNAL);
}

void cl_notify_reloading(const struct cl_notify *n) {
    cl_notify_say(n, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=Replacing all workers",
                  (unsigned long long)(cl_now_ns() / 1000));
}

uint32_t cl_listen_fds(void) {
    uint64_t count = number_of("LISTEN_FDS");
    bool ours = number_of("LISTEN_PID") == (uint64_t)getpid();
    return ours && count <= CL_LISTEN_FDS_MAX ? (uint32_t)count : 0;
}
