/* Every error of Cello's C API: negative ints of one enum; 0 is success.
 *
 * Functions return these and give results through pointers. They are translated once, at the edge:
 * to an HTTP status by cl_error_status(), to a Python exception in ext/. */
#ifndef CELLO_ERROR_H
#define CELLO_ERROR_H

#include <cello/api.h>

enum cello_err {
    CELLO_OK = 0,
    /* general */
    CELLO_ENOMEM = -1, /* out of memory: the request or connection is dropped, never the process */
    CELLO_EINVAL = -2, /* an argument is outside what the contract allows */
    CELLO_EAGAIN = -3, /* not finished: more input is needed, or completion is reported later */
    CELLO_EOF = -4,    /* the peer closed its side in an orderly way */
    CELLO_ELIMIT = -5, /* a configured limit was reached */
    CELLO_ESYS = -6,   /* a system call failed; errno tells which way */
    CELLO_ECANCELED = -7, /* the operation was cancelled by its owner */
    CELLO_ETIMEOUT = -8,  /* a deadline passed */
    CELLO_ENOTSUP = -9,   /* not supported by this kernel or build */
    CELLO_EEXIST = -10,   /* conflicts with something registered before */
    CELLO_ESTATE = -11,   /* not allowed in this state (for instance: the route table is frozen) */
    CELLO_ENOENT = -12,   /* no such thing */
    /* HTTP messages, RFC 9110, 9112, 3986 */
    CELLO_EREQLINE = -30,      /* 400 malformed request line */
    CELLO_EMETHOD = -31,       /* 400 method is not a token */
    CELLO_ETARGET = -32,       /* 400 request target is malformed */
    CELLO_EVERSION = -33,      /* 505 HTTP version not supported */
    CELLO_EHEADER_NAME = -34,  /* 400 field name is not a token, or white space before the colon */
    CELLO_EHEADER_VALUE = -35, /* 400 control character in a field value */
    CELLO_EOBSFOLD = -36,      /* 400 obsolete line folding */
    CELLO_EBARELF = -37,       /* 400 line ends in LF without CR, or a CR stands alone */
    CELLO_EHOST = -38,         /* 400 Host missing, doubled or invalid */
    CELLO_ELENGTH = -39,       /* 400 Content-Length malformed or differing */
    CELLO_EFRAMING = -40,      /* 400 Content-Length together with Transfer-Encoding */
    CELLO_ECODING = -41,       /* 501 transfer coding not implemented */
    CELLO_ECHUNK = -42,        /* 400 malformed chunk */
    CELLO_EPERCENT = -43,      /* 400 malformed percent-encoding */
    CELLO_EUTF8 = -44,         /* 400 decoded text is not UTF-8 or has a NUL */
    CELLO_EURI_TOO_LONG = -45, /* 414 */
    CELLO_EHEAD_TOO_LARGE = -46, /* 431 */
    CELLO_EBODY_TOO_LARGE = -47, /* 413 */
    CELLO_EEXPECT = -48,         /* 417 an expectation other than 100-continue */
    /* JSON, RFC 8259 */
    CELLO_EJSON = -60,       /* malformed JSON text */
    CELLO_EJSON_DEPTH = -61, /* nested deeper than the limit */
    /* multipart/form-data, RFC 7578 */
    CELLO_EBOUNDARY = -70,              /* 400 no boundary, or not one */
    CELLO_EMULTIPART = -71,             /* 400 a delimiter line is malformed */
    CELLO_EMULTIPART_END = -72,         /* 400 ends before its final delimiter */
    CELLO_EPART_HEADER = -73,           /* 400 malformed header of a part */
    CELLO_EPART_HEADER_TOO_LARGE = -74, /* 400 more than max_part_header */
    CELLO_EPARTS = -75,                 /* 400 more than max_form_parts */
    CELLO_EFORM_TOO_LARGE = -76,        /* 413 more than max_form_memory in fields */
    CELLO_EFILE_TOO_LARGE = -77,        /* 413 more than max_file_size */
    CELLO_ENOSPACE = -78,               /* 507 no room for files */
    CELLO_ECHARSET = -79,               /* 415 a field in a charset that is not known */
};

/* A short English text for an error, never NULL; for logs and problem documents. */
CELLO_API const char *cello_strerror(int err);
/* The status that the engine answers for an error, and one sentence for the client. */
CELLO_API int cello_error_status(int err);
CELLO_API const char *cello_error_detail(int err);

#endif
