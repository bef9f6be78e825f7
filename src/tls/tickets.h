/* Keys of session tickets, shared by processes and changed every few hours.
 *
 * An area is zeroed memory that several processes may have at once (a part of the shared segment),
 * or one alone. Time is cut into epochs; each has a slot for its key, which is made by whoever
 * needs it first. There is no lock: a process that is killed while it writes a key costs that
 * epoch, whose tickets are then made with the key before. A ticket is accepted while its epoch is
 * one of the last CL_TICKET_EPOCHS.
 *
 * With secrets given by the user (several machines) nothing is made or changed: the first encrypts,
 * all decrypt.
 *
 * Thread and process: any. */
#ifndef CL_TLS_TICKETS_H
#define CL_TLS_TICKETS_H

#include <stdatomic.h>

#include "base/common.h"

enum {
    CL_TICKET_NAME = 16, /* found in a ticket, says which key it needs */
    CL_TICKET_KEY = 80,  /* the name, 32 bytes for HMAC-SHA-256, 32 for AES-256 */
    CL_TICKET_SLOTS = 4,
    CL_TICKET_EPOCHS = 3,
    CL_TICKET_EPOCH_S = 2 * 3600,
};

struct cl_ticket_slot {
    _Atomic uint64_t state; /* epoch * 2, + 1: its key is complete */
    _Atomic uint64_t key[CL_TICKET_KEY / 8];
};

struct cl_ticket_area {
    struct cl_ticket_slot slots[CL_TICKET_SLOTS];
};

struct cl_ticket_key {
    unsigned char name[CL_TICKET_NAME];
    unsigned char hmac[32];
    unsigned char aes[32];
};
_Static_assert(sizeof(struct cl_ticket_key) == CL_TICKET_KEY, "no padding");

/* The key for new tickets at `now_ns` (CLOCK_BOOTTIME), made when there is none. Errors:
 * CELLO_ESTATE: another process is just making it, and there is none before; CELLO_ESYS: no random
 * bytes. */
int cl_ticket_current(struct cl_ticket_area *a, uint64_t now_ns,
                      struct cl_ticket_key *out) CL_MUST_USE;
/* The key of this name, and whether a newer one is used for new tickets. Errors: CELLO_ENOENT. */
int cl_ticket_find(struct cl_ticket_area *a, uint64_t now_ns,
                   const unsigned char name[CL_TICKET_NAME], struct cl_ticket_key *out,
                   bool *old) CL_MUST_USE;
/* The key that a secret of the user stands for; the same on all machines. Errors: CELLO_ENOMEM. */
int cl_ticket_derive(struct cl_str secret, struct cl_ticket_key *out) CL_MUST_USE;

#endif
