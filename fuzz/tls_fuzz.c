/* A TLS stream: fuzzed bytes before, within and behind a handshake with OpenSSL as the client, in
 * fuzzed pieces, with slow sends, pauses and ends between them.
 *
 * The first byte chooses the configuration. The rest is a script: a byte that chooses what happens,
 * and what it needs.
 *
 *      0..99     that many bytes of the script are what the client says, as they are
 *      100..119  the client does what it can, and everything on its way arrives
 *      120..139  the client writes
 *      140..149  a byte on its way to the server is changed: where, and how
 *      150..159  turns of the loop
 *      160..169  sends are held from now on, or not
 *      170..179  a held send finishes; every tenth fails
 *      180..189  input arrives in pieces of that many minus 180 bytes
 *      190..199  the server sends
 *      200..     single events
 *
 * Always: the handshake ends once, and nothing is reported before; what either side reads is what
 * the other wrote, from its beginning on; on_sent is reported once for a send that waits; nothing
 * is held afterwards. */
#include "tls/stream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <unistd.h>

#include "check.h"
#include "net/mem.h"
#include "tls/local.h"

enum { WRITE_STEP = 1999, IN_MAX = 30000, CONTEXTS = 8 };

/* ---- what stays from run to run ------------------------------------------------------------- */

static struct cl_loop *loop;
static struct cl_tls_context *contexts[CONTEXTS];
static SSL_CTX *client_ctx;

static void make_contexts(void) {
    char folder[] = "/tmp/cello-fuzz-XXXXXX", cert[64], key[64], why[CELLO_TLS_WHY];
    bool made;
    CHECK(mkdtemp(folder));
    (void)snprintf(cert, sizeof cert, "%s/cert", folder);
    (void)snprintf(key, sizeof key, "%s/key", folder);
    CHECK(cl_tls_local_pair(cert, key, &made, why) == CELLO_OK);
    for (unsigned i = 0; i < CONTEXTS; i++) {
        struct cello_tls_config cfg = CELLO_TLS_CONFIG_DEFAULT;
        cfg.cert_path = cert;
        cfg.key_path = key;
        cfg.ca_path = i & 1 ? cert : NULL;
        cfg.require_client_cert = (i & 3) == 3;
        cfg.max_version = i & 4 ? CELLO_TLS_1_2 : CELLO_TLS_1_3;
        CHECK(cl_tls_context_new(&contexts[i], &cfg, NULL, why) == CELLO_OK);
        cl_tls_context_offer_h2(contexts[i], true);
    }
    client_ctx = SSL_CTX_new(TLS_client_method());
    CHECK(client_ctx);
    CHECK(SSL_CTX_use_certificate_file(client_ctx, cert, SSL_FILETYPE_PEM) == 1);
    CHECK(SSL_CTX_use_PrivateKey_file(client_ctx, key, SSL_FILETYPE_PEM) == 1);
    CHECK(unlink(cert) == 0 && unlink(key) == 0 && rmdir(folder) == 0);
    CHECK(cl_loop_new(&loop, &(struct cl_loop_config){CL_BACKEND_EPOLL, 0}) == CELLO_OK);
}

/* ---- a run ---------------------------------------------------------------------------------- */

static struct {
    struct cl_stream *lower, *stream; /* stream is NULL once it has closed */
    SSL *client;
    BIO *to_client, *from_client;
    int ready;
    bool ended, sending, paused, by_hand;
    uint64_t wrote, read;            /* by the client */
    uint64_t sent, taken;            /* by the server */
    char out[4 * CL_BLOCK_SIZE * 4]; /* of the server's send in progress */
    struct iovec iov[3];
} run;

static char byte_at(uint64_t i) {
    return (char)(i * 31 + i / 251);
}

static void check_bytes(const char *p, size_t n, uint64_t from) {
    for (size_t i = 0; i < n; i++)
        CHECK(p[i] == byte_at(from + i));
}

static void take(struct cl_stream *s) {
    if (run.by_hand) {
        char bytes[3000];
        int n;
        while ((n = cl_stream_recv_now(s, bytes, sizeof bytes)) > 0) {
            check_bytes(bytes, (size_t)n, run.taken);
            run.taken += (uint64_t)n;
        }
    } else if (s->in) {
        check_bytes(cl_block_rd(s->in), cl_block_len(s->in), run.taken);
        run.taken += cl_block_len(s->in);
        s->in->rd = s->in->wr;
    }
}

static void on_recv(struct cl_stream *s, int result) {
    CHECK(run.ready == 1 && !run.ended);
    run.ended = result == CELLO_EOF || result == CELLO_ESYS;
    CHECK(result > 0 || run.ended || result == CELLO_ELIMIT || result == CELLO_EAGAIN);
    take(s);
    CHECK(run.taken <= run.wrote);
    if (result == CELLO_ELIMIT || result == CELLO_EAGAIN)
        cl_stream_resume(s);
    else if (run.paused)
        cl_stream_pause(s);
}

static void on_sent(struct cl_stream *s, int err) {
    (void)s;
    (void)err;
    CHECK(run.sending);
    run.sending = false;
}

static void on_closed(struct cl_stream *s) {
    CHECK(s == run.stream);
    run.stream = NULL;
}

static const struct cl_stream_handler handler = {on_recv, on_sent, on_closed};

static void on_ready(struct cl_stream *s, int err) {
    CHECK(run.ready == 0);
    run.ready = err == CELLO_OK ? 1 : 2;
    s->handler = &handler;
    if (err == CELLO_ENOTSUP) {
        CHECK(cl_tls_give_back(s) == run.lower);
        run.lower->handler = &handler;
        run.stream = run.lower;
    }
    if (err)
        cl_stream_close(run.stream);
}

static void send_some(size_t n) {
    if (run.ready != 1 || run.sending || !run.stream)
        return;
    for (size_t i = 0; i < n; i++)
        run.out[i] = byte_at(run.sent + i);
    size_t a = n / 7, b = n / 2;
    run.iov[0] = (struct iovec){run.out, a};
    run.iov[1] = (struct iovec){run.out + a, b - a};
    run.iov[2] = (struct iovec){run.out + b, n - b};
    int err = cl_stream_send(run.stream, run.iov, 3);
    CHECK(err == CELLO_OK || err == CELLO_EAGAIN || err == CELLO_ESYS);
    run.sending = err == CELLO_EAGAIN;
    run.sent += n;
}

/* ---- the client ----------------------------------------------------------------------------- */

static bool up(void) {
    char *bytes;
    long n = BIO_get_mem_data(run.from_client, &bytes);
    if (n <= 0 || !run.stream)
        return false;
    CHECK(cl_mem_push(run.lower, bytes, (size_t)n) == CELLO_OK);
    (void)BIO_reset(run.from_client);
    return true;
}

static bool down(void) {
    struct cl_str out = run.stream ? cl_mem_output(run.lower) : cl_str(NULL, 0);
    if (!out.len)
        return false;
    CHECK(BIO_write(run.to_client, out.ptr, (int)out.len) == (int)out.len);
    cl_mem_output_clear(run.lower);
    return true;
}

static void client_reads(void) {
    char bytes[5000];
    size_t n;
    while (SSL_read_ex(run.client, bytes, sizeof bytes, &n) == 1) {
        check_bytes(bytes, n, run.read);
        run.read += n;
        CHECK(run.read <= run.sent);
    }
    ERR_clear_error();
}

static void turns(int n) {
    while (n--)
        CHECK(cl_loop_turn(loop, 0) == CELLO_OK);
}

static void everything_arrives(void) {
    for (bool moved = true; moved;) {
        client_reads();
        moved = up();
        turns(2);
        moved |= down();
    }
}

static void client_writes(size_t n) {
    char bytes[20 * WRITE_STEP];
    size_t written;
    for (size_t i = 0; i < n; i++)
        bytes[i] = byte_at(run.wrote + i);
    if (SSL_is_init_finished(run.client) && SSL_write_ex(run.client, bytes, n, &written) == 1)
        run.wrote += n;
    ERR_clear_error();
}

static void change_byte(uint8_t where, uint8_t how) {
    char *bytes;
    long n = BIO_get_mem_data(run.from_client, &bytes);
    if (n > 0)
        bytes[(long)where * n / 256] ^= (char)how;
}

/* Before it is ready nobody hears of it. Its last words wait for the transport. */
static void close_stream(void) {
    cl_stream_close(run.stream);
    turns(2);
    while (run.stream && run.ready == 1 &&
           cl_mem_finish_send(run.lower, run.wrote % 2 ? CELLO_ESYS : CELLO_OK))
        turns(2);
    CHECK(!run.stream || run.ready == 0);
    run.stream = NULL;
}

/* ---- the script ----------------------------------------------------------------------------- */

static void single_event(uint8_t op) {
    struct cl_stream *s = run.stream;
    bool open = run.ready == 1;
    switch (op) {
    case 200: cl_mem_eof(run.lower); break;
    case 201: cl_mem_reset(run.lower); break;
    case 202:
        if (open)
            cl_stream_shutdown(s);
        break;
    case 203: close_stream(); break;
    case 204: (void)SSL_key_update(run.client, SSL_KEY_UPDATE_REQUESTED); break;
    case 205: (void)SSL_shutdown(run.client); break;
    case 206: (void)SSL_renegotiate(run.client); break;
    case 207: run.paused = open; break;
    case 208:
        run.paused = false;
        if (open)
            cl_stream_resume(s);
        break;
    case 209:
        if (open)
            cl_stream_by_hand(s, run.by_hand = !run.by_hand);
        break;
    case 210:
        if (open)
            cl_stream_gather(s, 65536);
        break;
    case 211:
        if (open)
            s->in_room = s->in_room ? 0 : 16384;
        break;
    default: break;
    }
    ERR_clear_error();
}

/* One step; returns the bytes it took. */
static size_t step(const uint8_t *p, size_t left) {
    uint8_t op = p[0];
    size_t n = 0;
    if (op < 100) {
        n = CL_MIN(op, left - 1);
        CHECK(cl_mem_push(run.lower, p + 1, n) == CELLO_OK);
    } else if (op < 120) {
        everything_arrives();
    } else if (op < 140) {
        client_writes((op - 119u) * (size_t)WRITE_STEP);
    } else if (op < 150) {
        n = CL_MIN((size_t)2, left - 1);
        if (n == 2)
            change_byte(p[1], p[2]);
    } else if (op < 160) {
        turns(op - 149);
    } else if (op < 170) {
        cl_mem_hold_sends(run.lower, op & 1);
    } else if (op < 180) {
        (void)cl_mem_finish_send(run.lower, op == 179 ? CELLO_ESYS : CELLO_OK);
    } else if (op < 190) {
        cl_mem_set_chunk(run.lower, op - 180u);
    } else if (op < 200) {
        send_some((op - 189u) * (sizeof run.out / 10));
    } else {
        single_event(op);
    }
    return 1 + n;
}

static void begin(uint8_t choice) {
    memset(&run, 0, sizeof run);
    CHECK(cl_mem_stream_new(loop, NULL, NULL, &run.lower) == CELLO_OK);
    CHECK(cl_tls_accept(contexts[choice % CONTEXTS], run.lower, 0, on_ready, NULL, &run.stream) ==
          CELLO_OK);
    run.stream->in_max = IN_MAX;
    run.client = SSL_new(client_ctx);
    run.to_client = BIO_new(BIO_s_mem());
    run.from_client = BIO_new(BIO_s_mem());
    CHECK(run.client && run.to_client && run.from_client);
    BIO_set_mem_eof_return(run.to_client, -1);
    SSL_set_bio(run.client, run.to_client, run.from_client);
    SSL_set_connect_state(run.client);
    if (choice & 8)
        CHECK(SSL_set_alpn_protos(run.client, (const unsigned char *)"\x02h2", 3) == 0);
    if (choice & 16)
        CHECK(SSL_set_tlsext_host_name(run.client, "LOCALHOST") == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!loop)
        make_contexts();
    if (!size)
        return 0;
    begin(data[0]);
    for (size_t at = 1; at < size && run.stream;)
        at += step(data + at, size - at);
    if (run.stream)
        close_stream();
    turns(2);
    CHECK(cl_loop_pool(loop)->used == 0);
    SSL_free(run.client);
    ERR_clear_error();
    return 0;
}
