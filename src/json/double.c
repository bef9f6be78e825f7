#include "json/double.h"

/* The 192-bit product's upper 64 bits; the lowest is set if anything below them is ("round to
 * odd"), which is all that comparisons and halvings of the result need to be exact. */
static uint64_t scale_to_odd(struct cl_pow10 g, uint64_t c) {
    cl_u128 low = (cl_u128)c * g.lo;
    cl_u128 product = (cl_u128)c * g.hi + (uint64_t)(low >> 64);
    return (uint64_t)(product >> 64) | ((uint64_t)product > 1);
}

struct cl_decimal cl_decimal_exact(uint64_t significand, int exponent, bool is_power_of_two) {
    uint64_t odd = significand & 1;
    int k = is_power_of_two ? cl_floor_log10_three_quarters_pow2(exponent)
                            : cl_floor_log10_pow2(exponent);
    int shift = exponent + cl_floor_log2_pow10(-k) + 1;
    struct cl_pow10 g = cl_pow10_table[-k - CL_POW10_MIN_EXP];
    /* The proof wants the power rounded up; the generator checks that this does not carry. */
    g.lo += -k < 0 || -k > CL_POW10_MAX_EXACT_EXP;

    /* In quarters: the value and both ends of what reads back as it. */
    uint64_t lower = scale_to_odd(g, (4 * significand - 2 + is_power_of_two) << shift) + odd;
    uint64_t value = scale_to_odd(g, (4 * significand) << shift);
    uint64_t upper = scale_to_odd(g, (4 * significand + 2) << shift) - odd;

    uint64_t below = value / 4;
    if (below >= 10) {
        uint64_t tens = below / 10;
        bool down = lower <= 40 * tens, up = 40 * tens + 40 <= upper;
        if (down != up)
            return (struct cl_decimal){(tens + up) * 10, k};
    }
    bool down = lower <= 4 * below, up = 4 * below + 4 <= upper;
    if (down != up)
        return (struct cl_decimal){below + up, k};
    uint64_t middle = 4 * below + 2;
    bool round_up = value > middle || (value == middle && (below & 1));
    return (struct cl_decimal){below + round_up, k};
}
