set(test_reader_WRAP oss_get_object)
set(test_reader_faults_WRAP oss_get_object)
set(test_reader_cache_WRAP oss_get_object)
set(test_reader_memory_WRAP oss_get_object mmap64 munmap)

# fake_bucket.h stands for all that the engine asks of src/oss.
set(FAKE_BUCKET_WRAP oss_put_object oss_copy_object oss_head_object oss_initiate_upload
  oss_upload_part oss_upload_part_copy oss_complete_upload oss_abort_upload oss_list_parts
  oss_list_uploads oss_client_stats oss_error_delay_ms)
set(test_engine_WRAP ${FAKE_BUCKET_WRAP})
set(test_engine_change_WRAP ${FAKE_BUCKET_WRAP})
set(test_engine_end_WRAP ${FAKE_BUCKET_WRAP})
set(test_engine_resume_WRAP ${FAKE_BUCKET_WRAP})

set(test_checkpoint_WRAP fdatasync ou_now_ms)
set(test_file_upload_WRAP ${FAKE_BUCKET_WRAP})
set(test_file_resume_WRAP ${FAKE_BUCKET_WRAP})
set(test_file_damage_WRAP ${FAKE_BUCKET_WRAP} fsync fdatasync)
