/* The PROXY protocol's head: no read behind the input, one answer however the bytes came, and an
 * address that can be shown. Networks read the same bytes as text. */
#include "net/proxy.h"

#include "check.h"
#include "net/network.h"

/* From memory of its own: a read beyond it is seen. */
static int parse(const uint8_t *data, size_t n, struct cl_addr *client, size_t *length) {
    char *copy = copy_bytes(data, n);
    int err = cl_proxy_parse(cl_str(copy, n), client, length);
    free(copy);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cl_addr client, other;
    struct cl_networks networks;
    char text[CL_ADDR_TEXT_MAX];
    size_t length, n;
    if (size > 2 * CL_PROXY_MAX)
        return 0;
    int err = parse(data, size, &client, &length);
    CHECK(err == CELLO_OK || err == CELLO_EAGAIN || err == CELLO_EINVAL || err == CELLO_ELIMIT);
    if (!err) {
        CHECK(length <= size && length <= CL_PROXY_MAX);
        CHECK(cl_addr_host(&client, text) < sizeof text);
        (void)cl_addr_port(&client);
    }
    size_t step = 1 + size / 64;
    for (size_t part = 0; part < size; part += step) {
        int early = parse(data, part, &other, &n);
        bool whole = !err && part >= length;
        CHECK(early == (whole ? CELLO_OK : CELLO_EAGAIN) || (err < 0 && early == err));
    }
    if (cl_networks_parse(&networks, cl_str((const char *)data, size)) == CELLO_OK)
        (void)cl_networks_have(&networks, &client);
    return 0;
}
