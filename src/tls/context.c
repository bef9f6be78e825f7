#include "tls/context.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/log.h"
#include "tls/kernel.h"
#include "tls/tls_internal.h"

/* What tells that a file is another one than before. */
struct stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec changed;
};

struct cl_tls_context {
    struct cello_tls_config cfg; /* of `memory` */
    char *memory;
    struct cl_tls_setup *setup;
    struct cl_tls_keys *keys;
    bool h2;
    size_t file_count;
    const char **files;
    struct stamp *known; /* of what was loaded, or could not be */
    struct stamp *seen;  /* by the last call of reload */
};

/* ---- a copy of the configuration ------------------------------------------------------------ */

/* Measures with `to` NULL, then copies. */
struct copier {
    char *to;
    size_t used;
};

static const char *copy(struct copier *c, const void *from, size_t n) {
    char *to = c->to ? c->to + c->used : NULL;
    c->used += n;
    if (to && n)
        memcpy(to, from, n);
    return to;
}

static const char *copy_text(struct copier *c, const char *text) {
    return text ? copy(c, text, strlen(text) + 1) : NULL;
}

/* The names first: they have to lie at an aligned address. */
static void copy_config(struct copier *c, const struct cello_tls_config *from,
                        struct cello_tls_config *to) {
    struct cello_tls_name *names = NULL;
    const char *at = copy(c, from->names, from->name_count * sizeof *from->names);
    *to = *from;
    if (at)
        names = (struct cello_tls_name *)(void *)(uintptr_t)at;
    to->names = names;
    for (size_t i = 0; i < from->name_count; i++) {
        struct cello_tls_name name = {
            .host = copy_text(c, from->names[i].host),
            .cert_path = copy_text(c, from->names[i].cert_path),
            .key_path = copy_text(c, from->names[i].key_path),
        };
        if (names)
            names[i] = name;
    }
    to->cert_path = copy_text(c, from->cert_path);
    to->key_path = copy_text(c, from->key_path);
    to->ca_path = copy_text(c, from->ca_path);
    to->ciphers = copy_text(c, from->ciphers);
    to->ocsp_response = copy_text(c, from->ocsp_response);
    to->key_password =
        cl_str(copy(c, from->key_password.ptr, from->key_password.len), from->key_password.len);
    to->ticket_keys = NULL; /* are in cl_tls_keys */
    to->ticket_key_count = 0;
}

static int keep_config(struct cl_tls_context *c, const struct cello_tls_config *cfg) {
    struct copier measure = {0};
    copy_config(&measure, cfg, &c->cfg);
    struct copier copier = {.to = cl_malloc(measure.used + 1)};
    if (!copier.to)
        return CELLO_ENOMEM;
    copy_config(&copier, cfg, &c->cfg);
    c->memory = copier.to;
    return CELLO_OK;
}

/* ---- the files ------------------------------------------------------------------------------ */

static void add_file(struct cl_tls_context *c, const char *path) {
    if (path)
        c->files[c->file_count++] = path;
}

static int keep_files(struct cl_tls_context *c) {
    size_t most = 4 + 2 * c->cfg.name_count;
    c->files = cl_calloc(most, sizeof *c->files);
    c->known = cl_calloc(most, sizeof *c->known);
    c->seen = cl_calloc(most, sizeof *c->seen);
    if (!c->files || !c->known || !c->seen)
        return CELLO_ENOMEM;
    add_file(c, c->cfg.cert_path);
    add_file(c, c->cfg.key_path);
    add_file(c, c->cfg.ca_path);
    add_file(c, c->cfg.ocsp_response);
    for (size_t i = 0; i < c->cfg.name_count; i++) {
        add_file(c, c->cfg.names[i].cert_path);
        add_file(c, c->cfg.names[i].key_path);
    }
    return CELLO_OK;
}

/* One that is not there has no stamp. */
static struct stamp look(const char *path) {
    struct stat st;
    if (stat(path, &st))
        return (struct stamp){0};
    return (struct stamp){st.st_dev, st.st_ino, st.st_size, st.st_ctim};
}

static bool same(const struct stamp *a, const struct stamp *b) {
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* Looks at all files. Whether they are as they were when they were loaded, and as they were last
 * time. */
static void look_at_files(struct cl_tls_context *c, bool *as_loaded, bool *as_seen) {
    *as_loaded = *as_seen = true;
    for (size_t i = 0; i < c->file_count; i++) {
        struct stamp now = look(c->files[i]);
        *as_loaded &= same(&now, &c->known[i]);
        *as_seen &= same(&now, &c->seen[i]);
        c->seen[i] = now;
    }
}

/* Files that change while they are read are met again by the next look. */
static int load(struct cl_tls_context *c, char why[CELLO_TLS_WHY]) {
    struct cl_tls_setup *setup;
    memcpy(c->known, c->seen, c->file_count * sizeof *c->known);
    int err = cl_tls_setup_new(&setup, &c->cfg, c->keys, why);
    if (err)
        return err;
    setup->h2 = c->h2;
    cl_tls_setup_unref(c->setup);
    c->setup = setup;
    return CELLO_OK;
}

int cl_tls_context_reload(struct cl_tls_context *c, bool always, char why[CELLO_TLS_WHY]) {
    bool as_loaded, as_seen;
    look_at_files(c, &as_loaded, &as_seen);
    if (!always && (as_loaded || !as_seen))
        return CELLO_EAGAIN;
    return load(c, why);
}

/* ---- its life ------------------------------------------------------------------------------- */

int cl_tls_context_new(struct cl_tls_context **out, const struct cello_tls_config *cfg,
                       struct cl_ticket_area *area, char why[CELLO_TLS_WHY]) {
    struct cl_tls_context *c = cl_calloc(1, sizeof *c);
    int err = CELLO_ENOMEM;
    snprintf(why, CELLO_TLS_WHY, "out of memory");
    if (!c)
        return err;
    err = keep_config(c, cfg);
    if (!err)
        err = keep_files(c);
    if (!err)
        err = (c->keys = cl_tls_keys_new(cfg, area)) ? CELLO_OK : CELLO_ENOMEM;
    if (!err)
        err = cl_tls_context_reload(c, true, why);
    if (err) {
        cl_tls_context_del(c);
        return err;
    }
    if (cfg->ktls)
        cl_log(CL_LOG_DEBUG, "the kernel %s TLS (kTLS); records are encrypted in the process",
               cl_tls_kernel_can() ? "has" : "does not have");
    *why = '\0';
    *out = c;
    return CELLO_OK;
}

void cl_tls_context_del(struct cl_tls_context *c) {
    if (!c)
        return;
    cl_tls_setup_unref(c->setup);
    cl_tls_keys_unref(c->keys);
    if (c->memory && c->cfg.key_password.len)
        OPENSSL_cleanse((char *)(uintptr_t)c->cfg.key_password.ptr, c->cfg.key_password.len);
    cl_free(c->memory);
    cl_free(c->files);
    cl_free(c->known);
    cl_free(c->seen);
    cl_free(c);
}

void cl_tls_context_offer_h2(struct cl_tls_context *c, bool on) {
    c->h2 = c->setup->h2 = on;
}

struct cl_tls_setup *cl_tls_context_setup(struct cl_tls_context *c) {
    return c->setup;
}
