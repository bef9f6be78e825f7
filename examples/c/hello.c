/* A server in C with libcello alone: a constant, a handler that reads the request, and a stream.
 *
 *   hello [port]        then: curl -i http://127.0.0.1:8000/hello/world?shout=yes
 *
 * SIGINT and SIGTERM finish what is in flight and end the program. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <cello/cello.h>

#define STR(literal) ((struct cl_str){(literal), sizeof(literal) - 1})

static struct cl_server *server;

static void on_signal(int sig) {
    (void)sig;
    cello_server_stop(server, 10 * CELLO_SECOND);
}

/* GET /hello/{name} */
static void hello(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    struct cl_str name, shout;
    char text[256];
    if (cello_request_param(r, STR("name"), &name) != CELLO_OK) {
        cello_respond_problem(r, 400, STR("The name is not readable."));
        return;
    }
    bool loud = cello_request_query_find(r, STR("shout"), &shout) == CELLO_OK;
    int n = snprintf(text, sizeof text, "Hello, %.*s%s\n", (int)(name.len < 200 ? name.len : 200),
                     name.ptr, loud ? "!" : ".");
    cello_response_type(r, STR("text/plain; charset=utf-8"));
    cello_respond_bytes(r, (struct cl_str){text, (size_t)n});
}

/* GET /count: a body that is pulled, a line at a time. */
struct counter {
    struct cl_generator super;
    int next;
    char line[32];
};

static void proceed(struct cl_generator *g, struct cl_request *r) {
    struct counter *c = (struct counter *)g;
    int n = snprintf(c->line, sizeof c->line, "line %d\n", c->next);
    cello_response_chunk(r, (struct cl_str){c->line, (size_t)n}, c->next++ == 9);
}

static void stop(struct cl_generator *g, struct cl_request *r) {
    (void)r;
    free(g);
}

static void count(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    struct counter *c = calloc(1, sizeof *c);
    if (!c) {
        cello_respond_problem(r, 503, STR("Out of memory."));
        return;
    }
    c->super = (struct cl_generator){proceed, stop};
    cello_response_type(r, STR("text/plain"));
    cello_respond_stream(r, &c->super, false, 0);
}

static struct cello_handler hello_handler = {.on_request = hello};
static struct cello_handler count_handler = {.on_request = count};

static struct cl_app *make_app(char *err, size_t err_len) {
    struct cl_app *app = cello_app_new();
    const struct cello_route routes[] = {
        {.methods = CELLO_GET, .path = STR("/hello/{name}"), .handler = &hello_handler},
        {.methods = CELLO_GET, .path = STR("/count"), .handler = &count_handler},
    };
    int e = app ? CELLO_OK : CELLO_ENOMEM;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0] && !e; i++)
        e = cello_app_route(app, &routes[i], err, err_len);
    if (!e)
        e = cello_app_constant(app, CELLO_GET, STR("/"), NULL, 200, STR("text/plain"), NULL, 0,
                               STR("Hello from C\n"), err, err_len);
    if (!e)
        return app;
    cello_app_del(app);
    return NULL;
}

int main(int argc, char **argv) {
    unsigned long wanted = argc > 1 ? strtoul(argv[1], NULL, 10) : 8000;
    if (wanted > UINT16_MAX) {
        fprintf(stderr, "hello: no such port: %s\n", argv[1]);
        return 1;
    }
    char err[256] = "out of memory";
    struct cello_server_config cfg = CELLO_SERVER_CONFIG_DEFAULT;
    struct cl_app *app = make_app(err, sizeof err);
    if (!app) {
        fprintf(stderr, "hello: %s\n", err);
        return 1;
    }
    int e = cello_server_new(&server, app, &cfg);
    cello_app_del(app);
    if (!e)
        e = cello_server_listen(server, "127.0.0.1", (uint16_t)wanted);
    if (e) {
        fprintf(stderr, "hello: %s\n", cello_strerror(e));
        cello_server_del(server);
        return 1;
    }
    struct sigaction sa = {.sa_handler = on_signal};
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    char host[128];
    uint16_t port;
    cello_server_address(server, 0, host, &port);
    printf("http://%s:%u (%s)\n", host, (unsigned)port, cello_server_backend(server));
    fflush(stdout);
    e = cello_server_run(server);
    cello_server_del(server);
    return e ? 1 : 0;
}
