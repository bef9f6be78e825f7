#include "http1/parser.h"

#include "base/cpu.h"
#include "http1/parser_internal.h"

static int parse_from_start(const char *buf, size_t len, const struct cl_h1_limits *limits,
                            struct cl_h1_head *head, size_t *consumed) {
    switch (cl_cpu_level()) {
#if defined(__x86_64__)
    case CL_CPU_AVX2: return cl_h1_parse_avx2(buf, len, limits, head, consumed);
    case CL_CPU_SSE42: return cl_h1_parse_sse42(buf, len, limits, head, consumed);
#elif defined(__aarch64__)
    case CL_CPU_NEON: return cl_h1_parse_neon(buf, len, limits, head, consumed);
#endif
    default: return cl_h1_parse_scalar(buf, len, limits, head, consumed);
    }
}

/* A head that comes in pieces is parsed again from its start only when a piece may decide
 * something: when it ends a line, or when a limit is passed. A client that sends single bytes thus
 * costs one scan of each byte and one parse per line, and lines are limited. */
static bool worth_parsing(const char *buf, size_t seen, size_t len,
                          const struct cl_h1_limits *limits) {
    if (seen == 0)
        return true;
    if (seen <= limits->max_request_line && len > limits->max_request_line)
        return true;
    if (len > limits->max_request_line + limits->max_header_size)
        return true;
    return len > seen && memchr(buf + seen, '\n', len - seen) != NULL;
}

int cl_h1_parse_head(const char *buf, size_t len, size_t *scanned,
                     const struct cl_h1_limits *limits, struct cl_h1_head *head, size_t *consumed) {
    size_t seen = *scanned;
    *scanned = len;
    if (!worth_parsing(buf, seen, len, limits))
        return CELLO_EAGAIN;
    return parse_from_start(buf, len, limits, head, consumed);
}

int cl_h1_parse_version(const char **cursor, const char *end, int *minor) {
    static const char expected[] = "HTTP/";
    const char *p = *cursor;
    for (size_t i = 0; i < sizeof(expected) - 1; i++, p++) {
        if (p == end)
            return CELLO_EAGAIN;
        if (*p != expected[i])
            return CELLO_EREQLINE;
    }
    /* DIGIT "." DIGIT CR LF */
    char version[5];
    for (size_t i = 0; i < sizeof(version); i++, p++) {
        if (p == end)
            return CELLO_EAGAIN;
        version[i] = *p;
        bool digit = *p >= '0' && *p <= '9';
        if (i < 3 && (i == 1 ? *p != '.' : !digit))
            return CELLO_EREQLINE;
        if (i == 2 && version[0] != '1')
            return CELLO_EVERSION;
        if (i == 3 && *p != '\r')
            return *p == '\n' ? CELLO_EBARELF : CELLO_EREQLINE;
    }
    if (version[4] != '\n')
        return CELLO_EBARELF;
    *minor = version[2] == '0' ? 0 : 1;
    *cursor = p;
    return CELLO_OK;
}
