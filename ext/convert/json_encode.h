/* Python objects to JSON text (RFC 8259), straight into a sink.
 *
 *      str int float bool None dict list tuple    JSON's own; NamedTuple is an array, TypedDict a
 *                                                 dict
 *      their subclasses                           as their base; a dict's by items()
 *      set frozenset                              array, in the order of their iteration
 *      Enum                                       its value
 *      datetime date time                         RFC 3339 string; UTC is "Z", naive has no offset
 *      timedelta                                  ISO 8601 string, as msgspec writes it
 *      UUID Decimal                               string, so that no digit is lost
 *      dataclass, attrs, msgspec.Struct           object of the declared fields
 *      pydantic model                             what model_dump(mode="json") gives
 *      anything else                              what the default hook makes of it, or TypeError
 * A default hook is also asked for sets and timedelta.
 *
 * Keys: str, or int float bool None Enum datetime date time UUID Decimal as the string of the same.
 * Text is UTF-8, not escaped to ASCII. Floats are the shortest that read back (json/double.h).
 *
 * Errors, always with a Python exception set:
 *      TypeError     a value or key of a type that has no JSON form
 *      ValueError    nan or infinity; a lone surrogate (UnicodeEncodeError); deeper than max_depth,
 *                    which is also how a cycle ends; an int of more than 4,300 digits; sink is full
 *      RuntimeError  a dict changed its size while it was walked
 *      MemoryError, and whatever the default hook or an attribute raises
 * Thread: GIL held (free-threaded builds: any attached thread). User code may run. */
#ifndef CL_CONVERT_JSON_ENCODE_H
#define CL_CONVERT_JSON_ENCODE_H

#include "base/sink.h"
#include "convert/json_options.h"

/* Appends to `out`. CELLO_OK, or an error with the exception set: CELLO_ENOMEM, CELLO_ELIMIT (the
 * sink's), CELLO_EJSON_DEPTH, CELLO_EINVAL for every other. What was appended before an error stays
 * in the sink. `obj` is borrowed. */
int cl_json_encode(PyObject *obj, struct cl_sink *out,
                   const struct cl_json_options *opt) CL_MUST_USE;

#endif
