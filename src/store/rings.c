#define _GNU_SOURCE
#include "store/rings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "store/lock.h"

enum { WORD = 8, HEAD_WORDS = 2 };

/* A process as a reader: what publishers look at to know whether to wake it.
 *
 * Whoever rings notes for which `turn` it did. The reader takes the ring back, then begins another
 * turn, then reads. So when both are equal, a ring is in the bell that the reader has not heard;
 * when the one who rang dies before it notes that, somebody rings once too often. */
struct ear {
    _Alignas(64) _Atomic uint64_t turn;
    _Atomic uint64_t rung;
    _Atomic uint32_t listening;
    int32_t bell;
};

struct lane {
    _Alignas(64) struct cl_lock lock; /* of writers: threads, and programs forked off a worker */
    _Alignas(64) _Atomic uint64_t tail;
    _Atomic uint64_t head;
    _Atomic uint64_t sequence; /* of the next message */
};

struct cl_rings_area {
    uint64_t lane_bytes;
    uint32_t records; /* 0: not made yet */
    _Alignas(64) struct ear ears[];
    /* then the lanes, then their bytes */
};

/* Before each message, in words: lengths and kind, then the sequence. Topic and message follow,
 * each filled up to whole words. */
struct head {
    uint32_t message_len;
    uint8_t topic_len;
    uint8_t kind;
    uint16_t unused;
};

_Static_assert(sizeof(struct head) == WORD, "a head is one word");
_Static_assert(CL_TOPIC_MAX <= UINT8_MAX, "its length is a byte");

static size_t words_of(size_t n) {
    return (n + WORD - 1) / WORD;
}

static size_t span_of(size_t topic_len, size_t message_len) {
    return (HEAD_WORDS + words_of(topic_len) + words_of(message_len)) * WORD;
}

/* ---- layout ---- */

static uint64_t round_up(size_t lane_bytes) {
    uint64_t size = CL_RING_BYTES_MIN;
    while (size < lane_bytes && size < CL_RING_BYTES_MAX)
        size *= 2;
    return size;
}

static size_t bytes_before_data(uint32_t records) {
    size_t n = sizeof(struct cl_rings_area) + records * (sizeof(struct ear) + sizeof(struct lane));
    return (n + 4095) & ~(size_t)4095;
}

size_t cl_rings_size(uint32_t records, size_t lane_bytes) {
    return bytes_before_data(records) + (size_t)(records * round_up(lane_bytes));
}

static struct lane *lane_of(const struct cl_rings *r, uint32_t record) {
    struct lane *lanes = (struct lane *)(void *)(r->area->ears + r->records);
    return lanes + record;
}

static _Atomic uint64_t *data_of(const struct cl_rings *r, uint32_t record) {
    char *data = (char *)r->area + bytes_before_data(r->records);
    return (_Atomic uint64_t *)(void *)(data + record * r->lane_bytes);
}

int cl_rings_make(void *memory, size_t size, uint32_t records, size_t lane_bytes) {
    struct cl_rings_area *area = memory;
    if (!area || !records || size < cl_rings_size(records, lane_bytes))
        return CELLO_EINVAL;
    struct cl_rings r = {.area = area, .records = records};
    area->lane_bytes = round_up(lane_bytes);
    for (uint32_t i = 0; i < records; i++)
        area->ears[i].bell = -1;
    for (uint32_t i = 0; i < records; i++) {
        area->ears[i].bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (area->ears[i].bell < 0) {
            int saved = errno;
            cl_rings_close_bells(&r);
            errno = saved;
            return CELLO_ESYS;
        }
        cl_lock_init(&lane_of(&r, i)->lock);
    }
    area->records = records;
    return CELLO_OK;
}

bool cl_rings_open(struct cl_rings *r, void *memory, size_t size) {
    struct cl_rings_area *area = memory;
    if (!area || size < sizeof *area)
        return false;
    uint32_t records = area->records;
    uint64_t lane_bytes = area->lane_bytes;
    if (!records || round_up(lane_bytes) != lane_bytes || size < cl_rings_size(records, lane_bytes))
        return false;
    *r = (struct cl_rings){
        .area = area,
        .records = records,
        .lane_bytes = lane_bytes,
        .message_max = (size_t)(lane_bytes / CL_RING_MESSAGE_PART) - HEAD_WORDS * WORD,
    };
    return true;
}

void cl_rings_keep_bells(const struct cl_rings *r, bool keep) {
    for (uint32_t i = 0; i < r->records; i++)
        (void)fcntl(r->area->ears[i].bell, F_SETFD, keep ? 0 : FD_CLOEXEC);
}

void cl_rings_close_bells(const struct cl_rings *r) {
    for (uint32_t i = 0; i < r->records; i++)
        if (r->area->ears[i].bell >= 0)
            close(r->area->ears[i].bell);
}

int cl_rings_bell(const struct cl_rings *r, uint32_t record) {
    return r->area->ears[record].bell;
}

/* ---- writing ---- */

struct place {
    _Atomic uint64_t *data;
    uint64_t mask; /* of word numbers */
    uint64_t word; /* the next one */
};

static struct place place_at(const struct cl_rings *r, uint32_t record, uint64_t position) {
    return (struct place){
        .data = data_of(r, record),
        .mask = r->lane_bytes / WORD - 1,
        .word = position / WORD,
    };
}

static void put_word(struct place *p, uint64_t word) {
    atomic_store_explicit(&p->data[p->word++ & p->mask], word, memory_order_relaxed);
}

static void put_bytes(struct place *p, struct cl_str bytes) {
    size_t whole = bytes.len / WORD * WORD;
    uint64_t word;
    for (size_t i = 0; i < whole; i += WORD) {
        memcpy(&word, bytes.ptr + i, WORD);
        put_word(p, word);
    }
    if (whole < bytes.len) {
        word = 0;
        memcpy(&word, bytes.ptr + whole, bytes.len - whole);
        put_word(p, word);
    }
}

static uint64_t take_word(struct place *p) {
    return atomic_load_explicit(&p->data[p->word++ & p->mask], memory_order_relaxed);
}

static void take_bytes(struct place *p, char *to, size_t n) {
    for (; n; n -= CL_MIN(n, WORD), to += WORD) {
        uint64_t word = take_word(p);
        memcpy(to, &word, CL_MIN(n, WORD));
    }
}

static struct head take_head(struct place *p) {
    uint64_t word = take_word(p);
    struct head head;
    memcpy(&head, &word, sizeof head);
    return head;
}

/* Give up the oldest until there is room up to `end`. */
static void make_room(const struct cl_rings *r, uint32_t record, struct lane *lane, uint64_t end) {
    uint64_t tail = atomic_load_explicit(&lane->tail, memory_order_relaxed);
    if (end - tail <= r->lane_bytes)
        return;
    while (end - tail > r->lane_bytes) {
        struct place p = place_at(r, record, tail);
        struct head head = take_head(&p);
        tail += span_of(head.topic_len, head.message_len);
    }
    atomic_store_explicit(&lane->tail, tail, memory_order_release);
    /* Nobody may see what is written from here on without the tail beyond what was there. */
    atomic_thread_fence(memory_order_release);
}

static void write_message(const struct cl_rings *r, uint32_t record, struct lane *lane,
                          struct head head, struct cl_str topic, struct cl_str message) {
    uint64_t start = atomic_load_explicit(&lane->head, memory_order_relaxed);
    uint64_t end = start + span_of(topic.len, message.len);
    uint64_t sequence = atomic_load_explicit(&lane->sequence, memory_order_relaxed), word;
    struct place p = place_at(r, record, start);
    memcpy(&word, &head, sizeof head);
    make_room(r, record, lane, end);
    put_word(&p, word);
    put_word(&p, sequence);
    put_bytes(&p, topic);
    put_bytes(&p, message);
    /* The number first: if only one of the two is reached, it is left out, and never used twice. */
    atomic_store_explicit(&lane->sequence, sequence + 1, memory_order_release);
    atomic_store_explicit(&lane->head, end, memory_order_release);
}

int cl_rings_publish(const struct cl_rings *r, uint32_t record, struct cl_str topic, unsigned kind,
                     struct cl_str message) {
    if (!topic.len || topic.len > CL_TOPIC_MAX || kind > UINT8_MAX)
        return CELLO_EINVAL;
    if (message.len > r->message_max - topic.len)
        return CELLO_ELIMIT;
    struct lane *lane = lane_of(r, record);
    struct head head = {
        .message_len = (uint32_t)message.len,
        .topic_len = (uint8_t)topic.len,
        .kind = (uint8_t)kind,
    };
    /* What one who died has written lies beyond the head: there is nothing to repair. */
    (void)!cl_lock_take(&lane->lock);
    write_message(r, record, lane, head, topic, message);
    cl_lock_give(&lane->lock);
    return CELLO_OK;
}

void cl_rings_ring_bells(const struct cl_rings *r, uint32_t record) {
    static const uint64_t ONE = 1;
    /* A reader that begins another turn after we look at the present one sees our message. */
    atomic_thread_fence(memory_order_seq_cst);
    for (uint32_t i = 0; i < r->records; i++) {
        struct ear *ear = &r->area->ears[i];
        if (i == record || !atomic_load_explicit(&ear->listening, memory_order_relaxed))
            continue;
        uint64_t turn = atomic_load_explicit(&ear->turn, memory_order_acquire);
        if (atomic_load_explicit(&ear->rung, memory_order_acquire) == turn)
            continue;
        /* A bell that cannot take more has been rung. */
        (void)!write(ear->bell, &ONE, sizeof ONE);
        atomic_store_explicit(&ear->rung, turn, memory_order_release);
    }
}

/* ---- reading ---- */

struct cursor {
    uint64_t position;
    uint64_t sequence; /* expected next */
};

struct cl_ring_reader {
    struct cl_rings rings;
    pid_t pid; /* a copy in a program that was forked off is not the one that is woken */
    uint32_t record;
    uint32_t lane;      /* to be looked at next */
    struct place bytes; /* of the message that was given last */
    struct cl_ring_item item;
    char topic[CL_TOPIC_MAX + 1];
    struct cursor cursors[];
};

int cl_ring_reader_new(struct cl_ring_reader **out, const struct cl_rings *r, uint32_t record) {
    struct cl_ring_reader *reader =
        cl_calloc(1, sizeof *reader + r->records * sizeof reader->cursors[0]);
    if (!reader)
        return CELLO_ENOMEM;
    reader->rings = *r;
    reader->record = record;
    reader->pid = getpid();
    struct ear *ear = &r->area->ears[record];
    atomic_store(&ear->listening, 1);
    atomic_fetch_add(&ear->turn, 1);
    /* Who did not see that we listen has published before we look. */
    atomic_thread_fence(memory_order_seq_cst);
    for (uint32_t i = 0; i < r->records; i++) {
        const struct lane *lane = lane_of(r, i);
        reader->cursors[i] = (struct cursor){
            .position = atomic_load_explicit(&lane->head, memory_order_acquire),
            .sequence = atomic_load_explicit(&lane->sequence, memory_order_acquire),
        };
    }
    *out = reader;
    return CELLO_OK;
}

void cl_ring_reader_del(struct cl_ring_reader *reader) {
    if (!reader)
        return;
    if (reader->pid == getpid())
        cl_rings_vacate(&reader->rings, reader->record);
    cl_free(reader);
}

void cl_rings_vacate(const struct cl_rings *r, uint32_t record) {
    atomic_store(&r->area->ears[record].listening, 0);
}

void cl_rings_heard(const struct cl_rings *r, uint32_t record) {
    struct ear *ear = &r->area->ears[record];
    uint64_t rings;
    (void)!read(ear->bell, &rings, sizeof rings); /* EAGAIN: nobody has rung, and nothing is lost */
    atomic_fetch_add(&ear->turn, 1);
    atomic_thread_fence(memory_order_seq_cst);
}

/* Whether what was copied of a message at `position` is what was written there. */
static bool is_whole(const struct lane *lane, uint64_t position) {
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&lane->tail, memory_order_relaxed) <= position;
}

/* The message at the cursor. False: the lane is read, or the writer has passed the cursor, which
 * is then at the oldest message. */
static bool read_head(struct cl_ring_reader *reader, uint32_t record, struct cursor *c,
                      uint64_t head) {
    const struct cl_rings *r = &reader->rings;
    struct place p = place_at(r, record, c->position);
    struct head h = take_head(&p);
    uint64_t sequence = take_word(&p);
    take_bytes(&p, reader->topic, h.topic_len);
    if (!is_whole(lane_of(r, record), c->position))
        return false;
    uint64_t end = c->position + span_of(h.topic_len, h.message_len);
    assert(end <= head);
    (void)head;
    reader->item = (struct cl_ring_item){
        .topic = cl_str(reader->topic, h.topic_len),
        .kind = h.kind,
        .message_len = h.message_len,
        .record = record,
        .lost = sequence > c->sequence ? sequence - c->sequence : 0,
    };
    reader->bytes = p;
    *c = (struct cursor){.position = end, .sequence = sequence + 1};
    return true;
}

/* True: the reader's item is the lane's next one. */
static bool next_of_lane(struct cl_ring_reader *reader, uint32_t record) {
    const struct lane *lane = lane_of(&reader->rings, record);
    struct cursor *c = &reader->cursors[record];
    for (;;) {
        uint64_t head = atomic_load_explicit(&lane->head, memory_order_acquire);
        if (c->position >= head)
            return false;
        if (read_head(reader, record, c, head))
            return true;
        c->position = atomic_load_explicit(&lane->tail, memory_order_acquire);
    }
}

bool cl_ring_reader_next(struct cl_ring_reader *reader, struct cl_ring_item *item) {
    for (uint32_t i = 0; i < reader->rings.records; i++) {
        uint32_t record = reader->lane;
        reader->lane = (record + 1) % reader->rings.records;
        if (next_of_lane(reader, record)) {
            *item = reader->item;
            return true;
        }
    }
    return false;
}

bool cl_ring_reader_copy(struct cl_ring_reader *reader, void *to) {
    uint32_t record = reader->item.record;
    struct cursor *c = &reader->cursors[record];
    uint64_t start = c->position - span_of(reader->item.topic.len, reader->item.message_len);
    struct place p = reader->bytes;
    take_bytes(&p, to, reader->item.message_len);
    if (is_whole(lane_of(&reader->rings, record), start))
        return true;
    c->sequence--; /* lost after all */
    return false;
}
