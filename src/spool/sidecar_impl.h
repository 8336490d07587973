/*
 * What the files of the sidecar share. Not for others.
 */
#ifndef OSSUP_SPOOL_SIDECAR_IMPL_H
#define OSSUP_SPOOL_SIDECAR_IMPL_H

#include "spool/sidecar.h"

/* -- sidecar.c -- */
void spool_upload_state_fini(struct spool_upload_state *u);
/** spool_set_add() - [@begin, @end), which may be empty. */
int spool_set_add(struct extent_map *set, uint64_t begin, uint64_t end, struct ou_error *err);
/** spool_set_add_map() - what @map covers below @end. */
int spool_set_add_map(struct extent_map *set, const struct extent_map *map, uint64_t end,
                      struct ou_error *err);

/* -- sidecar_read.c: 0, -EBADMSG, -ENOMEM -- */
int spool_broken(struct ou_error *err, const char *what);
int spool_get_u64(const struct ou_json *o, const char *name, uint64_t max, uint64_t *value,
                  struct ou_error *err);
/** spool_get_bytes() - replaces *@to; an absent member becomes NULL unless @must. */
int spool_get_bytes(const struct ou_json *o, const char *name, bool must, char **to,
                    struct ou_error *err);
int spool_get_text(const struct ou_json *o, const char *name, char *to, size_t room,
                   struct ou_error *err);
int spool_get_time(const struct ou_json *o, const char *name, const char *name_ns, bool *has,
                   struct timespec *t, struct ou_error *err);
/** spool_get_extents() - [[offset, size(, slot)]...] are laid over @to. */
int spool_get_extents(const struct ou_json *list, bool slots, struct extent_map *to,
                      struct ou_error *err);
/** spool_apply_attr() / _base() - the members "attr" and "base" of a record. */
int spool_apply_attr(struct spool_sidecar *s, const struct ou_json *line, struct ou_error *err);
int spool_apply_base(struct spool_sidecar *s, const struct ou_json *line, struct ou_error *err);

/* -- sidecar_apply.c, and for the records of an upload sidecar_apply_upload.c -- */

/* What a record does; @trust may be NULL. 0, -EBADMSG, -ENOMEM, -ENOTSUP. */
typedef int spool_apply_fn(struct spool_sidecar *s, const struct ou_json *line,
                           const struct spool_sidecar_trust *trust, struct ou_error *err);
struct spool_record {
    const char *type;
    spool_apply_fn *apply;
};
extern const struct spool_record spool_upload_records[]; /* ends with a .type of NULL */
/**
 * spool_drop_parts() - forget the parts that a new stable version has changed
 * @coming: its extents
 * @cut:    from here on all has changed
 *
 * While a version is frozen or being published they are only marked: its parts are what tells
 * whether it was.
 */
void spool_drop_parts(struct spool_upload_state *u, const struct extent_map *coming, uint64_t cut);

#endif
