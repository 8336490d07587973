/*
 * Replies of OSS in all their forms, and those that must not be believed.
 */
#include "unit/unit.h"

#include "base/cleanup.h"
#include "oss/xml.h"

static struct ou_error err;

#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n"

static int list(const char *xml, struct oss_list_page *page, char **marker)
{
    return oss_xml_list(xml, strlen(xml), page, marker, &err);
}

static void a_v2_listing_is_read_whole(void **state)
{
    static const char xml[] =
        HEAD "<ListBucketResult xmlns=\"http://doc.oss-cn-hangzhou.aliyuncs.com\">"
             "<Name>b</Name><Prefix>a%2F</Prefix><MaxKeys>1000</MaxKeys><Delimiter>%2F</Delimiter>"
             "<IsTruncated>true</IsTruncated><Surprise><Key>no</Key><Contents/></Surprise>"
             "<CommonPrefixes><Prefix>a%2Fb%2F</Prefix></CommonPrefixes>"
             "<Contents>\r\n <Key>a%2Fz%0A%26+%2B%E4%B8%AD</Key>"
             "<LastModified>2012-02-24T08:43:07.000Z</LastModified>"
             "<ETag>\"5B3C1A2E053D763E1B002CC607C5A0FE\"</ETag><Type>Normal</Type>"
             "<Size> 344606 </Size><StorageClass>Standard</StorageClass>"
             "<Owner><ID>0022012</ID><DisplayName>u</DisplayName></Owner></Contents>"
             "<Contents><Key>a%2F</Key><Size>0</Size></Contents>"
             "<KeyCount>3</KeyCount><NextContinuationToken>Cg+iYw--%2B</NextContinuationToken>"
             "<EncodingType>url</EncodingType></ListBucketResult>";
    struct oss_list_page page;
    char *marker;

    (void)state;
    assert_int_equal(list(xml, &page, &marker), 0);
    assert_null(marker);
    assert_true(page.truncated);
    assert_string_equal(page.next_token, "Cg+iYw--+");
    assert_int_equal(page.count, 3);
    assert_string_equal(page.entries[0].key, "a/");
    assert_string_equal(page.entries[1].key, "a/b/");
    assert_true(page.entries[1].is_prefix);
    assert_string_equal(page.entries[2].key, "a/z\n& +\xe4\xb8\xad");
    assert_int_equal(page.entries[2].key_len, 10);
    assert_int_equal(page.entries[2].size, 344606);
    assert_int_equal(page.entries[2].last_modified.tv_sec, 1330072987);
    assert_string_equal(page.entries[2].etag, "5B3C1A2E053D763E1B002CC607C5A0FE");
    assert_string_equal(page.entries[2].storage_class, "Standard");
    oss_list_page_fini(&page);
}

static void a_v1_listing_without_encoding_is_read_too(void **state)
{
    static const char xml[] =
        "<a:ListBucketResult xmlns:a=\"urn:x\"><a:IsTruncated>true</a:IsTruncated>"
        "<a:NextMarker>a%20b</a:NextMarker>"
        "<a:Contents><a:Key>a%20b&amp;&#x9;<![CDATA[<c>]]></a:Key><a:Size>1</a:Size></a:Contents>"
        "</a:ListBucketResult>";
    struct oss_list_page page;
    char *marker;

    (void)state;
    assert_int_equal(list(xml, &page, &marker), 0);
    assert_string_equal(marker, "a%20b");
    assert_null(page.next_token);
    assert_int_equal(page.count, 1);
    assert_string_equal(page.entries[0].key, "a%20b&\t<c>");
    free(marker);
    oss_list_page_fini(&page);
}

static void blanks_at_the_ends_of_a_key_are_its_own_unless_it_is_encoded(void **state)
{
    static const char plain[] =
        "<ListBucketResult><CommonPrefixes><Prefix> d /</Prefix></CommonPrefixes>"
        "<Contents><Key> a%20 </Key><Size> 1 </Size></Contents></ListBucketResult>";
    static const char encoded[] =
        "<ListBucketResult><Contents><Key>\r\n  %20a+\r\n</Key><Size>1</Size></Contents>"
        "<EncodingType>url</EncodingType></ListBucketResult>";
    struct oss_list_page page;
    char *marker;

    (void)state;
    assert_int_equal(list(plain, &page, &marker), 0);
    assert_int_equal(page.count, 2);
    assert_string_equal(page.entries[0].key, " a%20 ");
    assert_int_equal(page.entries[0].key_len, 6);
    assert_int_equal(page.entries[0].size, 1);
    assert_string_equal(page.entries[1].key, " d /");
    oss_list_page_fini(&page);
    assert_int_equal(list(encoded, &page, &marker), 0);
    assert_string_equal(page.entries[0].key, " a ");
    assert_int_equal(page.entries[0].key_len, 3);
    oss_list_page_fini(&page);
}

static void an_empty_listing_is_no_error(void **state)
{
    static const char *const forms[] = {
        "<ListBucketResult/>",
        HEAD "<ListBucketResult><IsTruncated>false</IsTruncated><NextContinuationToken>x"
             "</NextContinuationToken><Prefix></Prefix></ListBucketResult>\n",
    };
    struct oss_list_page page;
    char *marker;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(list(forms[i], &page, &marker), 0);
        assert_int_equal(page.count, 0);
        assert_false(page.truncated);
        assert_null(page.next_token); /* nothing follows, whatever else is said */
        oss_list_page_fini(&page);
    }
}

static void a_listing_that_cannot_be_true_is_refused(void **state)
{
    static const char *const forms[] = {
        "",
        "   ",
        "not xml",
        "<html><body>502</body></html>",
        "<Error><Code>X</Code></Error>",
        "<ListBucketResult>",
        "<ListBucketResult></ListBucketResul>",
        "<ListBucketResult/><ListBucketResult/>",
        "<ListBucketResult>&nbsp;</ListBucketResult>",
        "<ListBucketResult>\x01</ListBucketResult>",
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        "<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key></Key><Size>1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><CommonPrefixes></CommonPrefixes></ListBucketResult>",
        "<!DOCTYPE ListBucketResult><ListBucketResult/>",
        "<!DOCTYPE a [<!ENTITY x \"y\">]><ListBucketResult><Prefix>&x;</Prefix></ListBucketResult>",
        "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><ListBucketResult/>",
    };
    struct oss_list_page page;
    char *marker;

    (void)state;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        err = (struct ou_error){.errnum = 0};
        if (list(forms[i], &page, &marker) != -EIO)
            fail_msg("accepted: %s", forms[i]);
        assert_string_equal(err.code, "BadReply");
        assert_int_equal(oss_error_verdict(&err), OSS_RETRY);
    }
}

static void depth_and_size_and_number_are_bounded(void **state)
{
    ou_auto(ou_buf_fini) struct ou_buf xml = {0};
    struct oss_list_page page;
    char *marker;

    (void)state;
    ou_buf_adds(&xml, "<ListBucketResult>");
    for (int i = 0; i < 100; i++)
        ou_buf_adds(&xml, "<a>");
    assert_int_equal(list(ou_buf_str(&xml), &page, &marker), -EIO);
    assert_non_null(strstr(err.message, "nested deeper"));

    ou_buf_clear(&xml);
    ou_buf_adds(&xml, "<ListBucketResult>");
    for (unsigned i = 0; i <= OSS_XML_ENTRIES_MAX; i++)
        ou_buf_adds(&xml, "<Contents><Key>k</Key><Size>1</Size></Contents>");
    ou_buf_adds(&xml, "</ListBucketResult>");
    assert_int_equal(list(ou_buf_str(&xml), &page, &marker), -EIO);
    assert_non_null(strstr(err.message, "more than"));

    ou_buf_clear(&xml);
    ou_buf_adds(&xml, "<ListBucketResult>");
    while (xml.len <= OSS_XML_MAX)
        ou_buf_adds(&xml, "                                                                ");
    ou_buf_adds(&xml, "</ListBucketResult>");
    assert_int_equal(list(ou_buf_str(&xml), &page, &marker), -EIO);
    assert_non_null(strstr(err.message, "more than"));
}

static void an_error_document_is_recognised_in_its_forms(void **state)
{
    static const char full[] = HEAD
        "<Error>\r\n  <Code>\r\n NoSuchKey </Code>\r\n  <Message>The specified key does not exist."
        "</Message>\r\n  <RequestId>566B6C3D6086505A0CFF0F68</RequestId><HostId>h</HostId>"
        "<Key>the/key</Key><EC>0026-00000001</EC><Endpoint>oss-cn-x.aliyuncs.com</Endpoint>"
        "<Nested><Code>Other</Code></Nested><ServerTime>2024-03-05T08:09:10.000Z</ServerTime>"
        "</Error>";
    static const char *const none[] = {"", "<Error/>", "<Error><Message>m</Message></Error>",
                                       "<html>Bad Gateway</html>", "<Error><Code>Cut"};
    struct oss_refusal r;

    (void)state;
    assert_true(oss_xml_error(full, strlen(full), &r));
    assert_string_equal(r.code, "NoSuchKey");
    assert_string_equal(r.message, "The specified key does not exist.");
    assert_string_equal(r.request_id, "566B6C3D6086505A0CFF0F68");
    assert_string_equal(r.ec, "0026-00000001");
    assert_string_equal(r.endpoint, "oss-cn-x.aliyuncs.com");
    assert_string_equal(r.server_time, "2024-03-05T08:09:10.000Z");
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_false(oss_xml_error(none[i], strlen(none[i]), &r));
}

static void upload_documents_are_read(void **state)
{
    static const char parts[] =
        "<ListPartsResult><EncodingType>url</EncodingType><NextPartNumberMarker>5"
        "</NextPartNumberMarker><IsTruncated>true</IsTruncated>"
        "<Part><PartNumber>1</PartNumber><LastModified>2012-02-23T07:01:34.000Z</LastModified>"
        "<ETag>\"3349DC700140D7F86A078484278075A9\"</ETag><Size>6291456</Size>"
        "<HashCrc64ecma>12345678901234567890</HashCrc64ecma></Part>"
        "<Part><PartNumber>5</PartNumber><ETag>ab</ETag><Size>0</Size></Part></ListPartsResult>";
    static const char uploads[] =
        "<ListMultipartUploadsResult><EncodingType>url</EncodingType><IsTruncated>true"
        "</IsTruncated><NextKeyMarker>b%2F1</NextKeyMarker><NextUploadIdMarker>ID2"
        "</NextUploadIdMarker><Upload><Key>a%20b</Key><UploadId>ID1</UploadId>"
        "<Initiated>2012-02-23T04:18:23.000Z</Initiated></Upload>"
        "<CommonPrefixes><Prefix>x</Prefix></CommonPrefixes></ListMultipartUploadsResult>";
    static const char initiate[] =
        "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId> 0004B9894A22E5B1"
        " </UploadId></InitiateMultipartUploadResult>";
    static const char complete[] =
        "<CompleteMultipartUploadResult><ETag>\"B864DB6A936D376F9F8D3ED3BBE540DD-3\"</ETag>"
        "</CompleteMultipartUploadResult>";
    struct oss_part_list list_ = {.parts = NULL};
    struct oss_upload_list upload_list;
    char id[OSS_UPLOAD_ID_SIZE], etag[OSS_ETAG_SIZE];
    bool truncated;
    unsigned next;

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(oss_xml_parts(parts, strlen(parts), &list_, &truncated, &next, &err), 0);
    assert_int_equal(list_.count, 4); /* pages add up */
    assert_true(truncated);
    assert_int_equal(next, 5);
    assert_int_equal(list_.parts[2].number, 1);
    assert_int_equal(list_.parts[2].size, 6291456);
    assert_true(list_.parts[2].has_crc64);
    assert_int_equal(list_.parts[2].crc64, UINT64_C(12345678901234567890));
    assert_false(list_.parts[3].has_crc64);
    oss_part_list_fini(&list_);

    assert_int_equal(oss_xml_uploads(uploads, strlen(uploads), &upload_list, &err), 0);
    assert_int_equal(upload_list.count, 1);
    assert_string_equal(upload_list.uploads[0].key, "a b");
    assert_string_equal(upload_list.next_key, "b/1");
    assert_string_equal(upload_list.next_upload_id, "ID2");
    oss_upload_list_fini(&upload_list);

    assert_int_equal(oss_xml_initiate(initiate, strlen(initiate), id, &err), 0);
    assert_string_equal(id, "0004B9894A22E5B1");
    assert_int_equal(oss_xml_initiate("<InitiateMultipartUploadResult/>", 32, id, &err), -EIO);
    assert_int_equal(oss_xml_result_etag(complete, strlen(complete),
                                         "CompleteMultipartUploadResult", etag, &err),
                     0);
    assert_string_equal(etag, "B864DB6A936D376F9F8D3ED3BBE540DD-3");
}

static void an_upload_id_that_does_not_fit_is_refused_not_cut(void **state)
{
    ou_auto(ou_buf_fini) struct ou_buf xml = {0};
    char id[OSS_UPLOAD_ID_SIZE];

    (void)state;
    ou_buf_adds(&xml, "<InitiateMultipartUploadResult><UploadId>");
    for (unsigned i = 0; i < OSS_UPLOAD_ID_SIZE; i++)
        ou_buf_adds(&xml, "A");
    ou_buf_adds(&xml, "</UploadId></InitiateMultipartUploadResult>");
    assert_int_equal(oss_xml_initiate(xml.data, xml.len, id, &err), -EIO);
    assert_string_equal(id, "");
}

static void the_bucket_is_read(void **state)
{
    static const char xml[] =
        "<BucketInfo><Bucket><Location>oss-cn-hangzhou</Location><Name>b</Name>"
        "<StorageClass>IA</StorageClass><Versioning>Suspended</Versioning>"
        "<HierarchicalNamespace>Enabled</HierarchicalNamespace>"
        "<ServerSideEncryptionRule><Location>no</Location></ServerSideEncryptionRule>"
        "</Bucket></BucketInfo>";
    struct oss_bucket_info info;

    (void)state;
    assert_int_equal(oss_xml_bucket_info(xml, strlen(xml), &info, &err), 0);
    assert_string_equal(info.location, "cn-hangzhou");
    assert_string_equal(info.storage_class, "IA");
    assert_true(info.versioning);
    assert_true(info.hierarchical);
}

static void count_deleted(void *ctx, const char *key, size_t key_len)
{
    unsigned *count = ctx;

    if (key_len == 3 && !memcmp(key, "a b", 3))
        ++*count;
}

static void deleted_keys_are_decoded_wherever_the_encoding_is_told(void **state)
{
    static const char xml[] = "<DeleteResult><Deleted><Key>a%20b</Key></Deleted><Deleted><Key>a+b"
                              "</Key></Deleted><EncodingType>url</EncodingType></DeleteResult>";
    unsigned count = 0;

    (void)state;
    assert_int_equal(oss_xml_deleted(xml, strlen(xml), count_deleted, &count, &err), 0);
    assert_int_equal(count, 2);
    assert_int_equal(oss_xml_deleted(NULL, 0, count_deleted, &count, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_v2_listing_is_read_whole),
        cmocka_unit_test(a_v1_listing_without_encoding_is_read_too),
        cmocka_unit_test(blanks_at_the_ends_of_a_key_are_its_own_unless_it_is_encoded),
        cmocka_unit_test(an_empty_listing_is_no_error),
        cmocka_unit_test(a_listing_that_cannot_be_true_is_refused),
        cmocka_unit_test(depth_and_size_and_number_are_bounded),
        cmocka_unit_test(an_error_document_is_recognised_in_its_forms),
        cmocka_unit_test(upload_documents_are_read),
        cmocka_unit_test(an_upload_id_that_does_not_fit_is_refused_not_cut),
        cmocka_unit_test(the_bucket_is_read),
        cmocka_unit_test(deleted_keys_are_decoded_wherever_the_encoding_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
