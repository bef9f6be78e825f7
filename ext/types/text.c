#include "types/text.h"

#include <stdarg.h>

static bool is_ascii(struct cl_str s) {
    uint64_t high = 0;
    size_t i = 0;
    for (; i + 8 <= s.len; i += 8) {
        uint64_t word;
        memcpy(&word, s.ptr + i, 8);
        high |= word;
    }
    for (; i < s.len; i++)
        high |= (uint64_t)(unsigned char)s.ptr[i];
    return (high & UINT64_C(0x8080808080808080)) == 0;
}

static PyObject *new_ascii(struct cl_str s) {
    /* Python shares its strings of one character. */
    if (s.len <= 1)
        return PyUnicode_FromStringAndSize(s.ptr, (Py_ssize_t)s.len);
    PyObject *text = PyUnicode_New((Py_ssize_t)s.len, 127);
    if (text)
        memcpy(PyUnicode_1BYTE_DATA(text), s.ptr, s.len);
    return text;
}

PyObject *cl_text_new(struct cl_str s) {
    if (s.len && !is_ascii(s))
        return PyUnicode_DecodeUTF8(s.ptr, (Py_ssize_t)s.len, NULL);
    return new_ascii((struct cl_str){s.ptr ? s.ptr : "", s.len});
}

PyObject *cl_text_from_field(struct cl_str s) {
    PyObject *text = cl_text_new(s);
    if (text || !PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
        return text;
    PyErr_Clear();
    return PyUnicode_DecodeLatin1(s.ptr, (Py_ssize_t)s.len, NULL);
}

PyObject *cl_text_from_path(struct cl_str raw) {
    if (!raw.len || !memchr(raw.ptr, '%', raw.len))
        return cl_text_from_field(raw);
    char *decoded = PyMem_Malloc(raw.len);
    if (!decoded)
        return PyErr_NoMemory();
    size_t n;
    bool ok = cello_percent_decode(raw, decoded, &n) == CELLO_OK;
    PyObject *text = ok ? cl_text_new((struct cl_str){decoded, n}) : cl_text_from_field(raw);
    PyMem_Free(decoded);
    return text;
}

static unsigned char lower(char c) {
    unsigned char u = (unsigned char)c;
    return (unsigned char)(u - 'A') < 26 ? (unsigned char)(u | 0x20) : u;
}

PyObject *cl_text_lower(struct cl_str s) {
    if (!is_ascii(s))
        return cl_text_from_field(s);
    PyObject *text = PyUnicode_New((Py_ssize_t)s.len, 127);
    if (text)
        for (size_t i = 0; i < s.len; i++)
            PyUnicode_1BYTE_DATA(text)[i] = lower(s.ptr[i]);
    return text;
}

bool cl_text_ieq(struct cl_str a, struct cl_str b) {
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    return true;
}

/* unreserved, reserved and '%', RFC 3986 section 2. */
static bool uri_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~:/?#[]@!$&'()*+,;=%", c));
}

PyObject *cl_text_quote(struct cl_str s, const char *also) {
    static const char digits[] = "0123456789ABCDEF";
    char *quoted = s.len < PY_SSIZE_T_MAX / 3 ? PyMem_Malloc(s.len * 3 + 1) : NULL;
    if (!quoted)
        return PyErr_NoMemory();
    char *p = quoted;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (uri_char(s.ptr[i]) && !strchr(also, c)) {
            *p++ = s.ptr[i];
        } else {
            *p++ = '%';
            *p++ = digits[c >> 4];
            *p++ = digits[c & 15];
        }
    }
    PyObject *text = cl_text_new((struct cl_str){quoted, (size_t)(p - quoted)});
    PyMem_Free(quoted);
    return text;
}

/* ---- errors ---- */

PyObject *cl_text_raise_http(struct cl_ext *ext, int status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    PyObject *detail = PyUnicode_FromFormatV(format, args);
    va_end(args);
    PyObject *type = ext->http_error ? ext->http_error : PyExc_RuntimeError;
    PyObject *error = detail ? PyObject_CallFunction(type, "iO", status, detail) : NULL;
    if (error)
        PyErr_SetObject(type, error);
    Py_XDECREF(error);
    Py_XDECREF(detail);
    return NULL;
}

PyObject *cl_text_raise(struct cl_ext *ext, int err, const char *what) {
    if (err == CELLO_ENOMEM)
        return PyErr_NoMemory();
    const char *why = err == CELLO_ELIMIT ? "too many values" : cello_strerror(err);
    return cl_text_raise_http(ext, 400, "%s: %s", what, why);
}
