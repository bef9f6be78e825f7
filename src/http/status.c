#include "http/status.h"

/* Dense per class; the holes are codes that IANA lists as unassigned or unused. */
static const struct cl_str informational[] = {
    CL_STR_INIT("Continue"),
    CL_STR_INIT("Switching Protocols"),
    CL_STR_INIT("Processing"),
    CL_STR_INIT("Early Hints"),
};
static const struct cl_str successful[] = {
    [0] = CL_STR_INIT("OK"),
    [1] = CL_STR_INIT("Created"),
    [2] = CL_STR_INIT("Accepted"),
    [3] = CL_STR_INIT("Non-Authoritative Information"),
    [4] = CL_STR_INIT("No Content"),
    [5] = CL_STR_INIT("Reset Content"),
    [6] = CL_STR_INIT("Partial Content"),
    [7] = CL_STR_INIT("Multi-Status"),
    [8] = CL_STR_INIT("Already Reported"),
    [26] = CL_STR_INIT("IM Used"),
};
static const struct cl_str redirection[] = {
    [0] = CL_STR_INIT("Multiple Choices"),
    [1] = CL_STR_INIT("Moved Permanently"),
    [2] = CL_STR_INIT("Found"),
    [3] = CL_STR_INIT("See Other"),
    [4] = CL_STR_INIT("Not Modified"),
    [5] = CL_STR_INIT("Use Proxy"),
    [7] = CL_STR_INIT("Temporary Redirect"),
    [8] = CL_STR_INIT("Permanent Redirect"),
};
static const struct cl_str client_error[] = {
    [0] = CL_STR_INIT("Bad Request"),
    [1] = CL_STR_INIT("Unauthorized"),
    [2] = CL_STR_INIT("Payment Required"),
    [3] = CL_STR_INIT("Forbidden"),
    [4] = CL_STR_INIT("Not Found"),
    [5] = CL_STR_INIT("Method Not Allowed"),
    [6] = CL_STR_INIT("Not Acceptable"),
    [7] = CL_STR_INIT("Proxy Authentication Required"),
    [8] = CL_STR_INIT("Request Timeout"),
    [9] = CL_STR_INIT("Conflict"),
    [10] = CL_STR_INIT("Gone"),
    [11] = CL_STR_INIT("Length Required"),
    [12] = CL_STR_INIT("Precondition Failed"),
    [13] = CL_STR_INIT("Content Too Large"),
    [14] = CL_STR_INIT("URI Too Long"),
    [15] = CL_STR_INIT("Unsupported Media Type"),
    [16] = CL_STR_INIT("Range Not Satisfiable"),
    [17] = CL_STR_INIT("Expectation Failed"),
    [21] = CL_STR_INIT("Misdirected Request"),
    [22] = CL_STR_INIT("Unprocessable Content"),
    [23] = CL_STR_INIT("Locked"),
    [24] = CL_STR_INIT("Failed Dependency"),
    [25] = CL_STR_INIT("Too Early"),
    [26] = CL_STR_INIT("Upgrade Required"),
    [28] = CL_STR_INIT("Precondition Required"),
    [29] = CL_STR_INIT("Too Many Requests"),
    [31] = CL_STR_INIT("Request Header Fields Too Large"),
    [51] = CL_STR_INIT("Unavailable For Legal Reasons"),
};
static const struct cl_str server_error[] = {
    [0] = CL_STR_INIT("Internal Server Error"),
    [1] = CL_STR_INIT("Not Implemented"),
    [2] = CL_STR_INIT("Bad Gateway"),
    [3] = CL_STR_INIT("Service Unavailable"),
    [4] = CL_STR_INIT("Gateway Timeout"),
    [5] = CL_STR_INIT("HTTP Version Not Supported"),
    [6] = CL_STR_INIT("Variant Also Negotiates"),
    [7] = CL_STR_INIT("Insufficient Storage"),
    [8] = CL_STR_INIT("Loop Detected"),
    [11] = CL_STR_INIT("Network Authentication Required"),
};

static const struct {
    const struct cl_str *phrases;
    size_t count;
} classes[] = {
    [1] = {informational, CL_ARRAY_LEN(informational)},
    [2] = {successful, CL_ARRAY_LEN(successful)},
    [3] = {redirection, CL_ARRAY_LEN(redirection)},
    [4] = {client_error, CL_ARRAY_LEN(client_error)},
    [5] = {server_error, CL_ARRAY_LEN(server_error)},
};

struct cl_str cl_status_reason(int status) {
    if (status < 100 || status > 599)
        return CL_STR("");
    size_t class = (size_t)status / 100;
    size_t code = (size_t)status % 100;
    if (code >= classes[class].count || !classes[class].phrases[code].ptr)
        return CL_STR("");
    return classes[class].phrases[code];
}

int cl_error_status(int err) {
    switch (err) {
    case CELLO_OK: return 200;
    case CELLO_ETIMEOUT: return 408;
    case CELLO_EOF:
    case CELLO_EREQLINE:
    case CELLO_EMETHOD:
    case CELLO_ETARGET:
    case CELLO_EHEADER_NAME:
    case CELLO_EHEADER_VALUE:
    case CELLO_EOBSFOLD:
    case CELLO_EBARELF:
    case CELLO_EHOST:
    case CELLO_ELENGTH:
    case CELLO_EFRAMING:
    case CELLO_ECHUNK:
    case CELLO_EPERCENT:
    case CELLO_EUTF8:
    case CELLO_EJSON:
    case CELLO_EJSON_DEPTH:
    case CELLO_EBOUNDARY:
    case CELLO_EMULTIPART:
    case CELLO_EMULTIPART_END:
    case CELLO_EPART_HEADER:
    case CELLO_EPART_HEADER_TOO_LARGE:
    case CELLO_EPARTS: return 400;
    case CELLO_EBODY_TOO_LARGE:
    case CELLO_EFORM_TOO_LARGE:
    case CELLO_EFILE_TOO_LARGE: return 413;
    case CELLO_EURI_TOO_LONG: return 414;
    case CELLO_ECHARSET: return 415;
    case CELLO_EEXPECT: return 417;
    case CELLO_EHEAD_TOO_LARGE: return 431;
    case CELLO_ECODING: return 501;
    case CELLO_ELIMIT: return 503;
    case CELLO_EVERSION: return 505;
    case CELLO_ENOSPACE: return 507;
    default: return 500;
    }
}

const char *cl_error_detail(int err) {
    switch (err) {
    case CELLO_EOF: return "The connection closed before the request was complete.";
    case CELLO_ELIMIT: return "The server is at a limit; try again later.";
    case CELLO_ETIMEOUT: return "The request did not arrive in time.";
    case CELLO_EREQLINE: return "The request line is malformed.";
    case CELLO_EMETHOD: return "The method is not a valid token.";
    case CELLO_ETARGET: return "The request target is malformed.";
    case CELLO_EVERSION: return "This server speaks HTTP/1.0 and HTTP/1.1 here.";
    case CELLO_EHEADER_NAME: return "A header field name is malformed.";
    case CELLO_EHEADER_VALUE: return "A header field value contains a control character.";
    case CELLO_EOBSFOLD: return "A header field is folded over several lines.";
    case CELLO_EBARELF: return "A line does not end in CR LF.";
    case CELLO_EHOST: return "The Host header field is missing, repeated or invalid.";
    case CELLO_ELENGTH: return "The Content-Length header field is malformed or repeated.";
    case CELLO_EFRAMING: return "The length of the body is ambiguous.";
    case CELLO_ECODING: return "The only transfer coding supported is chunked.";
    case CELLO_ECHUNK: return "The chunked body is malformed.";
    case CELLO_EPERCENT: return "A percent-encoding is malformed.";
    case CELLO_EUTF8: return "Decoded text is not valid UTF-8, or contains NUL.";
    case CELLO_EURI_TOO_LONG: return "The request target is too long.";
    case CELLO_EHEAD_TOO_LARGE: return "The header section is too large.";
    case CELLO_EBODY_TOO_LARGE: return "The request body is too large.";
    case CELLO_EEXPECT: return "The only expectation supported is 100-continue.";
    case CELLO_EJSON: return "The body is not valid JSON.";
    case CELLO_EJSON_DEPTH: return "The JSON text is nested too deeply.";
    case CELLO_EBOUNDARY: return "The Content-Type has no valid boundary.";
    case CELLO_EMULTIPART: return "A delimiter of the multipart body is malformed.";
    case CELLO_EMULTIPART_END: return "The multipart body ends before its final delimiter.";
    case CELLO_EPART_HEADER: return "The header of a part of the form is malformed.";
    case CELLO_EPART_HEADER_TOO_LARGE: return "The header of a part of the form is too large.";
    case CELLO_EPARTS: return "The form has too many fields.";
    case CELLO_EFORM_TOO_LARGE: return "The fields of the form are too large.";
    case CELLO_EFILE_TOO_LARGE: return "An uploaded file is too large.";
    case CELLO_ENOSPACE: return "The server has no room for uploaded files.";
    case CELLO_ECHARSET: return "The charset of a field of the form is not supported.";
    default: return "The request could not be handled.";
    }
}
