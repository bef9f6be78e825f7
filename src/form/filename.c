#include "form/filename.h"

enum { EXTENSION_MAX = 32 };

static struct cl_str last_component(struct cl_str name) {
    size_t start = name.len;
    while (start > 0 && name.ptr[start - 1] != '/' && name.ptr[start - 1] != '\\')
        start--;
    return cl_str(name.ptr + start, name.len - start);
}

static bool is_dropped(char c) {
    return c == '.' || c == ' ';
}

static struct cl_str trim(struct cl_str s) {
    while (s.len && is_dropped(s.ptr[0]))
        s = cl_str(s.ptr + 1, s.len - 1);
    while (s.len && is_dropped(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* CON, PRN, AUX, NUL, COM1 to COM9, LPT1 to LPT9, whatever the extension. */
static bool is_device(struct cl_str s) {
    static const char names[][4] = {"con", "prn", "aux", "nul", "com", "lpt"};
    const char *dot = s.len ? memchr(s.ptr, '.', s.len) : NULL;
    size_t n = dot ? (size_t)(dot - s.ptr) : s.len;
    for (size_t i = 0; i < CL_ARRAY_LEN(names) && n >= 3; i++) {
        if (!cl_str_ieq(cl_str(s.ptr, 3), cl_str(names[i], 3)))
            continue;
        return i < 4 ? n == 3 : n == 4 && s.ptr[3] >= '1' && s.ptr[3] <= '9';
    }
    return false;
}

/* At most `max` bytes at the start that end with a whole character. */
static size_t cut(struct cl_str s, size_t max) {
    if (s.len <= max)
        return s.len;
    while (max > 0 && ((unsigned char)s.ptr[max] & 0xc0) == 0x80)
        max--;
    return max;
}

static struct cl_str extension_of(struct cl_str s) {
    const char *dot = s.len ? memrchr(s.ptr, '.', s.len) : NULL;
    size_t n = dot ? (size_t)(s.ptr + s.len - dot) : 0;
    return n <= EXTENSION_MAX ? cl_str(s.ptr + s.len - n, n) : cl_str(s.ptr + s.len, 0);
}

static char *put(char *out, struct cl_str s) {
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        *out++ = c < ' ' || c == 0x7f || strchr("<>:\"|?*", c) ? '_' : s.ptr[i];
    }
    return out;
}

size_t cl_filename_safe(struct cl_str name, char out[CL_FILENAME_MAX]) {
    struct cl_str base = trim(last_component(name));
    if (base.len == 0)
        base = CL_STR("file");
    char *p = out;
    if (is_device(base))
        *p++ = '_';
    struct cl_str extension = extension_of(base);
    size_t room = CL_FILENAME_MAX - (size_t)(p - out) - extension.len;
    p = put(p, cl_str(base.ptr, cut(cl_str(base.ptr, base.len - extension.len), room)));
    p = put(p, extension);
    return (size_t)(p - out);
}
