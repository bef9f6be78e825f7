/* Versions: whatever a client sends, a route is one of those there are, and picking it again picks
 * the same. The first byte chooses between a header and a media type; the rest is the field. */
#include "router/versions.h"

#include "check.h"
#include "http/method.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int targets[3];
    static struct cl_versions v;
    if (!v.count) {
        CHECK(cl_versions_add(&v, 1u << CL_METHOD_GET, CL_STR("v1"), NULL, &targets[0]) == 0);
        CHECK(cl_versions_add(&v, 1u << CL_METHOD_GET, CL_STR("2"), NULL, &targets[1]) == 0);
        CHECK(cl_versions_add(&v, 1u << CL_METHOD_POST, CL_STR(""), NULL, &targets[2]) == 0);
    }
    if (!size)
        return 0;
    const struct cl_version_rule rule = {
        .kind = data[0] & 1 ? CL_VERSION_HEADER : CL_VERSION_MEDIA_TYPE,
        .fallback = data[0] & 2 ? CL_STR("2") : CL_STR(""),
    };
    char *text = copy_bytes(data + 1, size - 1);
    struct cl_str field = cl_str(text, size - 1);
    void *get = cl_versions_pick(&v, &rule, CL_METHOD_GET, field);
    CHECK(!get || get == &targets[0] || get == &targets[1]);
    CHECK(cl_versions_pick(&v, &rule, CL_METHOD_HEAD, field) == get);
    CHECK(cl_versions_pick(&v, &rule, CL_METHOD_POST, field) == &targets[2]);
    CHECK(!cl_versions_pick(&v, &rule, CL_METHOD_PUT, field));
    free(text);
    return 0;
}
