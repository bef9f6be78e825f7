/* Numbers that look random and are the same in each run. */
#ifndef CL_TEST_RANDOM_H
#define CL_TEST_RANDOM_H

#include <stdint.h>

/* The state is not 0: xorshift, Marsaglia 2003. */
static inline uint64_t random_next(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

/* From a state of this program's. */
static inline uint64_t next_random(void) {
    static uint64_t state = 88172645463325252;
    return random_next(&state);
}

#endif
