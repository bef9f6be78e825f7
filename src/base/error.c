#include <cello/error.h>

const char *cello_strerror(int err) {
    switch ((enum cello_err)err) {
    case CELLO_OK: return "success";
    case CELLO_ENOMEM: return "out of memory";
    case CELLO_EINVAL: return "invalid argument";
    case CELLO_EAGAIN: return "not finished yet";
    case CELLO_EOF: return "closed by the peer";
    case CELLO_ELIMIT: return "a limit was reached";
    case CELLO_ESYS: return "a system call failed";
    case CELLO_ECANCELED: return "cancelled";
    case CELLO_ETIMEOUT: return "timed out";
    case CELLO_ENOTSUP: return "not supported by this kernel or build";
    case CELLO_EEXIST: return "already exists";
    case CELLO_ESTATE: return "not allowed in this state";
    case CELLO_ENOENT: return "not found";
    case CELLO_EREQLINE: return "malformed request line";
    case CELLO_EMETHOD: return "method is not a token";
    case CELLO_ETARGET: return "malformed request target";
    case CELLO_EVERSION: return "HTTP version not supported";
    case CELLO_EHEADER_NAME: return "malformed field name";
    case CELLO_EHEADER_VALUE: return "control character in a field value";
    case CELLO_EOBSFOLD: return "obsolete line folding";
    case CELLO_EBARELF: return "line does not end in CR LF";
    case CELLO_EHOST: return "Host missing, repeated or invalid";
    case CELLO_ELENGTH: return "Content-Length malformed or repeated";
    case CELLO_EFRAMING: return "ambiguous message framing";
    case CELLO_ECODING: return "transfer coding not implemented";
    case CELLO_ECHUNK: return "malformed chunk";
    case CELLO_EPERCENT: return "malformed percent-encoding";
    case CELLO_EUTF8: return "not UTF-8, or contains NUL";
    case CELLO_EURI_TOO_LONG: return "request target too long";
    case CELLO_EHEAD_TOO_LARGE: return "header section too large";
    case CELLO_EBODY_TOO_LARGE: return "body too large";
    case CELLO_EEXPECT: return "expectation other than 100-continue";
    case CELLO_EJSON: return "malformed JSON";
    case CELLO_EJSON_DEPTH: return "JSON nested too deeply";
    case CELLO_EBOUNDARY: return "multipart without a valid boundary";
    case CELLO_EMULTIPART: return "malformed delimiter of a multipart body";
    case CELLO_EMULTIPART_END: return "multipart body without its final delimiter";
    case CELLO_EPART_HEADER: return "malformed header of a part";
    case CELLO_EPART_HEADER_TOO_LARGE: return "header of a part too large";
    case CELLO_EPARTS: return "too many parts or fields in a form";
    case CELLO_EFORM_TOO_LARGE: return "fields of a form too large";
    case CELLO_EFILE_TOO_LARGE: return "uploaded file too large";
    case CELLO_ENOSPACE: return "no room for uploaded files";
    case CELLO_ECHARSET: return "charset not supported";
    }
    return "unknown error";
}
