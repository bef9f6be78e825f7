#include "router/versions.h"

#include "base/alloc.h"
#include "http/header.h"
#include "http/media.h"
#include "http/method.h"

struct cl_version_item {
    uint32_t methods;
    struct cl_str version; /* owned */
    char *where;           /* owned, never NULL */
    void *target;
};

static void item_free(struct cl_version_item *item) {
    cl_free((void *)(uintptr_t)item->version.ptr);
    cl_free(item->where);
}

void cl_versions_free(struct cl_versions *v) {
    while (v->count)
        item_free(&v->items[--v->count]);
    cl_free(v->items);
    *v = (struct cl_versions){0};
}

int cl_versions_reserve(struct cl_versions *v, size_t count) {
    if (v->count + count <= v->cap)
        return CELLO_OK;
    size_t cap = CL_MAX(v->cap * 2, v->count + count);
    struct cl_version_item *items = cl_realloc(v->items, cap * sizeof *items);
    if (!items)
        return CELLO_ENOMEM;
    v->items = items;
    v->cap = cap;
    return CELLO_OK;
}

/* The first item of one of the methods and exactly this version. */
static struct cl_version_item *find(const struct cl_versions *v, uint32_t methods,
                                    struct cl_str version) {
    for (size_t i = 0; i < v->count; i++)
        if (v->items[i].methods & methods && cl_str_ieq(v->items[i].version, version))
            return &v->items[i];
    return NULL;
}

const char *cl_versions_where(const struct cl_versions *v, uint32_t methods,
                              struct cl_str version) {
    const struct cl_version_item *item = find(v, methods, version);
    return item ? item->where : NULL;
}

int cl_versions_add(struct cl_versions *v, uint32_t methods, struct cl_str version,
                    const char *where, void *target) {
    if (!where)
        where = "";
    int err = cl_versions_reserve(v, 1);
    if (err)
        return err;
    struct cl_version_item item = {
        .methods = methods,
        .version = {cl_strndup(version.ptr, version.len), version.len},
        .where = cl_strndup(where, strlen(where)),
        .target = target,
    };
    if (!item.version.ptr || !item.where) {
        item_free(&item);
        return CELLO_ENOMEM;
    }
    v->items[v->count++] = item;
    v->methods |= methods;
    return CELLO_OK;
}

void cl_versions_drop_last(struct cl_versions *v) {
    item_free(&v->items[--v->count]);
    v->methods = 0;
    for (size_t i = 0; i < v->count; i++)
        v->methods |= v->items[i].methods;
}

/* ---- picking ---- */

static void *target_of(const struct cl_versions *v, unsigned method, struct cl_str version) {
    const struct cl_version_item *item = find(v, 1u << method, version);
    if (!item && method == CL_METHOD_HEAD)
        item = find(v, 1u << CL_METHOD_GET, version);
    return item ? item->target : NULL;
}

/* What a media range says: the parameter `version`, or "v1" of "vnd.shop.v1+json"; else empty. */
static struct cl_str version_of(const struct cl_media *range) {
    struct cl_str version, s = range->subtype;
    if (cl_media_param(range, CL_STR("version"), &version))
        return version;
    const struct cl_str vendor = CL_STR("vnd.");
    if (s.len < vendor.len || !cl_str_ieq(cl_str(s.ptr, vendor.len), vendor))
        return cl_str(NULL, 0);
    s = cl_str(s.ptr + vendor.len, s.len - vendor.len);
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == '+')
            s.len = i;
    size_t start = s.len;
    while (start > 0 && s.ptr[start - 1] != '.')
        start--;
    return start > 0 ? cl_str(s.ptr + start, s.len - start) : cl_str(NULL, 0);
}

/* The range that is wanted most and has a target; among equals, one that says a version, then the
 * first. A range that says none means the fallback. */
static void *pick_by_media(const struct cl_versions *v, struct cl_str fallback, unsigned method,
                           struct cl_str accept) {
    struct cl_media range;
    unsigned quality, best = 0;
    void *picked = NULL;
    while (cl_accept_next(&accept, &range, &quality)) {
        struct cl_str version = version_of(&range);
        unsigned rank = quality ? quality * 2 + (version.len > 0) : 0;
        void *target = rank > best ? target_of(v, method, version.len ? version : fallback) : NULL;
        if (target) {
            best = rank;
            picked = target;
        }
    }
    return picked;
}

void *cl_versions_pick(const struct cl_versions *v, const struct cl_version_rule *rule,
                       unsigned method, struct cl_str field) {
    void *target;
    field = cl_header_trim(field);
    if (!field.len)
        target = target_of(v, method, rule->fallback);
    else if (rule->kind == CL_VERSION_HEADER)
        target = target_of(v, method, field);
    else
        target = pick_by_media(v, rule->fallback, method, field);
    return target ? target : target_of(v, method, cl_str(NULL, 0));
}

bool cl_versions_matter(const struct cl_versions *v) {
    for (size_t i = 0; i < v->count; i++)
        if (v->items[i].version.len)
            return true;
    return false;
}

size_t cl_versions_list(const struct cl_versions *v, unsigned method, char *out, size_t cap) {
    size_t n = 0;
    uint32_t methods = 1u << method;
    if (method == CL_METHOD_HEAD)
        methods |= 1u << CL_METHOD_GET;
    for (size_t i = 0; i < v->count; i++) {
        struct cl_str version = v->items[i].version;
        size_t comma = n ? 2 : 0;
        if (!version.len || !(v->items[i].methods & methods) || n + comma + version.len > cap)
            continue;
        memcpy(out + n, ", ", comma);
        memcpy(out + n + comma, version.ptr, version.len);
        n += comma + version.len;
    }
    return n;
}
