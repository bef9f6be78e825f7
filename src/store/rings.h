/* Messages to all workers: each record has a ring, its lane, into which its process writes, and all
 * processes read all lanes, each at its own pace. Nobody waits for a reader: one that is slower
 * than a whole ring loses the oldest messages, and is told how many.
 *
 *      lane:   ... | oldest | message | message | newest |  free  ...
 *                  ^tail                                 ^head          byte positions, ever rising
 *
 * A writer first moves the tail beyond what it is about to overwrite, then writes, then moves the
 * head. A reader copies, then looks at the tail again: what the tail has passed meanwhile is torn,
 * and dropped. So a writer that is killed leaves nothing: what it wrote lies beyond the head. At
 * most one number of the sequence is left out, which readers take for a lost message, and it is.
 * Messages of one process arrive in the order in which it published them.
 *
 * Bells: an eventfd for each record wakes its process. The supervisor makes them, all processes
 * inherit them under the same numbers, which stand in the area. One ring of the bell is enough for
 * all messages until its process reads: see cl_rings_ring_bells.
 *
 * Thread: publishing any, in any process of the record; a reader is one thread's at a time. */
#ifndef CL_STORE_RINGS_H
#define CL_STORE_RINGS_H

#include "base/common.h"

enum {
    CL_TOPIC_MAX = 255,           /* bytes of a topic's name; at least 1 */
    CL_RING_BYTES_MIN = 64 << 10, /* of a lane */
    CL_RING_BYTES_MAX = 1 << 30,
    CL_RING_MESSAGE_PART = 4, /* a message takes at most this part of a lane */
};

struct cl_rings_area;

/* An opened area; cheap, the caller's. */
struct cl_rings {
    struct cl_rings_area *area;
    uint32_t records;
    uint64_t lane_bytes; /* a power of two */
    size_t message_max;  /* bytes of a message with its topic */
};

/* Bytes of the area, where each lane has `lane_bytes`, rounded up to a power of two. */
size_t cl_rings_size(uint32_t records, size_t lane_bytes);
/* Once, by whoever made the segment. The bells are closed on exec: see cl_rings_keep_bells.
 * Errors: CELLO_ESYS, CELLO_EINVAL (not the size that cl_rings_size gave). */
int cl_rings_make(void *area, size_t size, uint32_t records, size_t lane_bytes) CL_MUST_USE;
/* False: there are none in the area. */
bool cl_rings_open(struct cl_rings *r, void *area, size_t size) CL_MUST_USE;

/* Descriptors of the bells: closed at exec, or kept. The latter also between fork and exec. */
void cl_rings_keep_bells(const struct cl_rings *r, bool keep);
/* The bells' maker: no process has them any more, or each has its own copies. */
void cl_rings_close_bells(const struct cl_rings *r);

/* CELLO_EINVAL: the topic is empty or too long. CELLO_ELIMIT: the message is too long. */
int cl_rings_publish(const struct cl_rings *r, uint32_t record, struct cl_str topic, unsigned kind,
                     struct cl_str message) CL_MUST_USE;
/* Wake those that listen, but for `record` itself. After publishing; may be once for several. */
void cl_rings_ring_bells(const struct cl_rings *r, uint32_t record);

/* ---- reading ---- */

/* Where a process has read to; made when it has its first subscriber. */
struct cl_ring_reader;

/* From now on: what was published before is not read. The record's bell rings for it.
 * Errors: CELLO_ENOMEM. */
int cl_ring_reader_new(struct cl_ring_reader **out, const struct cl_rings *r,
                       uint32_t record) CL_MUST_USE;
void cl_ring_reader_del(struct cl_ring_reader *reader);
/* Nobody listens at this record's bell; also by the supervisor, when its process has ended. */
void cl_rings_vacate(const struct cl_rings *r, uint32_t record);
/* Readable when messages may have come; never close it. */
int cl_rings_bell(const struct cl_rings *r, uint32_t record);
/* Take the bell's ring back, before reading. */
void cl_rings_heard(const struct cl_rings *r, uint32_t record);

struct cl_ring_item {
    struct cl_str topic; /* until the next call */
    unsigned kind;
    size_t message_len;
    uint32_t record; /* whose */
    uint64_t lost;   /* messages of this record that were overwritten unread, before this one */
};

/* The next message, of one lane after the other. False: all is read. */
bool cl_ring_reader_next(struct cl_ring_reader *reader, struct cl_ring_item *item);
/* The bytes of that message, message_len of them; once. False: overwritten meanwhile; the next
 * item of the lane counts it as lost. */
bool cl_ring_reader_copy(struct cl_ring_reader *reader, void *to) CL_MUST_USE;

#endif
