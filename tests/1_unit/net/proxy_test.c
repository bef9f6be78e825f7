#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/proxy.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\xc0\x00\x02\x07\xc6\x33\x64\x01\x10\x92\x01\xbb" /* 192.0.2.7:4242 */
#define V6                                                                                         \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"                                                   \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"                                                   \
    "\x10\x92\x01\xbb"
#define TEXT(literal) cl_str(literal, sizeof(literal) - 1)

/* The result for every beginning of it is "more", and that for all of it is the same whatever
 * follows. */
static int parse(struct cl_str head, struct cl_addr *client) {
    char buffer[2 * CL_PROXY_MAX];
    struct cl_addr ignored;
    size_t length;
    assert_true(head.len + 16 <= sizeof buffer);
    int err = cl_proxy_parse(head, client, &length);
    if (err == CELLO_OK)
        assert_int_equal(length, head.len);
    for (size_t n = 0; n < head.len; n++) {
        int part = cl_proxy_parse(cl_str(head.ptr, n), &ignored, &length);
        if (part != CELLO_EAGAIN)
            assert_true(err && part == err);
    }
    memcpy(buffer, head.ptr, head.len);
    memcpy(buffer + head.len, "GET / HTTP/1.1\r\n", 16);
    if (err != CELLO_EAGAIN) {
        assert_int_equal(cl_proxy_parse(cl_str(buffer, head.len + 16), &ignored, &length), err);
        assert_true(err || length == head.len);
    }
    return err;
}

static void gives(struct cl_str head, const char *host, uint16_t port) {
    struct cl_addr client;
    char text[CL_ADDR_TEXT_MAX];
    assert_int_equal(parse(head, &client), CELLO_OK);
    (void)cl_addr_host(&client, text);
    assert_string_equal(text, host);
    assert_int_equal(cl_addr_port(&client), port);
}

static void fails(struct cl_str head, int err) {
    struct cl_addr client;
    int got = parse(head, &client);
    if (got != err)
        fail_msg("%d, not %d: %.*s", got, err, (int)head.len, head.ptr);
}

static void reads_lines(void **state) {
    (void)state;
    gives(TEXT("PROXY TCP4 192.0.2.7 198.51.100.1 4242 443\r\n"), "192.0.2.7", 4242);
    gives(TEXT("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255",
          65535);
    gives(TEXT("PROXY TCP6 2001:db8::7 2001:DB8::1 0 443\r\n"), "2001:db8::7", 0);
    gives(TEXT("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
               "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535);
    gives(TEXT("PROXY TCP6 ::ffff:192.0.2.7 ::1 4242 443\r\n"), "192.0.2.7", 4242);
    gives(TEXT("PROXY UNKNOWN\r\n"), "", 0);
    gives(TEXT("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
               "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
          "", 0);
}

static void refuses_lines(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "GET / HTTP/1.1\r\n",
        "proxy TCP4 192.0.2.7 198.51.100.1 4242 443\r\n",
        "PROXY  TCP4 192.0.2.7 198.51.100.1 4242 443\r\n",
        "PROXY TCP4  192.0.2.7 198.51.100.1 4242 443\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 4242 443 \r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 4242 443 1\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 4242\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1\r\n",
        "PROXY TCP4\r\n",
        "PROXY \r\n",
        "PROXY\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 4242 443\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 4242 443\rX",
        "PROXY TCP4 192.0.2.7 198.51.100.1\t4242 443\r\n",
        "PROXY TCP4 192.0.2.07 198.51.100.1 4242 443\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.1 4242 443\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 04242 443\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 4242 -1\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 4242 4a\r\n",
        "PROXY TCP4 2001:db8::7 2001:db8::1 4242 443\r\n",
        "PROXY TCP6 192.0.2.7 198.51.100.1 4242 443\r\n",
        "PROXY TCP6 2001:db8::7%lo 2001:db8::1 4242 443\r\n",
        "PROXY TCP5 192.0.2.7 198.51.100.1 4242 443\r\n",
        "PROXY UDP4 192.0.2.7 198.51.100.1 4242 443\r\n",
        "PROXY UNKNOWN \x80\r\n",
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(wrong); i++)
        fails(cl_str(wrong[i], strlen(wrong[i])), CELLO_EINVAL);
    fails(CL_STR("PROXY TCP4 192.0.2.7 198.51.100.1 4242 443\0\r\n"), CELLO_EINVAL);
}

static void ends_a_line(void **state) {
    (void)state;
    char line[200] = "PROXY UNKNOWN ";
    memset(line + 14, 'x', sizeof line - 14);
    fails(cl_str(line, sizeof line), CELLO_EINVAL);
    memcpy(line + CL_PROXY_LINE_MAX - 2, "\r\n", 2);
    gives(cl_str(line, CL_PROXY_LINE_MAX), "", 0);
    memcpy(line + CL_PROXY_LINE_MAX - 2, "x\r\n", 3);
    fails(cl_str(line, CL_PROXY_LINE_MAX + 1), CELLO_EINVAL);
}

static void reads_blocks(void **state) {
    (void)state;
    gives(TEXT(SIGNATURE "\x21\x11\0\x0c" V4), "192.0.2.7", 4242);
    gives(TEXT(SIGNATURE "\x21\x12\0\x0c" V4), "192.0.2.7", 4242); /* over UDP: HTTP/3 */
    gives(TEXT(SIGNATURE "\x21\x21\0\x24" V6), "2001:db8::7", 4242);
    /* A field, and an empty one. */
    gives(TEXT(SIGNATURE "\x21\x11\0\x14" V4 "\x02\0\x02hi\x04\0\0"), "192.0.2.7", 4242);
    gives(TEXT(SIGNATURE "\x20\0\0\0"), "", 0);
    gives(TEXT(SIGNATURE "\x20\xff\0\x03???"), "", 0); /* LOCAL: the rest is ignored */
    gives(TEXT(SIGNATURE "\x21\0\0\0"), "", 0);
    gives(TEXT(SIGNATURE "\x21\0\0\x03???"), "", 0);
}

static void reads_unix_sockets(void **state) {
    (void)state;
    char block[16 + 216] = SIGNATURE "\x21\x31\0\xd8/run/client";
    gives(cl_str(block, sizeof block), "unix:", 0);
}

static void checks_checksums(void **state) {
    (void)state;
    /* CRC-32C of the block with zeros in its place: 0x7ddbb32e, by another implementation. */
    gives(TEXT(SIGNATURE "\x21\x11\0\x13" V4 "\x03\0\x04\x7d\xdb\xb3\x2e"), "192.0.2.7", 4242);
    fails(TEXT(SIGNATURE "\x21\x11\0\x13" V4 "\x03\0\x04\x7d\xdb\xb3\x2f"), CELLO_EINVAL);
    fails(TEXT(SIGNATURE "\x21\x12\0\x13" V4 "\x03\0\x04\x7d\xdb\xb3\x2e"), CELLO_EINVAL);
    fails(TEXT(SIGNATURE "\x21\x11\0\x12" V4 "\x03\0\x03\x7d\xdb\xb3"), CELLO_EINVAL);
}

static void refuses_blocks(void **state) {
    (void)state;
    fails(TEXT("\r\n\r\nX"), CELLO_EINVAL);
    fails(TEXT("\r\n\r\n\0\r\nQUIT\r\x21\x11\0\x0c" V4), CELLO_EINVAL);
    fails(TEXT(SIGNATURE "\x11\x11\0\x0c" V4), CELLO_EINVAL);        /* version 1 */
    fails(TEXT(SIGNATURE "\x22\x11\0\x0c" V4), CELLO_EINVAL);        /* a command of tomorrow's */
    fails(TEXT(SIGNATURE "\x21\x13\0\x0c" V4), CELLO_EINVAL);        /* nor stream nor datagram */
    fails(TEXT(SIGNATURE "\x21\x10\0\x0c" V4), CELLO_EINVAL);        /* half specified */
    fails(TEXT(SIGNATURE "\x21\x01\0\0"), CELLO_EINVAL);             /* the other half */
    fails(TEXT(SIGNATURE "\x21\x41\0\x0c" V4), CELLO_EINVAL);        /* a family of tomorrow's */
    fails(TEXT(SIGNATURE "\x21\x11\0\x0b" V4), CELLO_EINVAL);        /* too short for its family */
    fails(TEXT(SIGNATURE "\x21\x21\0\x0c" V4), CELLO_EINVAL);        /* likewise */
    fails(TEXT(SIGNATURE "\x21\x11\0\x0d" V4 "\x01"), CELLO_EINVAL); /* half a field */
    fails(TEXT(SIGNATURE "\x21\x11\0\x10" V4 "\x01\0\x02x"), CELLO_EINVAL); /* one that goes on */
}

static void has_a_limit(void **state) {
    (void)state;
    char block[CL_PROXY_MAX + 1] = SIGNATURE "\x20\0";
    size_t n = CL_PROXY_MAX - 16;
    block[14] = (char)(n >> 8);
    block[15] = (char)n;
    gives(cl_str(block, CL_PROXY_MAX), "", 0);
    block[14] = (char)((n + 1) >> 8);
    block[15] = (char)(n + 1);
    fails(cl_str(block, CL_PROXY_MAX + 1), CELLO_ELIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_lines),        cmocka_unit_test(refuses_lines),
        cmocka_unit_test(ends_a_line),        cmocka_unit_test(reads_blocks),
        cmocka_unit_test(reads_unix_sockets), cmocka_unit_test(checks_checksums),
        cmocka_unit_test(refuses_blocks),     cmocka_unit_test(has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
