/* A client's file name made safe to use in a folder of one's own.
 * Thread: any; no state. */
#ifndef CL_FORM_FILENAME_H
#define CL_FORM_FILENAME_H

#include "base/common.h"

/* A name of Linux's file systems has at most this many bytes. */
enum { CL_FILENAME_MAX = 255 };

/* The last component of `name` (UTF-8), after the last '/' or '\', as a name that is no folder, is
 * not hidden, and that Linux, Windows and macOS take: control characters and any of <>:"|?* are
 * '_', dots and spaces at its ends are dropped, names of devices of Windows begin with '_', and it
 * is cut to 255 bytes in front of its extension. "file" when nothing is left. `out` has
 * CL_FILENAME_MAX bytes. */
size_t cl_filename_safe(struct cl_str name, char out[CL_FILENAME_MAX]);

#endif
