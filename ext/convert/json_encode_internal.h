/* Shared by the parts of the encoder: the walkers (json_encode_impl.h, once per cpu level), what
 * they have in common (json_encode.c) and the types that JSON does not know (json_types.c).
 *
 * Every `put` function takes the place to write to and returns the place behind what it wrote, or
 * NULL with an exception set. Each one asks for its room itself and leaves CL_ENCODE_REST bytes, so
 * that a separator or bracket may follow without a check. */
#ifndef CL_CONVERT_JSON_ENCODE_INTERNAL_H
#define CL_CONVERT_JSON_ENCODE_INTERNAL_H

#include "convert/json_encode.h"

enum {
    CL_ENCODE_ROOM = 80, /* any number or literal, what a vector store spills, and the rest */
    CL_ENCODE_REST = 8,
};

struct cl_json_encoder {
    struct cl_sink *sink;
    const struct cl_json_options *opt;
    unsigned depth_left;
    int err; /* the cello_err that goes with the exception; 0 means CELLO_EINVAL */
    char *(*put_value)(struct cl_json_encoder *e, char *p, PyObject *obj);
    char *(*put_text)(struct cl_json_encoder *e, char *p, const char *text, size_t n);
};

typedef char *cl_json_put(struct cl_json_encoder *e, char *p, PyObject *obj);

/* Room for `need` bytes behind `p`, which moves. */
char *cl_json_make_room(struct cl_json_encoder *e, char *p, size_t need);

CL_INLINE char *cl_json_room(struct cl_json_encoder *e, char *p, size_t need) {
    return CL_LIKELY((size_t)(e->sink->end - p) >= need) ? p : cl_json_make_room(e, p, need);
}

/* Errors; all return NULL. */
char *cl_json_too_deep(struct cl_json_encoder *e);
char *cl_json_not_finite(void);

/* An int that is not a compact one. */
char *cl_json_put_wide_int(struct cl_json_encoder *e, char *p, PyObject *obj);
/* Whatever is not exactly str, int, float, bool, None, list, tuple or dict. */
char *cl_json_put_other(struct cl_json_encoder *e, char *p, PyObject *obj);
/* A key that is not exactly a str. */
char *cl_json_put_key(struct cl_json_encoder *e, char *p, PyObject *key);

/* One walker per cpu level. */
cl_json_put cl_json_put_value_avx2, cl_json_put_value_sse42, cl_json_put_value_neon,
    cl_json_put_value_scalar;

#endif
