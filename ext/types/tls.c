#include "types/tls.h"

#include "types/cluster.h"
#include "types/server.h"

/* ---- configuration: the tuple that _tls.py makes ---- */

/* What a configuration points to lives as long as the tuple and these. */
struct pointers {
    struct cello_tls_name *names;
    struct cl_str *ticket_keys;
};

static const char *text_or_null(PyObject *bytes) {
    return bytes == Py_None ? NULL : PyBytes_AsString(bytes);
}

static int read_names(PyObject *tuple, struct cello_tls_config *out, struct pointers *memory) {
    size_t count = (size_t)PyTuple_GET_SIZE(tuple);
    memory->names = PyMem_Calloc(count + 1, sizeof *memory->names);
    if (!memory->names) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        struct cello_tls_name *n = &memory->names[i];
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(tuple, i), "yyy", &n->host, &n->cert_path,
                              &n->key_path))
            return -1;
    }
    out->names = memory->names;
    out->name_count = count;
    return 0;
}

static int read_ticket_keys(PyObject *tuple, struct cello_tls_config *out,
                            struct pointers *memory) {
    size_t count = (size_t)PyTuple_GET_SIZE(tuple);
    memory->ticket_keys = PyMem_Calloc(count + 1, sizeof *memory->ticket_keys);
    if (!memory->ticket_keys) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        char *bytes;
        Py_ssize_t n;
        if (PyBytes_AsStringAndSize(PyTuple_GET_ITEM(tuple, i), &bytes, &n) < 0)
            return -1;
        memory->ticket_keys[i] = (struct cl_str){bytes, (size_t)n};
    }
    out->ticket_keys = memory->ticket_keys;
    out->ticket_key_count = count;
    return 0;
}

static int read_config(PyObject *tuple, struct cello_tls_config *out, struct pointers *memory) {
    PyObject *ca, *ciphers, *ocsp, *names, *keys;
    Py_ssize_t password_len;
    int required, min, max, ktls, last_redirects;
    *out = (struct cello_tls_config)CELLO_TLS_CONFIG_DEFAULT;
    *memory = (struct pointers){0};
    if (!PyTuple_Check(tuple)) {
        PyErr_SetString(PyExc_TypeError, "what TLS needs is a tuple");
        return -1;
    }
    if (!PyArg_ParseTuple(tuple, "yyy#OpiiOO!OO!pp", &out->cert_path, &out->key_path,
                          &out->key_password.ptr, &password_len, &ca, &required, &min, &max,
                          &ciphers, &PyTuple_Type, &names, &ocsp, &PyTuple_Type, &keys, &ktls,
                          &last_redirects))
        return -1;
    out->key_password.len = (size_t)password_len;
    out->ca_path = text_or_null(ca);
    out->require_client_cert = required;
    out->min_version = (enum cello_tls_version)min;
    out->max_version = (enum cello_tls_version)max;
    out->ciphers = text_or_null(ciphers);
    out->ocsp_response = text_or_null(ocsp);
    out->ktls = ktls;
    out->last_redirects = last_redirects;
    if (PyErr_Occurred() || read_names(names, out, memory) < 0)
        return -1;
    return read_ticket_keys(keys, out, memory);
}

static void free_pointers(struct pointers *memory) {
    PyMem_Free(memory->names);
    PyMem_Free(memory->ticket_keys);
}

static PyObject *raise_why(int err, const char *why) {
    if (err == CELLO_ENOMEM)
        return PyErr_NoMemory();
    PyObject *text = PyUnicode_DecodeFSDefault(why);
    if (text)
        PyErr_SetObject(PyExc_ValueError, text);
    Py_XDECREF(text);
    return NULL;
}

PyObject *cl_tls_check(PyObject *module, PyObject *tuple) {
    (void)module;
    struct cello_tls_config config;
    struct pointers memory;
    char why[CELLO_TLS_WHY];
    PyObject *done = NULL;
    if (read_config(tuple, &config, &memory) == 0) {
        int err = cello_tls_check(&config, why);
        done = err ? raise_why(err, why) : Py_NewRef(Py_None);
    }
    free_pointers(&memory);
    return done;
}

PyObject *cl_tls_make_certificate(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *cert, *key;
    bool made = false;
    char why[CELLO_TLS_WHY];
    if (!PyArg_ParseTuple(args, "O&O&:make_certificate", PyUnicode_FSConverter, &cert,
                          PyUnicode_FSConverter, &key))
        return NULL;
    int err = cello_tls_make_local(PyBytes_AS_STRING(cert), PyBytes_AS_STRING(key), &made, why);
    Py_DECREF(cert);
    Py_DECREF(key);
    return err ? raise_why(err, why) : PyBool_FromLong(made);
}

/* ---- servers ---- */

static struct cl_server *server_of(PyObject *self) {
    struct cl_bridge *b = cl_server_bridge(cl_ext_of_type(Py_TYPE(self)), self);
    if (b && !b->server)
        PyErr_SetString(PyExc_RuntimeError, "the server is closed");
    return b ? b->server : NULL;
}

PyObject *cl_server_use_tls(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    struct cello_tls_config config;
    struct pointers memory;
    char why[CELLO_TLS_WHY];
    struct cl_cluster *cluster = NULL;
    struct cl_server *server = server_of(self);
    if (!server)
        return NULL;
    if (n < 1 || n > 2) {
        PyErr_SetString(PyExc_TypeError, "use_tls takes a configuration and a Cluster or None");
        return NULL;
    }
    if (n == 2 && args[1] != Py_None) {
        cluster = cl_cluster_of(cl_ext_of_type(Py_TYPE(self)), args[1]);
        if (!cluster)
            return NULL;
    }
    PyObject *done = NULL;
    if (read_config(args[0], &config, &memory) == 0) {
        int err = cello_server_use_tls(server, cluster, &config, why);
        done = err ? raise_why(err, why) : Py_NewRef(Py_None);
    }
    free_pointers(&memory);
    return done;
}

PyObject *cl_server_reload_tls(PyObject *self, PyObject *unused) {
    (void)unused;
    struct cl_server *server = server_of(self);
    if (!server)
        return NULL;
    return PyBool_FromLong(cello_server_reload_tls(server));
}

PyObject *cl_server_listen_redirect(PyObject *self, PyObject *args) {
    const char *host;
    unsigned short port;
    struct cl_server *server = server_of(self);
    if (!server || !PyArg_ParseTuple(args, "sH:listen_redirect", &host, &port))
        return NULL;
    int err = cello_server_listen_redirect(server, host, port);
    switch (err) {
    case CELLO_OK: Py_RETURN_NONE;
    case CELLO_ENOMEM: return PyErr_NoMemory();
    case CELLO_ESYS: return PyErr_SetFromErrno(PyExc_OSError);
    default: PyErr_SetString(PyExc_ValueError, cello_strerror(err)); return NULL;
    }
}

/* ---- a client's certificate ---- */

static PyObject *text_of(struct cl_str s) {
    return PyUnicode_DecodeUTF8(s.ptr, (Py_ssize_t)s.len, "backslashreplace");
}

/* As ssl.SSLSocket.getpeercert() has them: (("DNS", "a.example"), ...). */
static PyObject *names_of(const struct cello_client_cert *cert) {
    PyObject *names = PyTuple_New((Py_ssize_t)cert->name_count);
    for (size_t i = 0; names && i < cert->name_count; i++) {
        PyObject *pair = Py_BuildValue("(sN)", cert->names[i].kind, text_of(cert->names[i].value));
        if (pair)
            PyTuple_SET_ITEM(names, (Py_ssize_t)i, pair);
        else
            Py_CLEAR(names);
    }
    return names;
}

/* An aware datetime in UTC. */
static PyObject *moment_of(int64_t seconds) {
    PyObject *module = PyImport_ImportModule("datetime");
    PyObject *type = module ? PyObject_GetAttrString(module, "datetime") : NULL;
    PyObject *zone = module ? PyObject_GetAttrString(module, "timezone") : NULL;
    PyObject *utc = zone ? PyObject_GetAttrString(zone, "utc") : NULL;
    PyObject *moment =
        type && utc ? PyObject_CallMethod(type, "fromtimestamp", "LO", (long long)seconds, utc)
                    : NULL;
    Py_XDECREF(utc);
    Py_XDECREF(zone);
    Py_XDECREF(type);
    Py_XDECREF(module);
    return moment;
}

static PyObject *make_field(const struct cello_client_cert *cert, Py_ssize_t field) {
    switch (field) {
    case 0: return text_of(cert->subject);
    case 1: return text_of(cert->issuer);
    case 2: return text_of(cert->serial);
    case 3: return moment_of(cert->not_before);
    case 4: return moment_of(cert->not_after);
    case 5: return names_of(cert);
    case 6: return text_of(cert->fingerprint);
    default: return PyBytes_FromStringAndSize(cert->der.ptr, (Py_ssize_t)cert->der.len);
    }
}

enum { FIELDS = 8 };

PyObject *cl_tls_client_cert_of(struct cl_pyrequest *self) {
    const struct cello_client_cert *cert = self->r ? cello_request_client_cert(self->r) : NULL;
    if (!cert)
        return Py_NewRef(Py_None);
    PyObject *made = PyStructSequence_New(self->ext->client_cert_type);
    for (Py_ssize_t i = 0; made && i < FIELDS; i++) {
        PyObject *field = make_field(cert, i);
        if (field)
            PyStructSequence_SetItem(made, i, field);
        else
            Py_CLEAR(made);
    }
    return made;
}

int cl_tls_setup_types(PyObject *module, struct cl_ext *ext) {
    static PyStructSequence_Field fields[FIELDS + 1] = {
        {"subject", "str: \"CN=alice,O=Example\" (RFC 2253)"},
        {"issuer", "str: likewise"},
        {"serial_number", "str: hexadecimal, in capitals"},
        {"not_before", "datetime in UTC"},
        {"not_after", "datetime in UTC"},
        {"sans",
         "tuple of (kind, name): (\"DNS\", \"a.example\"), also \"IP\", \"EMAIL\", \"URI\""},
        {"fingerprint", "str: SHA-256 of the certificate, hexadecimal"},
        {"der", "bytes: all of it"},
        {NULL, NULL}};
    static PyStructSequence_Desc desc = {"cello._cello.ClientCertificate",
                                         "Of a client, verified in the handshake.", fields, FIELDS};
    ext->client_cert_type = PyStructSequence_NewType(&desc);
    return ext->client_cert_type ? PyModule_AddType(module, ext->client_cert_type) : -1;
}
