#!/usr/bin/env python3
"""Write src/json/pow10_table.h: 10**k as 128-bit significands, rounded down.

    tools/gen_pow10_table.py > src/json/pow10_table.h

Row k - MIN is floor(10**k * 2**s) with the s that puts the top bit at 127. The reader of numbers
needs k down to -342 (19 digits times less than 10**-342 are 0), the printer of doubles up to 324.
"""

from fractions import Fraction

MIN, MAX = -342, 324


def row(k):
    value = Fraction(10) ** k
    shift = 127
    bits = value.numerator.bit_length() - value.denominator.bit_length()
    shift -= bits
    while True:
        scaled = value * Fraction(2) ** shift
        whole = scaled.numerator // scaled.denominator
        if whole >> 128:
            shift -= 1
        elif not whole >> 127:
            shift += 1
        else:
            return whole, whole == scaled


def main():
    print("/* Made by tools/gen_pow10_table.py; do not edit. Included once, by pow10.c. */")
    print(
        '#ifndef CL_JSON_POW10_TABLE_H\n#define CL_JSON_POW10_TABLE_H\n\n#include "json/pow10.h"\n'
    )
    rows = [row(k) for k in range(MIN, MAX + 1)]
    exact = [k for k, (_, is_exact) in zip(range(MIN, MAX + 1), rows, strict=True) if is_exact]
    assert exact == list(range(exact[-1] + 1))
    mask = (1 << 64) - 1
    # The printer adds one to the rows that are not exact, to the low half only.
    assert all(is_exact or whole & mask != mask for whole, is_exact in rows)
    assert exact[-1] == 55, "CL_POW10_MAX_EXACT_EXP in pow10.h"
    print("/* clang-format off */\nconst struct cl_pow10 cl_pow10_table[] = {")
    for whole, _ in rows:
        print(f"    {{0x{whole >> 64:016x}, 0x{whole & mask:016x}}},")
    print("};\n/* clang-format on */\n\n#endif")


main()
