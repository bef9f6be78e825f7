#include "tls/tickets.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "base/clock.h"

enum { WORDS = CL_TICKET_KEY / 8 };

_Static_assert((int)CL_TICKET_SLOTS > (int)CL_TICKET_EPOCHS,
               "a key is written over when it is not accepted any more");

/* Epoch 0 is no epoch: an empty slot says so. */
static uint64_t epoch_at(uint64_t now_ns) {
    return 1 + now_ns / (CL_TICKET_EPOCH_S * CL_NS_PER_S);
}

static struct cl_ticket_slot *slot_of(struct cl_ticket_area *a, uint64_t epoch) {
    return &a->slots[epoch % CL_TICKET_SLOTS];
}

/* False: there is none, it is being written, or has been written over meanwhile. */
static bool read_key(struct cl_ticket_area *a, uint64_t epoch, struct cl_ticket_key *out) {
    struct cl_ticket_slot *s = slot_of(a, epoch);
    uint64_t words[WORDS], complete = epoch * 2 + 1;
    if (atomic_load_explicit(&s->state, memory_order_acquire) != complete)
        return false;
    for (size_t i = 0; i < WORDS; i++)
        words[i] = atomic_load_explicit(&s->key[i], memory_order_relaxed);
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load_explicit(&s->state, memory_order_relaxed) != complete)
        return false;
    memcpy(out, words, sizeof *out);
    return true;
}

/* Make the key of an epoch that has none. CELLO_ESTATE: somebody else does, or did and was killed.
 */
static int make_key(struct cl_ticket_area *a, uint64_t epoch) {
    struct cl_ticket_slot *s = slot_of(a, epoch);
    uint64_t words[WORDS], state = atomic_load_explicit(&s->state, memory_order_relaxed);
    if (state / 2 >= epoch)
        return CELLO_ESTATE;
    if (RAND_bytes((unsigned char *)words, sizeof words) != 1)
        return CELLO_ESYS;
    if (!atomic_compare_exchange_strong(&s->state, &state, epoch * 2))
        return CELLO_ESTATE;
    atomic_thread_fence(memory_order_release);
    for (size_t i = 0; i < WORDS; i++)
        atomic_store_explicit(&s->key[i], words[i], memory_order_relaxed);
    atomic_store_explicit(&s->state, epoch * 2 + 1, memory_order_release);
    OPENSSL_cleanse(words, sizeof words);
    return CELLO_OK;
}

int cl_ticket_current(struct cl_ticket_area *a, uint64_t now_ns, struct cl_ticket_key *out) {
    uint64_t epoch = epoch_at(now_ns);
    if (CL_LIKELY(read_key(a, epoch, out)))
        return CELLO_OK;
    int err = make_key(a, epoch);
    if (read_key(a, epoch, out) || (epoch > 1 && read_key(a, epoch - 1, out)))
        return CELLO_OK;
    return err ? err : CELLO_ESTATE;
}

int cl_ticket_find(struct cl_ticket_area *a, uint64_t now_ns,
                   const unsigned char name[CL_TICKET_NAME], struct cl_ticket_key *out, bool *old) {
    uint64_t epoch = epoch_at(now_ns);
    for (uint64_t back = 0; back < CL_TICKET_EPOCHS && back < epoch; back++) {
        if (!read_key(a, epoch - back, out) || memcmp(out->name, name, CL_TICKET_NAME) != 0)
            continue;
        *old = back > 0;
        return CELLO_OK;
    }
    return CELLO_ENOENT;
}

/* HMAC as a function of a label: RFC 5869, 2.3, with one block each. */
static bool derive(struct cl_str secret, const char *label, unsigned char *out, size_t n) {
    unsigned char block[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    bool ok = HMAC(EVP_sha256(), secret.ptr, (int)secret.len, (const unsigned char *)label,
                   strlen(label), block, &length) != NULL &&
              n <= length;
    if (ok)
        memcpy(out, block, n);
    OPENSSL_cleanse(block, sizeof block);
    return ok;
}

int cl_ticket_derive(struct cl_str secret, struct cl_ticket_key *out) {
    bool ok = derive(secret, "cello ticket name\1", out->name, sizeof out->name) &&
              derive(secret, "cello ticket hmac\1", out->hmac, sizeof out->hmac) &&
              derive(secret, "cello ticket aes\1", out->aes, sizeof out->aes);
    return ok ? CELLO_OK : CELLO_ENOMEM;
}
