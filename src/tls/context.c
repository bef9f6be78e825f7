#include "tls/context.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/log.h"
#include "net/ktls.h"
#include "tls/tls_internal.h"

enum { ALL_MODES = 07777 };

/* What tells that a file is another one than before. */
struct stamp {
    dev_t dev;
    ino_t ino;
    mode_t mode;
    off_t size;
    struct timespec changed; /* also with the mode */
};

struct watched {
    const char *path;
    bool is_key;
    struct stamp known; /* of what was loaded, or is wrong */
    struct stamp seen;  /* by the last call of reload */
};

struct cl_tls_context {
    struct cello_tls_config cfg; /* of `memory` */
    char *memory;
    struct cl_tls_setup *setup;
    struct cl_tls_keys *keys;
    bool h2, kernel;
    bool warned; /* of these files, by the process that checked them for its workers */
    int trouble; /* why they could not be read, which may pass; CELLO_OK: they could */
    size_t file_count;
    struct watched *files;
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

static void add_file(struct cl_tls_context *c, const char *path, bool is_key) {
    if (path)
        c->files[c->file_count++] = (struct watched){.path = path, .is_key = is_key};
}

static int keep_files(struct cl_tls_context *c) {
    c->files = cl_calloc(4 + 2 * c->cfg.name_count, sizeof *c->files);
    if (!c->files)
        return CELLO_ENOMEM;
    add_file(c, c->cfg.cert_path, false);
    add_file(c, c->cfg.key_path, true);
    add_file(c, c->cfg.ca_path, false);
    add_file(c, c->cfg.ocsp_response, false);
    for (size_t i = 0; i < c->cfg.name_count; i++) {
        add_file(c, c->cfg.names[i].cert_path, false);
        add_file(c, c->cfg.names[i].key_path, true);
    }
    return CELLO_OK;
}

/* One that is not there has no stamp. */
static struct stamp look(const char *path) {
    struct stat st;
    if (stat(path, &st))
        return (struct stamp){0};
    return (struct stamp){st.st_dev, st.st_ino, st.st_mode, st.st_size, st.st_ctim};
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
        struct watched *w = &c->files[i];
        struct stamp now = look(w->path);
        *as_loaded &= same(&now, &w->known);
        *as_seen &= same(&now, &w->seen);
        w->seen = now;
    }
}

/* ---- keys that are not secret --------------------------------------------------------------- */

/* A group may be there to read keys (Debian has one, ssl-cert), but not to write them. */
static const char *who_else(mode_t mode) {
    if (!S_ISREG(mode))
        return NULL;
    if (mode & (S_IWGRP | S_IWOTH))
        return "others may change it";
    return mode & S_IROTH ? "everybody may read it" : NULL;
}

static bool is_listed_before(const struct cl_tls_context *c, const struct watched *w) {
    for (const struct watched *other = c->files; other < w; other++)
        if (other->is_key && other->seen.dev == w->seen.dev && other->seen.ino == w->seen.ino)
            return true;
    return false;
}

/* Once for each file, and again when it has changed. */
static void warn_of_keys(const struct cl_tls_context *c) {
    for (size_t i = 0; i < c->file_count; i++) {
        const struct watched *w = &c->files[i];
        const char *trouble = w->is_key ? who_else(w->seen.mode) : NULL;
        if (trouble && !same(&w->seen, &w->known) && !is_listed_before(c, w))
            cl_log(CL_LOG_WARNING,
                   "the key '%s' is not secret: its mode is %04o, %s; chmod 600 (or 640) it",
                   w->path, (unsigned)(w->seen.mode & ALL_MODES), trouble);
    }
}

/* Files that change while they are read are met again by the next look. */
static int load(struct cl_tls_context *c, char why[CELLO_TLS_WHY]) {
    struct cl_tls_setup *setup;
    int before = c->trouble;
    if (!c->warned && !before)
        warn_of_keys(c);
    c->warned = false;
    int err = cl_tls_setup_new(&setup, &c->cfg, c->keys, why);
    c->trouble = err == CELLO_ENOMEM || err == CELLO_ESYS ? err : CELLO_OK;
    for (size_t i = 0; i < c->file_count && !c->trouble; i++)
        c->files[i].known = c->files[i].seen;
    if (err)
        return err == before ? CELLO_EAGAIN : err;
    setup->h2 = c->h2;
    setup->kernel = c->kernel;
    cl_tls_setup_unref(c->setup);
    c->setup = setup;
    return CELLO_OK;
}

int cl_tls_context_reload(struct cl_tls_context *c, bool always, char why[CELLO_TLS_WHY]) {
    bool as_loaded, as_seen;
    look_at_files(c, &as_loaded, &as_seen);
    if (always || !as_seen)
        c->trouble = CELLO_OK;
    if (!always && (as_loaded || !as_seen))
        return CELLO_EAGAIN;
    return load(c, why);
}

/* ---- its life ------------------------------------------------------------------------------- */

static void ask_kernel(struct cl_tls_context *c) {
    cl_tls_context_use_kernel(c, cl_ktls_can());
    cl_log(CL_LOG_DEBUG, "TLS by the kernel (kTLS): %s",
           c->kernel ? "of TLS 1.3 with AES-GCM it seals the records"
                     : "it has none; records are sealed in the process");
}

int cl_tls_context_new(struct cl_tls_context **out, const struct cello_tls_config *cfg,
                       struct cl_ticket_area *area, char why[CELLO_TLS_WHY]) {
    struct cl_tls_context *c = cl_calloc(1, sizeof *c);
    int err = CELLO_ENOMEM;
    snprintf(why, CELLO_TLS_WHY, "out of memory");
    if (!c)
        return err;
    c->warned = area != NULL;
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
        ask_kernel(c);
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
    cl_free(c);
}

void cl_tls_context_offer_h2(struct cl_tls_context *c, bool on) {
    c->h2 = c->setup->h2 = on;
}

void cl_tls_context_use_kernel(struct cl_tls_context *c, bool on) {
    c->kernel = c->setup->kernel = on;
}

struct cl_tls_setup *cl_tls_context_setup(struct cl_tls_context *c) {
    return c->setup;
}
