/* Problem documents, RFC 9457. */
#include "http/response.h"
#include "http/status.h"

/* Text as a JSON string. Worst case six bytes for one; the caller has reserved that. Bytes from
 * 0x80 up come from text that was checked to be UTF-8. */
static char *put_string(char *p, struct cl_str s) {
    static const char hex[] = "0123456789abcdef";
    *p++ = '"';
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == '"' || c == '\\') {
            *p++ = '\\';
            *p++ = (char)c;
        } else if (c < 0x20) {
            memcpy(p, "\\u00", 4);
            p[4] = hex[c >> 4];
            p[5] = hex[c & 15];
            p += 6;
        } else {
            *p++ = (char)c;
        }
    }
    *p++ = '"';
    return p;
}

static char *put_literal(char *p, const char *s) {
    size_t n = strlen(s);
    memcpy(p, s, n);
    return p + n;
}

void cl_respond_problem(struct cl_request *r, int status, struct cl_str detail) {
    struct cl_str title = cl_status_reason(status);
    if (!title.len)
        title = CL_STR("Error");
    struct cl_str instance = r->path;
    r->response.status = status;
    r->response.content_type = CL_STR("application/problem+json");
    char *text = cl_arena_alloc(&r->arena, 128 + 6 * (title.len + detail.len + instance.len));
    if (!text) {
        cl_respond_empty(r);
        return;
    }
    char *p = put_literal(text, "{\"type\":\"about:blank\",\"title\":");
    p = put_string(p, title);
    p = put_literal(p, ",\"status\":");
    *p++ = (char)('0' + status / 100);
    *p++ = (char)('0' + status / 10 % 10);
    *p++ = (char)('0' + status % 10);
    if (detail.len) {
        p = put_literal(p, ",\"detail\":");
        p = put_string(p, detail);
    }
    if (instance.len) {
        p = put_literal(p, ",\"instance\":");
        p = put_string(p, instance);
    }
    *p++ = '}';
    cl_respond_bytes(r, cl_str(text, (size_t)(p - text)));
}
