/* Runs a fuzz target over files instead of under libFuzzer, so that every compiler and every
 * sanitizer replays the seeds as an ordinary test.
 *
 *     x_fuzz FILE_OR_FOLDER...
 *
 * Exits 0 when every input was taken, 1 when one cannot be read or there was none. A crash is the
 * target's own. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { PATH_MAX_BYTES = 4096 };

static int fail(const char *path) {
    (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
    return -1;
}

/* Hands the target an exact copy, so that AddressSanitizer sees the first byte past its end. */
static int replay_file(const char *path, size_t size) {
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return fail(path);
    uint8_t *data = malloc(size > 0 ? size : 1);
    if (data == NULL || fread(data, 1, size, file) != size) {
        free(data);
        (void)fclose(file);
        return fail(path);
    }
    (void)fclose(file);
    (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

static int replay_folder(const char *path);

/* Returns the number of inputs replayed, or -1. Folders hold files only: one level is enough. */
static int replay(const char *path, int depth) {
    struct stat st;
    if (stat(path, &st) != 0)
        return fail(path);
    if (S_ISREG(st.st_mode))
        return replay_file(path, (size_t)st.st_size);
    return depth == 0 ? replay_folder(path) : 0;
}

static int replay_folder(const char *path) {
    DIR *folder = opendir(path);
    if (folder == NULL)
        return fail(path);
    int count = 0;
    for (struct dirent *entry; count >= 0 && (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        char child[PATH_MAX_BYTES];
        int len = snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        int n = len > 0 && len < PATH_MAX_BYTES ? replay(child, 1) : -1;
        count = n < 0 ? -1 : count + n;
    }
    (void)closedir(folder);
    return count;
}

int main(int argc, char **argv) {
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int n = replay(argv[i], 0);
        if (n < 0)
            return EXIT_FAILURE;
        total += n;
    }
    (void)printf("%d inputs replayed\n", total);
    return total > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
