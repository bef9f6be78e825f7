/* The application inside: what cello/app.h builds and servers read. */
#ifndef CL_SERVER_APP_H
#define CL_SERVER_APP_H

#include <stdatomic.h>

#include <cello/app.h>

#include "http/filter.h"
#include "router/router.h"

/* A registered route; the router's target. */
struct cl_route {
    struct cl_route *next; /* the application's list, for clean-up */
    struct cello_handler *handler;
    uint32_t id;
    uint64_t max_body; /* 0: the worker's limit */
    struct cl_str path;
    size_t own_step_count;
    struct cl_step **own_steps;
    struct cl_chain chain; /* compiled by freeze: the application's steps, then its own */
};

struct cl_app {
    atomic_uint refs;
    bool frozen;
    bool redirect_slashes;
    struct cl_router *router;
    struct cl_route *routes; /* newest first */
    size_t step_count, step_cap;
    struct cl_step **steps;
    struct cl_chain chain; /* for requests that no route answers */
    /* Who answers those, of `routes`; NULL: the engine. */
    const struct cl_route *not_found, *not_allowed;
};

void cl_app_ref(struct cl_app *app);

/* Adds `Allow` to a 405; static. */
struct cl_step *cl_server_allow_step(void);

#endif
