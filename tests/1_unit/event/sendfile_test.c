/* Parts of files: read, and sent by the kernel, on both back ends. */
#include "fixture.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>

enum { KB = 1024, MB = 1024 * KB };

static char *make_bytes(size_t n) {
    char *bytes = malloc(n + 1);
    assert_non_null(bytes);
    uint32_t seed = 7;
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[i] = (char)(seed >> 24);
    }
    return bytes;
}

/* A file without a name that holds `n` bytes. */
static int make_file(const char *bytes, size_t n) {
    int fd = memfd_create("sendfile_test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    for (size_t at = 0; at < n;) {
        ssize_t wrote = write(fd, bytes + at, n - at);
        assert_true(wrote > 0);
        at += (size_t)wrote;
    }
    return fd;
}

/* A sent file, its bytes, and a connection. */
struct transfer {
    struct cl_loop *loop;
    struct peer *p;
    struct cl_file_part part;
    char *bytes, *got;
    size_t size, len;
};

static void begin(struct transfer *t, void **state, size_t size) {
    t->loop = test_loop(state);
    t->p = peer_connect(t->loop);
    t->bytes = make_bytes(size);
    t->got = malloc(size + 64);
    t->size = size;
    t->len = 0;
    t->part = (struct cl_file_part){make_file(t->bytes, size), 0, size};
}

static void end(struct transfer *t) {
    peer_close(t->loop, t->p);
    close(t->part.fd);
    free(t->bytes);
    free(t->got);
}

/* What has come at the far end; whether it ended there. */
static bool take(struct transfer *t, size_t max) {
    ssize_t n = recv(t->p->far, t->got + t->len, CL_MIN(max, t->size + 64 - t->len), MSG_DONTWAIT);
    if (n > 0)
        t->len += (size_t)n;
    return n == 0;
}

static int start(struct transfer *t, const char *head) {
    t->p->iov[0] = (struct iovec){(void *)(uintptr_t)head, strlen(head)};
    return cl_io_sendfile(&t->p->io, t->p->iov, 1, &t->part);
}

/* The result, whether it comes at once or later. */
static int finish(struct transfer *t, int err) {
    if (err != CELLO_EAGAIN)
        return err;
    turn_until(t->loop, ({
                   take(t, SIZE_MAX);
                   t->p->sents == 1;
               }));
    return t->p->last_sent;
}

static void reads_parts(void **state) {
    (void)state;
    char *bytes = make_bytes(1000), got[1000];
    struct cl_file_part part = {make_file(bytes, 1000), 100, 700};
    assert_int_equal(cl_file_part_read(&part, got, 300), CELLO_OK);
    assert_memory_equal(got, bytes + 100, 300);
    assert_int_equal(part.offset, 400);
    assert_int_equal(part.left, 400);
    assert_int_equal(cl_file_part_read(&part, got, 400), CELLO_OK);
    assert_memory_equal(got, bytes + 400, 400);
    assert_int_equal(part.left, 0);
    part.left = 300;
    assert_int_equal(cl_file_part_read(&part, got, 300), CELLO_EOF);
    close(part.fd);
    part = (struct cl_file_part){-1, 0, 10};
    assert_int_equal(cl_file_part_read(&part, got, 10), CELLO_ESYS);
    free(bytes);
}

static void sends_a_head_and_a_file(void **state) {
    static const size_t sizes[] = {1, 100, 4096, 10000, 65536, 100001};
    for (size_t i = 0; i < CL_ARRAY_LEN(sizes); i++) {
        struct transfer t;
        begin(&t, state, sizes[i]);
        assert_int_equal(finish(&t, start(&t, "head")), CELLO_OK);
        while (t.len < sizes[i] + 4)
            take(&t, SIZE_MAX);
        assert_memory_equal(t.got, "head", 4);
        assert_memory_equal(t.got + 4, t.bytes, sizes[i]);
        assert_int_equal(t.part.left, 0);
        /* Another one, then bytes alone. */
        t.len = 0;
        t.p->sents = 0;
        t.part.offset = sizes[i] / 2;
        t.part.left = sizes[i] - sizes[i] / 2;
        assert_int_equal(finish(&t, cl_io_sendfile(&t.p->io, NULL, 0, &t.part)), CELLO_OK);
        t.p->sents = 0;
        t.p->iov[0] = (struct iovec){(void *)"tail", 4};
        int err = cl_io_send(&t.p->io, t.p->iov, 1);
        assert_int_equal(finish(&t, err), CELLO_OK);
        size_t rest = sizes[i] - sizes[i] / 2;
        while (t.len < rest + 4)
            take(&t, SIZE_MAX);
        assert_memory_equal(t.got, t.bytes + sizes[i] / 2, rest);
        assert_memory_equal(t.got + rest, "tail", 4);
        end(&t);
    }
}

/* As sends that the back end makes: many bytes, then a file, then a record of TLS, which is nothing
 * but its bytes where nobody seals. */
static void pushes_what_is_sealed_below(void **state) {
    struct transfer t;
    begin(&t, state, 3 * MB);
    t.p->iov[0] = (struct iovec){t.bytes, MB};
    t.p->iov[1] = (struct iovec){t.bytes + MB, 2 * MB};
    int err = cl_io_push(&t.p->io, t.p->iov, 2, NULL, 0);
    assert_int_equal(err, CELLO_EAGAIN);
    settle(t.loop);
    assert_int_equal(t.p->sents, 0);
    assert_int_equal(finish(&t, err), CELLO_OK);
    while (t.len < 3 * MB)
        take(&t, SIZE_MAX);
    assert_memory_equal(t.got, t.bytes, 3 * MB);
    t.len = 0;
    t.p->sents = 0;
    t.p->iov[0] = (struct iovec){(void *)"head", 4};
    assert_int_equal(finish(&t, cl_io_push(&t.p->io, t.p->iov, 1, &t.part, 0)), CELLO_OK);
    while (t.len < 3 * MB + 4)
        take(&t, SIZE_MAX);
    assert_memory_equal(t.got, "head", 4);
    assert_memory_equal(t.got + 4, t.bytes, 3 * MB);
    t.len = 0;
    t.p->iov[0] = (struct iovec){(void *)"alert", 5};
    assert_int_equal(cl_io_push(&t.p->io, t.p->iov, 1, NULL, 21), CELLO_OK);
    while (t.len < 5)
        take(&t, SIZE_MAX);
    assert_memory_equal(t.got, "alert", 5);
    /* And the back end's own way is as good as before. */
    t.len = 0;
    t.p->sents = 0;
    t.p->iov[0] = (struct iovec){(void *)"tail", 4};
    assert_int_equal(finish(&t, cl_io_send(&t.p->io, t.p->iov, 1)), CELLO_OK);
    while (t.len < 4)
        take(&t, SIZE_MAX);
    assert_memory_equal(t.got, "tail", 4);
    end(&t);
}

static void sends_megabytes_to_a_slow_reader(void **state) {
    struct transfer t;
    begin(&t, state, 3 * MB);
    assert_int_equal(start(&t, "h"), CELLO_EAGAIN);
    settle(t.loop);
    assert_int_equal(t.p->sents, 0);
    assert_in_range(t.part.left, 1, 3 * MB);
    cl_io_shutdown(&t.p->io); /* waits for the bytes */
    while (!take(&t, 30000))
        turn(t.loop, CL_NS_PER_MS);
    assert_int_equal(t.len, 3 * MB + 1);
    assert_memory_equal(t.got + 1, t.bytes, t.size);
    assert_int_equal(t.p->sents, 1);
    assert_int_equal(t.p->last_sent, CELLO_OK);
    end(&t);
}

/* A head longer than the socket takes at once. */
static void a_long_head(void **state) {
    struct transfer t;
    begin(&t, state, 2 * MB);
    struct iovec iov[2] = {{t.bytes, MB}, {t.bytes + MB, MB / 2}};
    t.part.offset = MB + MB / 2;
    t.part.left = MB / 2;
    assert_int_equal(finish(&t, cl_io_sendfile(&t.p->io, iov, 2, &t.part)), CELLO_OK);
    while (t.len < t.size)
        take(&t, SIZE_MAX);
    assert_memory_equal(t.got, t.bytes, t.size);
    end(&t);
}

static void bytes_come_in_meanwhile(void **state) {
    struct transfer t;
    begin(&t, state, 3 * MB);
    assert_int_equal(start(&t, "h"), CELLO_EAGAIN);
    for (int i = 1; i <= 5; i++) {
        send_str(t.p->far, "more");
        turn_until(t.loop, t.p->got_len == (size_t)i * 4);
        for (int k = 0; k < 20; k++)
            take(&t, 4096);
    }
    assert_int_equal(t.p->sents, 0);
    assert_int_equal(finish(&t, CELLO_EAGAIN), CELLO_OK);
    send_str(t.p->far, "end");
    turn_until(t.loop, t.p->got_len == 23);
    end(&t);
}

static void a_file_that_became_shorter(void **state) {
    static const struct {
        size_t size, kept;
    } cases[] = {{100, 0}, {100, 99}, {100000, 50000}, {3 * MB, 0}, {3 * MB, 3 * MB - 1}};
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        struct transfer t;
        begin(&t, state, cases[i].size);
        assert_int_equal(ftruncate(t.part.fd, (off_t)cases[i].kept), 0);
        assert_int_equal(finish(&t, start(&t, "head")), CELLO_EOF);
        assert_int_equal(t.part.left, cases[i].size - cases[i].kept);
        end(&t);
    }
}

static void a_file_that_becomes_shorter_midway(void **state) {
    struct transfer t;
    begin(&t, state, 4 * MB);
    assert_int_equal(start(&t, "head"), CELLO_EAGAIN);
    settle(t.loop);
    assert_int_equal(ftruncate(t.part.fd, 3 * MB), 0);
    assert_int_equal(finish(&t, CELLO_EAGAIN), CELLO_EOF);
    end(&t);
}

static void a_descriptor_that_is_not_a_file(void **state) {
    struct transfer t;
    begin(&t, state, 10);
    close(t.part.fd);
    t.part.fd = -1;
    assert_int_equal(finish(&t, start(&t, "head")), CELLO_ESYS);
    end(&t);
}

static void a_dead_peer(void **state) {
    struct transfer t;
    begin(&t, state, 10000);
    peer_hang_up(t.p);
    turn_until(t.loop, t.p->ends == 1);
    assert_int_equal(finish(&t, start(&t, "head")), CELLO_ESYS);
    assert_int_equal(t.part.left, 10000);
    assert_int_equal(cl_io_sendfile(&t.p->io, NULL, 0, &t.part), CELLO_ESYS);
    end(&t);
}

static void a_peer_that_dies(void **state) {
    struct transfer t;
    begin(&t, state, 4 * MB);
    assert_int_equal(start(&t, "head"), CELLO_EAGAIN);
    settle(t.loop);
    peer_hang_up(t.p);
    turn_until(t.loop, t.p->sents == 1);
    assert_int_equal(t.p->last_sent, CELLO_ESYS);
    end(&t);
}

static void close_in_the_middle(void **state) {
    for (int turns = 0; turns < 3; turns++) {
        struct transfer t;
        begin(&t, state, 4 * MB);
        assert_int_equal(start(&t, "head"), CELLO_EAGAIN);
        for (int i = 0; i < turns; i++) {
            take(&t, SIZE_MAX);
            turn(t.loop, CL_NS_PER_MS);
        }
        cl_io_close(&t.p->io);
        assert_int_equal(cl_io_sendfile(&t.p->io, NULL, 0, &t.part), CELLO_ESYS);
        uint64_t left = t.part.left;
        end(&t); /* without on_sent: the fixture looks */
        assert_int_equal(t.part.left, left);
    }
}

static void closes(struct peer *p, int err) {
    (void)err;
    cl_io_close(&p->io);
}

static void close_in_on_sent(void **state) {
    struct transfer t;
    begin(&t, state, 2 * MB);
    t.p->sent_hook = closes;
    assert_int_equal(start(&t, "head"), CELLO_EAGAIN);
    turn_until(t.loop, ({
                   take(&t, SIZE_MAX);
                   t.p->closed;
               }));
    assert_int_equal(t.p->sents, 1);
    end(&t);
}

/* A reader that is always fast enough must not keep the others waiting. */
static void a_large_file_does_not_starve_others(void **state) {
    struct transfer t;
    begin(&t, state, 1);
    enum { SIZE = 64 * MB };
    assert_int_equal(ftruncate(t.part.fd, SIZE), 0);
    t.part.left = SIZE;
    int wide = 8 * MB;
    setsockopt(t.p->io.fd, SOL_SOCKET, SO_SNDBUFFORCE, &wide, sizeof wide);
    struct peer *other = peer_connect(t.loop);
    static char sink[4 * MB];
    assert_int_equal(start(&t, "h"), CELLO_EAGAIN);
    for (size_t i = 1; t.p->sents == 0; i++) {
        uint64_t before = t.part.left;
        send_str(other->far, ".");
        while (recv(t.p->far, sink, sizeof sink, MSG_DONTWAIT) > 0)
            ;
        turn(t.loop, CL_NS_PER_MS);
        assert_true(before - t.part.left <= 2 * MB);
        assert_true(other->got_len + 2 >= i);
    }
    assert_int_equal(t.p->last_sent, CELLO_OK);
    peer_close(t.loop, other);
    end(&t);
}

int main(void) {
    (void)signal(SIGPIPE, SIG_IGN); /* as a server does */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_parts),
        BOTH(sends_a_head_and_a_file),
        BOTH(pushes_what_is_sealed_below),
        BOTH(sends_megabytes_to_a_slow_reader),
        BOTH(a_long_head),
        BOTH(bytes_come_in_meanwhile),
        BOTH(a_file_that_became_shorter),
        BOTH(a_file_that_becomes_shorter_midway),
        BOTH(a_descriptor_that_is_not_a_file),
        BOTH(a_dead_peer),
        BOTH(a_peer_that_dies),
        BOTH(close_in_the_middle),
        BOTH(close_in_on_sent),
        BOTH(a_large_file_does_not_starve_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
