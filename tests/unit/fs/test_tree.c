/*
 * The tree: random operations against a table of paths; after each one its invariants hold.
 * Nothing is freed too early or too late: all of it runs under the address sanitizer.
 */
#include "fs/tree.h"

#include "unit/unit.h"

#define SLOTS 40

/* What the kernel, or a handle, holds. */
struct slot {
    struct fs_inode *inode;
    uint64_t id, ino;
    unsigned lookups, uses;
    bool staged;
    char path[256]; /* "" when unlinked */
};

static struct spool_file *fake_file(size_t i) /* the tree compares it and never looks inside */
{
    static char files[SLOTS];

    return (struct spool_file *)(void *)&files[i];
}

static void path_of(const struct fs_tree *t, const struct fs_inode *i, char *path)
{
    struct ou_error err;
    char *key = NULL;

    path[0] = '\0';
    if (fs_inode_key(t, i, &key, &err) == 0)
        (void)snprintf(path, 256, "%s", key);
    free(key);
}

static void check(const struct fs_tree *t, const struct slot *slots)
{
    unsigned staged = 0;

    for (size_t s = 0; s < SLOTS; s++) {
        char path[256];

        if (!slots[s].inode)
            continue;
        assert_ptr_equal(fs_inode_find(t, slots[s].id), slots[s].inode);
        assert_int_equal(slots[s].inode->ino, slots[s].ino);
        path_of(t, slots[s].inode, path);
        assert_string_equal(path, slots[s].path);
        staged += slots[s].staged && path[0];
        if (slots[s].staged)
            assert_ptr_equal(fs_inode_of_file(t, fake_file(s)), slots[s].inode);
        for (size_t o = 0; o < s; o++)
            if (slots[o].inode)
                assert_true(slots[o].ino != slots[s].ino);
    }
    assert_int_equal(t->root->pins, staged);
}

static void forget_path(const struct fs_tree *t, struct slot *slots)
{
    for (size_t s = 0; s < SLOTS; s++)
        if (slots[s].inode)
            path_of(t, slots[s].inode, slots[s].path);
}

static void let_go(struct fs_tree *t, struct slot *slot, size_t s)
{
    struct slot old = *slot;

    if (old.staged)
        assert_ptr_equal(fs_inode_stage(t, old.inode, NULL), fake_file(s));
    *slot = (struct slot){.inode = NULL};
    for (unsigned i = 1; i < old.uses; i++)
        fs_inode_unuse(t, old.inode);
    if (old.uses && old.lookups) {
        fs_inode_unuse(t, old.inode);
        fs_inode_forget(t, old.inode, old.lookups);
    } else if (old.uses) {
        fs_inode_unuse(t, old.inode);
    } else {
        fs_inode_forget(t, old.inode, old.lookups);
    }
}

static struct fs_inode *any_dir(struct fs_tree *t, struct slot *slots, unsigned *seed)
{
    struct slot *slot = &slots[(size_t)rand_r(seed) % SLOTS];

    return slot->inode && slot->inode->dir ? slot->inode : t->root;
}

static void make(struct fs_tree *t, struct slot *slots, size_t s, const char *name, unsigned *seed)
{
    struct fs_inode *parent = any_dir(t, slots, seed);
    struct slot *slot = &slots[s];

    if (fs_inode_child(t, parent, name))
        return;
    slot->inode = fs_inode_new(t, parent, name, rand_r(seed) % 2 ? S_IFDIR : S_IFREG);
    assert_non_null(slot->inode);
    slot->id = slot->inode->id;
    slot->ino = slot->inode->ino;
    if (rand_r(seed) % 2) {
        slot->inode->lookups = slot->lookups = 1 + (unsigned)rand_r(seed) % 3;
    } else {
        (void)fs_inode_use(slot->inode);
        slot->uses = 1;
    }
}

static void move(struct fs_tree *t, struct slot *slots, size_t s, const char *name, unsigned *seed)
{
    struct fs_inode *parent = any_dir(t, slots, seed);
    struct ou_error err;

    if (!slots[s].inode->parent || fs_inode_under(parent, slots[s].inode) ||
        fs_inode_child(t, parent, name))
        return;
    assert_int_equal(fs_inode_move(t, slots[s].inode, parent, name, &err), 0);
    assert_ptr_equal(fs_inode_child(t, parent, name), slots[s].inode);
}

static void step(struct fs_tree *t, struct slot *slots, unsigned *seed)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    const char *name = names[rand_r(seed) % 4];
    size_t s = (size_t)rand_r(seed) % SLOTS;
    struct slot *slot = &slots[s];

    if (!slot->inode) {
        make(t, slots, s, name, seed);
        return;
    }
    switch (rand_r(seed) % 6) {
    case 0:
        let_go(t, slot, s);
        break;
    case 1:
        fs_inode_unlink(t, slot->inode);
        break;
    case 2:
        move(t, slots, s, name, seed);
        break;
    case 3:
        if (!slot->staged)
            assert_null(fs_inode_stage(t, slot->inode, fake_file(s)));
        slot->staged = true;
        break;
    case 4:
        (void)fs_inode_use(slot->inode);
        slot->uses++;
        break;
    default:
        slot->inode->lookups++;
        slot->lookups++;
        break;
    }
}

static void random_operations_keep_the_invariants(void **state)
{
    struct slot slots[SLOTS] = {{.inode = NULL}};
    unsigned seed = 3;
    struct fs_tree t;
    struct ou_error err;

    (void)state;
    assert_int_equal(fs_tree_init(&t, "p/", &err), 0);
    for (int i = 0; i < 30000; i++) {
        step(&t, slots, &seed);
        forget_path(&t, slots);
        check(&t, slots);
    }
    for (size_t s = 0; s < SLOTS; s++)
        if (slots[s].inode)
            let_go(&t, &slots[s], s);
    assert_int_equal(t.by_id.count, 1); /* the root */
    assert_int_equal(t.by_name.count, 0);
    assert_int_equal(t.by_file.count, 0);
    fs_tree_fini(&t);
}

static struct fs_inode *child(struct fs_tree *t, struct fs_inode *parent, const char *name,
                              mode_t type)
{
    struct fs_inode *i = fs_inode_new(t, parent, name, type);

    assert_non_null(i);
    return fs_inode_use(i);
}

static void a_renamed_inode_keeps_its_number_and_a_new_one_gets_another(void **state)
{
    struct fs_inode *log, *fresh;
    struct fs_tree t;
    struct ou_error err;

    (void)state;
    assert_int_equal(fs_tree_init(&t, "", &err), 0);
    log = child(&t, t.root, "log", S_IFREG);
    assert_int_equal(log->ino, fs_ino_of_key("log"));
    assert_int_equal(fs_inode_move(&t, log, t.root, "log.1", &err), 0);
    assert_int_equal(log->ino, fs_ino_of_key("log"));
    fresh = child(&t, t.root, "log", S_IFREG);
    assert_true(fresh->ino != log->ino); /* tail -F and cp tell files apart by it */
    fs_inode_unuse(&t, fresh);
    fs_inode_unuse(&t, log);
    fs_tree_fini(&t);
}

static void keys_follow_the_path(void **state)
{
    struct fs_inode *a, *b, *c;
    struct fs_tree t;
    struct ou_error err;
    char path[256];

    (void)state;
    assert_int_equal(fs_tree_init(&t, "pre/", &err), 0);
    a = child(&t, t.root, "a", S_IFDIR);
    b = child(&t, a, "b", S_IFDIR);
    c = child(&t, b, "c", S_IFREG);
    path_of(&t, c, path);
    assert_string_equal(path, "pre/a/b/c");
    path_of(&t, b, path);
    assert_string_equal(path, "pre/a/b/");
    path_of(&t, t.root, path);
    assert_string_equal(path, "pre/");
    assert_int_equal(fs_inode_move(&t, b, t.root, "x", &err), 0);
    path_of(&t, c, path);
    assert_string_equal(path, "pre/x/c");
    fs_inode_unlink(&t, b);
    path_of(&t, c, path);
    assert_string_equal(path, "");
    assert_false(fs_inode_linked(&t, c));
    fs_inode_unuse(&t, c);
    fs_inode_unuse(&t, b);
    fs_inode_unuse(&t, a);
    assert_int_equal(t.by_id.count, 1);
    fs_tree_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_keep_the_invariants),
        cmocka_unit_test(a_renamed_inode_keeps_its_number_and_a_new_one_gets_another),
        cmocka_unit_test(keys_follow_the_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
