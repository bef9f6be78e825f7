/* Problem documents, RFC 9457: from the attributes of an exception. */
#include "bridge/bridge.h"
#include "types/args.h"
#include "types/text.h"

static int set_item(PyObject *dict, const char *key, PyObject *value) {
    return value && value != Py_None ? PyDict_SetItemString(dict, key, value) : 0;
}

/* The title of a status, where the program gave none: RFC 9457 section 4.2.1. */
static int set_title(PyObject *document, PyObject *title, int status) {
    if (title != Py_None)
        return PyDict_SetItemString(document, "title", title);
    struct cl_str reason = cello_status_reason(status);
    PyObject *text = reason.len ? cl_ext_str(reason) : PyUnicode_FromString("Error");
    int err = text ? PyDict_SetItemString(document, "title", text) : -1;
    Py_XDECREF(text);
    return err;
}

/* The attributes may be anybody's code: each is asked for only when those before it were there. */
enum part { TYPE, TITLE, STATUS, DETAIL, EXTENSIONS, PART_COUNT };

static int read_parts(const struct cl_ext_names *names, PyObject *exception, PyObject **parts) {
    PyObject *const attributes[PART_COUNT] = {
        [TYPE] = names->type,     [TITLE] = names->title,           [STATUS] = names->status,
        [DETAIL] = names->detail, [EXTENSIONS] = names->extensions,
    };
    for (int i = 0; i < PART_COUNT; i++) {
        parts[i] = PyObject_GetAttr(exception, attributes[i]);
        if (!parts[i])
            return -1;
    }
    return 0;
}

static int fill_problem(PyObject *document, PyObject **parts, PyObject *instance, int *status) {
    *status = cl_args_status(parts[STATUS]);
    if (*status < 0 || set_item(document, "type", parts[TYPE]) < 0 ||
        set_title(document, parts[TITLE], *status) < 0 ||
        set_item(document, "status", parts[STATUS]) < 0 ||
        set_item(document, "detail", parts[DETAIL]) < 0 ||
        set_item(document, "instance", instance) < 0)
        return -1;
    return parts[EXTENSIONS] == Py_None ? 0 : PyDict_Update(document, parts[EXTENSIONS]);
}

PyObject *cl_problem_document(struct cl_ext *ext, PyObject *exception, struct cl_request *r,
                              int *status) {
    PyObject *parts[PART_COUNT] = {NULL};
    PyObject *document = PyDict_New();
    PyObject *instance = document ? cl_text_from_field(cello_request_path(r)) : NULL;
    if (!instance || read_parts(&ext->names, exception, parts) < 0 ||
        fill_problem(document, parts, instance, status) < 0)
        Py_CLEAR(document);
    for (int i = 0; i < PART_COUNT; i++)
        Py_XDECREF(parts[i]);
    Py_XDECREF(instance);
    return document;
}
