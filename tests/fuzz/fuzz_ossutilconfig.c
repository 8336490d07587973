/* ~/.ossutilconfig: members are non-empty or absent, and keys that come out can be signed with.
 * layer: oss
 */
#include "fuzz_credentials.h"
#include "oss/cred_profile.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    struct oss_cred_profile profile = {0};
    struct ou_error err = OU_ERROR_INIT;
    int r = oss_cred_ossutil_parse("f", text, &profile, &err);

    fuzz_check_profile(r, &profile, &err);
    oss_cred_profile_fini(&profile);
    free(text);
    return 0;
}
