/* The module's state: everything that would otherwise be a global.
 *
 * One per interpreter (multi-phase init). Types find it through their module; hot paths are handed
 * a pointer. All of it with the GIL held, unless a comment says otherwise. */
#ifndef CL_EXT_MODULE_H
#define CL_EXT_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stddef.h>

#include <cello/cello.h>

#include "convert/state.h"

/* The struct that `member`, at `pointer`, lies in. */
#define CL_OWNER_OF(pointer, type, member)                                                         \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* Interned strings that C compares or looks up. */
struct cl_ext_names {
    PyObject *detail;
    PyObject *extensions;
    PyObject *headers;
    PyObject *status;
    PyObject *title;
    PyObject *type;
};

struct cl_guest;

struct cl_ext {
    struct cl_convert_state convert;
    struct cl_ext_names names;
    PyTypeObject *credentials_type; /* of Request.peer_credentials, likewise */
    PyTypeObject *address_type;     /* of Request.client, a struct sequence */
    PyTypeObject *after_type;
    PyTypeObject *app_type;
    PyTypeObject *body_view_type;
    PyTypeObject *cluster_type;
    PyTypeObject *client_cert_type; /* of Request.client_cert, likewise */
    PyTypeObject *connection_type;
    PyTypeObject *converter_type;
    PyTypeObject *file_body_type;
    PyTypeObject *form_data_type;
    PyTypeObject *form_parts_type;
    PyTypeObject *multimap_type;
    PyTypeObject *multipart_type;
    PyTypeObject *plan_type;
    PyTypeObject *request_stream_step_type; /* what a RequestStream is awaited by */
    PyTypeObject *request_stream_type;
    PyTypeObject *request_type;
    PyTypeObject *response_type;
    PyTypeObject *response_headers_type;
    PyTypeObject *server_type;
    PyTypeObject *sse_event_type;
    PyTypeObject *store_type;
    PyTypeObject *stream_body_type;
    PyTypeObject *stream_type;
    PyTypeObject *topics_type;
    PyTypeObject *upload_type;
    PyObject *problem;       /* cello._errors.Problem: exceptions that are answers */
    PyObject *http_error;    /* cello.HTTPError, one of them */
    PyObject *json_error;    /* cello.JSONDecodeError, a ValueError; answered with 400 */
    PyObject *empty_context; /* a contextvars.Context without variables, ready to be entered */
    PyObject *spare_request; /* a Request nobody else holds, reset */
    PyObject *log_error;     /* cello._log.error(message, exception or None, request id or None) */
    PyObject *validation_error; /* cello.RequestValidationError(errors, body), a Problem */
    PyObject *body_errors;      /* cello: what a validator's exception says, see connect() */
    PyObject *url_type;         /* cello._url.URL, a str; NULL: URLs are plain ones */
    PyObject *spare_body_view;  /* a BodyView nobody else holds */
    PyObject *background_type;  /* cello.BackgroundTasks */
    struct cl_guest *guests;    /* servers with a loop; not owned */
    PyObject *guest_types;      /* what the asyncio guest keeps; NULL until an async route exists */
    PyObject *client_disconnected; /* cello.ClientDisconnected, a Problem */
};

extern struct PyModuleDef cl_ext_module;

static inline struct cl_ext *cl_ext_of_module(PyObject *module) {
    return (struct cl_ext *)PyModule_GetState(module);
}

/* The state of the module that made `type` or one of its bases. */
static inline struct cl_ext *cl_ext_of_type(PyTypeObject *type) {
    PyObject *module = PyType_GetModuleByDef(type, &cl_ext_module);
    return module ? cl_ext_of_module(module) : NULL;
}

static inline PyObject *cl_ext_str(struct cl_str s) {
    return PyUnicode_DecodeUTF8(s.ptr ? s.ptr : "", (Py_ssize_t)s.len, NULL);
}

/* What next() and send() give for what am_send gave: the end becomes a StopIteration that carries
 * it. Takes the reference to `result`. */
static inline PyObject *cl_ext_from_send(PySendResult how, PyObject *result) {
    if (how != PYGEN_RETURN)
        return how == PYGEN_NEXT ? result : NULL;
    PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, result);
    if (stop)
        PyErr_SetObject(PyExc_StopIteration, stop);
    Py_XDECREF(stop);
    Py_DECREF(result);
    return NULL;
}

/* The exception that is set, normalized, with its traceback; nothing is set afterwards. NULL: none
 * was. */
static inline PyObject *cl_ext_fetch_exception(void) {
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback && value)
        PyException_SetTraceback(value, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
#endif
}

/* Each adds its types to the module; 0, or -1 with an exception set. One per file in types/. */
int cl_after_setup_types(PyObject *module, struct cl_ext *ext);
int cl_app_setup_types(PyObject *module, struct cl_ext *ext);
int cl_cluster_setup_types(PyObject *module, struct cl_ext *ext);
int cl_connection_setup_types(PyObject *module, struct cl_ext *ext);
int cl_body_view_setup_types(PyObject *module, struct cl_ext *ext);
int cl_file_body_setup_types(PyObject *module, struct cl_ext *ext);
int cl_form_parts_setup_types(PyObject *module, struct cl_ext *ext);
int cl_multimap_setup_types(PyObject *module, struct cl_ext *ext);
int cl_request_setup_types(PyObject *module, struct cl_ext *ext);
int cl_request_stream_setup_types(PyObject *module, struct cl_ext *ext);
int cl_response_setup_types(PyObject *module, struct cl_ext *ext);
int cl_response_headers_setup_types(PyObject *module, struct cl_ext *ext);
int cl_multipart_setup_types(PyObject *module, struct cl_ext *ext);
int cl_part_file_setup_types(PyObject *module, struct cl_ext *ext);
int cl_server_setup_types(PyObject *module, struct cl_ext *ext);
int cl_sse_setup_types(PyObject *module, struct cl_ext *ext);
int cl_sse_stream_setup_types(PyObject *module, struct cl_ext *ext);
int cl_store_setup_types(PyObject *module, struct cl_ext *ext);
int cl_stream_body_setup_types(PyObject *module, struct cl_ext *ext);
int cl_stream_setup_types(PyObject *module, struct cl_ext *ext);
int cl_topics_setup_types(PyObject *module, struct cl_ext *ext);
int cl_upload_setup_types(PyObject *module, struct cl_ext *ext);
int cl_guest_setup_types(PyObject *module, struct cl_ext *ext);

#endif
