/* Messages by topic: what one process publishes reaches the subscribers in all workers, its own
 * too. In the order of each publisher; who is slower than the ring of messages loses the oldest,
 * and is told how many (src/store/rings.h).
 *
 * A process finds out about the messages of others when its bell is readable and it calls
 * cello_topics_read; its own reach its subscribers before cello_publish returns.
 * Thread: any. */
#ifndef CELLO_TOPICS_H
#define CELLO_TOPICS_H

#include <cello/store.h>

enum { CELLO_TOPIC_MAX = 255 }; /* bytes; at least 1 */

enum cello_message_kind { CELLO_MESSAGE_TEXT, CELLO_MESSAGE_BYTES, CELLO_MESSAGE_JSON };

/* One for all subscribers of a process; constant. */
struct cello_message {
    struct cl_str topic;
    struct cl_str bytes;
    enum cello_message_kind kind;
};

/* Whoever keeps one takes a reference. */
CELLO_API struct cello_message *cello_message_ref(struct cello_message *m);
CELLO_API void cello_message_unref(struct cello_message *m);

struct cl_subscription;

/* Lies in whoever subscribes; zeroed but for the two functions. Both are called on any thread with
 * the store's lock in hand: they are short, wait for nothing and call nothing of this file but
 * cello_message_ref. */
struct cello_subscriber {
    /* Borrowed. */
    void (*on_message)(struct cello_subscriber *s, struct cello_message *m);
    /* So many messages were overwritten before this process has read them; some may have been of
     * this subscriber's topics. */
    void (*on_lost)(struct cello_subscriber *s, uint64_t count);
    /* The store's. */
    struct cl_subscription *first;
    struct cello_subscriber *next, **link;
};

/* Twice is once. Errors: CELLO_EINVAL (no topic, or too long), CELLO_ENOMEM. */
CELLO_API int cello_subscribe(struct cl_store *s, struct cello_subscriber *subscriber,
                              struct cl_str topic);
/* CELLO_ENOENT: it was none. */
CELLO_API int cello_unsubscribe(struct cl_store *s, struct cello_subscriber *subscriber,
                                struct cl_str topic);
/* From all topics: neither of its functions is running or will be called. */
CELLO_API void cello_unsubscribe_all(struct cl_store *s, struct cello_subscriber *subscriber);

/* Errors: CELLO_EINVAL (no topic, or too long), CELLO_ELIMIT (the message is longer than a quarter
 * of the ring). */
CELLO_API int cello_publish(struct cl_store *s, struct cl_str topic, enum cello_message_kind kind,
                            struct cl_str message);

/* Readable when others have published; stays the store's. */
CELLO_API int cello_topics_bell(const struct cl_store *s);
/* Give what has come to its subscribers. What is too much for once rings the bell again. */
CELLO_API void cello_topics_read(struct cl_store *s);

#endif
