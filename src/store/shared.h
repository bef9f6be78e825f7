/* struct cl_store: one process's view of everything in <cello/store.h> and <cello/topics.h>. */
#ifndef CL_STORE_SHARED_H
#define CL_STORE_SHARED_H

#include <cello/store.h>
#include <pthread.h>

#include "store/rings.h"
#include "store/table.h"

struct cl_hub_topic;
struct cello_subscriber;

/* Who subscribes in this process: a hash table of topics. */
struct cl_hub {
    pthread_mutex_t lock;                 /* of all below, and of the reader */
    struct cl_ring_reader *reader;        /* while there are subscribers */
    struct cello_subscriber *subscribers; /* each once */
    struct cl_hub_topic **buckets;
    size_t bucket_count; /* a power of two, or 0 */
    size_t topic_count;
};

struct cl_store {
    struct cl_table table;
    struct cl_rings rings;
    uint32_t record;
    struct cl_hub hub;
};

void cl_hub_init(struct cl_hub *h);
/* There are no subscribers. */
void cl_hub_free(struct cl_hub *h);

#endif
