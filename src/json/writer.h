/* Writes JSON text into a sink: the commas are its business, the nesting is the caller's.
 *
 *      struct cl_json_writer w;
 *      cl_json_writer_init(&w, &sink);
 *      cl_json_writer_begin_object(&w);
 *      cl_json_writer_key(&w, CL_STR("status"));
 *      cl_json_writer_int(&w, 404);
 *      cl_json_writer_end_object(&w);
 *      err = cl_json_writer_finish(&w);
 *
 * The first error stays: what is written after it goes nowhere, so that only the end needs a check.
 * Text is taken as it is but for a byte that is not UTF-8, which becomes U+FFFD: a problem document
 * may quote what a client sent. Thread: whoever has the sink. */
#ifndef CL_JSON_WRITER_H
#define CL_JSON_WRITER_H

#include "base/sink.h"

struct cl_json_writer {
    struct cl_sink *sink;
    int err;
    unsigned depth; /* containers that are open */
    bool needs_comma;
};

void cl_json_writer_init(struct cl_json_writer *w, struct cl_sink *sink);

void cl_json_writer_begin_object(struct cl_json_writer *w);
void cl_json_writer_end_object(struct cl_json_writer *w);
void cl_json_writer_begin_array(struct cl_json_writer *w);
void cl_json_writer_end_array(struct cl_json_writer *w);

void cl_json_writer_key(struct cl_json_writer *w, struct cl_str key);
void cl_json_writer_string(struct cl_json_writer *w, struct cl_str text);
void cl_json_writer_int(struct cl_json_writer *w, int64_t value);
void cl_json_writer_uint(struct cl_json_writer *w, uint64_t value);
/* nan and infinity, for which JSON has no form, are null. */
void cl_json_writer_double(struct cl_json_writer *w, double value);
void cl_json_writer_bool(struct cl_json_writer *w, bool value);
void cl_json_writer_null(struct cl_json_writer *w);
/* A value that is JSON text already; it is not checked. */
void cl_json_writer_raw(struct cl_json_writer *w, struct cl_str json);

/* CELLO_OK, or the first error: the sink's CELLO_ENOMEM or CELLO_ELIMIT. */
int cl_json_writer_finish(struct cl_json_writer *w) CL_MUST_USE;

#endif
