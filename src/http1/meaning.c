/* What the fields that frame and route a request mean, RFC 9112 sections 3.2, 6 and 9. Wherever two
 * recipients could disagree, the request is refused. */
#include "http1/parser_internal.h"

/* The next element of a comma-separated list, without the white space around it; false at the end.
 * `list` keeps what is behind the element's comma; its ptr is NULL once there is nothing. */
static bool next_element(struct cl_str *list, struct cl_str *element) {
    if (!list->ptr)
        return false;
    const char *end = list->ptr + list->len;
    const char *comma = memchr(list->ptr, ',', list->len);
    *element = cl_header_trim(cl_str(list->ptr, (size_t)((comma ? comma : end) - list->ptr)));
    *list = comma ? cl_str(comma + 1, (size_t)(end - comma - 1)) : cl_str(NULL, 0);
    return true;
}

static int apply_content_length(struct cl_h1_head *head, struct cl_str value) {
    if (head->has_content_length || value.len == 0 || value.len > 18)
        return CELLO_ELENGTH;
    uint64_t length = 0;
    for (size_t i = 0; i < value.len; i++) {
        unsigned digit = (unsigned char)value.ptr[i] - (unsigned)'0';
        if (digit > 9)
            return CELLO_ELENGTH;
        length = length * 10 + digit;
    }
    if (head->chunked)
        return CELLO_EFRAMING;
    head->content_length = length;
    head->has_content_length = true;
    return CELLO_OK;
}

static int apply_transfer_encoding(struct cl_h1_head *head, struct cl_str value) {
    if (head->version_minor == 0 || head->has_content_length || head->chunked)
        return CELLO_EFRAMING;
    if (cl_str_ieq(value, CL_STR("chunked"))) {
        head->chunked = true;
        return CELLO_OK;
    }
    /* Another coding before chunked is legal but not offered; anything after chunked is not. */
    struct cl_str coding = {0};
    (void)next_element(&value, &coding);
    if (cl_header_name_valid(coding) && !cl_str_ieq(coding, CL_STR("chunked")))
        return CELLO_ECODING;
    return CELLO_EFRAMING;
}

static void apply_connection(struct cl_h1_head *head, struct cl_str value) {
    struct cl_str option;
    while (next_element(&value, &option)) {
        if (cl_str_ieq(option, CL_STR("close")))
            head->connection |= CL_H1_OPTION_CLOSE;
        else if (cl_str_ieq(option, CL_STR("keep-alive")))
            head->connection |= CL_H1_OPTION_KEEP_ALIVE;
        else if (cl_str_ieq(option, CL_STR("upgrade")))
            head->connection |= CL_H1_OPTION_UPGRADE;
    }
}

static int apply_expect(struct cl_h1_head *head, struct cl_str value) {
    if (!cl_str_ieq(value, CL_STR("100-continue")))
        return CELLO_EEXPECT;
    head->expect_continue = head->version_minor > 0;
    return CELLO_OK;
}

int cl_h1_apply_field(struct cl_h1_head *head, const struct cl_header *h) {
    switch (h->id) {
    case CL_HEADER_CONTENT_LENGTH: return apply_content_length(head, h->value);
    case CL_HEADER_TRANSFER_ENCODING: return apply_transfer_encoding(head, h->value);
    case CL_HEADER_CONNECTION: apply_connection(head, h->value); return CELLO_OK;
    case CL_HEADER_EXPECT: return apply_expect(head, h->value);
    default: return CELLO_OK;
    }
}

int cl_h1_finish_head(struct cl_h1_head *head) {
    if (head->version_minor > 0 && !cl_header_set_has(&head->present, CL_HEADER_HOST))
        return CELLO_EHOST;
    if (head->uri.form == CL_URI_ABSOLUTE || head->uri.form == CL_URI_AUTHORITY)
        head->host = head->uri.authority;
    head->keep_alive = !(head->connection & CL_H1_OPTION_CLOSE) &&
                       (head->version_minor > 0 || (head->connection & CL_H1_OPTION_KEEP_ALIVE));
    head->upgrade = head->version_minor > 0 && (head->connection & CL_H1_OPTION_UPGRADE) &&
                    cl_header_set_has(&head->present, CL_HEADER_UPGRADE);
    return CELLO_OK;
}
