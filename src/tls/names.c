#include "tls/names.h"

#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "tls/context.h"

enum { NAME_MAX_BYTES = 253, ROOM_FIRST = 8 };

void cl_tls_names_free(struct cl_tls_names *n) {
    for (size_t i = 0; i < n->count; i++) {
        SSL_CTX_free(n->all[i].ctx);
        cl_free((char *)(uintptr_t)n->all[i].name.ptr);
    }
    cl_free(n->all);
    *n = (struct cl_tls_names){0};
}

static bool is_label_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

bool cl_tls_name_valid(struct cl_str name) {
    size_t label = 0, at = 0;
    if (name.len > NAME_MAX_BYTES)
        return false;
    if (name.len > 2 && name.ptr[0] == '*' && name.ptr[1] == '.')
        at = 2;
    for (; at < name.len; at++) {
        char c = name.ptr[at];
        if (c == '.' ? label == 0 : !is_label_char(c))
            return false;
        label = c == '.' ? 0 : label + 1;
    }
    return label > 0;
}

static int make_room(struct cl_tls_names *n) {
    if (n->count < n->room)
        return CELLO_OK;
    if (n->count >= CL_TLS_NAMES_MAX)
        return CELLO_ELIMIT;
    size_t room = n->room ? n->room * 2 : ROOM_FIRST;
    struct cl_tls_name *all = cl_realloc(n->all, room * sizeof *all);
    if (!all)
        return CELLO_ENOMEM;
    n->all = all;
    n->room = room;
    return CELLO_OK;
}

int cl_tls_names_add(struct cl_tls_names *n, struct cl_str name, SSL_CTX *ctx) {
    int err = make_room(n);
    if (err)
        return err;
    char *copy = cl_strndup(name.ptr, name.len);
    if (!copy)
        return CELLO_ENOMEM;
    for (size_t i = 0; i < name.len; i++)
        copy[i] = (char)cl_lower((unsigned char)copy[i]);
    SSL_CTX_up_ref(ctx);
    n->all[n->count] = (struct cl_tls_name){cl_str(copy, name.len), (uint32_t)n->count, ctx};
    n->count++;
    return CELLO_OK;
}

static int add_text(struct cl_tls_names *n, const ASN1_STRING *text, SSL_CTX *ctx) {
    struct cl_str name =
        cl_str((const char *)ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
    return cl_tls_name_valid(name) ? cl_tls_names_add(n, name, ctx) : CELLO_OK;
}

/* Only where the certificate has no other names: RFC 6125, 6.4.4. */
static int add_common_name(struct cl_tls_names *n, X509 *cert, SSL_CTX *ctx) {
    X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0)
        return CELLO_OK;
    return add_text(n, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), ctx);
}

int cl_tls_names_add_all(struct cl_tls_names *n, X509 *cert, SSL_CTX *ctx) {
    int found;
    GENERAL_NAMES *others = X509_get_ext_d2i(cert, NID_subject_alt_name, &found, NULL);
    if (!others)
        return found == -1 ? add_common_name(n, cert, ctx) : CELLO_EINVAL;
    int err = CELLO_OK;
    for (int i = 0; i < sk_GENERAL_NAME_num(others) && !err; i++) {
        const GENERAL_NAME *other = sk_GENERAL_NAME_value(others, i);
        if (other->type == GEN_DNS)
            err = add_text(n, other->d.dNSName, ctx);
    }
    GENERAL_NAMES_free(others);
    return err;
}

static int compare_text(struct cl_str a, struct cl_str b) {
    int order = memcmp(a.ptr, b.ptr, CL_MIN(a.len, b.len));
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare(const void *a, const void *b) {
    const struct cl_tls_name *x = a, *y = b;
    int order = compare_text(x->name, y->name);
    return order ? order : (x->order > y->order) - (x->order < y->order);
}

void cl_tls_names_sort(struct cl_tls_names *n) {
    if (n->count)
        qsort(n->all, n->count, sizeof *n->all, compare);
}

/* The first of equal names. */
static SSL_CTX *find(const struct cl_tls_names *n, struct cl_str name) {
    size_t low = 0, high = n->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_text(n->all[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n->count && cl_str_eq(n->all[low].name, name) ? n->all[low].ctx : NULL;
}

SSL_CTX *cl_tls_names_find(const struct cl_tls_names *n, struct cl_str name) {
    char text[NAME_MAX_BYTES + 1];
    if (name.len == 0 || name.len > NAME_MAX_BYTES)
        return NULL;
    for (size_t i = 0; i < name.len; i++)
        text[i] = (char)cl_lower((unsigned char)name.ptr[i]);
    SSL_CTX *ctx = find(n, cl_str(text, name.len));
    const char *dot = ctx ? NULL : memchr(text, '.', name.len);
    if (!dot || dot == text)
        return ctx;
    size_t at = (size_t)(dot - text) - 1;
    text[at] = '*';
    return find(n, cl_str(text + at, name.len - at));
}
