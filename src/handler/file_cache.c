#include "handler/file_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "handler/file_open.h"
#include "http/date.h"
#include "http/mime.h"
#include "http/worker.h"

enum { BUCKETS = 2048, OPEN_MIN = 16, OPEN_SHARE = 8 };
_Static_assert((BUCKETS & (BUCKETS - 1)) == 0, "a bucket is chosen by a mask");
_Static_assert((int)CL_FILE_DATE_MAX == CL_HTTP_DATE_LEN, "room for a date");
_Static_assert((int)CL_FILE_CONTENT_MAX <= (int)CL_FILES_CONTENT_MAX, "one file fits");

struct cl_file_cache {
    const struct cl_loop *loop;
    struct cl_hash_key key;
    struct cl_file_ring open, loaded; /* used last first */
    unsigned files, open_count, open_max;
    size_t content;
    struct cl_file *buckets[BUCKETS];
};

static const struct coding {
    struct cl_str name, suffix;
} CODINGS[CL_CODING_COUNT] = {
    [CL_CODING_ZSTD] = {CL_STR_INIT("zstd"), CL_STR_INIT(".zst")},
    [CL_CODING_BR] = {CL_STR_INIT("br"), CL_STR_INIT(".br")},
    [CL_CODING_GZIP] = {CL_STR_INIT("gzip"), CL_STR_INIT(".gz")},
};

struct cl_str cl_coding_name(enum cl_coding coding) {
    return CODINGS[coding].name;
}

/* ---- rings ---- */

static void ring_push(struct cl_file_ring *head, struct cl_file_ring *node) {
    node->prev = head;
    node->next = head->next;
    head->next->prev = node;
    head->next = node;
}

static void ring_remove(struct cl_file_ring *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
}

static struct cl_file *oldest(const struct cl_file_ring *head) {
    return head->prev == head ? NULL : CL_CONTAINER_OF(head->prev, struct cl_file, lru);
}

/* ---- the table ---- */

/* One that connections leave room for: each of them needs a descriptor, too. */
static unsigned open_max(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return OPEN_MIN;
    rlim_t share = limit.rlim_cur / OPEN_SHARE;
    return (unsigned)CL_MAX(CL_MIN(share, (rlim_t)CL_FILES_OPEN_MAX), (rlim_t)OPEN_MIN);
}

struct cl_file_cache *cl_file_cache_of(struct cl_worker *w) {
    if (CL_LIKELY(w->files))
        return w->files;
    struct cl_file_cache *cache = cl_calloc(1, sizeof *cache);
    if (!cache)
        return NULL;
    cache->loop = w->loop;
    cl_hash_key_init(&cache->key);
    cache->open = (struct cl_file_ring){&cache->open, &cache->open};
    cache->loaded = (struct cl_file_ring){&cache->loaded, &cache->loaded};
    cache->open_max = open_max();
    w->files = cache;
    return cache;
}

struct cl_file_counts cl_file_cache_counts(const struct cl_file_cache *cache) {
    return (struct cl_file_counts){cache->files, cache->open_count, cache->content};
}

static void file_free(struct cl_file *f) {
    if (f->fd >= 0)
        close(f->fd);
    cl_free(f->content);
    cl_free(f);
}

void cl_file_release(struct cl_file *f) {
    if (--f->refs == 0)
        file_free(f);
}

/* Not to be found any more; the reference of the table goes. */
static void forget(struct cl_file *f) {
    struct cl_file_cache *cache = f->cache;
    struct cl_file **at = &cache->buckets[f->hash & (BUCKETS - 1)];
    while (*at != f)
        at = &(*at)->chain;
    *at = f->chain;
    ring_remove(&f->lru);
    cache->files--;
    if (f->fd >= 0)
        cache->open_count--;
    else
        cache->content -= (size_t)f->size;
    f->cache = NULL;
    cl_file_release(f);
}

static void forget_all(struct cl_file_ring *ring) {
    struct cl_file *f;
    while ((f = oldest(ring)))
        forget(f);
}

void cl_file_cache_del(struct cl_file_cache *cache) {
    if (!cache)
        return;
    forget_all(&cache->open);
    forget_all(&cache->loaded);
    cl_free(cache);
}

static void keep(struct cl_file_cache *cache, struct cl_file *f) {
    struct cl_file **bucket = &cache->buckets[f->hash & (BUCKETS - 1)];
    f->chain = *bucket;
    *bucket = f;
    f->cache = cache;
    f->refs++;
    ring_push(f->fd >= 0 ? &cache->open : &cache->loaded, &f->lru);
    cache->files++;
    if (f->fd >= 0)
        cache->open_count++;
    else
        cache->content += (size_t)f->size;
    while (cache->open_count > cache->open_max)
        forget(oldest(&cache->open));
    while (cache->content > CL_FILES_CONTENT_MAX ||
           cache->files > CL_FILES_MAX) { /* more than there can be descriptors */
        forget(oldest(&cache->loaded));
    }
}
_Static_assert(CL_FILES_OPEN_MAX < CL_FILES_MAX, "too many files means too much content");

/* ---- what a file is ---- */

static int64_t ns_of(struct timespec t) {
    return (int64_t)t.tv_sec * (int64_t)CL_NS_PER_S + t.tv_nsec;
}

static bool same_time(struct timespec a, struct timespec b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_file(const struct stat *a, const struct stat *b) {
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mode == b->st_mode && same_time(a->st_mtim, b->st_mtim) &&
           same_time(a->st_ctim, b->st_ctim);
}

static char *put_hex(char *p, uint64_t v) {
    static const char hex[] = "0123456789abcdef";
    char digits[16];
    size_t n = 0;
    do
        digits[n++] = hex[v & 15];
    while (v >>= 4);
    while (n)
        *p++ = digits[--n];
    return p;
}

static void describe(struct cl_file *f) {
    char date[CL_HTTP_DATE_LEN + 1];
    cl_http_date_format(f->st.st_mtim.tv_sec, date);
    memcpy(f->date, date, CL_FILE_DATE_MAX);
    char *p = f->etag;
    memcpy(p, "W/\"", 3);
    p = put_hex(p + 3, f->size);
    *p++ = '-';
    p = put_hex(p, (uint64_t)f->modified_ns);
    *p++ = '"';
    f->etag_len = (uint8_t)(p - f->etag);
    f->type = cl_mime_type(cl_str(f->path, strlen(f->path)));
}

bool cl_file_is_young(const struct cl_file *f, uint64_t now_ns) {
    return f->modified_ns + (int64_t)CL_FILE_YOUNG_NS > (int64_t)now_ns;
}

struct cl_str cl_file_etag(const struct cl_file *f, uint64_t now_ns) {
    size_t skip = cl_file_is_young(f, now_ns) ? 0 : 2;
    return cl_str(f->etag + skip, f->etag_len - skip);
}

/* All of it, or CELLO_EAGAIN: it has become another one meanwhile. */
static int read_content(struct cl_file *f) {
    size_t size = (size_t)f->size, done = 0;
    f->content = cl_malloc(size ? size : 1);
    if (!f->content)
        return CELLO_ENOMEM;
    while (done < size) {
        ssize_t n = pread(f->fd, f->content + done, size - done, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? CELLO_ESYS : CELLO_EAGAIN;
        done += (size_t)n;
    }
    close(f->fd);
    f->fd = -1;
    return CELLO_OK;
}

/* ---- look-up ---- */

/* A name with all that the table needs to know of it. */
struct key {
    const struct cl_file_name *name;
    uint64_t hash;
    size_t len;
    char path[CL_FILE_PATH_MAX];
};

static bool make_key(const struct cl_file_cache *cache, const struct cl_file_name *name,
                     struct key *k) {
    size_t root = name->root.len, start = root ? root + 1 : 0;
    k->name = name;
    k->len = start + name->path.len;
    if (name->path.len >= sizeof k->path || k->len >= sizeof k->path)
        return false;
    if (root) {
        memcpy(k->path, name->root.ptr, root);
        k->path[root] = '/';
    }
    memcpy(k->path + start, name->path.ptr, name->path.len);
    k->path[k->len] = '\0';
    k->hash = cl_hash_bytes(&cache->key, k->path, k->len);
    return true;
}

static struct cl_file *find(const struct cl_file_cache *cache, const struct key *k) {
    struct cl_file *f = cache->buckets[k->hash & (BUCKETS - 1)];
    for (; f; f = f->chain)
        if (f->hash == k->hash && f->root_len == k->name->root.len && f->flags == k->name->flags &&
            f->path_len == k->len && memcmp(f->path, k->path, k->len) == 0)
            return f;
    return NULL;
}

/* Whether the path still leads to the file as it was read. Where links are not followed the last
 * segment must be none; one before it that has become a link leads here only if it is this very
 * file. */
static bool is_current(struct cl_file *f, uint64_t now_ns) {
    struct stat st;
    if (f->checked_ns == now_ns)
        return true;
    bool follow = f->root_len == 0 || (f->flags & CL_OPEN_FOLLOW);
    if (f->provisional || fstatat(AT_FDCWD, f->path, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0 ||
        !same_file(&st, &f->st))
        return false;
    f->checked_ns = now_ns;
    return true;
}

static int open_key(const struct key *k, int *fd, struct stat *st) {
    char root[CL_FILE_PATH_MAX];
    size_t n = k->name->root.len;
    if (n == 0)
        return cl_file_open_path(k->path, fd, st);
    memcpy(root, k->path, n);
    root[n] = '\0';
    return cl_file_open_below(root, k->name->path, k->name->flags, fd, st);
}

/* Descriptors that only the table holds are not worth more than a client's request. */
static int open_or_make_room(struct cl_file_cache *cache, const struct key *k, int *fd,
                             struct stat *st) {
    int err = open_key(k, fd, st);
    if (CL_UNLIKELY(err == CELLO_ELIMIT && cache->open_count)) {
        forget_all(&cache->open);
        err = open_key(k, fd, st);
    }
    if (!err && S_ISDIR(st->st_mode)) {
        close(*fd);
        errno = EISDIR;
        err = CELLO_ENOENT;
    }
    return err;
}

static bool changed_since(const struct stat *st, uint64_t ns) {
    return CL_MAX(ns_of(st->st_mtim), ns_of(st->st_ctim)) > (int64_t)ns;
}

/* A file with one reference, which the table does not know. */
static int load(struct cl_file_cache *cache, const struct key *k, uint64_t now_ns,
                struct cl_file **out) {
    struct stat st;
    int fd;
    int err = open_or_make_room(cache, k, &fd, &st);
    if (err)
        return err;
    struct cl_file *f = cl_calloc(1, sizeof *f + k->len + 1);
    if (!f) {
        close(fd);
        return CELLO_ENOMEM;
    }
    f->refs = 1;
    f->fd = fd;
    f->st = st;
    f->size = (uint64_t)st.st_size;
    f->modified_ns = ns_of(st.st_mtim);
    f->checked_ns = now_ns;
    f->hash = k->hash;
    f->root_len = (uint32_t)k->name->root.len;
    f->path_len = (uint32_t)k->len;
    f->flags = k->name->flags;
    memcpy(f->path, k->path, k->len + 1);
    describe(f);
    if (f->size <= CL_FILE_CONTENT_MAX) {
        f->provisional = changed_since(&st, cl_wall_ns() - CL_FILE_YOUNG_NS);
        err = read_content(f);
    }
    if (err)
        file_free(f);
    else
        *out = f;
    return err;
}

int cl_file_get(struct cl_file_cache *cache, const struct cl_file_name *name,
                struct cl_file **out) {
    struct key k;
    if (!make_key(cache, name, &k)) {
        errno = ENAMETOOLONG;
        return CELLO_ENOENT;
    }
    uint64_t now_ns = cl_loop_now_ns(cache->loop);
    struct cl_file *f = find(cache, &k);
    if (CL_LIKELY(f && is_current(f, now_ns))) {
        struct cl_file_ring *ring = f->fd >= 0 ? &cache->open : &cache->loaded;
        ring_remove(&f->lru);
        ring_push(ring, &f->lru);
        f->refs++;
        *out = f;
        return CELLO_OK;
    }
    if (f)
        forget(f);
    int err = load(cache, &k, now_ns, &f);
    if (err == CELLO_EAGAIN) /* it was cut while it was read */
        err = load(cache, &k, now_ns, &f);
    if (err)
        return err == CELLO_EAGAIN ? CELLO_ESYS : err;
    keep(cache, f);
    *out = f;
    return CELLO_OK;
}

/* ---- codings ---- */

struct cl_file *cl_file_beside(struct cl_file *file, enum cl_coding coding) {
    struct cl_file_cache *cache = file->cache;
    struct cl_str suffix = CODINGS[coding].suffix;
    uint64_t now_ns = cache ? cl_loop_now_ns(cache->loop) : 0;
    char path[CL_FILE_PATH_MAX];
    size_t start = file->root_len ? file->root_len + 1 : 0, len = file->path_len - start;
    if (!cache || now_ns < file->missing_until_ns[coding] || len + suffix.len >= sizeof path)
        return NULL;
    memcpy(path, file->path + start, len);
    memcpy(path + len, suffix.ptr, suffix.len);
    const struct cl_file_name name = {
        .root = {file->path, file->root_len},
        .path = {path, len + suffix.len},
        .flags = file->flags,
    };
    struct cl_file *found;
    if (cl_file_get(cache, &name, &found) != CELLO_OK) {
        file->missing_until_ns[coding] = now_ns + CL_FILE_MISSING_NS;
        return NULL;
    }
    if (found->modified_ns >= file->modified_ns)
        return found;
    cl_file_release(found);
    return NULL;
}
