#include <cello/version.h>

#include <nghttp2/nghttp2.h>

const char *cello_nghttp2_version(void) {
    return nghttp2_version(0)->version_str;
}
