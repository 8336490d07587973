# spool_bucket.h stands for all that the spool asks of src/oss.
set(SPOOL_WRAP oss_put_object oss_copy_object oss_head_object oss_initiate_upload
  oss_upload_part oss_upload_part_copy oss_complete_upload oss_abort_upload oss_list_parts
  oss_list_uploads oss_client_stats oss_error_delay_ms oss_get_object oss_delete_object
  oss_delete_objects oss_client_bucket oss_client_endpoint spool_read_boot_id)
set(test_life_WRAP ${SPOOL_WRAP})
set(test_stable_WRAP ${SPOOL_WRAP} fdatasync fsync)
set(test_histories_WRAP ${SPOOL_WRAP})
set(test_sidecar_WRAP ${SPOOL_WRAP})
set(test_order_WRAP ${SPOOL_WRAP})
set(test_parked_WRAP ${SPOOL_WRAP} pwrite64)
set(test_open_WRAP ${SPOOL_WRAP})
set(test_conflict_WRAP ${SPOOL_WRAP})
set(test_cache_WRAP pwrite64)
set(test_moving_WRAP ${SPOOL_WRAP})
set(test_replaced_WRAP ${SPOOL_WRAP})
set(test_keeper_WRAP ${SPOOL_WRAP} fdatasync)
set(test_pressed_WRAP ${SPOOL_WRAP})
