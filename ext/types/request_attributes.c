/* The attributes of a Request: copies, made on first use. */
#include "types/request_internal.h"
#include "types/tls.h"
#include "types/view.h"

/* ---- maps ---- */

PyObject *cl_pyrequest_map(struct cl_pyrequest *self, enum cl_map_kind kind) {
    if (!self->r)
        return Py_NewRef(self->maps[kind]);
    struct cl_pymultimap *memory = NULL;
    for (int i = 0; i < CL_PYREQUEST_SPARE_VIEWS && !memory; i++) {
        memory = self->spare_views[i];
        self->spare_views[i] = NULL;
    }
    return cl_pymultimap_view(self->ext, kind, (PyObject *)self, self->r, memory);
}

int cl_pyrequest_find(struct cl_pyrequest *self, enum cl_map_kind kind, PyObject *name,
                      PyObject **value) {
    return self->r ? cl_view_find(self->ext, kind, self->r, name, value)
                   : cl_pymultimap_find(self->maps[kind], name, value);
}

int cl_pyrequest_find_header(struct cl_pyrequest *self, struct cl_str name, PyObject **value) {
    if (self->r) {
        struct cl_str found;
        if (!cello_request_header(self->r, name, &found))
            return 0;
        *value = cl_text_from_field(found);
        return *value ? 1 : -1;
    }
    PyObject *key = cl_text_new(name);
    int result = key ? cl_pymultimap_find(self->maps[CL_MAP_HEADERS], key, value) : -1;
    Py_XDECREF(key);
    return result;
}

/* ---- attributes that are made once ---- */

struct attribute {
    enum cl_pyrequest_kept which;
    PyObject *(*make)(struct cl_pyrequest *self);
};

/* Borrowed. */
static PyObject *obtain(struct cl_pyrequest *self, const struct attribute *a) {
    if (!self->kept[a->which]) {
        PyObject *value = a->make(self);
        if (!value)
            return NULL;
        cl_pyrequest_keep(self, a->which, value);
    }
    return self->kept[a->which];
}

static PyObject *none_if_empty(struct cl_str s) {
    return s.len ? cl_text_from_field(s) : Py_NewRef(Py_None);
}

static PyObject *make_method(struct cl_pyrequest *self) {
    return cl_text_new(cello_request_method(self->r));
}

static PyObject *make_path(struct cl_pyrequest *self) {
    return cl_text_from_path(cello_request_path(self->r));
}

static PyObject *make_host(struct cl_pyrequest *self) {
    if (self->r)
        return cl_text_from_field(cello_request_host(self->r));
    PyObject *host = NULL;
    int found = cl_pyrequest_find_header(self, CL_LITERAL("host"), &host);
    return found ? host : PyUnicode_FromString("");
}

static PyObject *make_client(struct cl_pyrequest *self) {
    uint16_t port = 0;
    struct cl_str host = {NULL, 0};
    if (self->r)
        host = cello_request_peer(self->r, &port);
    if (!host.len)
        return Py_NewRef(Py_None);
    PyObject *client = PyStructSequence_New(self->ext->address_type);
    PyObject *address = client ? cl_ext_str(host) : NULL;
    PyObject *number = address ? PyLong_FromLong(port) : NULL;
    if (!number) {
        Py_XDECREF(address);
        Py_XDECREF(client);
        return NULL;
    }
    PyStructSequence_SetItem(client, 0, address);
    PyStructSequence_SetItem(client, 1, number);
    return client;
}

static PyObject *make_credentials(struct cl_pyrequest *self) {
    struct cello_credentials found;
    if (!self->r || !cello_request_peer_credentials(self->r, &found))
        return Py_NewRef(Py_None);
    const int64_t values[] = {found.pid, found.uid, found.gid};
    PyObject *credentials = PyStructSequence_New(self->ext->credentials_type);
    for (Py_ssize_t i = 0; credentials && i < 3; i++) {
        PyObject *number = PyLong_FromLongLong(values[i]);
        if (!number)
            Py_CLEAR(credentials);
        else
            PyStructSequence_SetItem(credentials, i, number);
    }
    return credentials;
}

static PyObject *make_route(struct cl_pyrequest *self) {
    return none_if_empty(self->r ? cello_request_route(self->r) : (struct cl_str){NULL, 0});
}

static PyObject *make_request_id(struct cl_pyrequest *self) {
    return none_if_empty(self->r ? cello_request_id(self->r) : (struct cl_str){NULL, 0});
}

bool cl_pyrequest_body_is_taken(struct cl_pyrequest *self) {
    const struct cl_upload *first;
    if (cello_request_body_mode(self->r) == CELLO_BODY_STREAM) {
        PyErr_SetString(
            PyExc_RuntimeError,
            "the route is declared with body=\"stream\": read the body with req.stream() "
            "or req.multipart()");
        return true;
    }
    if (!cello_request_uploads(self->r, &first))
        return false;
    PyErr_SetString(PyExc_RuntimeError,
                    "the body was read as a form while it arrived, for the handler has Form() or "
                    "File() parameters: use req.form() or req.files()");
    return true;
}

static PyObject *make_body(struct cl_pyrequest *self) {
    if (cl_pyrequest_body_is_taken(self))
        return NULL;
    struct cl_str body = cello_request_body(self->r);
    return PyBytes_FromStringAndSize(body.ptr, (Py_ssize_t)body.len);
}

/* What the application's lifespan gave for every request, a dict; NULL: nothing. */
static PyObject *given_state(PyObject *app) {
    PyObject *given = app ? PyObject_GetAttrString(app, "_request_state") : NULL;
    if (given && PyDict_Check(given))
        return given;
    PyErr_Clear();
    Py_XDECREF(given);
    return NULL;
}

static PyObject *make_state(struct cl_pyrequest *self) {
    /* Not only there: sys.implementation is the SimpleNamespace that is always at hand. */
    PyObject *example = PySys_GetObject("implementation");
    cl_pyrequest_track(self);
    if (!example) {
        PyErr_SetString(PyExc_RuntimeError, "sys.implementation is gone");
        return NULL;
    }
    PyObject *given = given_state(self->app);
    PyObject *state = PyObject_VectorcallDict((PyObject *)Py_TYPE(example), NULL, 0, given);
    Py_XDECREF(given);
    return state;
}

static const struct attribute REQUEST_ID = {CL_KEPT_REQUEST_ID, make_request_id};

static PyObject *make_context(struct cl_pyrequest *self) {
    PyObject *id = obtain(self, &REQUEST_ID);
    PyObject *context = id ? PyDict_New() : NULL;
    cl_pyrequest_track(self);
    if (context && id != Py_None && PyDict_SetItemString(context, "request_id", id) < 0)
        Py_CLEAR(context);
    return context;
}

static const struct attribute METHOD = {CL_KEPT_METHOD, make_method};
static const struct attribute PATH = {CL_KEPT_PATH, make_path};
static const struct attribute HOST = {CL_KEPT_HOST, make_host};
static const struct attribute CLIENT = {CL_KEPT_CLIENT, make_client};
static const struct attribute CLIENT_CERT = {CL_KEPT_CLIENT_CERT, cl_tls_client_cert_of};
static const struct attribute CREDENTIALS = {CL_KEPT_CREDENTIALS, make_credentials};
static const struct attribute ROUTE = {CL_KEPT_ROUTE, make_route};
static const struct attribute BODY = {CL_KEPT_BODY, make_body};
static const struct attribute STATE = {CL_KEPT_STATE, make_state};
static const struct attribute CONTEXT = {CL_KEPT_CONTEXT, make_context};

PyObject *cl_pyrequest_remote_addr(struct cl_pyrequest *self) {
    PyObject *client = obtain(self, &CLIENT);
    if (!client)
        return NULL;
    return Py_NewRef(client == Py_None ? Py_None : PyTuple_GET_ITEM(client, 0));
}

void cl_pyrequest_read_peer(struct cl_pyrequest *self) {
    uint16_t port;
    if (!self->r)
        return;
    (void)cello_request_peer(self->r, &port);
    if (cello_request_is_secure(self->r) && !obtain(self, &CLIENT_CERT)) {
        PyErr_Clear(); /* then nobody has one */
        cl_pyrequest_keep(self, CL_KEPT_CLIENT_CERT, Py_NewRef(Py_None));
    }
}

PyObject *cl_pyrequest_body(struct cl_pyrequest *self) {
    return obtain(self, &BODY);
}

/* ---- the URL ---- */

static const char *scheme_of(const struct cl_pyrequest *self) {
    return self->r && cello_request_is_secure(self->r) ? "https" : "http";
}

/* Without a Host, URLs are relative. */
static PyObject *make_base_url(struct cl_pyrequest *self) {
    PyObject *host = obtain(self, &HOST);
    if (!host)
        return NULL;
    return PyUnicode_GET_LENGTH(host) ? PyUnicode_FromFormat("%s://%U/", scheme_of(self), host)
                                      : PyUnicode_FromString("/");
}

static const struct attribute BASE_URL = {CL_KEPT_BASE_URL, make_base_url};

/* name=value, encoded. */
static PyObject *encode_pair(PyObject *pair) {
    struct cl_str name, value;
    if (!cl_text_key(PyTuple_GET_ITEM(pair, 0), &name) ||
        !cl_text_key(PyTuple_GET_ITEM(pair, 1), &value)) {
        PyErr_SetString(PyExc_ValueError, "the query has a lone surrogate");
        return NULL;
    }
    PyObject *quoted_name = cl_text_quote(name, "&=+#%");
    PyObject *quoted_value = cl_text_quote(value, "&+#%");
    PyObject *text = quoted_name && quoted_value
                         ? PyUnicode_FromFormat("%U=%U", quoted_name, quoted_value)
                         : NULL;
    Py_XDECREF(quoted_name);
    Py_XDECREF(quoted_value);
    return text;
}

static PyObject *encode_query(PyObject *map) {
    PyObject *pairs = ((struct cl_pymultimap *)map)->pairs, *separator = PyUnicode_FromString("&");
    PyObject *parts = PyList_New(0), *query = NULL;
    bool ok = parts && separator;
    for (Py_ssize_t i = 0; ok && i < PyTuple_GET_SIZE(pairs); i++) {
        PyObject *part = encode_pair(PyTuple_GET_ITEM(pairs, i));
        ok = part && PyList_Append(parts, part) == 0;
        Py_XDECREF(part);
    }
    if (ok)
        query = PyUnicode_Join(separator, parts);
    Py_XDECREF(parts);
    Py_XDECREF(separator);
    return query;
}

/* The path and query as a client writes them. */
static int raw_parts(struct cl_pyrequest *self, PyObject **path, PyObject **query) {
    if (self->r) {
        *path = cl_text_from_field(cello_request_path(self->r));
        *query = cl_text_from_field(cello_request_query(self->r));
    } else {
        struct cl_str decoded = {NULL, 0};
        (void)cl_text_key(self->kept[CL_KEPT_PATH], &decoded);
        *path = cl_text_quote(decoded, "?#%");
        *query = encode_query(self->maps[CL_MAP_QUERY]);
    }
    return *path && *query ? 0 : -1;
}

static PyObject *make_url(struct cl_pyrequest *self) {
    PyObject *path = NULL, *query = NULL, *url = NULL;
    PyObject *host = obtain(self, &HOST);
    bool absolute = host && PyUnicode_GET_LENGTH(host);
    if (host && raw_parts(self, &path, &query) == 0)
        url = PyUnicode_FromFormat("%s%s%U%U%s%U", absolute ? scheme_of(self) : "",
                                   absolute ? "://" : "", host, path,
                                   PyUnicode_GET_LENGTH(query) ? "?" : "", query);
    Py_XDECREF(path);
    Py_XDECREF(query);
    if (!url || !self->ext->url_type)
        return url;
    PyObject *named = PyObject_CallOneArg(self->ext->url_type, url);
    Py_DECREF(url);
    return named;
}

static const struct attribute URL = {CL_KEPT_URL, make_url};

/* ---- getters ---- */

static PyObject *get_kept(PyObject *self, void *attribute) {
    return Py_XNewRef(obtain(cl_pyrequest_of(self), attribute));
}

static PyObject *get_map(PyObject *self, void *kind) {
    return cl_pyrequest_map(cl_pyrequest_of(self), (enum cl_map_kind)(uintptr_t)kind);
}

static PyObject *get_remote_addr(PyObject *self, void *unused) {
    (void)unused;
    return cl_pyrequest_remote_addr(cl_pyrequest_of(self));
}

static PyObject *get_scheme(PyObject *self, void *unused) {
    (void)unused;
    return PyUnicode_InternFromString(scheme_of(cl_pyrequest_of(self)));
}

static PyObject *get_app(PyObject *self, void *unused) {
    (void)unused;
    PyObject *app = cl_pyrequest_of(self)->app;
    return Py_NewRef(app ? app : Py_None);
}

static PyObject *get_identity(PyObject *self, void *unused) {
    (void)unused;
    PyObject *identity = cl_pyrequest_of(self)->kept[CL_KEPT_IDENTITY];
    return Py_NewRef(identity ? identity : Py_None);
}

/* NULL: deleted, which is None again. */
static int set_identity(PyObject *object, PyObject *identity, void *unused) {
    (void)unused;
    struct cl_pyrequest *self = cl_pyrequest_of(object);
    PyObject *before = self->kept[CL_KEPT_IDENTITY];
    cl_pyrequest_keep(self, CL_KEPT_IDENTITY, Py_NewRef(identity ? identity : Py_None));
    cl_pyrequest_track(self);
    Py_XDECREF(before);
    return 0;
}

#define KEPT(name, attribute, doc)                                                                 \
    { name, get_kept, NULL, doc, (void *)(uintptr_t)&attribute }
#define MAP(name, kind, doc)                                                                       \
    { name, get_map, NULL, doc, (void *)(uintptr_t)kind }

PyGetSetDef cl_pyrequest_attributes[] = {
    KEPT("method", METHOD, "\"GET\" and the like."),
    KEPT("path", PATH, "The path, percent-decoded."),
    KEPT("url", URL,
         "The whole URL, a str with names for its parts; relative when the client sent no Host."),
    KEPT("base_url", BASE_URL, "Scheme and host with a slash behind them."),
    {"scheme", get_scheme, NULL, "\"https\" over TLS, else \"http\".", NULL},
    KEPT("host", HOST, "What the client calls this server, with the port; may be empty."),
    MAP("params", CL_MAP_PARAMS, "The parameters of the path, decoded."),
    MAP("path_params", CL_MAP_PARAMS, "The same as params."),
    MAP("query", CL_MAP_QUERY, "The parameters of the query, decoded. [] gives the last."),
    MAP("query_params", CL_MAP_QUERY, "The same as query."),
    MAP("headers", CL_MAP_HEADERS, "The header fields. [] gives the first."),
    MAP("cookies", CL_MAP_COOKIES, "The cookies. [] gives the last."),
    {"remote_addr", get_remote_addr, NULL, "The peer's address, or None.", NULL},
    {"ip_addr", get_remote_addr, NULL, "The same as remote_addr.", NULL},
    KEPT("client", CLIENT, "The peer's (host, port), a tuple with these names, or None."),
    KEPT("client_cert", CLIENT_CERT,
         "The client's certificate, verified in the handshake: a tuple with subject, issuer, "
         "serial_number, not_before, not_after, sans, fingerprint, der; or None."),
    KEPT("peer_credentials", CREDENTIALS,
         "(pid, uid, gid) of the process at the other end of a unix socket, a tuple with these "
         "names, or None."),
    KEPT("state", STATE, "A namespace for the program's own values."),
    KEPT("context", CONTEXT, "A dict of what native steps found, such as request_id."),
    {"identity", get_identity, set_identity,
     "Who asks: what App.authenticate's function gave on a route with guards, else None.", NULL},
    {"app", get_app, NULL, "The application; None for a request made by hand.", NULL},
    KEPT("route", ROUTE, "The pattern of the route, or None."),
    KEPT("request_id", REQUEST_ID, "The id that enable_request_id gives, or None."),
    {NULL, NULL, NULL, NULL, NULL},
};

PyObject *cl_pyrequest_repr(PyObject *self) {
    PyObject *method = obtain(cl_pyrequest_of(self), &METHOD);
    PyObject *path = method ? obtain(cl_pyrequest_of(self), &PATH) : NULL;
    return path ? PyUnicode_FromFormat("<Request %U %R>", method, path) : NULL;
}
