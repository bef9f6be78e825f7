#include "observe/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/worker.h"
#include "net/stream.h"

enum {
    PARTS_MAX = 64,
    WRITE_AT = 16384,    /* bytes gathered before a write is tried within a turn */
    FIELD_MAX = 2048,    /* bytes of one value in a line; the rest is cut */
    PIECE = PIPE_BUF,    /* what a writable pipe surely takes */
    LAST_WAIT_MS = 1000, /* for a slow reader at the end */
    FILE_MODE = 0640,    /* lines tell who came, and what for */
};

enum field {
    FIELD_TEXT,
    FIELD_REMOTE_ADDR,
    FIELD_METHOD,
    FIELD_TARGET,
    FIELD_PATH,
    FIELD_QUERY,
    FIELD_PROTOCOL,
    FIELD_STATUS,
    FIELD_BYTES,
    FIELD_DURATION_US,
    FIELD_TIME,
    FIELD_REQUEST_ID,
    FIELD_WORKER_ID,
    FIELD_SCHEME,
    FIELD_TLS_VERSION,
    FIELD_TLS_CIPHER,
    FIELD_HEADER,
    FIELD_COUNT
};

static const char *const FIELD_NAMES[FIELD_COUNT] = {
    [FIELD_REMOTE_ADDR] = "remote_addr",
    [FIELD_METHOD] = "method",
    [FIELD_TARGET] = "target",
    [FIELD_PATH] = "path",
    [FIELD_QUERY] = "query",
    [FIELD_PROTOCOL] = "protocol",
    [FIELD_STATUS] = "status",
    [FIELD_BYTES] = "bytes",
    [FIELD_DURATION_US] = "duration_us",
    [FIELD_TIME] = "time",
    [FIELD_REQUEST_ID] = "request_id",
    [FIELD_WORKER_ID] = "worker_id",
    [FIELD_SCHEME] = "scheme",
    [FIELD_TLS_VERSION] = "tls_version",
    [FIELD_TLS_CIPHER] = "tls_cipher",
};

/* With the zero that other servers' logs have, too. */
static const struct cl_str PROTOCOLS[] = {
    [CELLO_HTTP_1_0] = CL_STR_INIT("HTTP/1.0"),
    [CELLO_HTTP_1_1] = CL_STR_INIT("HTTP/1.1"),
    [CELLO_HTTP_2] = CL_STR_INIT("HTTP/2.0"),
};

static const char COMBINED[] =
    "{remote_addr} - - [{time}] \"{method} {target} {protocol}\" {status} "
    "{bytes} \"{header:referer}\" \"{header:user-agent}\"";
static const char JSON[] =
    "\\{\"time\":\"{time}\",\"remote_addr\":\"{remote_addr}\",\"method\":\"{method}\","
    "\"target\":\"{target}\",\"protocol\":\"{protocol}\",\"status\":{status},\"bytes\":{bytes},"
    "\"duration_us\":{duration_us},\"request_id\":\"{request_id}\","
    "\"referer\":\"{header:referer}\",\"user_agent\":\"{header:user-agent}\"\\}";

struct part {
    enum field field;
    struct cl_str text; /* FIELD_TEXT, and the name for FIELD_HEADER */
};

/* Shares of lines have 32 bits behind the point. */
#define ONE_LINE (1ull << 32)

struct cl_access_log {
    int fd;
    bool json;
    bool is_file; /* a regular one, of `path` */
    char *path;   /* NULL: fd is the caller's */
    uint32_t worker_id;
    cl_access_log_tls_fn tls_version, tls_cipher; /* NULL: there is no TLS */
    uint64_t share, due; /* of lines: of each request, and those that are not written yet */
    struct cl_heap_sink out;
    size_t written; /* of out */
    uint64_t dropped;
    uint64_t time_s; /* the second that `time` shows */
    size_t time_len;
    char time[40];
    char *format;
    size_t part_count;
    struct part parts[PARTS_MAX];
};

/* ---- the format ---- */

static int add_part(struct cl_access_log *log, enum field field, const char *text, size_t len) {
    if (field == FIELD_TEXT && len == 0)
        return CELLO_OK;
    if (log->part_count == PARTS_MAX)
        return CELLO_EINVAL;
    log->parts[log->part_count++] = (struct part){field, cl_str(text, len)};
    return CELLO_OK;
}

static int add_field(struct cl_access_log *log, const char *name, size_t len) {
    if (len > 7 && memcmp(name, "header:", 7) == 0)
        return add_part(log, FIELD_HEADER, name + 7, len - 7);
    for (int f = FIELD_TEXT + 1; f < FIELD_COUNT; f++)
        if (FIELD_NAMES[f] && strlen(FIELD_NAMES[f]) == len && !memcmp(FIELD_NAMES[f], name, len))
            return add_part(log, (enum field)f, NULL, 0);
    return CELLO_EINVAL;
}

/* "\{" is a brace that is meant. */
static int compile(struct cl_access_log *log) {
    const char *p = log->format, *from = p;
    int err = CELLO_OK;
    while (*p && !err) {
        if (*p == '\\' && (p[1] == '{' || p[1] == '}')) {
            err = add_part(log, FIELD_TEXT, from, (size_t)(p - from));
            from = p + 1;
            p += 2;
        } else if (*p == '{') {
            const char *end = strchr(p, '}');
            if (!end)
                return CELLO_EINVAL;
            err = add_part(log, FIELD_TEXT, from, (size_t)(p - from));
            if (!err)
                err = add_field(log, p + 1, (size_t)(end - p - 1));
            p = from = end + 1;
        } else {
            p++;
        }
    }
    return err ? err : add_part(log, FIELD_TEXT, from, (size_t)(p - from));
}

int cl_access_log_new(struct cl_access_log **out, int fd, struct cl_str format) {
    bool json = cl_str_eq(format, CL_STR("json"));
    if (json)
        format = CL_STR(JSON);
    else if (format.len == 0 || cl_str_eq(format, CL_STR("combined")))
        format = CL_STR(COMBINED);
    struct cl_access_log *log = cl_calloc(1, sizeof *log);
    if (!log)
        return CELLO_ENOMEM;
    log->fd = fd;
    log->json = json;
    cl_access_log_sample(log, 1);
    cl_heap_sink_init(&log->out, CL_ACCESS_LOG_BUFFER_MAX);
    log->format = cl_strndup(format.ptr, format.len);
    int err = log->format ? compile(log) : CELLO_ENOMEM;
    if (err) {
        cl_free(log->format);
        cl_free(log);
        return err;
    }
    *out = log;
    return CELLO_OK;
}

/* ---- a line ---- */

/* What a client sent: quotes, backslashes, control characters and bytes beyond ASCII are escaped as
 * \xHH, or in JSON as \u00HH (ISO 8859-1, what HTTP says of such bytes). */
static int put_escaped(struct cl_access_log *log, struct cl_sink *s, struct cl_str v) {
    static const char hex[] = "0123456789abcdef";
    size_t n = CL_MIN(v.len, (size_t)FIELD_MAX);
    if (n == 0 && !log->json)
        return cl_sink_write(s, "-", 1);
    int err = cl_sink_reserve(s, 6 * n);
    if (err)
        return err;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)v.ptr[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            *s->p++ = (char)c;
            continue;
        }
        const char *prefix = log->json ? "\\u00" : "\\x";
        size_t len = log->json ? 4 : 2;
        cl_sink_put(s, prefix, len);
        *s->p++ = hex[c >> 4];
        *s->p++ = hex[c & 15];
    }
    return CELLO_OK;
}

static int put_number(struct cl_sink *s, uint64_t v) {
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + v % 10);
    while (v /= 10);
    return cl_sink_write(s, digits + at, sizeof digits - at);
}

static int put_time(struct cl_access_log *log, struct cl_sink *s) {
    uint64_t now_s = cl_wall_ns() / CL_NS_PER_S;
    if (now_s != log->time_s) {
        time_t t = (time_t)now_s;
        struct tm tm;
        gmtime_r(&t, &tm);
        log->time_len = strftime(log->time, sizeof log->time,
                                 log->json ? "%Y-%m-%dT%H:%M:%SZ" : "%d/%b/%Y:%H:%M:%S +0000", &tm);
        log->time_s = now_s;
    }
    return cl_sink_write(s, log->time, log->time_len);
}

static int put_peer(struct cl_access_log *log, struct cl_sink *s, const struct cl_request *r) {
    char host[CL_ADDR_TEXT_MAX];
    struct cl_str text = r->peer_host;
    if (!text.len && r->stream)
        text = cl_str(host, cl_addr_host(&r->stream->peer, host));
    return put_escaped(log, s, text);
}

static int put_tls(struct cl_access_log *log, struct cl_sink *s, cl_access_log_tls_fn fact,
                   const struct cl_request *r) {
    const char *text = fact && r->stream && r->stream->tls ? fact(r->stream->tls) : "";
    return put_escaped(log, s, cl_str(text, strlen(text)));
}

static int put_part(struct cl_access_log *log, struct cl_sink *s, const struct part *part,
                    const struct cl_request *r) {
    switch (part->field) {
    case FIELD_TEXT: return cl_sink_write(s, part->text.ptr, part->text.len);
    case FIELD_REMOTE_ADDR: return put_peer(log, s, r);
    case FIELD_METHOD: return put_escaped(log, s, r->method_name);
    case FIELD_TARGET: return put_escaped(log, s, r->target);
    case FIELD_PATH: return put_escaped(log, s, r->path);
    case FIELD_QUERY: return put_escaped(log, s, r->query);
    case FIELD_PROTOCOL: return put_escaped(log, s, PROTOCOLS[r->version]);
    case FIELD_STATUS: /* 499, as nginx has it: the client left before there was an answer */
        return put_number(s, r->answered ? (uint64_t)r->response.status : 499);
    case FIELD_BYTES: return put_number(s, r->response.bytes_sent);
    case FIELD_DURATION_US: return put_number(s, (cl_now_ns() - r->start_ns) / 1000);
    case FIELD_TIME: return put_time(log, s);
    case FIELD_REQUEST_ID: return put_escaped(log, s, r->request_id);
    case FIELD_WORKER_ID: return put_number(s, log->worker_id);
    case FIELD_SCHEME: return put_escaped(log, s, r->secure ? CL_STR("https") : CL_STR("http"));
    case FIELD_TLS_VERSION: return put_tls(log, s, log->tls_version, r);
    case FIELD_TLS_CIPHER: return put_tls(log, s, log->tls_cipher, r);
    case FIELD_HEADER: {
        const struct cl_header *h = cl_request_header_named(r, part->text);
        return put_escaped(log, s, h ? h->value : cl_str(NULL, 0));
    }
    default: return CELLO_EINVAL;
    }
}

void cl_access_log_set_worker(struct cl_access_log *log, uint32_t worker_id) {
    log->worker_id = worker_id;
}

void cl_access_log_show_tls(struct cl_access_log *log, cl_access_log_tls_fn version,
                            cl_access_log_tls_fn cipher) {
    log->tls_version = version;
    log->tls_cipher = cipher;
}

void cl_access_log_sample(struct cl_access_log *log, double share) {
    log->share = (uint64_t)(share * (double)ONE_LINE + 0.5);
    log->due = log->share ? ONE_LINE - log->share : 0; /* the first one has a line */
}

static bool has_line(struct cl_access_log *log, const struct cl_request *r) {
    log->due += log->share;
    bool due = log->due >= ONE_LINE;
    log->due &= ONE_LINE - 1;
    return due || (r->answered && r->response.status >= 500);
}

void cl_access_log_request(struct cl_access_log *log, const struct cl_request *r) {
    struct cl_sink *s = &log->out.sink;
    if (!has_line(log, r))
        return;
    size_t start = cl_sink_len(s);
    int err = CELLO_OK;
    for (size_t i = 0; i < log->part_count && !err; i++)
        err = put_part(log, s, &log->parts[i], r);
    if (!err)
        err = cl_sink_write(s, "\n", 1);
    if (err) {
        s->p = s->base + start;
        log->dropped++;
    }
    if (cl_sink_len(s) - log->written >= WRITE_AT)
        cl_access_log_flush(log);
}

/* ---- writing ---- */

/* Whole lines where they fit, so that workers who share a pipe do not cut each other's. A file
 * takes any number of lines as one: the kernel locks it for each append. */
static size_t piece_of(const struct cl_access_log *log, const char *from, size_t left) {
    if (left <= PIECE || log->is_file)
        return left;
    const char *end = memrchr(from, '\n', PIECE);
    return end ? (size_t)(end - from) + 1 : PIECE;
}

/* The file took `n` bytes and not all (no space is left, or its size has a limit). A line that was
 * cut is ended where it stops, whoever has written behind it by now, so that the next one, of any
 * worker, is not glued to it; it is written again as a whole. Returns the length of the lines
 * before it. */
static size_t end_cut_line(struct cl_access_log *log, const char *from, size_t n) {
    const char *last = memrchr(from, '\n', n);
    size_t whole = last ? (size_t)(last - from) + 1 : 0;
    off_t end = lseek(log->fd, 0, SEEK_CUR); /* where this append ended */
    int flags = fcntl(log->fd, F_GETFL);
    if (whole == n || end <= 0 || flags < 0)
        return whole;
    /* While it is set, pwrite(2) appends, too. */
    if (fcntl(log->fd, F_SETFL, flags & ~O_APPEND) == 0) {
        bool ended = pwrite(log->fd, "\n", 1, end - 1) == 1;
        if (fcntl(log->fd, F_SETFL, flags) || !ended)
            cl_log(CL_LOG_WARNING, "a line of the access log may be joined to another one");
    }
    return whole;
}

static bool write_some(struct cl_access_log *log, int wait_ms) {
    struct cl_sink *s = &log->out.sink;
    size_t left = cl_sink_len(s) - log->written;
    struct pollfd p = {.fd = log->fd, .events = POLLOUT};
    /* POLLERR: the reader of a pipe has gone; writing would raise SIGPIPE. */
    if (left == 0 || poll(&p, 1, wait_ms) != 1 || (p.revents & (POLLOUT | POLLERR)) != POLLOUT)
        return false;
    const char *from = s->base + log->written;
    ssize_t n = write(log->fd, from, piece_of(log, from, left));
    if (n <= 0)
        return n < 0 && errno == EINTR;
    bool cut = log->is_file && (size_t)n < left;
    log->written += cut ? end_cut_line(log, from, (size_t)n) : (size_t)n;
    return !cut;
}

bool cl_access_log_flush(struct cl_access_log *log) {
    struct cl_sink *s = &log->out.sink;
    while (write_some(log, 0)) {
    }
    size_t left = cl_sink_len(s) - log->written;
    if (left && log->written)
        memmove(s->base, s->base + log->written, left);
    s->p = s->base + left;
    log->written = 0;
    return left != 0;
}

/* ---- the file ---- */

/* A pipe that nobody reads is an error, not a wait. */
static int open_file(const char *path, bool *is_file) {
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
                  (mode_t)FILE_MODE);
    struct stat st;
    *is_file = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    return fd;
}

static void close_file(struct cl_access_log *log) {
    if (log->path)
        close(log->fd);
}

static int change_file(struct cl_access_log *log, const char *path) {
    bool is_file;
    int fd = open_file(path, &is_file);
    if (fd < 0)
        return CELLO_ESYS;
    (void)cl_access_log_flush(log);
    close_file(log);
    log->fd = fd;
    log->is_file = is_file;
    return CELLO_OK;
}

int cl_access_log_open(struct cl_access_log *log, const char *path) {
    char *copy = cl_strndup(path, strlen(path));
    if (!copy)
        return CELLO_ENOMEM;
    int err = change_file(log, copy);
    if (err) {
        cl_free(copy);
        return err;
    }
    cl_free(log->path);
    log->path = copy;
    return CELLO_OK;
}

int cl_access_log_try(const char *path) {
    bool is_file;
    int fd = open_file(path, &is_file);
    if (fd < 0)
        return CELLO_ESYS;
    close(fd);
    return CELLO_OK;
}

int cl_access_log_reopen(struct cl_access_log *log) {
    return log->path ? change_file(log, log->path) : CELLO_OK;
}

const char *cl_access_log_path(const struct cl_access_log *log) {
    return log->path;
}

uint64_t cl_access_log_dropped(const struct cl_access_log *log) {
    return log->dropped;
}

void cl_access_log_del(struct cl_access_log *log) {
    if (!log)
        return;
    while (write_some(log, LAST_WAIT_MS)) {
    }
    if (log->dropped)
        cl_log(CL_LOG_WARNING, "%llu lines of the access log were dropped: %s",
               (unsigned long long)log->dropped,
               log->is_file ? "its file took no more" : "its reader is too slow");
    close_file(log);
    cl_heap_sink_free(&log->out);
    cl_free(log->path);
    cl_free(log->format);
    cl_free(log);
}
