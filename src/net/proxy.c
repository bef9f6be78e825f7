#include "net/proxy.h"

#include <arpa/inet.h>

static const char LINE[] = "PROXY ";
static const char SIGNATURE[] = "\r\n\r\n\0\r\nQUIT\n";

enum {
    LINE_LEN = sizeof LINE - 1,
    SIGNATURE_LEN = sizeof SIGNATURE - 1,
    HEAD_LEN = SIGNATURE_LEN + 4, /* and a byte of version and command, one of family, a length */
    FIELD_HEAD = 3,               /* of what follows the addresses: type and length */
};

/* Version and command. */
enum { LOCAL = 0x20, PROXY = 0x21 };
/* The upper half of the family's byte, and what its addresses need. The lower half is stream or
 * datagram, which is how the client came to the proxy (HTTP/3) and not how the proxy came here. */
enum { UNSPECIFIED, INET, INET6, UNIX, FAMILIES };
static const size_t ADDRESSES_LEN[FAMILIES] = {0, 12, 36, 216};

enum { FIELD_CRC32C = 0x03 };

/* ---- version 1: a line of text ---- */

/* The next word, ended by a space or by the line. False: there is none. */
static bool take_word(struct cl_str *line, struct cl_str *word) {
    if (!line->len)
        return false;
    const char *space = memchr(line->ptr, ' ', line->len);
    *word = cl_str(line->ptr, space ? (size_t)(space - line->ptr) : line->len);
    size_t used = word->len + (space != NULL);
    if (space && used == line->len)
        return false; /* the line ends in a space */
    *line = cl_str(line->ptr + used, line->len - used);
    return word->len > 0;
}

static bool read_port(struct cl_str text, uint16_t *port) {
    if (!text.len || text.len > 5 || (text.ptr[0] == '0' && text.len > 1))
        return false;
    uint32_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        n = n * 10 + (uint32_t)(text.ptr[i] - '0');
    }
    *port = (uint16_t)n;
    return n <= UINT16_MAX;
}

static bool read_host(int family, struct cl_str text, struct cl_addr *a) {
    char host[INET6_ADDRSTRLEN];
    if (text.len >= sizeof host)
        return false;
    memcpy(host, text.ptr, text.len);
    host[text.len] = '\0';
    *a = (struct cl_addr){0};
    a->sa.sa_family = (sa_family_t)family;
    a->len = family == AF_INET ? sizeof a->in : sizeof a->in6;
    void *to = family == AF_INET ? (void *)&a->in.sin_addr : (void *)&a->in6.sin6_addr;
    return inet_pton(family, host, to) == 1;
}

/* TCP4 or TCP6, two addresses, two ports. */
static int read_line(struct cl_str line, struct cl_addr *client) {
    struct cl_str word, from, to, from_port, to_port;
    uint16_t port, ignored;
    if (!take_word(&line, &word))
        return CELLO_EINVAL;
    if (cl_str_eq(word, CL_STR("UNKNOWN")))
        return CELLO_OK; /* whatever follows */
    bool v4 = cl_str_eq(word, CL_STR("TCP4"));
    int family = v4 ? AF_INET : AF_INET6;
    struct cl_addr source, destination;
    if ((!v4 && !cl_str_eq(word, CL_STR("TCP6"))) || !take_word(&line, &from) ||
        !take_word(&line, &to) || !take_word(&line, &from_port) || !take_word(&line, &to_port) ||
        line.len || !read_host(family, from, &source) || !read_host(family, to, &destination) ||
        !read_port(from_port, &port) || !read_port(to_port, &ignored))
        return CELLO_EINVAL;
    if (v4)
        source.in.sin_port = htons(port);
    else
        source.in6.sin6_port = htons(port);
    *client = source;
    return CELLO_OK;
}

static int parse_line(struct cl_str bytes, struct cl_addr *client, size_t *length) {
    size_t max = CL_MIN(bytes.len, (size_t)CL_PROXY_LINE_MAX), i = LINE_LEN;
    while (i < max && bytes.ptr[i] >= ' ' && bytes.ptr[i] <= '~')
        i++;
    if (i == CL_PROXY_LINE_MAX || (i < max && bytes.ptr[i] != '\r'))
        return CELLO_EINVAL;
    if (i + 1 >= max)
        return max == CL_PROXY_LINE_MAX ? CELLO_EINVAL : CELLO_EAGAIN;
    if (bytes.ptr[i + 1] != '\n')
        return CELLO_EINVAL;
    *length = i + 2;
    return read_line(cl_str(bytes.ptr + LINE_LEN, i - LINE_LEN), client);
}

/* ---- version 2: a binary block ---- */

static uint32_t big16(const unsigned char *p) {
    return (uint32_t)p[0] << 8 | p[1];
}

/* CRC-32C (RFC 3720, appendix B.4) of bytes of which the four from `hole` on count as zero. Half a
 * byte at a time: the table fits in a cache line, and a connection has one block. */
static uint32_t checksum(const unsigned char *p, size_t n, size_t hole) {
    static const uint32_t table[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        crc ^= i - hole < 4 ? 0 : p[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

/* The fields behind the addresses fill the block exactly. Only a checksum is looked into. */
static int check_fields(const unsigned char *block, size_t from, size_t end) {
    while (from < end) {
        if (end - from < FIELD_HEAD)
            return CELLO_EINVAL;
        size_t at = from + FIELD_HEAD, n = big16(block + from + 1);
        if (n > end - at)
            return CELLO_EINVAL;
        if (block[from] == FIELD_CRC32C) {
            if (n != 4)
                return CELLO_EINVAL;
            uint32_t said = big16(block + at) << 16 | big16(block + at + 2);
            if (said != checksum(block, end, at))
                return CELLO_EINVAL;
        }
        from = at + n;
    }
    return CELLO_OK;
}

static void read_addresses(unsigned family, const unsigned char *p, struct cl_addr *client) {
    *client = (struct cl_addr){0};
    switch (family) {
    case INET:
        client->len = sizeof client->in;
        client->in.sin_family = AF_INET;
        memcpy(&client->in.sin_addr, p, 4);
        memcpy(&client->in.sin_port, p + 8, 2);
        break;
    case INET6:
        client->len = sizeof client->in6;
        client->in6.sin6_family = AF_INET6;
        memcpy(&client->in6.sin6_addr, p, 16);
        memcpy(&client->in6.sin6_port, p + 32, 2);
        break;
    case UNIX:
        client->len = offsetof(struct sockaddr_un, sun_path);
        client->un.sun_family = AF_UNIX;
        break;
    default: break; /* UNSPECIFIED */
    }
}

/* Nothing specified in both halves, or something in both. */
static bool is_known(unsigned kind) {
    unsigned family = kind >> 4, way = kind & 15;
    return family == UNSPECIFIED ? way == 0 : family < FAMILIES && (way == 1 || way == 2);
}

static int parse_block(struct cl_str bytes, struct cl_addr *client, size_t *length) {
    const unsigned char *p = (const unsigned char *)bytes.ptr;
    /* What is wrong is said with the byte that is, and not once all have come. */
    unsigned command = bytes.len > SIGNATURE_LEN ? p[SIGNATURE_LEN] : LOCAL;
    if (command != LOCAL && command != PROXY)
        return CELLO_EINVAL;
    unsigned kind = bytes.len > SIGNATURE_LEN + 1 ? p[SIGNATURE_LEN + 1] : 0;
    unsigned family = kind >> 4;
    if (command == PROXY && !is_known(kind))
        return CELLO_EINVAL;
    if (bytes.len < HEAD_LEN)
        return CELLO_EAGAIN;
    size_t end = HEAD_LEN + big16(p + HEAD_LEN - 2);
    if (end > CL_PROXY_MAX)
        return CELLO_ELIMIT;
    if (command == PROXY && end - HEAD_LEN < ADDRESSES_LEN[family])
        return CELLO_EINVAL;
    if (bytes.len < end)
        return CELLO_EAGAIN;
    *length = end;
    if (command == LOCAL)
        return CELLO_OK; /* the rest is to be ignored */
    if (family == UNSPECIFIED)
        return CELLO_OK;
    read_addresses(family, p + HEAD_LEN, client);
    return check_fields(p, HEAD_LEN + ADDRESSES_LEN[family], end);
}

int cl_proxy_parse(struct cl_str bytes, struct cl_addr *client, size_t *length) {
    client->len = 0;
    *length = 0;
    if (!bytes.len)
        return CELLO_EAGAIN;
    bool line = bytes.ptr[0] == LINE[0];
    const char *start = line ? LINE : SIGNATURE;
    size_t n = line ? LINE_LEN : SIGNATURE_LEN;
    if (memcmp(bytes.ptr, start, CL_MIN(bytes.len, n)) != 0)
        return CELLO_EINVAL;
    if (bytes.len < n)
        return CELLO_EAGAIN;
    return line ? parse_line(bytes, client, length) : parse_block(bytes, client, length);
}
