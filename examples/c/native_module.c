/* A Python extension module whose handlers are C: no Python, and no GIL, while they answer.
 *
 *   import cello, native_module
 *   app = cello.App()
 *   native_module.register(app)      # GET /native/{name}, POST /native/length
 *
 * The engine lies inside cello's own module, so this one does not link to it: it gets a table of
 * functions from the capsule cello._cello._C_API. It is built like any extension module, with
 * cello's include/ on the include path:
 *
 *   cc -shared -fPIC -Iinclude $(python3-config --includes) native_module.c -o native_module.so */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdio.h>

#include <cello/capi.h>

#define STR(literal) ((struct cl_str){(literal), sizeof(literal) - 1})

/* The same for the whole process: the table is constant and lives as long as cello's module. */
static const struct cello_capi *cello;

/* GET /native/{name}?greeting=... */
static void greet(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    struct cl_str name, greeting = STR("Hello");
    char text[256];
    if (cello->request_param(r, STR("name"), &name) != CELLO_OK || name.len > 100) {
        cello->respond_problem(r, 400, STR("The name is too long."));
        return;
    }
    (void)cello->request_query_find(r, STR("greeting"), &greeting);
    int n =
        snprintf(text, sizeof text, "%.*s, %.*s\n", (int)(greeting.len < 100 ? greeting.len : 100),
                 greeting.ptr, (int)name.len, name.ptr);
    cello->response_type(r, STR("text/plain; charset=utf-8"));
    cello->respond_bytes(r, (struct cl_str){text, (size_t)n});
}

/* POST /native/length: how long the body is, as JSON. */
static void length(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    char text[64];
    int n = snprintf(text, sizeof text, "{\"length\":%zu}", cello->request_body(r).len);
    if (cello->response_header(r, STR("X-Answered-By"), STR("C")) != CELLO_OK) {
        cello->respond_problem(r, 500, STR("Out of memory."));
        return;
    }
    cello->response_type(r, STR("application/json"));
    cello->respond_bytes(r, (struct cl_str){text, (size_t)n});
}

static struct cello_handler greet_handler = {.on_request = greet};
static struct cello_handler length_handler = {.on_request = length};

PyDoc_STRVAR(register_doc, "register($module, app, /)\n--\n\nAdd the native routes to a cello.App. "
                           "ValueError: a route exists already.");

static PyObject *register_routes(PyObject *module, PyObject *app_object) {
    (void)module;
    const struct cello_route routes[] = {
        {.methods = CELLO_GET, .path = STR("/native/{name}"), .handler = &greet_handler},
        {.methods = CELLO_POST, .path = STR("/native/length"), .handler = &length_handler},
    };
    char err[256] = "out of memory";
    struct cl_app *app = cello->app_of(app_object);
    if (!app)
        return NULL;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (cello->app_route(app, &routes[i], err, sizeof err) != CELLO_OK) {
            PyErr_SetString(PyExc_ValueError, err);
            return NULL;
        }
    }
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"register", register_routes, METH_O, register_doc},
    {NULL, NULL, 0, NULL},
};

static int exec(PyObject *module) {
    (void)module;
    cello = PyCapsule_Import(CELLO_CAPI_NAME, 0); /* imports the package cello */
    if (!cello)
        return -1;
    if (cello->version != CELLO_CAPI_VERSION || cello->size < sizeof *cello) {
        PyErr_SetString(PyExc_ImportError, "this version of cello has another C interface");
        return -1;
    }
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)exec},
    {0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "native_module", .m_doc = "Handlers in C for a cello.App.",
    .m_methods = methods,  .m_slots = slots,
};

PyMODINIT_FUNC PyInit_native_module(void) {
    return PyModuleDef_Init(&module);
}
