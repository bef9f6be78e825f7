#include "tls/kernel.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* A kernel that has it says that the socket is not connected; others, that they do not know it. */
bool cl_tls_kernel_can(void) {
    static const char name[] = "tls";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    int refused = setsockopt(fd, IPPROTO_TCP, TCP_ULP, name, sizeof name);
    bool can = !refused || errno == ENOTCONN;
    close(fd);
    return can;
}
