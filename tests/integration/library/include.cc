// The header in C++, and a program in C++ that calls each function.
#include <ossup/ossup.h>

#include <cstring>

int main()
{
    ossup_config config = {};
    ossup_upload upload = {};
    ossup_error error = {};
    ossup_client *client = nullptr;

    config.struct_size = sizeof(config);
    config.endpoint = "http://127.0.0.1:1";
    config.access_key_id = "id";
    config.access_key_secret = "secret";
    upload.struct_size = sizeof(upload);
    upload.bucket = "bucket";
    upload.key = "key";
    upload.file = "/no/such/file";
    error.struct_size = sizeof(error);
    if (ossup_client_new(&config, &client, &error) < 0)
        return 1;
    upload.cancel = ossup_cancel_new();
    int r = ossup_resumable_upload(client, &upload, nullptr, &error);
    ossup_cancel_trigger(upload.cancel);
    ossup_cancel_free(upload.cancel);
    ossup_client_free(client);
    return r < 0 && std::strcmp(error.code, "ENOENT") == 0 ? 0 : 1;
}
