#include "json/escape.h"

#define SHORT(c)                                                                                   \
    { '\\', (c), 0, 0, 0, 0, 0, 2 }
#define LONG(high, low)                                                                            \
    { '\\', 'u', '0', '0', (high), (low), 0, 6 }

const char cl_escapes[256][8] = {
    LONG('0', '0'), LONG('0', '1'), LONG('0', '2'),     LONG('0', '3'),       LONG('0', '4'),
    LONG('0', '5'), LONG('0', '6'), LONG('0', '7'),     SHORT('b'),           SHORT('t'),
    SHORT('n'),     LONG('0', 'b'), SHORT('f'),         SHORT('r'),           LONG('0', 'e'),
    LONG('0', 'f'), LONG('1', '0'), LONG('1', '1'),     LONG('1', '2'),       LONG('1', '3'),
    LONG('1', '4'), LONG('1', '5'), LONG('1', '6'),     LONG('1', '7'),       LONG('1', '8'),
    LONG('1', '9'), LONG('1', 'a'), LONG('1', 'b'),     LONG('1', 'c'),       LONG('1', 'd'),
    LONG('1', 'e'), LONG('1', 'f'), ['"'] = SHORT('"'), ['\\'] = SHORT('\\'),
};
