/* X-Request-ID: taken over when it is harmless, else made. */
#include <stdatomic.h>

#include <cello/app.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "http/response.h"

enum { ID_MAX = 128, ID_BYTES = 16 };

struct request_id {
    struct cl_step super;
    struct cl_hash_key key; /* random: ids are the keyed hash of a counter */
    _Atomic uint64_t counter;
    struct cl_header header; /* without its value */
    char header_text[];
};

static bool acceptable(struct cl_str id) {
    static const char extra[] = "._:+/=@-";
    if (id.len == 0 || id.len > ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        unsigned char c = (unsigned char)id.ptr[i];
        bool alnum = (unsigned char)((c | 0x20) - 'a') < 26 || (unsigned char)(c - '0') < 10;
        if (!alnum && !memchr(extra, c, sizeof extra - 1))
            return false;
    }
    return true;
}

static int make_id(struct request_id *s, struct cl_request *r) {
    static const char hex[] = "0123456789abcdef";
    char *text = cl_arena_alloc(&r->arena, 2 * (size_t)ID_BYTES);
    if (!text)
        return CELLO_ENOMEM;
    uint64_t n[2] = {atomic_fetch_add_explicit(&s->counter, 1, memory_order_relaxed), 0};
    uint64_t random[2];
    random[0] = cl_hash_bytes(&s->key, n, sizeof n);
    n[1] = 1;
    random[1] = cl_hash_bytes(&s->key, n, sizeof n);
    const unsigned char *b = (const unsigned char *)random;
    for (size_t i = 0; i < ID_BYTES; i++) {
        text[2 * i] = hex[b[i] >> 4];
        text[2 * i + 1] = hex[b[i] & 15];
    }
    r->request_id = cl_str(text, 2 * (size_t)ID_BYTES);
    return CELLO_OK;
}

static int before(const struct cl_step *step, struct cl_request *r) {
    const struct request_id *s = CL_CONTAINER_OF(step, struct request_id, super);
    const struct cl_header *h = cl_request_header_named(r, s->header.name);
    if (h && acceptable(h->value)) {
        r->request_id = h->value;
        return CELLO_OK;
    }
    /* The counter is the one thing of a step that changes; it is atomic. */
    return make_id((struct request_id *)(uintptr_t)s, r);
}

static int after(const struct cl_step *step, struct cl_request *r) {
    const struct request_id *s = CL_CONTAINER_OF(step, struct request_id, super);
    if (!r->request_id.len) /* a request that failed before it was routed */
        return CELLO_OK;
    struct cl_header h = s->header;
    h.value = r->request_id;
    return cl_response_put(r, &h);
}

static void del(struct cl_step *step) {
    cl_free(CL_CONTAINER_OF(step, struct request_id, super));
}

struct cl_step *cello_step_request_id(struct cl_str header) {
    struct request_id *s = cl_calloc(1, sizeof *s + header.len);
    if (!s)
        return NULL;
    s->super = (struct cl_step){.before = before, .after = after, .del = del, .name = "request_id"};
    cl_hash_key_init(&s->key);
    memcpy(s->header_text, header.ptr, header.len);
    const struct cl_str name = cl_str(s->header_text, header.len);
    if (cl_response_header_check(&s->header, name, CL_STR("")) != CELLO_OK) {
        cl_free(s);
        return NULL;
    }
    return &s->super;
}
