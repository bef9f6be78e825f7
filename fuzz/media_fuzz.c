/* Media types and Accept: spans lie inside the field, what is split is what was asked for, and a
 * quality is one. The part before the first NUL is the field, what follows is what is offered. */
#include "http/media.h"

#include "check.h"
#include "http/header.h"

static void check_media(struct cl_str field, struct cl_str name) {
    struct cl_media media;
    struct cl_str value;
    if (cl_media_parse(field, &media) != CELLO_OK) {
        CHECK(!cl_media_is_json(field));
        return;
    }
    check_span(media.type, field);
    check_span(media.subtype, field);
    check_span(media.params, field);
    CHECK(cl_header_name_valid(media.type) && cl_header_name_valid(media.subtype));
    size_t len = media.type.len + 1 + media.subtype.len;
    CHECK(cl_media_is(field, cl_str(media.type.ptr, len)));
    if (cl_media_param(&media, name, &value))
        check_span(value, media.params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    size_t len = nul ? (size_t)(nul - data) : size;
    size_t behind = nul ? size - len - 1 : 0;
    char *text = copy_bytes(data, len), *other = copy_bytes(nul ? nul + 1 : NULL, behind);
    struct cl_str field = cl_str(text, len), offer = cl_str(other, behind);
    check_media(field, offer);
    CHECK(cl_accept_media(field, offer) <= 1000);
    unsigned quality = cl_accept_token(field, offer, 1001);
    CHECK(quality <= 1000 || quality == 1001);
    free(text);
    free(other);
    return 0;
}
