#include "module.h"

#include <stddef.h>

#include "bridge/bridge.h"
#include "capi.h"
#include "convert/json_bytes.h"
#include "convert/json_decode.h"
#include "diagnosis.h"
#include "plan/converter.h"
#include "plan/result.h"
#include "types/app.h"
#include "types/cluster.h"
#include "types/server.h"
#include "types/tls.h"

/* ---- functions ---- */

static PyObject *raise_json(struct cl_ext *ext, const struct cl_json_error *error) {
    return error->err ? cl_json_raise(error, ext->json_error) : NULL;
}

PyDoc_STRVAR(json_loads_doc,
             "json_loads(text, /)\n--\n\nThe value of a JSON text (RFC 8259), given as str or "
             "UTF-8 bytes. JSONDecodeError, a ValueError, names the byte that is wrong.");

static PyObject *json_loads(PyObject *module, PyObject *text) {
    struct cl_ext *ext = cl_ext_of_module(module);
    const struct cl_json_options opt = {.state = &ext->convert};
    struct cl_json_error error = {0};
    PyObject *value;
    if (PyUnicode_Check(text)) {
        Py_ssize_t n;
        const char *p = PyUnicode_AsUTF8AndSize(text, &n);
        if (!p)
            return NULL;
        value = cl_json_decode(p, (size_t)n, &opt, &error);
    } else {
        Py_buffer view;
        if (PyObject_GetBuffer(text, &view, PyBUF_SIMPLE) < 0)
            return NULL;
        value = cl_json_decode(view.buf, (size_t)view.len, &opt, &error);
        PyBuffer_Release(&view);
    }
    return value ? value : raise_json(ext, &error);
}

PyDoc_STRVAR(json_dumps_doc,
             "json_dumps(value, /, default=None)\n--\n\nJSON text (RFC 8259) as UTF-8 bytes. "
             "default(obj) gives what stands for an object that JSON does not know. TypeError: no "
             "form in JSON; ValueError: nan, infinity, nested too deep, a lone surrogate.");

static PyObject *json_dumps(PyObject *module, PyObject *const *args, Py_ssize_t n,
                            PyObject *names) {
    Py_ssize_t named = names ? PyTuple_GET_SIZE(names) : 0;
    if (n < 1 || n + named > 2 ||
        (named && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "default") != 0)) {
        PyErr_SetString(PyExc_TypeError, "json_dumps takes a value and `default`");
        return NULL;
    }
    PyObject *hook = n + named == 2 ? args[1] : Py_None;
    const struct cl_json_options opt = {
        .state = &cl_ext_of_module(module)->convert,
        .default_hook = hook == Py_None ? NULL : hook,
    };
    return cl_json_encode_bytes(args[0], &opt);
}

PyDoc_STRVAR(
    connect_doc,
    "connect(problem, http_error, log_error, validation_error, body_errors, url, background, "
    "disconnected, /)\n--\n\nTell the engine the base of exceptions that are answers, the "
    "package's "
    "HTTPError, where error lines go, what is raised for bad parameters, and "
    "body_errors(exception): a list of {loc, msg, type} for what a validator refused, None for "
    "text that is not JSON; it raises any other exception again; the classes of URLs and of "
    "BackgroundTasks; and what is raised when a client has gone. Called once, by the package.");

static PyObject *connect_package(PyObject *module, PyObject *const *args, Py_ssize_t n) {
    struct cl_ext *ext = cl_ext_of_module(module);
    if (n != 8 || !PyExceptionClass_Check(args[0]) || !PyExceptionClass_Check(args[1]) ||
        !PyCallable_Check(args[2]) || !PyExceptionClass_Check(args[3]) ||
        !PyCallable_Check(args[4]) || !PyType_Check(args[5]) || !PyType_Check(args[6]) ||
        !PyExceptionClass_Check(args[7])) {
        PyErr_SetString(PyExc_TypeError,
                        "connect takes exception classes, two callables and two classes");
        return NULL;
    }
    Py_XSETREF(ext->problem, Py_NewRef(args[0]));
    Py_XSETREF(ext->http_error, Py_NewRef(args[1]));
    Py_XSETREF(ext->log_error, Py_NewRef(args[2]));
    Py_XSETREF(ext->validation_error, Py_NewRef(args[3]));
    Py_XSETREF(ext->body_errors, Py_NewRef(args[4]));
    Py_XSETREF(ext->url_type, Py_NewRef(args[5]));
    Py_XSETREF(ext->background_type, Py_NewRef(args[6]));
    Py_XSETREF(ext->client_disconnected, Py_NewRef(args[7]));
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"json_loads", json_loads, METH_O, json_loads_doc},
    {"json_dumps", (PyCFunction)(void (*)(void))json_dumps, METH_FASTCALL | METH_KEYWORDS,
     json_dumps_doc},
    {"to_response", (PyCFunction)(void (*)(void))cl_result_to_response, METH_FASTCALL,
     "to_response(value, status=0, injected=None, /)\n--\n\nThe Response that a return value is "
     "answered as. status: of a bare value; 0: 200, or 204 for None. injected: a Response whose "
     "status, type and headers are merged in."},
    {"error_response", (PyCFunction)(void (*)(void))cl_bridge_error_response, METH_FASTCALL,
     "error_response(request, exception, ask=True, /)\n--\n\nThe Response that an exception is "
     "answered with, or the coroutine of an async exception handler for it. What nobody expected "
     "is logged. ask: the application's exception handlers."},
    {"connect", (PyCFunction)(void (*)(void))connect_package, METH_FASTCALL, connect_doc},
    {"become", cl_cluster_become, METH_VARARGS,
     "become(user, group, /)\n--\n\nThis process becomes a user and a group, names, numbers or "
     "None, for good. PermissionError: why it cannot."},
    {"request_id_step", cl_app_request_id_step, METH_O,
     "request_id_step(header, /)\n--\n\nThe native step of RequestIdConfig."},
    {"static_files", (PyCFunction)(void (*)(void))cl_static_files, METH_FASTCALL,
     "static_files(root, index_file, fallback, cache_control, flags, /)\n--\n\nThe native handler "
     "of StaticFilesConfig, for App._add_native."},
    {"security_headers_step", (PyCFunction)(void (*)(void))cl_app_security_headers_step,
     METH_FASTCALL,
     "security_headers_step(x_frame_options, referrer_policy, csp, permissions_policy, coep, coop, "
     "corp, hsts, x_content_type_options, /)\n--\n\nThe native step of SecurityHeadersConfig."},
    {"service_sockets", cl_server_service_sockets, METH_NOARGS,
     "service_sockets()\n--\n\nDescriptors of listening sockets that systemd opened for this "
     "process."},
    {"start_diagnosis", cl_diagnosis_start, METH_O,
     "start_diagnosis(worker_id, /)\n--\n\nReport crashes of this process on standard error, and "
     "give stacks to who asks. worker_id: -1 for none. On this thread, which may then exhaust its "
     "stack. OSError: no descriptors or memory."},
    {"end_diagnosis", cl_diagnosis_end, METH_NOARGS,
     "end_diagnosis()\n--\n\nNo stacks of Python any more: the interpreter is about to end."},
    {"log_as", (PyCFunction)(void (*)(void))cl_diagnosis_log_as, METH_FASTCALL,
     "log_as(format, level, worker_id, /)\n--\n\nHow the engine's own lines of the server log look "
     "from now on. worker_id: -1 for none."},
    {"stacks", (PyCFunction)(void (*)(void))cl_diagnosis_stacks, METH_FASTCALL,
     "stacks(pid, fd, timeout, /)\n--\n\nWrite the stacks of another process of Cello to a "
     "descriptor. ProcessLookupError: there is none. ValueError: it gives no stacks. TimeoutError: "
     "it does not answer within so many seconds. OSError: not allowed."},
    {"check_tls", cl_tls_check, METH_O,
     "check_tls(config, /)\n--\n\nWhether Server.use_tls() takes it. ValueError: which file is "
     "wrong, and why."},
    {"make_certificate", cl_tls_make_certificate, METH_VARARGS,
     "make_certificate(cert_path, key_path, /)\n--\n\nLeave a certificate for this machine and "
     "its key there, unless good ones lie there already; whether they are new. ValueError: why "
     "it cannot."},
    {"are_networks", cl_server_are_networks, METH_O,
     "are_networks(text, /)\n--\n\nWhether it lists networks and addresses as "
     "Server.expect_proxy() takes them."},
    {NULL, NULL, 0, NULL},
};

/* ---- the module's life ---- */

static const struct {
    const char *text;
    size_t offset;
} NAMES[] = {
    {"detail", offsetof(struct cl_ext_names, detail)},
    {"extensions", offsetof(struct cl_ext_names, extensions)},
    {"headers", offsetof(struct cl_ext_names, headers)},
    {"status", offsetof(struct cl_ext_names, status)},
    {"title", offsetof(struct cl_ext_names, title)},
    {"type", offsetof(struct cl_ext_names, type)},
};
enum { NAME_COUNT = sizeof NAMES / sizeof NAMES[0] };

static PyObject **name_slot(struct cl_ext *ext, size_t i) {
    return (PyObject **)(void *)((char *)&ext->names + NAMES[i].offset);
}

static int init_names(struct cl_ext *ext) {
    for (size_t i = 0; i < NAME_COUNT; i++) {
        *name_slot(ext, i) = PyUnicode_InternFromString(NAMES[i].text);
        if (!*name_slot(ext, i))
            return -1;
    }
    return 0;
}

static int add_libraries(PyObject *module) {
    PyObject *text = PyUnicode_FromFormat("%s, openssl %s, nghttp2 %s", CELLO_LIBRARIES,
                                          cello_openssl_version(), cello_nghttp2_version());
    int rc = PyModule_AddObjectRef(module, "LIBRARIES", text);
    Py_XDECREF(text);
    return rc;
}

static int exec(PyObject *module) {
    struct cl_ext *ext = cl_ext_of_module(module);
    if (init_names(ext) < 0 || cl_convert_state_init(&ext->convert) < 0)
        return -1;
    ext->json_error = PyErr_NewExceptionWithDoc(
        "cello.JSONDecodeError", "A text is not JSON; the message says where. Answered with 400.",
        PyExc_ValueError, NULL);
    if (!ext->json_error || PyModule_AddObjectRef(module, "JSONDecodeError", ext->json_error) < 0)
        return -1;
    if (cl_multimap_setup_types(module, ext) < 0 || cl_request_setup_types(module, ext) < 0 ||
        cl_request_stream_setup_types(module, ext) < 0 ||
        cl_response_setup_types(module, ext) < 0 ||
        cl_response_headers_setup_types(module, ext) < 0 || cl_app_setup_types(module, ext) < 0 ||
        cl_server_setup_types(module, ext) < 0 || cl_connection_setup_types(module, ext) < 0 ||
        cl_guest_setup_types(module, ext) < 0 || cl_converter_setup_types(module, ext) < 0 ||
        cl_plan_setup_types(module, ext) < 0 || cl_body_view_setup_types(module, ext) < 0 ||
        cl_after_setup_types(module, ext) < 0 || cl_sse_setup_types(module, ext) < 0 ||
        cl_sse_stream_setup_types(module, ext) < 0 || cl_stream_body_setup_types(module, ext) < 0 ||
        cl_stream_setup_types(module, ext) < 0 || cl_file_body_setup_types(module, ext) < 0 ||
        cl_form_parts_setup_types(module, ext) < 0 || cl_upload_setup_types(module, ext) < 0 ||
        cl_multipart_setup_types(module, ext) < 0 || cl_part_file_setup_types(module, ext) < 0 ||
        cl_store_setup_types(module, ext) < 0 || cl_topics_setup_types(module, ext) < 0 ||
        cl_cluster_setup_types(module, ext) < 0 || cl_tls_setup_types(module, ext) < 0)
        return -1;
    if (cl_capi_add(module) < 0 || add_libraries(module) < 0)
        return -1;
    return PyModule_AddStringConstant(module, "VERSION", CELLO_VERSION);
}

static int traverse(PyObject *module, visitproc visit, void *arg) {
    struct cl_ext *ext = cl_ext_of_module(module);
    Py_VISIT(ext->address_type);
    Py_VISIT(ext->credentials_type);
    Py_VISIT(ext->after_type);
    Py_VISIT(ext->app_type);
    Py_VISIT(ext->body_view_type);
    Py_VISIT(ext->cluster_type);
    Py_VISIT(ext->client_cert_type);
    Py_VISIT(ext->connection_type);
    Py_VISIT(ext->converter_type);
    Py_VISIT(ext->file_body_type);
    Py_VISIT(ext->form_data_type);
    Py_VISIT(ext->form_parts_type);
    Py_VISIT(ext->multimap_type);
    Py_VISIT(ext->multipart_type);
    Py_VISIT(ext->plan_type);
    Py_VISIT(ext->request_stream_type);
    Py_VISIT(ext->request_type);
    Py_VISIT(ext->response_type);
    Py_VISIT(ext->response_headers_type);
    Py_VISIT(ext->server_type);
    Py_VISIT(ext->sse_event_type);
    Py_VISIT(ext->store_type);
    Py_VISIT(ext->stream_body_type);
    Py_VISIT(ext->stream_type);
    Py_VISIT(ext->topics_type);
    Py_VISIT(ext->upload_type);
    Py_VISIT(ext->request_stream_step_type);
    Py_VISIT(ext->client_disconnected);
    Py_VISIT(ext->problem);
    Py_VISIT(ext->http_error);
    Py_VISIT(ext->json_error);
    Py_VISIT(ext->empty_context);
    Py_VISIT(ext->log_error);
    Py_VISIT(ext->validation_error);
    Py_VISIT(ext->body_errors);
    Py_VISIT(ext->url_type);
    Py_VISIT(ext->background_type);
    Py_VISIT(ext->guest_types);
    /* Not tracked, so that what it holds, its type for one, is visited from here. */
    int err = ext->spare_request
                  ? Py_TYPE(ext->spare_request)->tp_traverse(ext->spare_request, visit, arg)
                  : 0;
    if (err)
        return err;
    return cl_convert_state_traverse(&ext->convert, visit, arg);
}

static int clear(PyObject *module) {
    struct cl_ext *ext = cl_ext_of_module(module);
    Py_CLEAR(ext->spare_request);
    Py_CLEAR(ext->spare_body_view);
    Py_CLEAR(ext->address_type);
    Py_CLEAR(ext->credentials_type);
    Py_CLEAR(ext->url_type);
    Py_CLEAR(ext->background_type);
    Py_CLEAR(ext->after_type);
    Py_CLEAR(ext->body_view_type);
    Py_CLEAR(ext->plan_type);
    Py_CLEAR(ext->validation_error);
    Py_CLEAR(ext->body_errors);
    Py_CLEAR(ext->app_type);
    Py_CLEAR(ext->cluster_type);
    Py_CLEAR(ext->client_cert_type);
    Py_CLEAR(ext->connection_type);
    Py_CLEAR(ext->converter_type);
    Py_CLEAR(ext->file_body_type);
    Py_CLEAR(ext->form_data_type);
    Py_CLEAR(ext->form_parts_type);
    Py_CLEAR(ext->multimap_type);
    Py_CLEAR(ext->multipart_type);
    Py_CLEAR(ext->request_stream_type);
    Py_CLEAR(ext->request_type);
    Py_CLEAR(ext->response_type);
    Py_CLEAR(ext->response_headers_type);
    Py_CLEAR(ext->server_type);
    Py_CLEAR(ext->sse_event_type);
    Py_CLEAR(ext->store_type);
    Py_CLEAR(ext->stream_body_type);
    Py_CLEAR(ext->stream_type);
    Py_CLEAR(ext->topics_type);
    Py_CLEAR(ext->upload_type);
    Py_CLEAR(ext->request_stream_step_type);
    Py_CLEAR(ext->client_disconnected);
    Py_CLEAR(ext->problem);
    Py_CLEAR(ext->http_error);
    Py_CLEAR(ext->json_error);
    Py_CLEAR(ext->empty_context);
    Py_CLEAR(ext->log_error);
    Py_CLEAR(ext->guest_types);
    for (size_t i = 0; i < NAME_COUNT; i++)
        Py_CLEAR(*name_slot(ext, i));
    cl_convert_state_clear(&ext->convert);
    return 0;
}

static void module_free(void *module) {
    clear(module);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_USED},
#endif
    {0, NULL},
};

struct PyModuleDef cl_ext_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "cello._cello",
    .m_doc = "Cello's engine. The package `cello` is its public face.",
    .m_size = sizeof(struct cl_ext),
    .m_methods = methods,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__cello(void) {
    return PyModuleDef_Init(&cl_ext_module);
}
