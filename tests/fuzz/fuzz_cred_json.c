/* JSON of services, programs and ~/.aliyun/config.json: the same bytes go to all three readers.
 * layer: oss
 */
#include "fuzz_credentials.h"
#include "oss/cred_json.h"
#include "oss/cred_profile.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct oss_cred_profile profile = {0};
    struct oss_credentials got = {0};
    struct ou_error err = OU_ERROR_INIT;
    int r = oss_cred_json_parse("s", text, size, &got, &err);

    fuzz_check_set(r, &got, &err);

    err = (struct ou_error)OU_ERROR_INIT;
    r = oss_cred_json_refusal("s", 403, text, size, &err);
    assert(r < 0 && r == -err.errnum && err.http_status == 403);
    assert(strncmp(err.message, "s: HTTP 403", 11) == 0 && !strchr(err.message, '\n'));

    err = (struct ou_error)OU_ERROR_INIT;
    r = oss_cred_aliyun_parse("f", text, size, NULL, &profile, &err);
    fuzz_check_profile(r, &profile, &err);
    oss_cred_profile_fini(&profile);
    return 0;
}
