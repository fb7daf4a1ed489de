/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Nodes of a GPU
 *
 * A sorted table, since each open file of the machine is looked up in it.
 */

#include <string.h>

#include "base/text.h"
#include "probe/nodes.h"

void nodes_deinit(Nodes *nodes) {
        for (size_t i = 0; i < nodes->n; ++i)
                free(nodes->items[i].name);
        free(nodes->items);
        *nodes = (Nodes) NODES_NULL;
}

/* Takes @name over, also on failure. */
int nodes_add(Nodes *nodes, mode_t type, dev_t rdev, Address function, char *name) {
        Node *more;

        more = name ? realloc(nodes->items, (nodes->n + 1) * sizeof(*more)) : NULL;
        if (!more) {
                free(name);
                return -ENOMEM;
        }

        nodes->items = more;
        nodes->has_vfio |= text_starts_with(name, "vfio/", NULL);
        more[nodes->n++] = (Node){
                .type = type,
                .rdev = rdev,
                .function = function,
                .name = name,
        };
        return 0;
}

static int compare_nodes(const void *a, const void *b) {
        const Node *one = a, *other = b;

        if (one->type != other->type)
                return one->type < other->type ? -1 : 1;
        return (one->rdev > other->rdev) - (one->rdev < other->rdev);
}

/* Bring them into order, each once: two functions of one group both bring its node. */
void nodes_sort(Nodes *nodes) {
        size_t n = 0;

        if (nodes->n == 0)
                return;

        qsort(nodes->items, nodes->n, sizeof(*nodes->items), compare_nodes);
        for (size_t i = 1; i < nodes->n; ++i) {
                if (compare_nodes(&nodes->items[n], &nodes->items[i]) == 0)
                        free(nodes->items[i].name);
                else
                        nodes->items[++n] = nodes->items[i];
        }
        nodes->n = n + 1;
}

/* The node with a number, or NULL if it is none of this GPU's. */
const Node *nodes_find(const Nodes *nodes, mode_t type, dev_t rdev) {
        Node wanted = { .type = type, .rdev = rdev };

        return nodes->n == 0 ? NULL
                             : bsearch(&wanted, nodes->items, nodes->n, sizeof(*nodes->items),
                                               compare_nodes);
}

/* Likewise by name, which proves less. */
const Node *nodes_find_name(const Nodes *nodes, const char *name, size_t n) {
        for (size_t i = 0; i < nodes->n; ++i)
                if (strlen(nodes->items[i].name) == n && !memcmp(nodes->items[i].name, name, n))
                        return &nodes->items[i];
        return NULL;
}

/**
 * nodes_find_vfio() - whose is an open device of VFIO?
 * @nodes:      nodes
 * @path:       the device's path as VFIO tells it, or NULL: not told
 *
 * Such a file has no node of its own. Kernels of late tell which device it is;
 * elsewhere it must be of this GPU if all that VFIO has belongs to it.
 *
 * Return: a node that it was got through, or NULL if it is not of this GPU, or if
 *         that cannot be told.
 */
const Node *nodes_find_vfio(const Nodes *nodes, const char *path) {
        const char *slash = path ? strrchr(path, '/') : NULL;
        Address address;

        if (slash && address_parse(slash + 1, &address) == 0) {
                if (!address_same_slot(address, nodes->gpu))
                        return NULL;
        } else if (!nodes->has_all_vfio) {
                return NULL;
        }

        for (size_t i = 0; i < nodes->n; ++i)
                if (text_starts_with(nodes->items[i].name, "vfio/", NULL))
                        return &nodes->items[i];
        return NULL;
}
