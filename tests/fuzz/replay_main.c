/*
 * Runs a fuzz target over the files named, or over all files of a directory named.
 * An empty run is a failure: a lost corpus must not look like a passed one.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
    FILE *f = fopen(path, "re");
    uint8_t *data = NULL;
    long size = -1;
    int r = 1;

    if (f && fseek(f, 0, SEEK_END) == 0)
        size = ftell(f);
    if (size >= 0 && fseek(f, 0, SEEK_SET) == 0)
        data = malloc(size ? (size_t)size : 1); /* exact, so that ASan sees a read beyond it */
    if (data && fread(data, 1, (size_t)size, f) == (size_t)size) {
        (void)LLVMFuzzerTestOneInput(data, (size_t)size);
        r = 0;
    } else {
        perror(path);
    }
    free(data);
    if (f)
        (void)fclose(f);
    return r;
}

static int run_directory(const char *path, int *count)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    int r = 0;

    if (!dir) {
        perror(path);
        return 1;
    }
    while (!r && (entry = readdir(dir))) {
        char name[4096];

        if (entry->d_name[0] == '.')
            continue;
        if (snprintf(name, sizeof(name), "%s/%s", path, entry->d_name) >= (int)sizeof(name))
            r = 1;
        else
            r = run_file(name);
        (*count)++;
    }
    (void)closedir(dir);
    return r;
}

int main(int argc, char **argv)
{
    int count = 0;

    for (int i = 1; i < argc; i++) {
        struct stat st;
        int r;

        if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode)) {
            r = run_directory(argv[i], &count);
        } else {
            r = run_file(argv[i]);
            count++;
        }
        if (r)
            return 1;
    }
    (void)printf("%d inputs\n", count);
    return count > 0 ? 0 : 1;
}
