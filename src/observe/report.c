#define _GNU_SOURCE
#include "observe/report.h"

#include <elf.h>
#include <execinfo.h>
#include <link.h>
#include <ucontext.h>
#include <unistd.h>

enum { FRAMES = 96, BUILD_ID_MAX = 32 };

static char build_id[2 * BUILD_ID_MAX + 1];

/* ---- text ---- */

void cl_report_flush(struct cl_report *r) {
    size_t at = 0;
    while (at < r->len) {
        ssize_t n = write(r->fd, r->text + at, r->len - at);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    r->len = 0;
}

static void put_char(struct cl_report *r, char c) {
    if (r->len == sizeof r->text)
        cl_report_flush(r);
    r->text[r->len++] = c;
}

void cl_report_put(struct cl_report *r, const char *text) {
    for (; *text; text++)
        put_char(r, *text);
}

void cl_report_str(struct cl_report *r, struct cl_str text) {
    for (size_t i = 0; i < text.len; i++)
        put_char(r, text.ptr[i] >= ' ' && text.ptr[i] <= '~' ? text.ptr[i] : '?');
}

void cl_report_number(struct cl_report *r, uint64_t n, unsigned base) {
    char digits[24];
    size_t count = 0;
    do {
        digits[count++] = "0123456789abcdef"[n % base];
        n /= base;
    } while (n);
    while (count)
        put_char(r, digits[--count]);
}

/* ---- the build id ---- */

static bool holds(const struct dl_phdr_info *info, uintptr_t address) {
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && address - (info->dlpi_addr + p->p_vaddr) < p->p_memsz)
            return true;
    }
    return false;
}

static void write_hex(const unsigned char *bytes, size_t n) {
    n = CL_MIN(n, (size_t)BUILD_ID_MAX);
    for (size_t i = 0; i < n; i++) {
        build_id[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        build_id[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    build_id[2 * n] = '\0';
}

static void read_notes(const char *at, size_t size) {
    const char *end = at + size;
    while ((size_t)(end - at) >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) note;
        memcpy(&note, at, sizeof note);
        const char *name = at + sizeof note;
        const char *value = name + ((note.n_namesz + 3u) & ~3u);
        const char *next = value + ((note.n_descsz + 3u) & ~3u);
        if (next > end || next < at)
            return;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(name, "GNU", 4) == 0) {
            write_hex((const unsigned char *)value, note.n_descsz);
            return;
        }
        at = next;
    }
}

static int look_at_object(struct dl_phdr_info *info, size_t size, void *code) {
    (void)size;
    if (!holds(info, (uintptr_t)code))
        return 0;
    for (unsigned i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_NOTE)
            read_notes((const char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr),
                       info->dlpi_phdr[i].p_memsz);
    return 1;
}

const char *cl_report_build_id(void) {
    return build_id;
}

/* The first backtrace loads libgcc, which allocates. */
void cl_report_prepare(void) {
    void *frames[4];
    (void)backtrace(frames, CL_ARRAY_LEN(frames));
    (void)dl_iterate_phdr(look_at_object, (void *)(uintptr_t)cl_report_prepare);
}

/* ---- stacks ---- */

/* Where a signal interrupted the thread; NULL: unknown on this processor. */
static void *interrupted_at(const void *context) {
    const ucontext_t *c = context;
#if defined(__x86_64__)
    return (void *)(uintptr_t)c->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (void *)(uintptr_t)c->uc_mcontext.pc;
#else
    (void)c;
    return NULL;
#endif
}

void cl_report_stack(int fd, const void *context) {
    void *frames[FRAMES];
    int count = backtrace(frames, FRAMES), first = 0;
    if (context) {
        const void *pc = interrupted_at(context);
        while (first < count && frames[first] != pc)
            first++;
        if (first == count) /* it is not among them: better too many than none */
            first = 0;
    }
    backtrace_symbols_fd(frames + first, count - first, fd);
    if (count == FRAMES) {
        struct cl_report r = CL_REPORT(fd);
        cl_report_put(&r, "  ... and more\n");
        cl_report_flush(&r);
    }
}
