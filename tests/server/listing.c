#include "server/listing.h"

#include "server/buf.h"

/* Length of the common prefix that @key folds into, 0 if it does not fold. */
static size_t folded_length(const char *key, const char *prefix, const char *delimiter)
{
    const char *at;

    if (delimiter[0] == '\0')
        return 0;
    at = strstr(key + strlen(prefix), delimiter);
    return at == NULL ? 0 : (size_t)(at - key) + strlen(delimiter);
}

/* The first entry behind all that begin with @group. */
static struct srv_index_node *behind_group(const struct srv_index *index, const char *group,
                                           size_t len)
{
    srv_autofree char *bound = srv_xstrndup(group, len);

    while (len > 0 && (unsigned char)bound[len - 1] == 0xFF)
        len--;
    if (len == 0)
        return NULL;
    bound[len - 1] = (char)((unsigned char)bound[len - 1] + 1);
    return srv_index_seek(index, bound, len);
}

static struct srv_index_node *first_above(const struct srv_index *index, const char *prefix,
                                          const char *after)
{
    struct srv_index_node *node;

    if (strcmp(after, prefix) < 0)
        return srv_index_seek(index, prefix, strlen(prefix));
    node = srv_index_seek(index, after, strlen(after));
    if (after[0] != '\0' && node != NULL && srv_streq(node->key, after))
        node = srv_index_next(node);
    return node;
}

bool srv_listing_from(const struct srv_index *index, const struct srv_index_node *node,
                      const char *prefix, const char *delimiter, const char *after, size_t max,
                      srv_listing_fn *emit, void *arg)
{
    size_t emitted = 0;

    while (node != NULL && srv_starts_with(node->key, prefix)) {
        size_t fold = folded_length(node->key, prefix, delimiter);
        srv_autofree char *group = NULL;

        if (fold > 0 && strlen(after) == fold && strncmp(after, node->key, fold) == 0) {
            node = behind_group(index, after, fold);
            continue;
        }
        if (emitted == max)
            return true;
        emitted++;
        if (fold == 0) {
            emit(arg, node->key, node);
            node = srv_index_next(node);
            continue;
        }
        group = srv_xstrndup(node->key, fold);
        emit(arg, group, NULL);
        node = behind_group(index, group, fold);
    }
    return false;
}

bool srv_listing_page(const struct srv_index *index, const char *prefix, const char *delimiter,
                      const char *after, size_t max, srv_listing_fn *emit, void *arg)
{
    return srv_listing_from(index, first_above(index, prefix, after), prefix, delimiter, after, max,
                            emit, arg);
}
