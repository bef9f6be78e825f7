/* The ceiling of an upload: recv into one buffer, write from it, one connection at a time.
 *
 *   upload PORT FILE
 *
 * The body of every PUT goes to FILE. It believes Content-Length, and whatever else is asked for
 * is answered 404. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "ceiling.h"

/* The cheapest of 16 KB to 4 MB, on tmpfs and on ext4. */
enum { UPLOAD_PIECE = 1 << 20 };

static char piece[UPLOAD_PIECE];

static bool write_all(int file, const char *bytes, size_t len) {
    while (len) {
        ssize_t n = write(file, bytes, len);
        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

/* The head and what of the body came with it. Returns the length of the head, 0: it has gone. */
static size_t read_head(int fd, size_t *len) {
    char *end;
    *len = 0;
    do {
        ssize_t n = recv(fd, piece + *len, sizeof piece - *len, 0);
        if (n <= 0)
            return 0;
        *len += (size_t)n;
    } while (!(end = memmem(piece, *len, "\r\n\r\n", 4)));
    return (size_t)(end + 4 - piece);
}

static bool store_body(int fd, int file, size_t head, size_t len) {
    size_t left = ceiling_content_length(piece, head) - (len - head);
    bool good = write_all(file, piece + head, len - head);
    while (good && left) {
        ssize_t n = recv(fd, piece, left < sizeof piece ? left : sizeof piece, 0);
        good = n > 0 && write_all(file, piece, (size_t)n);
        left -= good ? (size_t)n : 0;
    }
    return good;
}

static bool answer(int fd, const char *path) {
    static const char created[] = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
    static const char missing[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    size_t len, head = read_head(fd, &len);
    if (!head)
        return false;
    if (*piece != 'P')
        return send(fd, missing, sizeof missing - 1, MSG_NOSIGNAL) > 0;
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = file >= 0 && store_body(fd, file, head, len);
    close(file);
    return good && send(fd, created, sizeof created - 1, MSG_NOSIGNAL) > 0;
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 1;
    int listener = ceiling_listen((int)strtol(argv[1], NULL, 10), 0);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        while (fd >= 0 && answer(fd, argv[2]))
            continue;
        close(fd);
    }
}
