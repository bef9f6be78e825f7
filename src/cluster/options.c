#include "cluster/options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "cluster/report.h"
#include "store/members.h"

enum kind { FLAG, NOT_FLAG, TEXT, COUNT, SECONDS, FRACTION, MODE, MEGABYTES, PLACE, STYLE, LEVEL };

struct option {
    const char *name;
    enum kind kind;
    size_t at;
    uint64_t max; /* COUNT: the field is a word of 32 bits when this fits into it */
};

#define FIELD(name) offsetof(struct cl_supervisor_options, name)

/* Ten years: sums of such times stay far from the end of 64 bits. */
static const double SECONDS_MAX = 315360000;
static const uint64_t BYTES_MAX = (uint64_t)1 << 46;

static const struct option OPTIONS[] = {
    {"--listen", PLACE, 0, 0},
    {"--https", COUNT, FIELD(https), CL_ADDRESSES_MAX},
    {"--uds-mode", MODE, FIELD(uds_mode), 0777},
    {"--workers", COUNT, FIELD(policy.workers), CL_WORKERS_MAX},
    {"--affinity", FLAG, FIELD(affinity), 0},
    {"--max-restarts", COUNT, FIELD(policy.max_restarts), CL_MAX_RESTARTS},
    {"--restart-window", SECONDS, FIELD(policy.restart_window_ns), 0},
    {"--drain-delay", SECONDS, FIELD(policy.drain_delay_ns), 0},
    {"--shutdown-timeout", SECONDS, FIELD(policy.shutdown_timeout_ns), 0},
    {"--no-graceful", NOT_FLAG, FIELD(policy.graceful), 0},
    {"--max-requests", COUNT, FIELD(policy.max_requests), UINT64_MAX / 4},
    {"--max-rss-mb", MEGABYTES, FIELD(policy.max_rss_bytes), BYTES_MAX >> 20},
    {"--jitter", FRACTION, FIELD(policy.jitter), 0},
    {"--heartbeat-timeout", SECONDS, FIELD(policy.heartbeat_timeout_ns), 0},
    {"--startup-timeout", SECONDS, FIELD(policy.startup_timeout_ns), 0},
    {"--user", TEXT, FIELD(user), 0},
    {"--group", TEXT, FIELD(group), 0},
    {"--admin", TEXT, FIELD(admin), 0},
    {"--health-path", TEXT, FIELD(health_path), 0},
    {"--access-log", TEXT, FIELD(access_log), 0},
    {"--store-bytes", COUNT, FIELD(store_bytes), BYTES_MAX},
    {"--ring-bytes", COUNT, FIELD(ring_bytes), BYTES_MAX},
    {"--log-format", STYLE, FIELD(log_style), 0},
    {"--log-level", LEVEL, FIELD(log_level), 0},
};

static const struct cl_supervisor_options DEFAULTS = {
    .uds_mode = 0666,
    .policy =
        {
            .workers = 1,
            .graceful = true,
            .max_restarts = 5,
            .restart_window_ns = 60 * CL_NS_PER_S,
            .startup_timeout_ns = 60 * CL_NS_PER_S,
            .shutdown_timeout_ns = 30 * CL_NS_PER_S,
            .heartbeat_timeout_ns = 30 * CL_NS_PER_S,
            .jitter = 0.1,
        },
    .log_level = CL_LOG_INFO,
};

static bool parse_count(const char *text, int base, uint64_t max, uint64_t *out) {
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *out = strtoull(text, &end, base);
    return !errno && !*end && *out <= max;
}

static bool parse_fraction(const char *text, double max, double *out) {
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    *out = strtod(text, &end);
    return !*end && isfinite(*out) && *out <= max;
}

static void put_count(char *field, const struct option *option, uint64_t n) {
    if (option->max <= UINT32_MAX)
        memcpy(field, &(uint32_t){(uint32_t)n}, sizeof(uint32_t));
    else
        memcpy(field, &n, sizeof n);
}

/* False: `text` is no such value. */
static bool put_value(struct cl_supervisor_options *o, const struct option *option,
                      const char *text) {
    char *field = (char *)o + option->at;
    uint64_t n = 0;
    double fraction = 0;
    bool ok = true;
    switch (option->kind) {
    case FLAG: *(bool *)field = true; break;
    case NOT_FLAG: *(bool *)field = false; break;
    case TEXT:
        ok = *text;
        memcpy(field, &text, sizeof text);
        break;
    case COUNT:
        ok = parse_count(text, 10, option->max, &n);
        put_count(field, option, n);
        break;
    case MODE:
        ok = parse_count(text, 8, option->max, &n);
        put_count(field, option, n);
        break;
    case MEGABYTES:
        ok = parse_count(text, 10, option->max, &n);
        *(uint64_t *)(void *)field = n << 20;
        break;
    case SECONDS:
        ok = parse_fraction(text, SECONDS_MAX, &fraction);
        *(uint64_t *)(void *)field = (uint64_t)(fraction * 1e9);
        break;
    case FRACTION: ok = parse_fraction(text, 1, (double *)(void *)field); break;
    case PLACE:
        ok = o->place_count < CL_ADDRESSES_MAX &&
             cl_place_parse(&o->places[o->place_count++], text) == CELLO_OK;
        break;
    case STYLE: ok = cl_report_style(text, &o->log_style); break;
    case LEVEL: ok = cl_report_level(text, &o->log_level); break;
    }
    return ok;
}

static const struct option *find(const char *name) {
    for (size_t i = 0; i < CL_ARRAY_LEN(OPTIONS); i++)
        if (!strcmp(name, OPTIONS[i].name))
            return &OPTIONS[i];
    return NULL;
}

int cl_supervisor_options_parse(struct cl_supervisor_options *o, int argc, char *const *argv,
                                char why[CL_OPTIONS_ERROR_MAX]) {
    int i = 1;
    *o = DEFAULTS;
    o->self = argv;
    for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const struct option *option = find(argv[i]);
        if (!option) {
            snprintf(why, CL_OPTIONS_ERROR_MAX, "there is no option %s", argv[i]);
            return CELLO_EINVAL;
        }
        bool valued = option->kind != FLAG && option->kind != NOT_FLAG;
        if (valued && ++i == argc) {
            snprintf(why, CL_OPTIONS_ERROR_MAX, "%s needs a value", option->name);
            return CELLO_EINVAL;
        }
        if (!put_value(o, option, argv[i])) {
            snprintf(why, CL_OPTIONS_ERROR_MAX, "%s cannot be %s", option->name, argv[i]);
            return CELLO_EINVAL;
        }
    }
    if (i + 1 >= argc || !o->place_count || !o->policy.workers) {
        snprintf(why, CL_OPTIONS_ERROR_MAX,
                 "write --listen PLACE ... --workers N -- PROGRAM ARGUMENT...");
        return CELLO_EINVAL;
    }
    o->command = argv + i + 1;
    return CELLO_OK;
}
