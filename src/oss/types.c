/*
 * The ends of the nouns, which all take zeroed memory and leave zeroed memory; storage classes.
 */
#include "oss/types.h"

#include <stdlib.h>
#include <string.h>

static const char *const storage_classes[] = {OSS_STORAGE_CLASSES};

#define STORAGE_CLASS_COUNT (sizeof(storage_classes) / sizeof(storage_classes[0]))

unsigned char oss_storage_class_of(const char *name)
{
    for (size_t i = 0; name && i < STORAGE_CLASS_COUNT; i++)
        if (!strcmp(storage_classes[i], name))
            return (unsigned char)(i + 1);
    return 0;
}

const char *oss_storage_class_name(unsigned char number)
{
    return number && number <= STORAGE_CLASS_COUNT ? storage_classes[number - 1] : NULL;
}

void oss_object_fini(struct oss_object *o)
{
    free(o->cache_control);
    free(o->content_disposition);
    free(o->content_encoding);
    free(o->expires);
    for (size_t i = 0; i < o->meta_count; i++) {
        free((char *)o->meta[i].name);
        free((char *)o->meta[i].value);
    }
    free(o->meta);
    memset(o, 0, sizeof(*o));
}

const char *oss_object_meta(const struct oss_object *o, const char *name)
{
    for (size_t i = 0; i < o->meta_count; i++)
        if (!strcmp(o->meta[i].name, name))
            return o->meta[i].value;
    return NULL;
}

void oss_list_page_fini(struct oss_list_page *p)
{
    for (size_t i = 0; i < p->count; i++)
        free(p->entries[i].key);
    free(p->entries);
    free(p->next_token);
    memset(p, 0, sizeof(*p));
}

void oss_part_list_fini(struct oss_part_list *l)
{
    free(l->parts);
    memset(l, 0, sizeof(*l));
}

void oss_upload_list_fini(struct oss_upload_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->uploads[i].key);
    free(l->uploads);
    free(l->next_key);
    free(l->next_upload_id);
    memset(l, 0, sizeof(*l));
}
