/* From the rings to the subscribers of this process. */
#include <cello/topics.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "store/shared.h"

/* At once, so that a flood of messages leaves room for other work of the same thread. */
enum { READ_MAX = 1024, BUCKETS_MIN = 16 };

_Static_assert((int)CELLO_TOPIC_MAX == (int)CL_TOPIC_MAX, "said to the public as it is");

/* ---- messages ---- */

struct message {
    struct cello_message super;
    _Atomic uint32_t refs;
    char bytes[]; /* the topic, then the message */
};

static struct message *message_of(struct cello_message *m) {
    return CL_CONTAINER_OF(m, struct message, super);
}

struct cello_message *cello_message_ref(struct cello_message *m) {
    atomic_fetch_add_explicit(&message_of(m)->refs, 1, memory_order_relaxed);
    return m;
}

void cello_message_unref(struct cello_message *m) {
    if (atomic_fetch_sub_explicit(&message_of(m)->refs, 1, memory_order_acq_rel) == 1)
        cl_free(message_of(m));
}

/* NULL: out of memory. The bytes are to be filled in. */
static struct message *message_new(const struct cl_ring_item *item) {
    struct message *m = cl_malloc(sizeof *m + item->topic.len + item->message_len);
    if (!m)
        return NULL;
    memcpy(m->bytes, item->topic.ptr, item->topic.len);
    m->super = (struct cello_message){
        .topic = cl_str(m->bytes, item->topic.len),
        .bytes = cl_str(m->bytes + item->topic.len, item->message_len),
        .kind = (enum cello_message_kind)item->kind,
    };
    atomic_init(&m->refs, 1);
    return m;
}

/* ---- topics ---- */

struct cl_subscription {
    struct cl_hub_topic *topic;
    struct cello_subscriber *subscriber;
    struct cl_subscription *next_of_topic, **link_of_topic;
    struct cl_subscription *next_of_subscriber;
};

struct cl_hub_topic {
    struct cl_hub_topic *next; /* in the bucket */
    uint64_t hash;
    struct cl_subscription *subscriptions;
    size_t len;
    char name[];
};

void cl_hub_init(struct cl_hub *h) {
    pthread_mutex_init(&h->lock, NULL);
}

void cl_hub_free(struct cl_hub *h) {
    assert(!h->subscribers);
    cl_free(h->buckets);
    pthread_mutex_destroy(&h->lock);
}

static uint64_t hash_of(struct cl_str topic) {
    struct cl_hash_key key = cl_hash_process_key();
    return cl_hash_bytes(&key, topic.ptr, topic.len);
}

/* Where the topic is linked, or would be. There are buckets. */
static struct cl_hub_topic **find(const struct cl_hub *h, struct cl_str topic, uint64_t hash) {
    struct cl_hub_topic **at = &h->buckets[hash & (h->bucket_count - 1)];
    while (*at && !((*at)->hash == hash && cl_str_eq(cl_str((*at)->name, (*at)->len), topic)))
        at = &(*at)->next;
    return at;
}

/* Room for another topic. */
static int grow(struct cl_hub *h) {
    if (h->topic_count < h->bucket_count)
        return CELLO_OK;
    size_t count = h->bucket_count ? 2 * h->bucket_count : BUCKETS_MIN;
    struct cl_hub_topic **buckets = cl_calloc(count, sizeof *buckets);
    if (!buckets)
        return CELLO_ENOMEM;
    for (size_t i = 0; i < h->bucket_count; i++)
        while (h->buckets[i]) {
            struct cl_hub_topic *t = h->buckets[i];
            h->buckets[i] = t->next;
            t->next = buckets[t->hash & (count - 1)];
            buckets[t->hash & (count - 1)] = t;
        }
    cl_free(h->buckets);
    h->buckets = buckets;
    h->bucket_count = count;
    return CELLO_OK;
}

/* Found, or made. NULL: out of memory. */
static struct cl_hub_topic *topic_of(struct cl_hub *h, struct cl_str name) {
    if (grow(h))
        return NULL;
    uint64_t hash = hash_of(name);
    struct cl_hub_topic **at = find(h, name, hash), *t = *at;
    if (t)
        return t;
    t = cl_malloc(sizeof *t + name.len);
    if (!t)
        return NULL;
    *t = (struct cl_hub_topic){.hash = hash, .len = name.len};
    memcpy(t->name, name.ptr, name.len);
    *at = t;
    h->topic_count++;
    return t;
}

static void drop_if_unused(struct cl_hub *h, struct cl_hub_topic *t) {
    if (t->subscriptions)
        return;
    *find(h, cl_str(t->name, t->len), t->hash) = t->next;
    h->topic_count--;
    cl_free(t);
}

/* ---- subscribing ---- */

/* The first subscriber makes this process one that is woken for messages. */
static int join(struct cl_store *s, struct cello_subscriber *subscriber) {
    struct cl_hub *h = &s->hub;
    if (!h->reader) {
        int err = cl_ring_reader_new(&h->reader, &s->rings, s->record);
        if (err)
            return err;
    }
    subscriber->next = h->subscribers;
    subscriber->link = &h->subscribers;
    if (subscriber->next)
        subscriber->next->link = &subscriber->next;
    h->subscribers = subscriber;
    return CELLO_OK;
}

static void leave(struct cl_hub *h, struct cello_subscriber *subscriber) {
    *subscriber->link = subscriber->next;
    if (subscriber->next)
        subscriber->next->link = subscriber->link;
    subscriber->link = NULL;
    if (!h->subscribers) {
        cl_ring_reader_del(h->reader);
        h->reader = NULL;
    }
}

static struct cl_subscription *find_of(const struct cello_subscriber *subscriber,
                                       const struct cl_hub_topic *t) {
    struct cl_subscription *n = subscriber->first;
    while (n && n->topic != t)
        n = n->next_of_subscriber;
    return n;
}

static int link_to(struct cl_store *s, struct cello_subscriber *subscriber,
                   struct cl_hub_topic *t) {
    if (find_of(subscriber, t))
        return CELLO_OK;
    struct cl_subscription *n = cl_malloc(sizeof *n);
    if (!n)
        return CELLO_ENOMEM;
    if (!subscriber->first) {
        int err = join(s, subscriber);
        if (err) {
            cl_free(n);
            return err;
        }
    }
    *n = (struct cl_subscription){
        .topic = t,
        .subscriber = subscriber,
        .next_of_topic = t->subscriptions,
        .link_of_topic = &t->subscriptions,
        .next_of_subscriber = subscriber->first,
    };
    if (t->subscriptions)
        t->subscriptions->link_of_topic = &n->next_of_topic;
    t->subscriptions = n;
    subscriber->first = n;
    return CELLO_OK;
}

int cello_subscribe(struct cl_store *s, struct cello_subscriber *subscriber, struct cl_str topic) {
    if (!topic.len || topic.len > CL_TOPIC_MAX)
        return CELLO_EINVAL;
    pthread_mutex_lock(&s->hub.lock);
    struct cl_hub_topic *t = topic_of(&s->hub, topic);
    int err = t ? link_to(s, subscriber, t) : CELLO_ENOMEM;
    if (t)
        drop_if_unused(&s->hub, t);
    pthread_mutex_unlock(&s->hub.lock);
    return err;
}

static void unlink_at(struct cl_hub *h, struct cello_subscriber *subscriber,
                      struct cl_subscription **at) {
    struct cl_subscription *n = *at;
    *at = n->next_of_subscriber;
    *n->link_of_topic = n->next_of_topic;
    if (n->next_of_topic)
        n->next_of_topic->link_of_topic = n->link_of_topic;
    drop_if_unused(h, n->topic);
    cl_free(n);
    if (!subscriber->first)
        leave(h, subscriber);
}

int cello_unsubscribe(struct cl_store *s, struct cello_subscriber *subscriber,
                      struct cl_str topic) {
    pthread_mutex_lock(&s->hub.lock);
    struct cl_subscription **at = &subscriber->first;
    while (*at && !cl_str_eq(cl_str((*at)->topic->name, (*at)->topic->len), topic))
        at = &(*at)->next_of_subscriber;
    bool found = *at != NULL;
    if (found)
        unlink_at(&s->hub, subscriber, at);
    pthread_mutex_unlock(&s->hub.lock);
    return found ? CELLO_OK : CELLO_ENOENT;
}

void cello_unsubscribe_all(struct cl_store *s, struct cello_subscriber *subscriber) {
    pthread_mutex_lock(&s->hub.lock);
    while (subscriber->first)
        unlink_at(&s->hub, subscriber, &subscriber->first);
    pthread_mutex_unlock(&s->hub.lock);
}

/* ---- delivering ---- */

static void tell_lost(const struct cl_hub *h, uint64_t count) {
    for (struct cello_subscriber *n = h->subscribers; n; n = n->next)
        n->on_lost(n, count);
}

static void deliver(struct cl_hub *h, const struct cl_ring_item *item) {
    const struct cl_hub_topic *t = *find(h, item->topic, hash_of(item->topic));
    if (!t)
        return;
    struct message *m = message_new(item);
    if (m && cl_ring_reader_copy(h->reader, m->bytes + item->topic.len)) {
        for (struct cl_subscription *n = t->subscriptions; n; n = n->next_of_topic)
            n->subscriber->on_message(n->subscriber, &m->super);
    } else if (!m) {
        for (struct cl_subscription *n = t->subscriptions; n; n = n->next_of_topic)
            n->subscriber->on_lost(n->subscriber, 1);
    }
    if (m)
        cello_message_unref(&m->super);
}

static void ring_own_bell(const struct cl_store *s) {
    static const uint64_t ONE = 1;
    (void)!write(cello_topics_bell(s), &ONE, sizeof ONE);
}

/* Lock held. */
static void read_rings(struct cl_store *s) {
    struct cl_ring_item item;
    unsigned count = 0;
    while (count < READ_MAX && s->hub.reader && cl_ring_reader_next(s->hub.reader, &item)) {
        if (item.lost)
            tell_lost(&s->hub, item.lost);
        deliver(&s->hub, &item);
        count++;
    }
    if (count == READ_MAX)
        ring_own_bell(s);
}

int cello_topics_bell(const struct cl_store *s) {
    return cl_rings_bell(&s->rings, s->record);
}

void cello_topics_read(struct cl_store *s) {
    pthread_mutex_lock(&s->hub.lock);
    cl_rings_heard(&s->rings, s->record);
    read_rings(s);
    pthread_mutex_unlock(&s->hub.lock);
}

int cello_publish(struct cl_store *s, struct cl_str topic, enum cello_message_kind kind,
                  struct cl_str message) {
    int err = cl_rings_publish(&s->rings, s->record, topic, kind, message);
    if (err)
        return err;
    cl_rings_ring_bells(&s->rings, s->record);
    pthread_mutex_lock(&s->hub.lock);
    read_rings(s);
    pthread_mutex_unlock(&s->hub.lock);
    return CELLO_OK;
}
