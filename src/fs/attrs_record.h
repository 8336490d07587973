/*
 * One record of the attribute cache as a JSON object, for attrs.cache. Pure.
 *
 * {"k":KEY,"e":ETAG,"s":SIZE,"m":LAST-MODIFIED,"w":WRITTEN,"c":CRC64,"mode":…,"uid":…,"gid":…,
 *  "mt":[s,ns],"at":[s,ns],"ct":[s,ns],"x":XATTR,"t":TARGET,"ty":CONTENT-TYPE,"cc","cd","ce","ex","sc",
 *  "o":[[NAME,VALUE],…],"he":ETAG,"hs":SIZE} or {"k":KEY,"implied":true}. What is default is left
 * out; "m" is left out while unknown; "he", "hs": as a HEAD shows it where that differs.
 */
#ifndef OSSUP_FS_ATTRS_RECORD_H
#define OSSUP_FS_ATTRS_RECORD_H

#include "base/buf.h"
#include "base/json.h"
#include "fs/attrs.h"

void fs_record_write(struct ou_buf *out, const struct fs_record *record);
/** fs_record_read() - into @attrs; what is no record is skipped. -ENOMEM. */
int fs_record_read(struct fs_attrs *attrs, const struct ou_json *line, struct ou_error *err);

#endif
