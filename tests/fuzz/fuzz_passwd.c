/* passwd_file: what is accepted can be signed with, and what is refused leaves nothing behind.
 * layer: oss
 *
 * The first line of the input is the bucket that is asked for.
 */
#include "fuzz_credentials.h"
#include "oss/cred_passwd.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    char *lines = strchr(text, '\n');
    struct oss_credentials got = {0};
    struct ou_error err = OU_ERROR_INIT;
    int r;

    if (lines)
        *lines++ = '\0';
    r = oss_cred_passwd_parse("f", lines ? lines : text + strlen(text), *text ? text : NULL, &got,
                              &err);
    fuzz_check_set(r, &got, &err);
    free(text);
    return 0;
}
