#include "net/network.h"

#include <arpa/inet.h>

/* 12 bytes in front of an IPv4 address. */
static const uint8_t MAPPED[12] = {[10] = 0xff, [11] = 0xff};

enum { IPV4_BITS = 32, IPV6_BITS = 128, MAPPED_BITS = 96 };

static bool rest_is_zero(const uint8_t bytes[16], unsigned bits) {
    for (unsigned i = bits; i < IPV6_BITS; i++)
        if (bytes[i / 8] & 0x80 >> i % 8)
            return false;
    return true;
}

static int read_bits(struct cl_str text, unsigned max, unsigned *bits) {
    if (!text.len || text.len > 3 || (text.ptr[0] == '0' && text.len > 1))
        return CELLO_EINVAL;
    *bits = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return CELLO_EINVAL;
        *bits = *bits * 10 + (unsigned)(text.ptr[i] - '0');
    }
    return *bits <= max ? CELLO_OK : CELLO_EINVAL;
}

int cl_network_parse(struct cl_network *n, struct cl_str text) {
    const char *slash = text.len ? memchr(text.ptr, '/', text.len) : NULL;
    size_t length = slash ? (size_t)(slash - text.ptr) : text.len;
    char host[INET6_ADDRSTRLEN];
    if (length >= sizeof host || !length)
        return CELLO_EINVAL;
    memcpy(host, text.ptr, length);
    host[length] = '\0';
    bool v4 = inet_pton(AF_INET, host, n->bytes + sizeof MAPPED) == 1;
    if (v4)
        memcpy(n->bytes, MAPPED, sizeof MAPPED);
    else if (inet_pton(AF_INET6, host, n->bytes) != 1)
        return CELLO_EINVAL;
    unsigned bits = v4 ? IPV4_BITS : IPV6_BITS;
    int err = slash ? read_bits(cl_str(slash + 1, text.len - length - 1), bits, &bits) : CELLO_OK;
    if (err)
        return err;
    n->bits = (uint8_t)(v4 ? bits + MAPPED_BITS : bits);
    return rest_is_zero(n->bytes, n->bits) ? CELLO_OK : CELLO_EINVAL;
}

static struct cl_str trimmed(struct cl_str s) {
    while (s.len && s.ptr[0] == ' ')
        s = cl_str(s.ptr + 1, s.len - 1);
    while (s.len && s.ptr[s.len - 1] == ' ')
        s.len--;
    return s;
}

int cl_networks_parse(struct cl_networks *n, struct cl_str text) {
    n->count = 0;
    for (bool more = true; more;) {
        const char *comma = text.len ? memchr(text.ptr, ',', text.len) : NULL;
        size_t length = comma ? (size_t)(comma - text.ptr) : text.len;
        if (n->count == CL_NETWORKS_MAX)
            return CELLO_ELIMIT;
        int err = cl_network_parse(&n->list[n->count], trimmed(cl_str(text.ptr, length)));
        if (err)
            return err;
        n->count++;
        more = comma != NULL;
        if (more)
            text = cl_str(comma + 1, text.len - length - 1);
    }
    return CELLO_OK;
}

static bool has(const struct cl_network *n, const uint8_t bytes[16]) {
    unsigned whole = n->bits / 8, rest = n->bits % 8;
    if (memcmp(n->bytes, bytes, whole) != 0)
        return false;
    return !rest || (n->bytes[whole] ^ bytes[whole]) >> (8 - rest) == 0;
}

bool cl_networks_have(const struct cl_networks *n, const struct cl_addr *a) {
    uint8_t bytes[16];
    if (a->len && a->sa.sa_family == AF_INET) {
        memcpy(bytes, MAPPED, sizeof MAPPED);
        memcpy(bytes + sizeof MAPPED, &a->in.sin_addr, 4);
    } else if (a->len && a->sa.sa_family == AF_INET6) {
        memcpy(bytes, &a->in6.sin6_addr, sizeof bytes);
    } else {
        return false;
    }
    for (size_t i = 0; i < n->count; i++)
        if (has(&n->list[i], bytes))
            return true;
    return false;
}
