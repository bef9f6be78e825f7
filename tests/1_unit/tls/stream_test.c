/* A TLS stream and OpenSSL as its client, on the memory transport: bytes both ways, and ends. */
#include <sys/mman.h>

#include "tls/fixture.h"
#include "tls/tls_internal.h"

static void open_pair(struct pair *p) {
    pair_init(p, &site, 0);
    assert_int_equal(pair_shake(p), 1);
    assert_int_equal(p->ready, 1);
    assert_int_equal(p->ready_err, CELLO_OK);
}

static size_t blocks_used(void) {
    return cl_loop_pool(site.loop)->used;
}

static char byte_at(size_t i) {
    return (char)('a' + (i * 7 + i / 4096) % 26);
}

static char *make_bytes(size_t n) {
    char *bytes = malloc(n + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++)
        bytes[i] = byte_at(i);
    return bytes;
}

/* ---- to the client -------------------------------------------------------------------------- */

static void expect_read(struct pair *p, const char *bytes, size_t n) {
    char *got = malloc(n + 1);
    assert_non_null(got);
    assert_int_equal(pair_read(p, got, n + 1), n);
    assert_memory_equal(got, bytes, n);
    free(got);
}

static void test_bytes_go_both_ways(void **state) {
    (void)state;
    struct pair p;
    open_pair(&p);
    assert_ptr_equal(p.stream->tls, p.stream);
    assert_string_equal(cl_tls_version(p.stream->tls), "TLSv1.3");
    pair_write(&p, "ping", 4);
    assert_int_equal(p.taken_len, 4);
    assert_memory_equal(p.taken, "ping", 4);
    assert_int_equal(pair_send(&p, "pong!"), CELLO_OK);
    expect_read(&p, "pong!", 5);
    pair_free(&p);
}

/* What an idle connection holds: no block at all. */
static void test_idle_holds_no_block(void **state) {
    (void)state;
    struct pair p;
    open_pair(&p);
    assert_int_equal(blocks_used(), 0);
    pair_write(&p, "ping", 4);
    assert_int_equal(pair_send(&p, "pong"), CELLO_OK);
    pair_move(&p);
    assert_int_equal(blocks_used(), 0);
    pair_free(&p);
}

/* Records in what was sent since the last time: their number, and the largest. */
static int count_records(const struct pair *p, size_t *largest) {
    struct cl_str out = cl_mem_output(p->lower);
    int n = 0;
    *largest = 0;
    for (size_t at = 0; at < out.len; n++) {
        size_t len = (size_t)(unsigned char)out.ptr[at + 3] << 8 | (unsigned char)out.ptr[at + 4];
        *largest = CL_MAX(*largest, len);
        at += 5 + len;
    }
    return n;
}

/* Small pieces share a record; large ones are cut into whole records. */
static void test_pieces_share_records(void **state) {
    (void)state;
    struct pair p;
    size_t largest, n = 100000;
    char *bytes = make_bytes(n);
    open_pair(&p);
    struct iovec small[4] = {{bytes, 100}, {bytes + 100, 0}, {bytes + 100, 7}, {bytes + 107, 993}};
    assert_int_equal(cl_stream_send(p.stream, small, 4), CELLO_OK);
    assert_int_equal(count_records(&p, &largest), 1);
    expect_read(&p, bytes, 1100);
    struct iovec mixed[3] = {{bytes, 200}, {bytes + 200, 90000}, {bytes + 90200, 9800}};
    assert_int_equal(cl_stream_send(p.stream, mixed, 3), CELLO_OK);
    assert_int_equal(count_records(&p, &largest), (int)(n + 16383) / 16384);
    assert_true(largest <= 16384 + 17);
    expect_read(&p, bytes, n);
    pair_free(&p);
    free(bytes);
}

/* Every way to cut the same bytes into three pieces, around the size of a record. */
static void test_any_pieces(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 16383, 16384, 16385, 40000, 130000};
    struct pair p;
    char *bytes = make_bytes(400000);
    open_pair(&p);
    for (size_t i = 0; i < CL_ARRAY_LEN(sizes) * CL_ARRAY_LEN(sizes) * CL_ARRAY_LEN(sizes); i++) {
        size_t n = CL_ARRAY_LEN(sizes);
        size_t a = sizes[i % n], b = sizes[i / n % n], c = sizes[i / n / n];
        struct iovec iov[3] = {{bytes, a}, {bytes + a, b}, {bytes + a + b, c}};
        assert_int_equal(cl_stream_send(p.stream, iov, 3), CELLO_OK);
        expect_read(&p, bytes, a + b + c);
    }
    assert_int_equal(blocks_used(), 0);
    pair_free(&p);
    free(bytes);
}

/* A transport that takes its time: a batch at a time is in memory, and on_sent comes once. */
static void test_sends_that_wait(void **state) {
    (void)state;
    struct pair p;
    size_t n = 1000000;
    int sends = 0;
    char *bytes = make_bytes(n);
    open_pair(&p);
    cl_mem_hold_sends(p.lower, true);
    struct iovec iov = {bytes, n};
    assert_int_equal(cl_stream_send(p.stream, &iov, 1), CELLO_EAGAIN);
    uint64_t progress = cl_stream_progress(p.stream);
    while (!p.sents) {
        assert_true(blocks_used() <= 2 * (128 << 10));
        assert_true(cl_mem_finish_send(p.lower, CELLO_OK));
        assert_true(p.sents || cl_stream_progress(p.stream) != progress);
        progress = cl_stream_progress(p.stream);
        sends++;
    }
    assert_in_range(sends, 4, 12);
    assert_int_equal(p.last_sent, CELLO_OK);
    assert_false(cl_mem_finish_send(p.lower, CELLO_OK));
    expect_read(&p, bytes, n);
    assert_int_equal(p.sents, 1);
    pair_free(&p);
    free(bytes);
}

static void test_failed_sends(void **state) {
    (void)state;
    struct pair p;
    open_pair(&p);
    cl_mem_hold_sends(p.lower, true);
    assert_int_equal(pair_send(&p, "lost"), CELLO_EAGAIN);
    assert_true(cl_mem_finish_send(p.lower, CELLO_ESYS));
    assert_int_equal(p.sents, 1);
    assert_int_equal(p.last_sent, CELLO_ESYS);
    assert_int_equal(pair_send(&p, "more"), CELLO_ESYS);
    pair_free(&p);
}

static int make_file(size_t n) {
    int fd = memfd_create("tls", MFD_CLOEXEC);
    char *bytes = make_bytes(n);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), (ssize_t)n);
    free(bytes);
    return fd;
}

static void test_files(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 100, 16384, 20000, 300000, 3000000};
    for (size_t i = 0; i < CL_ARRAY_LEN(sizes); i++) {
        struct pair p;
        size_t n = sizes[i];
        open_pair(&p);
        struct cl_file_part part = {make_file(n), 0, n};
        char *whole = malloc(n + 5);
        assert_non_null(whole);
        memcpy(whole, "head ", 5);
        char *bytes = make_bytes(n);
        memcpy(whole + 5, bytes, n);
        struct iovec head = {whole, 5};
        int err = cl_stream_sendfile(p.stream, &head, 1, &part);
        for (int turns = 0; err == CELLO_EAGAIN && !p.sents; turns++) {
            assert_true(turns < 100);
            assert_int_equal(cl_loop_turn(site.loop, 0), CELLO_OK);
        }
        assert_int_equal(p.sents, n > (1 << 20)); /* others had their turn */
        expect_read(&p, whole, n + 5);
        assert_int_equal(part.left, 0);
        close(part.fd);
        pair_free(&p);
        free(bytes);
        free(whole);
    }
}

/* What was to come is missing: no close_notify, so that it does not look whole. */
static void test_file_that_became_shorter(void **state) {
    (void)state;
    struct pair p;
    char got[200];
    open_pair(&p);
    struct cl_file_part part = {make_file(50), 0, 100};
    struct iovec head = {"head", 4};
    assert_int_equal(cl_stream_sendfile(p.stream, &head, 1, &part), CELLO_EOF);
    cl_stream_close(p.stream);
    pair_last_words(&p);
    (void)pair_read(&p, got, sizeof got);
    assert_false(SSL_get_shutdown(p.client) & SSL_RECEIVED_SHUTDOWN);
    close(part.fd);
    pair_free(&p);
}

/* ---- from the client ------------------------------------------------------------------------ */

static void test_every_cut(void **state) {
    (void)state;
    static const size_t cuts[] = {1, 2, 3, 5, 7, 100, 1000};
    char *bytes = make_bytes(40000);
    for (size_t i = 0; i < CL_ARRAY_LEN(cuts); i++) {
        struct pair p;
        pair_init(&p, &site, 0);
        p.cut = cuts[i];
        assert_int_equal(pair_shake(&p), 1);
        pair_write(&p, bytes, 40000);
        assert_int_equal(p.taken_len, 40000);
        assert_memory_equal(p.taken, bytes, 40000);
        pair_free(&p);
    }
    free(bytes);
}

/* While it is paused nothing is reported; afterwards all is, and not inside the call. */
static void test_pause(void **state) {
    (void)state;
    struct pair p;
    open_pair(&p);
    p.on_recv = pair_pause;
    p.cut = 60;
    for (int i = 0; i < 3; i++)
        pair_write(&p, "0123456789", 10);
    assert_int_equal(p.recvs, 1);
    assert_int_equal(p.taken_len, 10);
    p.on_recv = NULL;
    cl_stream_resume(p.stream);
    assert_int_equal(p.recvs, 1);
    pair_move(&p);
    assert_int_equal(p.taken_len, 30);
    assert_int_equal(blocks_used(), 0);
    pair_free(&p);
}

static void test_full_input(void **state) {
    (void)state;
    struct pair p;
    char *bytes = make_bytes(30000);
    open_pair(&p);
    p.stream->in_max = 10000;
    p.keep = true;
    pair_write(&p, bytes, 30000);
    assert_int_equal(p.last_recv, CELLO_ELIMIT);
    assert_int_equal(cl_block_len(p.stream->in), 10000);
    p.keep = false;
    pair_take(&p);
    cl_stream_resume(p.stream);
    pair_move(&p);
    assert_int_equal(p.taken_len, 30000);
    assert_memory_equal(p.taken, bytes, 30000);
    pair_free(&p);
    free(bytes);
}

/* Large bodies are asked for in large pieces. */
static void test_bulk(void **state) {
    (void)state;
    struct pair p;
    char *bytes = make_bytes(200000);
    open_pair(&p);
    p.stream->in_max = 1 << 20;
    p.stream->in_room = 65536;
    p.keep = true;
    pair_write(&p, bytes, 200000);
    assert_int_equal(cl_block_len(p.stream->in), 200000);
    assert_memory_equal(cl_block_rd(p.stream->in), bytes, 200000);
    pair_take(&p);
    pair_free(&p);
    free(bytes);
}

static void take_by_hand(struct pair *p, int result) {
    assert_int_equal(result, CELLO_EAGAIN);
    int n;
    while ((n = cl_stream_recv_now(p->stream, p->taken + p->taken_len, 3000)) > 0)
        p->taken_len += (size_t)n;
    assert_int_equal(n, CELLO_EAGAIN);
    cl_stream_resume(p->stream);
}

static void test_by_hand(void **state) {
    (void)state;
    struct pair p;
    char *bytes = make_bytes(50000);
    open_pair(&p);
    p.on_recv = take_by_hand;
    p.cut = 999;
    cl_stream_by_hand(p.stream, true);
    pair_write(&p, bytes, 50000);
    assert_int_equal(p.taken_len, 50000);
    assert_memory_equal(p.taken, bytes, 50000);
    cl_stream_by_hand(p.stream, false);
    p.on_recv = NULL;
    pair_write(&p, "more", 4);
    assert_int_equal(p.taken_len, 50004);
    pair_free(&p);
    free(bytes);
}

/* Who waits for plaintext is not kept waiting by what OpenSSL has of a record already. */
static void test_gather(void **state) {
    (void)state;
    struct pair p;
    open_pair(&p);
    cl_stream_gather(p.stream, 65536);
    assert_int_equal(cl_mem_gathers(p.lower), 65536 - 16384);
    cl_stream_gather(p.stream, 20000);
    assert_int_equal(cl_mem_gathers(p.lower), 1);
    pair_free(&p);
}

/* Damaged on its way: an alert, and the reader hears of an error. */
static void test_damaged_record(void **state) {
    (void)state;
    struct pair p;
    char got[10];
    open_pair(&p);
    pair_write_damaged(&p);
    assert_int_equal(p.last_recv, CELLO_ESYS);
    assert_int_equal(p.ends, 1);
    assert_int_equal(p.taken_len, 0);
    assert_int_equal(pair_read(&p, got, sizeof got), 0);
    assert_int_equal(alert_of_last_error(), SSL_AD_BAD_RECORD_MAC);
    assert_int_equal(pair_send(&p, "no"), CELLO_ESYS);
    pair_free(&p);
}

/* ---- ends ----------------------------------------------------------------------------------- */

static void test_close_says_so(void **state) {
    (void)state;
    struct pair p;
    open_pair(&p);
    cl_stream_close(p.stream);
    pair_last_words(&p);
    assert_true(pair_got_close_notify(&p));
    pair_free(&p);
}

static void test_close_like_a_failure(void **state) {
    (void)state;
    struct pair p;
    open_pair(&p);
    cl_stream_reset_on_close(p.stream);
    assert_true(cl_mem_was_reset(p.lower));
    cl_stream_close(p.stream);
    assert_int_equal(cl_mem_output(p.lower).len, 0);
    pair_free(&p);
}

static void turns(int n) {
    while (n--)
        assert_int_equal(cl_loop_turn(site.loop, 0), CELLO_OK);
}

/* A send that was cut must not look whole, and nobody waits for the rest. */
static void test_close_in_a_send(void **state) {
    (void)state;
    struct pair p;
    size_t n = 1000000;
    char *bytes = make_bytes(n);
    open_pair(&p);
    cl_mem_hold_sends(p.lower, true);
    struct iovec iov = {bytes, n};
    assert_int_equal(cl_stream_send(p.stream, &iov, 1), CELLO_EAGAIN);
    assert_true(cl_mem_finish_send(p.lower, CELLO_OK));
    cl_stream_close(p.stream);
    pair_last_words(&p);
    turns(2);
    assert_true(p.closed);
    assert_false(pair_got_close_notify(&p));
    pair_free(&p);
    free(bytes);
    assert_int_equal(blocks_used(), 0);
}

/* All is sealed, and the transport is at it: close_notify comes behind that. */
static void test_close_behind_a_send(void **state) {
    (void)state;
    struct pair p;
    open_pair(&p);
    cl_mem_hold_sends(p.lower, true);
    assert_int_equal(pair_send(&p, "last"), CELLO_EAGAIN);
    cl_stream_close(p.stream);
    cl_stream_close(p.stream);
    turns(5);
    assert_false(p.closed);
    assert_int_equal(pair_send(&p, "no"), CELLO_ESYS);
    assert_true(cl_mem_finish_send(p.lower, CELLO_OK));
    turns(5);
    assert_false(p.closed);
    assert_true(cl_mem_finish_send(p.lower, CELLO_OK));
    pair_last_words(&p);
    turns(2);
    assert_true(p.closed);
    assert_int_equal(p.sents, 0);
    expect_read(&p, "last", 4);
    assert_true(pair_got_close_notify(&p));
    pair_free(&p);
    assert_int_equal(blocks_used(), 0);
}

/* The tickets are on their way, and nothing of the protocol's. */
static void open_with_tickets(struct pair *p) {
    pair_init(p, &site, 0);
    while (SSL_do_handshake(p->client) != 1)
        assert_true(pair_move(p));
    cl_mem_hold_sends(p->lower, true);
    pair_move(p);
    assert_int_equal(p->ready, 1);
    assert_true(blocks_used() > 0);
}

/* What comes from the client after the close is nobody's. */
static void test_close_behind_tickets(void **state) {
    (void)state;
    struct pair p;
    open_with_tickets(&p);
    cl_stream_close(p.stream);
    pair_write(&p, "more", 4);
    cl_mem_eof(p.lower);
    assert_int_equal(p.recvs, 0);
    cl_mem_hold_sends(p.lower, false);
    assert_true(cl_mem_finish_send(p.lower, CELLO_OK));
    pair_last_words(&p);
    turns(2);
    assert_true(p.closed);
    assert_true(pair_got_close_notify(&p));
    pair_free(&p);
    assert_int_equal(blocks_used(), 0);
}

static void test_close_fails(void **state) {
    (void)state;
    struct pair p;
    open_with_tickets(&p);
    cl_stream_close(p.stream);
    assert_true(cl_mem_finish_send(p.lower, CELLO_ESYS));
    turns(2);
    assert_true(p.closed);
    pair_free(&p);
    open_with_tickets(&p);
    cl_stream_close(p.stream);
    cl_mem_reset(p.lower);
    turns(2);
    assert_true(p.closed);
    pair_free(&p);
    assert_int_equal(blocks_used(), 0);
}

/* A client that reads nothing is not waited for for ever. */
static void test_close_that_nobody_reads(void **state) {
    (void)state;
    struct pair p;
    open_with_tickets(&p);
    cl_stream_close(p.stream);
    assert_false(p.closed);
    while (!p.closed)
        (void)cl_loop_turn(site.loop, CL_TLS_GOODBYE_NS);
    assert_int_equal(blocks_used(), 0);
    pair_free(&p);
}

/* Half-close: the client sees the end, and what it says is still read. */
static void test_shutdown(void **state) {
    (void)state;
    struct pair p;
    open_pair(&p);
    cl_mem_hold_sends(p.lower, true);
    assert_int_equal(pair_send(&p, "last"), CELLO_EAGAIN);
    cl_stream_shutdown(p.stream);
    assert_false(cl_mem_was_shutdown(p.lower));
    cl_mem_hold_sends(p.lower, false);
    assert_true(cl_mem_finish_send(p.lower, CELLO_OK));
    assert_true(cl_mem_was_shutdown(p.lower));
    char got[10];
    assert_int_equal(pair_read(&p, got, sizeof got), 4);
    assert_true(pair_got_close_notify(&p));
    pair_write(&p, "still", 5);
    assert_int_equal(p.taken_len, 5);
    assert_int_equal(pair_send(&p, "no"), CELLO_ESYS);
    pair_free(&p);
}

/* close_notify is an end, told once; answers may still go out. */
static void test_client_says_its_end(void **state) {
    (void)state;
    struct pair p;
    char got[10];
    open_pair(&p);
    assert_int_equal(SSL_write(p.client, "ping", 4), 4);
    assert_int_equal(SSL_shutdown(p.client), 0);
    pair_move(&p);
    assert_int_equal(p.taken_len, 4);
    assert_int_equal(p.last_recv, CELLO_EOF);
    cl_mem_eof(p.lower);
    assert_int_equal(p.ends, 1);
    assert_false(cl_tls_truncated(p.stream->tls));
    assert_int_equal(pair_send(&p, "pong"), CELLO_OK);
    assert_int_equal(pair_read(&p, got, sizeof got), 4);
    pair_free(&p);
}

static void test_client_just_goes(void **state) {
    (void)state;
    struct pair p;
    open_pair(&p);
    cl_mem_eof(p.lower);
    assert_int_equal(p.last_recv, CELLO_EOF);
    assert_true(cl_tls_truncated(p.stream->tls));
    pair_free(&p);
    open_pair(&p);
    cl_mem_reset(p.lower);
    assert_int_equal(p.last_recv, CELLO_ESYS);
    assert_int_equal(p.ends, 1);
    pair_free(&p);
}

/* What is behind the end of a record layer is not data. */
static void test_nothing_behind_the_end(void **state) {
    (void)state;
    struct pair p;
    open_pair(&p);
    assert_int_equal(SSL_shutdown(p.client), 0);
    pair_move(&p);
    assert_int_equal(cl_mem_push(p.lower, "GET / HTTP/1.1\r\n\r\n", 18), CELLO_OK);
    assert_int_equal(p.taken_len, 0);
    assert_int_equal(p.ends, 1);
    assert_int_equal(blocks_used(), 0);
    pair_free(&p);
}

static void close_it(struct pair *p, int result) {
    (void)result;
    cl_stream_close(p->stream);
}

static void test_close_inside_a_report(void **state) {
    (void)state;
    struct pair p;
    open_pair(&p);
    p.on_recv = close_it;
    assert_int_equal(SSL_write(p.client, "ping", 4), 4);
    assert_int_equal(SSL_write(p.client, "pong", 4), 4);
    pair_move(&p);
    assert_int_equal(p.recvs, 1);
    assert_true(p.closed);
    pair_free(&p);
    assert_int_equal(blocks_used(), 0);
}

/* ---- what clients may try ------------------------------------------------------------------- */

static void test_key_updates(void **state) {
    (void)state;
    struct pair p;
    open_pair(&p);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(SSL_key_update(p.client, SSL_KEY_UPDATE_REQUESTED), 1);
        pair_write(&p, "0123456789", 10);
        assert_int_equal(pair_send(&p, "answer"), CELLO_OK);
        expect_read(&p, "answer", 6);
    }
    assert_int_equal(p.taken_len, 200);
    pair_free(&p);
}

/* At once; of as many bytes on the wire each. */
enum { KEY_UPDATE_LEN = 5 + 5 + 1 + 16 };

static void update_keys(struct pair *p, int kind, size_t times) {
    for (size_t i = 0; i < times; i++)
        pair_update_keys(p, kind);
    (void)pair_up(p);
    (void)pair_down(p);
}

/* So long ago all that the client did. */
static void as_if_past(struct pair *p, unsigned seconds) {
    p->stream->tls->updated_ns -= seconds * CELLO_SECOND;
}

static void expect_end(const struct pair *p) {
    assert_int_equal(p->ends, 1);
    assert_int_equal(p->last_recv, CELLO_ESYS);
}

/* With an answer and without one, one by one and at once: only so many are looked at. */
static void test_a_flood_of_key_updates(void **state) {
    (void)state;
    static const int kinds[] = {SSL_KEY_UPDATE_REQUESTED, SSL_KEY_UPDATE_NOT_REQUESTED};
    for (size_t kind = 0; kind < 4; kind++) {
        struct pair p;
        size_t one = kind < 2 ? 1 : 500;
        open_pair(&p);
        for (int i = 0; i < CL_TLS_KEY_UPDATES; i++)
            update_keys(&p, kinds[kind % 2], 1);
        pair_write(&p, "ping", 4);
        assert_int_equal(p.taken_len, 4);
        as_if_past(&p, 10);
        update_keys(&p, kinds[kind % 2], 9);
        assert_int_equal(p.ends, 0);
        size_t taken = p.stream->tls->taken;
        update_keys(&p, kinds[kind % 2], one + 1);
        expect_end(&p);
        assert_true(p.stream->tls->taken <= taken + 2 * KEY_UPDATE_LEN);
        pair_free(&p);
    }
}

/* Who asks for new keys and never reads the answers: only so many are kept. */
static void test_key_updates_that_nobody_reads(void **state) {
    (void)state;
    struct pair p;
    open_pair(&p);
    cl_mem_hold_sends(p.lower, true);
    for (int i = 0; i < 5000 && !p.ends; i++) {
        as_if_past(&p, 1);
        pair_update_keys(&p, SSL_KEY_UPDATE_REQUESTED);
        (void)pair_up(&p);
        assert_true(blocks_used() <= 64 << 10);
    }
    expect_end(&p);
    pair_free(&p);
}

static void test_no_renegotiation(void **state) {
    (void)state;
    struct pair p;
    char got[10];
    pair_init(&p, &site, 0);
    SSL_set_max_proto_version(p.client, TLS1_2_VERSION);
    assert_int_equal(pair_shake(&p), 1);
    assert_int_equal(SSL_renegotiate(p.client), 1);
    (void)SSL_do_handshake(p.client);
    pair_move(&p);
    (void)pair_read(&p, got, sizeof got);
    assert_int_equal(SSL_total_renegotiations(p.client), 1);
    assert_int_not_equal(SSL_renegotiate_pending(p.client), 0); /* it was refused */
    assert_int_equal(SSL_get_current_compression(p.client) != NULL, 0);
    pair_free(&p);
}

/* The errors of one connection are not those of the next, where it waits for more of a record. */
static void test_errors_stay_at_home(void **state) {
    (void)state;
    struct pair p;
    char *bytes;
    open_pair(&p);
    assert_int_equal(SSL_write(p.client, "ping", 4), 4);
    long n = BIO_get_mem_data(p.from_client, &bytes);
    for (long i = 0; i < n; i++) {
        ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
        assert_int_equal(cl_mem_push(p.lower, bytes + i, 1), CELLO_OK);
        assert_int_equal(p.ends, 0);
    }
    assert_int_equal(p.taken_len, 4);
    (void)BIO_reset(p.from_client);
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
    assert_int_equal(pair_send(&p, "pong"), CELLO_OK);
    expect_read(&p, "pong", 4);
    pair_free(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_go_both_ways),
        cmocka_unit_test(test_idle_holds_no_block),
        cmocka_unit_test(test_pieces_share_records),
        cmocka_unit_test(test_any_pieces),
        cmocka_unit_test(test_sends_that_wait),
        cmocka_unit_test(test_failed_sends),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_file_that_became_shorter),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_full_input),
        cmocka_unit_test(test_bulk),
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_gather),
        cmocka_unit_test(test_damaged_record),
        cmocka_unit_test(test_close_says_so),
        cmocka_unit_test(test_close_like_a_failure),
        cmocka_unit_test(test_close_in_a_send),
        cmocka_unit_test(test_close_behind_a_send),
        cmocka_unit_test(test_close_behind_tickets),
        cmocka_unit_test(test_close_fails),
        cmocka_unit_test(test_close_that_nobody_reads),
        cmocka_unit_test(test_shutdown),
        cmocka_unit_test(test_client_says_its_end),
        cmocka_unit_test(test_client_just_goes),
        cmocka_unit_test(test_nothing_behind_the_end),
        cmocka_unit_test(test_close_inside_a_report),
        cmocka_unit_test(test_key_updates),
        cmocka_unit_test(test_a_flood_of_key_updates),
        cmocka_unit_test(test_key_updates_that_nobody_reads),
        cmocka_unit_test(test_no_renegotiation),
        cmocka_unit_test(test_errors_stay_at_home),
    };
    return cmocka_run_group_tests_name("tls stream", tests, site_setup, site_teardown);
}
