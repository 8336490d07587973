/*
 * Uploads under names that their files no longer have, until they have ended.
 *
 * Such an upload may have been published in its last moments, and then its object is deleted. So
 * whoever brings something new under that key, or deletes there, waits for its end: also while it
 * is not with the engine yet, or the new object would be taken for the old one. The keys are known
 * here by their hashes: one too many costs a moment, and nothing has to be allocated.
 */
#include "spool/file.h"

#include <string.h>

bool spool_file_left_behind_locked(const struct spool_file *f)
{
    return f->s.upload.key &&
           (f->unlinked || f->abandoned || strcmp(f->s.upload.key, f->s.key) != 0);
}

void spool_left_behind_note_locked(struct spool_file *f)
{
    struct spool_left_behind *l = &f->spool->left_behind;
    bool now = spool_file_left_behind_locked(f);

    ou_mutex_assert_held(&f->lock);
    if (!now) {
        spool_left_behind_forget(f);
        return;
    }
    ou_lock_scope(&l->lock);
    f->left_hash = spool_key_hash(f->s.upload.key);
    if (f->left_behind)
        return;
    TAILQ_INSERT_TAIL(&l->files, f, in_left_behind);
    f->left_behind = true;
    (void)atomic_fetch_add(&l->count, 1);
}

void spool_left_behind_forget(struct spool_file *f)
{
    struct spool_left_behind *l = &f->spool->left_behind;

    if (!f->left_behind)
        return;
    ou_lock_scope(&l->lock);
    TAILQ_REMOVE(&l->files, f, in_left_behind);
    f->left_behind = false;
    (void)atomic_fetch_sub(&l->count, 1);
}

bool spool_left_behind_on(struct spool *spool, const char *key)
{
    struct spool_left_behind *l = &spool->left_behind;
    const struct spool_file *f;
    uint64_t hash;

    if (!atomic_load(&l->count))
        return false;
    hash = spool_key_hash(key);
    ou_lock_scope(&l->lock);
    f = TAILQ_FIRST(&l->files);
    while (f && f->left_hash != hash)
        f = TAILQ_NEXT(f, in_left_behind);
    return f != NULL;
}
