/* The engine for other extension modules: a table of functions in the PyCapsule
 * "cello._cello._C_API", because the engine lies inside cello's own module. With it an extension
 * registers handlers that are called without Python, and without the GIL. See
 * examples/c/native_module.c. */
#ifndef CELLO_CAPI_H
#define CELLO_CAPI_H

#include <cello/app.h>
#include <cello/request.h>
#include <cello/response.h>

#define CELLO_CAPI_NAME "cello._cello._C_API"
#define CELLO_CAPI_VERSION 1

struct cello_capi {
    unsigned version; /* CELLO_CAPI_VERSION: the meaning of what is here */
    unsigned size;    /* sizeof(struct cello_capi) as built: functions are only added, at the end */

    /* The engine's application of a cello.App (a PyObject *); NULL with TypeError set for anything
     * else. Borrowed from the object. GIL held. */
    struct cl_app *(*app_of)(void *app_object);
    int (*app_route)(struct cl_app *app, const struct cello_route *route, char *err,
                     size_t err_len);

    void (*request_ref)(struct cl_request *r);
    void (*request_drop)(struct cl_request *r);
    struct cl_str (*request_method)(const struct cl_request *r);
    struct cl_str (*request_path)(const struct cl_request *r);
    struct cl_str (*request_body)(const struct cl_request *r);
    bool (*request_header)(const struct cl_request *r, struct cl_str name, struct cl_str *value);
    int (*request_param)(struct cl_request *r, struct cl_str name, struct cl_str *value);
    int (*request_query_find)(struct cl_request *r, struct cl_str name, struct cl_str *value);

    void (*response_status)(struct cl_request *r, int status);
    void (*response_type)(struct cl_request *r, struct cl_str content_type);
    int (*response_header)(struct cl_request *r, struct cl_str name, struct cl_str value);
    void (*respond_bytes)(struct cl_request *r, struct cl_str body);
    void (*respond_static)(struct cl_request *r, struct cl_str body);
    void (*respond_problem)(struct cl_request *r, int status, struct cl_str detail);
    void (*respond_stream)(struct cl_request *r, struct cl_generator *g, bool has_length,
                           uint64_t length);
    void (*response_chunk)(struct cl_request *r, struct cl_str bytes, bool last);
};

#endif
