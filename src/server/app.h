/* The application inside: what cello/app.h builds and servers read. */
#ifndef CL_SERVER_APP_H
#define CL_SERVER_APP_H

#include <stdatomic.h>

#include <cello/app.h>

#include "http/filter.h"
#include "http/header.h"
#include "router/router.h"
#include "router/versions.h"

/* A registered route; the router's target. */
struct cl_route {
    struct cl_route *next; /* the application's list, for clean-up */
    struct cello_handler *handler;
    uint32_t id;
    enum cello_body body;
    uint64_t max_body; /* 0: the worker's limit */
    bool unlogged;     /* answers of 200 are */
    struct cl_str path;
    size_t own_step_count;
    struct cl_step **own_steps;
    struct cl_chain chain; /* compiled by freeze: the application's steps, then its own */
    /* Where versions are told apart by a header, the router leads to a front without a handler,
     * which knows the routes of its pattern. */
    struct cl_route *front;      /* of those routes; NULL: the router leads here */
    struct cl_versions versions; /* of a front */
};

/* What tells versions apart; kind CL_VERSION_NONE: nothing does. */
struct cl_versioning {
    struct cl_version_rule rule; /* its texts are owned */
    struct cl_step vary;         /* sends `field` */
    struct cl_header field;      /* Vary: the rule's header */
};

struct cl_app {
    atomic_uint refs;
    bool frozen;
    bool redirect_slashes;
    struct cl_router *router;
    struct cl_versioning versioning;
    struct cl_route *routes; /* newest first */
    size_t step_count, step_cap;
    struct cl_step **steps;
    struct cl_chain chain; /* for requests that no route answers */
    /* Who answers those, of `routes`; NULL: the engine. */
    const struct cl_route *not_found, *not_allowed;
};

void cl_app_ref(struct cl_app *app);
/* With its handler and its own steps. */
void cl_route_del(struct cl_route *route);

/* ---- app_versions.c ---- */

void cl_versioning_free(struct cl_versioning *v);
/* Makes `route`, which its caller owns, one of those that a front of its pattern knows. Errors and
 * `err`: as cello_app_route; the application is then as before. */
int cl_app_add_version(struct cl_app *app, const struct cello_route *spec, struct cl_route *route,
                       char *err, size_t err_len) CL_MUST_USE;
/* The step of a route that depends on what a request says of versions; NULL: it does not. */
const struct cl_step *cl_app_vary(const struct cl_app *app, const struct cl_route *route);
/* The route of a front that a request means; NULL: none. */
const struct cl_route *cl_app_pick_version(const struct cl_app *app, const struct cl_route *front,
                                           const struct cl_request *r);

/* Adds `Allow` to a 405; static. */
struct cl_step *cl_server_allow_step(void);

#endif
