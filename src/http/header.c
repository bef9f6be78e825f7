#include "http/header.h"

/* A name as it is compared: input | fold == name, byte for byte. Behind the name both hold 0xff, so
 * a comparison may take more bytes than the name has. */
struct cl_header_entry {
    uint8_t name[32];
    uint8_t fold[32];
};

#include "http/headers_table.h"

const uint8_t cl_header_token_chars[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1,         ['&'] = 1,         ['\''] = 1,
    ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1,         ['^'] = 1,         ['_'] = 1,
    ['`'] = 1, ['|'] = 1, ['~'] = 1, ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
};

#define LOAD(type, ptr)                                                                            \
    ({                                                                                             \
        type word_;                                                                                \
        memcpy(&word_, (ptr), sizeof(word_));                                                      \
        word_;                                                                                     \
    })

/* Compare in words that overlap at the end, so that no byte outside the name is read. */
#define MATCHES(type, at)                                                                          \
    ((LOAD(type, p + (at)) | LOAD(type, e->fold + (at))) == LOAD(type, e->name + (at)))

static bool matches(const struct cl_header_entry *e, const char *p, size_t len) {
    if (len >= 8) {
        for (size_t i = 0; i + 8 < len; i += 8)
            if (!MATCHES(uint64_t, i))
                return false;
        return MATCHES(uint64_t, len - 8);
    }
    if (len >= 4)
        return MATCHES(uint32_t, 0) && MATCHES(uint32_t, len - 4);
    return MATCHES(uint16_t, 0) && MATCHES(uint16_t, len - 2);
}

enum cl_header_id cl_header_id_from(struct cl_str name) {
    if (name.len < 2)
        return CL_HEADER_OTHER;
    const unsigned char *p = (const unsigned char *)name.ptr;
    unsigned hash = (p[0] | 0x20u) * CL_HEADER_HASH_FIRST +
                    (p[name.len - 1 - name.len / 4] | 0x20u) * CL_HEADER_HASH_QUARTER +
                    (p[name.len - 1] | 0x20u) * CL_HEADER_HASH_LAST + (unsigned)name.len;
    unsigned slot = cl_header_slots[hash % CL_ARRAY_LEN(cl_header_slots)];
    unsigned id = slot & 0xff;
    if (slot >> 8 != name.len || !matches(&cl_header_entries[id], name.ptr, name.len))
        return CL_HEADER_OTHER;
    return (enum cl_header_id)id;
}

struct cl_str cl_header_name(enum cl_header_id id) {
    if (id <= CL_HEADER_OTHER || id >= CL_HEADER_COUNT)
        return CL_STR("");
    return cl_header_names[id];
}

bool cl_header_name_valid(struct cl_str name) {
    unsigned valid = name.len > 0;
    for (size_t i = 0; i < name.len; i++)
        valid &= cl_header_token_chars[(unsigned char)name.ptr[i]];
    return valid;
}

bool cl_header_value_valid(struct cl_str value) {
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    if (value.len == 0)
        return true;
    char first = value.ptr[0], last = value.ptr[value.len - 1];
    return first != ' ' && first != '\t' && last != ' ' && last != '\t';
}
