/* What the ceilings share: a growing buffer, a listening socket, and constant answers.
 *
 * A ceiling is the least that a server of its kind can do. It finds the end of each request, looks
 * at one byte of the path, and copies an answer that was made at start-up. It checks nothing, has
 * no limits, and must never serve anybody but a load generator.
 *
 * Running out of memory ends the program: there is nobody to answer to. */
#ifndef CEILING_H
#define CEILING_H

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    CEILING_FDS = 4096,
    CEILING_RECV_ROOM = 4096,
    CEILING_BUFFER = 16384,
    CEILING_BACKLOG = 1024
};

struct buffer {
    char *bytes;
    size_t len, cap;
};

static inline void buffer_reserve(struct buffer *b, size_t more) {
    if (b->cap - b->len >= more)
        return;
    if (!b->cap)
        b->cap = CEILING_BUFFER;
    while (b->cap - b->len < more)
        b->cap *= 2;
    b->bytes = realloc(b->bytes, b->cap);
    if (!b->bytes)
        exit(1);
}

static inline void buffer_add(struct buffer *b, const char *bytes, size_t len) {
    buffer_reserve(b, len);
    memcpy(b->bytes + b->len, bytes, len);
    b->len += len;
}

static inline void buffer_drop(struct buffer *b, size_t len) {
    b->len -= len;
    if (b->len)
        memmove(b->bytes, b->bytes + len, b->len);
}

static inline int ceiling_listen(int port, int socket_flags) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | socket_flags, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, CEILING_BACKLOG)) {
        perror("listen");
        exit(1);
    }
    return fd;
}

static inline void ceiling_no_delay(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* ---- requests ---- */

/* The value of Content-Length in the `len` bytes of a head, 0 without one. */
static inline size_t ceiling_content_length(const char *head, size_t len) {
    static const char name[] = "\r\ncontent-length:";
    const char *end = head + len;
    for (const char *line = head; (line = memchr(line, '\r', (size_t)(end - line))); line++) {
        size_t left = (size_t)(end - line);
        if (left > sizeof name && !strncasecmp(line, name, sizeof name - 1))
            return strtoul(line + sizeof name - 1, NULL, 10);
    }
    return 0;
}

/* ---- constant answers ---- */

#define CEILING_HEAD(type)                                                                         \
    "HTTP/1.1 200 OK\r\nContent-Type: " type "\r\nServer: ceiling\r\n"                             \
    "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: "

struct answers {
    struct buffer text, json, user, list, missing;
};

static inline void answer_make(struct buffer *b, const char *head, const char *body, size_t len) {
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%zu\r\n\r\n", len);
    buffer_add(b, head, strlen(head));
    buffer_add(b, digits, (size_t)n);
    buffer_add(b, body, len);
}

static inline void answers_init(struct answers *a) {
    const char *json = CEILING_HEAD("application/json");
    struct buffer list = {0};
    char row[256];
    buffer_add(&list, "[", 1);
    for (int i = 0; i < 500; i++) {
        int n = snprintf(row, sizeof row,
                         "%s{\"id\":%d,\"name\":\"User %d\",\"email\":\"u%d@ex.org\",\"age\":%d,"
                         "\"active\":%s,\"score\":%.1f,\"role\":\"member\",\"tag\":null}",
                         i ? "," : "", i, i, i, 20 + i % 50, i % 2 ? "false" : "true", i * 1.5);
        buffer_add(&list, row, (size_t)n);
    }
    buffer_add(&list, "]", 1);
    answer_make(&a->text, CEILING_HEAD("text/plain"), "Hello, World!", 13);
    answer_make(&a->json, json, "{\"message\":\"Hello, World!\"}", 27);
    answer_make(&a->user, json, "{\"id\":\"12345\",\"q\":\"hello\"}", 26);
    answer_make(&a->list, json, list.bytes, list.len);
    answer_make(&a->missing, "HTTP/1.1 404 Not Found\r\nContent-Length: ", "", 0);
    free(list.bytes);
}

static inline const struct buffer *answer_for(const struct answers *a, const char *request) {
    switch (request[5]) { /* "GET /x" */
    case 'c':
    case 'p': return &a->text;
    case 'a':
    case 'j': return &a->json;
    case 'u': return &a->user;
    case 'b': return &a->list;
    default: return &a->missing;
    }
}

/* Answers every complete request of in[0..len) into `out`; returns the bytes used. A POST gets its
 * body back. */
static inline size_t answer_all(const struct answers *a, const char *in, size_t len,
                                struct buffer *out) {
    size_t used = 0;
    const char *end;
    while (used < len && (end = memmem(in + used, len - used, "\r\n\r\n", 4))) {
        const char *request = in + used;
        size_t head = (size_t)(end + 4 - request), body = 0;
        if (*request == 'P') {
            body = ceiling_content_length(request, head);
            if (len - used < head + body)
                break;
            answer_make(out, CEILING_HEAD("application/json"), request + head, body);
        } else {
            const struct buffer *answer = answer_for(a, request);
            buffer_add(out, answer->bytes, answer->len);
        }
        used += head + body;
    }
    return used;
}

#endif
