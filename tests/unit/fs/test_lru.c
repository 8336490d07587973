/* The order in which inodes go, compared with a slow model of it. */
#include "fs/lru.h"

#include "fs/tree.h"

#include "unit/unit.h"

#define COUNT 12

/* Arrays of indices, oldest first. */
struct model {
    size_t order[FS_LRU_LISTS][COUNT], count[FS_LRU_LISTS];
};

static enum fs_lru_list list_of(const struct fs_inode *i)
{
    return i->opened ? FS_LRU_OPENED : FS_LRU_SEEN;
}

static void model_remove(struct model *m, size_t index)
{
    for (size_t l = 0; l < FS_LRU_LISTS; l++) {
        size_t kept = 0;

        for (size_t i = 0; i < m->count[l]; i++)
            if (m->order[l][i] != index)
                m->order[l][kept++] = m->order[l][i];
        m->count[l] = kept;
    }
}

static void model_use(struct model *m, size_t index, enum fs_lru_list list)
{
    model_remove(m, index);
    m->order[list][m->count[list]++] = index;
}

static void check(const struct fs_lru *lru, const struct model *m, const struct fs_inode *inodes)
{
    for (size_t l = FS_LRU_SEEN; l < FS_LRU_LISTS; l++) {
        const struct fs_inode *at = lru->lists[l].oldest, *before = NULL;

        assert_int_equal(lru->lists[l].count, m->count[l]);
        for (size_t i = 0; i < m->count[l]; i++) {
            assert_ptr_equal(at, &inodes[m->order[l][i]]);
            assert_ptr_equal(at->older, before);
            before = at;
            at = at->newer;
        }
        assert_null(at);
        assert_ptr_equal(lru->lists[l].newest, before);
    }
    assert_int_equal(fs_lru_count(lru), m->count[FS_LRU_SEEN] + m->count[FS_LRU_OPENED]);
}

static void the_order_is_that_of_the_last_use(void **state)
{
    struct fs_inode inodes[COUNT] = {{.id = 0}};
    struct model model = {.count = {0}};
    struct fs_lru lru = {.dirs = false};
    unsigned seed = 5;

    (void)state;
    for (int step = 0; step < 20000; step++) {
        size_t index = (size_t)rand_r(&seed) % COUNT;
        struct fs_inode *i = &inodes[index];

        switch (rand_r(&seed) % 8) {
        case 0:
            fs_lru_remove(&lru, i);
            model_remove(&model, index);
            i->opened = rand_r(&seed) % 4 == 0;
            break;
        case 1:
            if (i->lru_list)
                model_use(&model, index, FS_LRU_OPENED);
            fs_lru_open(&lru, i);
            break;
        default:
            fs_lru_use(&lru, i);
            model_use(&model, index, list_of(i));
            break;
        }
        check(&lru, &model, inodes);
    }
}

/* All of @inodes are used in order; the first @opened of them have been opened. */
static void use_all(struct fs_lru *lru, struct fs_inode *inodes, size_t opened)
{
    for (size_t i = 0; i < COUNT; i++) {
        inodes[i].opened = i < opened;
        fs_lru_use(lru, &inodes[i]);
    }
}

static void a_scan_meets_each_once_those_first_that_were_not_opened(void **state)
{
    struct fs_inode inodes[COUNT] = {{.id = 0}};
    struct fs_lru lru = {.dirs = false};
    struct fs_lru_scan scan;

    (void)state;
    use_all(&lru, inodes, 4);
    scan = fs_lru_scan(&lru);
    for (size_t i = 0; i < COUNT; i++)
        assert_ptr_equal(fs_lru_next(&lru, &scan), &inodes[(i + 4) % COUNT]);
    assert_null(fs_lru_next(&lru, &scan));
}

static void opened_ones_go_first_when_they_are_most(void **state)
{
    struct fs_inode inodes[COUNT] = {{.id = 0}};
    struct fs_lru lru = {.dirs = false};
    struct fs_lru_scan scan;

    (void)state;
    use_all(&lru, inodes, 8);
    scan = fs_lru_scan(&lru);
    for (size_t i = 0; i < 3; i++) { /* and go indeed */
        assert_ptr_equal(fs_lru_next(&lru, &scan), &inodes[i]);
        fs_lru_remove(&lru, &inodes[i]);
    }
    assert_ptr_equal(fs_lru_next(&lru, &scan), &inodes[3]);
    fs_lru_remove(&lru, &inodes[3]);
    assert_ptr_equal(fs_lru_next(&lru, &scan), &inodes[8]);
}

static void a_scan_survives_that_they_all_go_meanwhile(void **state)
{
    struct fs_inode inodes[COUNT] = {{.id = 0}};
    struct fs_lru lru = {.dirs = false};
    struct fs_lru_scan scan;

    (void)state;
    use_all(&lru, inodes, 3);
    scan = fs_lru_scan(&lru);
    for (size_t i = 3; i < COUNT; i++)
        fs_lru_remove(&lru, &inodes[i]);
    for (size_t i = 0; i < 3; i++)
        assert_ptr_equal(fs_lru_next(&lru, &scan), &inodes[i]);
    assert_null(fs_lru_next(&lru, &scan));
    for (size_t i = 0; i < 3; i++)
        fs_lru_remove(&lru, &inodes[i]);
    scan = fs_lru_scan(&lru);
    assert_null(fs_lru_next(&lru, &scan));
}

static void directories_count_only_where_they_can_be_given_back(void **state)
{
    struct fs_dir dir = {.huge = false};
    struct fs_inode inode = {.dir = &dir};
    struct fs_lru lru = {.dirs = false};

    (void)state;
    fs_lru_use(&lru, &inode);
    assert_int_equal(fs_lru_count(&lru), 0);
    lru.dirs = true;
    fs_lru_use(&lru, &inode);
    assert_int_equal(fs_lru_count(&lru), 1);
}

static void the_tree_knows_what_the_kernel_knows(void **state)
{
    struct fs_inode *file, *other;
    struct fs_tree t;
    struct ou_error err;

    (void)state;
    assert_int_equal(fs_tree_init(&t, "", &err), 0);
    file = fs_inode_use(fs_inode_new(&t, t.root, "file", S_IFREG));
    other = fs_inode_new(&t, t.root, "other", S_IFREG);
    assert_int_equal(fs_lru_count(&t.lru), 0);
    assert_true(fs_inode_look_up(&t, file));
    assert_true(fs_inode_look_up(&t, other));
    assert_false(fs_inode_look_up(&t, file));
    (void)fs_inode_look_up(&t, t.root);
    assert_int_equal(fs_lru_count(&t.lru), 2);
    assert_ptr_equal(t.lru.lists[FS_LRU_SEEN].oldest, other);
    fs_inode_forget(&t, other, 1);
    fs_inode_forget(&t, file, 1);
    assert_int_equal(fs_lru_count(&t.lru), 1);
    fs_inode_forget(&t, file, 1); /* still in use here, and of no interest to the kernel */
    assert_int_equal(fs_lru_count(&t.lru), 0);
    fs_inode_unuse(&t, file);
    fs_tree_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_is_that_of_the_last_use),
        cmocka_unit_test(a_scan_meets_each_once_those_first_that_were_not_opened),
        cmocka_unit_test(opened_ones_go_first_when_they_are_most),
        cmocka_unit_test(a_scan_survives_that_they_all_go_meanwhile),
        cmocka_unit_test(directories_count_only_where_they_can_be_given_back),
        cmocka_unit_test(the_tree_knows_what_the_kernel_knows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
