/* Sends the same body again and again over one connection.
 *
 *   upload PORT METHOD PATH MEGABYTES SECONDS plain|form
 *
 * `form` sends a multipart body with one file, named "file". Prints "UPLOADS SECONDS". */
#include "client.h"

enum { PIECE = 256 << 10 };

#define BOUNDARY "cello-bench-0123456789"

static const char form_start[] = "--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"file\"; "
                                 "filename=\"upload.bin\"\r\n"
                                 "Content-Type: application/octet-stream\r\n\r\n";
static const char form_end[] = "\r\n--" BOUNDARY "--\r\n";
static char piece[PIECE];

/* Something that is not all zeros, and that a parser of forms has to look at. */
static void fill_piece(void) {
    for (size_t i = 0; i < sizeof piece; i++)
        piece[i] = (char)random_bits();
}

/* Reads one answer with Content-Length, or without a body. */
static void read_answer(int fd) {
    char answer[CLIENT_HEAD_ROOM];
    size_t len = 0;
    char *end = NULL;
    while (!end) {
        if (len == sizeof answer - 1)
            fail("a head without end");
        len += receive(fd, answer + len, sizeof answer - 1 - len);
        answer[len] = 0;
        end = strstr(answer, "\r\n\r\n");
    }
    check_status(answer);
    *end = 0;
    const char *value = head_field(answer, "content-length");
    size_t expected = (size_t)(end - answer) + 4 + (value ? strtoul(value, NULL, 10) : 0);
    while (len < expected)
        len += receive(fd, answer, sizeof answer);
}

static void upload(int fd, const char *head, size_t bytes, bool form) {
    send_all(fd, head, strlen(head));
    if (form)
        send_all(fd, form_start, sizeof form_start - 1);
    for (size_t left = bytes; left;) {
        size_t n = left < sizeof piece ? left : sizeof piece;
        send_all(fd, piece, n);
        left -= n;
    }
    if (form)
        send_all(fd, form_end, sizeof form_end - 1);
    read_answer(fd);
}

int main(int argc, char **argv) {
    if (argc != 7)
        fail("usage: upload PORT METHOD PATH MEGABYTES SECONDS plain|form");
    bool form = !strcmp(argv[6], "form");
    size_t bytes = strtoul(argv[4], NULL, 10) << 20;
    size_t around = form ? sizeof form_start + sizeof form_end - 2 : 0;
    double seconds = strtod(argv[5], NULL);
    char head[512];
    snprintf(head, sizeof head,
             "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
             argv[2], argv[3],
             form ? "multipart/form-data; boundary=" BOUNDARY : "application/octet-stream",
             bytes + around);
    fill_piece();
    int fd = connect_to((int)strtol(argv[1], NULL, 10));
    uint64_t start = now_ns();
    int uploads = 0;
    do {
        upload(fd, head, bytes, form);
        uploads++;
    } while ((double)(now_ns() - start) < seconds * 1e9);
    printf("%d %.6f\n", uploads, (double)(now_ns() - start) / 1e9);
}
