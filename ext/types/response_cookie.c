/* Set-Cookie: from Python's arguments to the formatter. */
#include <math.h>

#include "types/response_internal.h"

enum {
    NAME,
    VALUE,
    MAX_AGE,
    EXPIRES,
    PATH,
    DOMAIN,
    SECURE,
    HTTPONLY,
    SAMESITE,
    PARTITIONED,
    ARG_COUNT,
};

static const struct cl_args_spec SET_SPEC = {
    .function = "Response.set_cookie",
    .required = 1,
    .positional = 2,
    .names = {"key", "value", "max_age", "expires", "path", "domain", "secure", "httponly",
              "samesite", "partitioned"},
};

/* NULL leaves Lax, None asks for no attribute. */
static int read_same_site(PyObject *arg, enum cello_same_site *out) {
    static const struct {
        const char *text;
        enum cello_same_site value;
    } known[] = {
        {"lax", CELLO_SAME_SITE_LAX},
        {"strict", CELLO_SAME_SITE_STRICT},
        {"none", CELLO_SAME_SITE_NONE},
    };
    struct cl_str text = {NULL, 0};
    *out = CELLO_SAME_SITE_LAX;
    if (!arg)
        return 0;
    if (arg == Py_None) {
        *out = CELLO_SAME_SITE_UNSET;
        return 0;
    }
    if (cl_args_str("samesite", arg, &text) < 0)
        return -1;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (cl_text_ieq(text, (struct cl_str){known[i].text, strlen(known[i].text)})) {
            *out = known[i].value;
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError, "samesite must be 'lax', 'strict', 'none' or None, not %R", arg);
    return -1;
}

/* A datetime with a time zone, to seconds since 1970. */
static int read_expires(PyObject *arg, struct cello_cookie *cookie) {
    if (!arg || arg == Py_None)
        return 0;
    PyObject *zone = PyObject_GetAttrString(arg, "tzinfo");
    PyObject *seconds = zone ? PyObject_CallMethod(arg, "timestamp", NULL) : NULL;
    bool aware = zone && zone != Py_None;
    Py_XDECREF(zone);
    /* Anything with these attributes is taken, but not any number: datetimes end with 9999. */
    if (!seconds || !PyFloat_Check(seconds) || !(fabs(PyFloat_AS_DOUBLE(seconds)) < 1e12)) {
        Py_XDECREF(seconds);
        if (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_AttributeError))
            PyErr_Format(PyExc_TypeError, "expires must be a datetime, not %.100s",
                         Py_TYPE(arg)->tp_name);
        return -1;
    }
    cookie->expires_unix = (int64_t)PyFloat_AS_DOUBLE(seconds);
    cookie->has_expires = true;
    Py_DECREF(seconds);
    if (aware)
        return 0;
    PyErr_SetString(PyExc_ValueError, "expires must have a time zone, such as timezone.utc");
    return -1;
}

static int read_attributes(PyObject **given, struct cello_cookie *cookie) {
    cl_args_none_is_absent(&given[MAX_AGE]);
    cl_args_none_is_absent(&given[DOMAIN]);
    cookie->has_max_age = given[MAX_AGE] != NULL;
    cookie->path = CL_LITERAL("/");
    if (given[PATH] == Py_None)
        cookie->path.len = 0;
    else if (cl_args_str("path", given[PATH], &cookie->path) < 0)
        return -1;
    if (cl_args_str("domain", given[DOMAIN], &cookie->domain) < 0 ||
        cl_args_int64("max_age", given[MAX_AGE], &cookie->max_age_s) < 0 ||
        cl_args_bool("secure", given[SECURE], &cookie->secure) < 0 ||
        cl_args_bool("httponly", given[HTTPONLY], &cookie->http_only) < 0 ||
        cl_args_bool("partitioned", given[PARTITIONED], &cookie->partitioned) < 0)
        return -1;
    return read_same_site(given[SAMESITE], &cookie->same_site) < 0
               ? -1
               : read_expires(given[EXPIRES], cookie);
}

/* Format and append it. */
static PyObject *add(struct cl_pyresponse *self, const struct cello_cookie *cookie) {
    char text[CELLO_COOKIE_TEXT_MAX];
    size_t len;
    const char *fault = NULL;
    if (cello_cookie_format(cookie, text, &len, &fault) != CELLO_OK) {
        PyErr_Format(PyExc_ValueError, "the cookie cannot be set, by its %s",
                     fault ? fault : "size");
        return NULL;
    }
    PyObject *name = PyUnicode_FromString("Set-Cookie");
    PyObject *value = cl_text_new((struct cl_str){text, len});
    int err = name && value ? cl_pyresponse_append(self, name, value) : -1;
    Py_XDECREF(name);
    Py_XDECREF(value);
    return err ? NULL : Py_NewRef(Py_None);
}

PyObject *cl_pyresponse_set_cookie(PyObject *self, PyObject *const *args, Py_ssize_t n,
                                   PyObject *names) {
    PyObject *given[ARG_COUNT];
    struct cello_cookie cookie = {.has_max_age = false};
    if (cl_args_parse(&SET_SPEC, args, (size_t)n, names, given) < 0 ||
        cl_args_str("key", given[NAME], &cookie.name) < 0 ||
        cl_args_str("value", given[VALUE], &cookie.value) < 0 ||
        read_attributes(given, &cookie) < 0)
        return NULL;
    return add(cl_pyresponse_of(self), &cookie);
}

PyObject *cl_pyresponse_delete_cookie(PyObject *self, PyObject *const *args, Py_ssize_t n,
                                      PyObject *names) {
    static const struct cl_args_spec spec = {.function = "Response.delete_cookie",
                                             .required = 1,
                                             .positional = 3,
                                             .names = {"key", "path", "domain"}};
    enum { DELETE_NAME, DELETE_PATH, DELETE_DOMAIN, DELETE_COUNT };
    PyObject *given[DELETE_COUNT];
    if (cl_args_parse(&spec, args, (size_t)n, names, given) < 0)
        return NULL;
    struct cello_cookie cookie = {
        .path = CL_LITERAL("/"),
        .has_max_age = true,
        .has_expires = true,
        .same_site = CELLO_SAME_SITE_LAX,
    };
    cl_args_none_is_absent(&given[DELETE_DOMAIN]);
    if (cl_args_str("key", given[DELETE_NAME], &cookie.name) < 0 ||
        cl_args_str("path", given[DELETE_PATH], &cookie.path) < 0 ||
        cl_args_str("domain", given[DELETE_DOMAIN], &cookie.domain) < 0)
        return NULL;
    /* Browsers keep the cookie unless these names come with Secure. */
    cookie.secure = cookie.name.len > 2 && memcmp(cookie.name.ptr, "__", 2) == 0;
    return add(cl_pyresponse_of(self), &cookie);
}
