/* The rules of fs/names.h; there is no state. */
#include "fs/names.h"

#include "base/text.h"
#include "oss/types.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int fs_name_check(const char *dir_key, const char *name, bool is_dir, struct ou_error *err)
{
    size_t len = strlen(name);

    if (len > FS_NAME_MAX)
        return ou_error_set(err, ENAMETOOLONG, "name of %zu bytes", len);
    if (!ou_utf8_valid(name, len))
        return ou_error_set(err, EILSEQ, "%s: OSS holds names in UTF-8 only", name);
    if (!fs_name_shown(name, len))
        return ou_error_set(err, EINVAL, "%s", name);
    if (strlen(dir_key) + len + (is_dir ? 1 : 0) > OSS_KEY_MAX)
        return ou_error_set(err, ENAMETOOLONG, "%s%s: a key holds %u bytes", dir_key, name,
                            OSS_KEY_MAX);
    if (dir_key[0] == '\0' && name[0] == '\\')
        return ou_error_set(err, EILSEQ, "%s: a key cannot begin with a backslash", name);
    return 0;
}

bool fs_name_shown(const char *name, size_t len)
{
    if (len == 0 || len > FS_NAME_MAX)
        return false;
    if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
        return false;
    return !memchr(name, '/', len);
}

bool fs_key_shown(const char *key)
{
    const char *at = key;

    if (*key == '\0')
        return false;
    for (;;) {
        const char *slash = strchr(at, '/');

        if (!slash)
            return fs_name_shown(at, strlen(at));
        if (!fs_name_shown(at, (size_t)(slash - at)))
            return false;
        at = slash + 1;
        if (*at == '\0')
            return true;
    }
}

char *fs_key_join(const char *dir_key, const char *name, bool is_dir)
{
    size_t dir_len = strlen(dir_key), len = strlen(name);
    char *key = malloc(dir_len + len + 2);

    if (!key)
        return NULL;
    memcpy(key, dir_key, dir_len);
    memcpy(key + dir_len, name, len);
    if (is_dir)
        key[dir_len + len++] = '/';
    key[dir_len + len] = '\0';
    return key;
}

/*
 * The last byte one lower, then tildes, which sort after all other printable ASCII:
 * "b7" becomes "b6~~~~". '0' would become '/', so it becomes '.'. A name that does not
 * end in printable ASCII loses its last character instead.
 */
void fs_name_before(const char *name, char out[FS_NAME_BEFORE_SIZE])
{
    static const char high[] = "~~~~";
    size_t len = strlen(name);
    unsigned char last;

    if (len > FS_NAME_MAX)
        len = FS_NAME_MAX;
    memcpy(out, name, len);
    out[len] = '\0';
    if (len == 0)
        return;
    last = (unsigned char)name[len - 1];
    if (last > '!' && last < 0x7f) {
        out[len - 1] = (char)(last == '0' ? '.' : last - 1);
        memcpy(out + len, high, sizeof(high));
        return;
    }
    len--;
    while (len > 0 && ((unsigned char)name[len] & 0xc0) == 0x80)
        len--;
    out[len] = '\0';
}
