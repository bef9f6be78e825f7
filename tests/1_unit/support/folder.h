/* A folder for a test, in the memory of the machine where it can be; gone with all in it at the
 * end. */
#ifndef CL_TEST_FOLDER_H
#define CL_TEST_FOLDER_H

#include "support/fixture.h"

struct folder {
    char path[64];
};

void folder_init(struct folder *f);
void folder_free(struct folder *f);
/* `name` may have slashes; its folders are made. Old: as if it had been written an hour ago. */
void folder_write(const struct folder *f, const char *name, const void *bytes, size_t len);
void folder_write_old(const struct folder *f, const char *name, const char *text);
void folder_set_time(const struct folder *f, const char *name, long seconds);
void folder_age(const struct folder *f, const char *name, unsigned seconds);
void folder_link(const struct folder *f, const char *to, const char *name);
void folder_remove(const struct folder *f, const char *name);
struct cl_str folder_path(const struct folder *f);

#endif
