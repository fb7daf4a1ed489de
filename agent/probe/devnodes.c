/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/text.h"
#include "model/nvidia.h"
#include "os/sysfs.h"
#include "probe/devnodes.h"

/* include/uapi/linux/major.h */
#define INPUT_MAJOR 13U

typedef struct Collector {
        DevNodes *nodes;
        Sysfs *sysfs;
        Address function;
} Collector;

void devnodes_deinit(DevNodes *nodes) {
        for (size_t i = 0; i < nodes->n; ++i)
                free(nodes->items[i].name);
        free(nodes->items);
        *nodes = (DevNodes) DEVNODES_NULL;
}

static int compare_nodes(const void *a, const void *b) {
        const DevNode *one = a, *other = b;

        if (one->type != other->type)
                return one->type < other->type ? -1 : 1;
        return (one->rdev > other->rdev) - (one->rdev < other->rdev);
}

/* Add a node at its place, unless it is there: two functions of one group both bring its node. */
static int insert(DevNodes *nodes, DevNode node) {
        DevNode *more;
        size_t i = 0;

        more = node.name ? realloc(nodes->items, (nodes->n + 1) * sizeof(*more)) : NULL;
        if (!more) {
                free(node.name);
                return -ENOMEM;
        }

        nodes->items = more;
        while (i < nodes->n && compare_nodes(&more[i], &node) < 0)
                ++i;
        if (i < nodes->n && compare_nodes(&more[i], &node) == 0) {
                free(node.name);
                return 0;
        }
        memmove(&more[i + 1], &more[i], (nodes->n++ - i) * sizeof(*more));
        more[i] = node;
        nodes->has_vfio |= text_starts_with(node.name, "vfio/", NULL);
        return 0;
}

/* "major:minor" */
static int parse_dev(const char *s, dev_t *ret) {
        size_t n = strcspn(s, ":");
        uint64_t major_number, minor_number;

        if (!s[n] || text_n_to_uint(s, n, 10, UINT32_MAX, &major_number) < 0 ||
                        text_to_uint(s + n + 1, 10, UINT32_MAX, &minor_number) < 0)
                return -EBADMSG;

        *ret = makedev((unsigned int) major_number, (unsigned int) minor_number);
        return 0;
}

/* Return: 0 on success (also if the device has gone meanwhile), or a negative error code. */
static int collect_node(
                void *userdata, const char *path, const char *name, unsigned int found _unused_) {
        _cleanup_(freep) char *dev = NULL, *uevent = NULL, *link = NULL, *subsystem = NULL;
        Collector *collector = userdata;
        DevNode node = { .type = S_IFCHR, .function = collector->function };
        const char *value;
        size_t n = 0;
        int r;

        r = sysfs_read_at(collector->sysfs, path, "dev", &dev);
        if (r)
                return r == SYSFS_E_MISSING ? 0 : r;
        r = parse_dev(dev, &node.rdev);
        if (r < 0)
                return r;

        /*
         * The jack sensors of the audio function, which logind and compositors read. Nothing
         * waits for a reader: it is told that the device has gone (evdev_disconnect()).
         */
        if (major(node.rdev) == INPUT_MAJOR)
                return 0;

        link = text_format("%s/subsystem", path);
        if (!link)
                return -ENOMEM;
        r = sysfs_link(collector->sysfs, link, &subsystem);
        if (r < 0)
                return r;
        if (r == 0 && !strcmp(subsystem, "block"))
                node.type = S_IFBLK;

        r = sysfs_read_at(collector->sysfs, path, "uevent", &uevent);
        if (r < 0)
                return r;
        value = r == 0 ? text_find_value(uevent, "DEVNAME=", &n) : NULL;
        node.name = value ? strndup(value, n) : strdup(name);
        return insert(collector->nodes, node);
}

/*
 * The GPU's own node, and that of nvidia-modeset, which does not tell which GPU it
 * is used for (KERNEL.md 1.6). Where the driver does not tell which node
 * is this GPU's, all of them count.
 */
static int add_nvidia(DevNodes *nodes, int proc_fd, Address function, bool is_bound) {
        _cleanup_(freep) char *uuid = NULL;
        int minor_number = -1, r;

        r = nvidia_read_gpu(proc_fd, function, &minor_number, &uuid);
        if (r && !is_bound)
                return 0;

        for (int i = 0; i <= NVIDIA_MINOR_MODESET; ++i) {
                DevNode node = { .type = S_IFCHR,
                        .function = function,
                        .is_shared = i == NVIDIA_MINOR_MODESET };

                if (i != NVIDIA_MINOR_MODESET &&
                                (i > NVIDIA_MINOR_GPU_MAX ||
                                                (minor_number >= 0 && i != minor_number)))
                        continue;
                node.rdev = makedev(NVIDIA_MAJOR, (unsigned int) i);
                node.name = node.is_shared ? strdup("nvidia-modeset") : text_format("nvidia%d", i);
                r = insert(nodes, node);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_function(DevNodes *nodes, const Roots *roots, const Device *function, Mode to) {
        static const char *const wanted[] = { "dev" };
        Collector collector = { nodes, roots->sysfs, function->address };
        _cleanup_(freep) char *driver = NULL;
        char path[DEVICE_PATH_MAX];
        int r;

        /* The driver that it has now: between two looks we have moved some of them ourselves. */
        r = device_read_driver(roots->sysfs, function->address, &driver);
        if (r < 0)
                return r;

        /* On the way home, only what is on vfio is going to be unbound. */
        if (to == MODE_HOST && !driver_is_vfio(roots->sysfs, driver))
                return 0;
        device_path(function->address, to == MODE_HOST ? "vfio-dev" : "", path);
        r = sysfs_walk(roots->sysfs, path, wanted, ARRAY_SIZE(wanted), collect_node, &collector);
        if (r < 0)
                return r;

        /* The node of its group, which exists while a member is bound to vfio. */
        for (int i = 0; i < 2 && function->iommu_group >= 0; ++i) {
                snprintf(path, sizeof(path), "class/vfio/%s%d", i ? "noiommu-" : "",
                                function->iommu_group);
                r = collect_node(&collector, path, path + strlen("class/"), 0);
                if (r < 0)
                        return r;
        }

        if (to == MODE_HOST || function->address.function != 0)
                return 0;
        return add_nvidia(nodes, roots->proc_fd, function->address,
                        driver && !strcmp(driver, NVIDIA_DRIVER));
}

/* Whether all that VFIO has is ours. Each of its classes has one entry for each node, of its name. */
static int find_others(DevNodes *nodes, Sysfs *sysfs) {
        static const char *const classes[] = { "class/vfio", "class/vfio-dev" };

        for (size_t i = 0; i < ARRAY_SIZE(classes); ++i) {
                _cleanup_(strv_freep) char **names = NULL;
                size_t n = 0;
                int r;

                r = sysfs_list(sysfs, classes[i], &names, &n);
                if (r < 0)
                        return r;
                for (size_t k = 0; k < n; ++k) {
                        _cleanup_(freep) char *name = NULL;

                        name = text_format("vfio/%s%s", i ? "devices/" : "", names[k]);
                        if (!name)
                                return -ENOMEM;
                        if (!devnodes_find_name(nodes, name, strlen(name)))
                                return 0;
                }
        }
        nodes->has_all_vfio = nodes->has_vfio;
        return 0;
}

/**
 * devnodes_init() - find all nodes that a GPU has at this moment
 * @nodes:      to initialise; devnodes_deinit() it
 * @roots:      roots
 * @gpu:        GPU
 * @to:         where it is to go: on the way home only VFIO's nodes matter, and
 *              those of the group
 *
 * Return: 0 on success, negative error code on failure.
 */
int devnodes_init(DevNodes *nodes, const Roots *roots, const Gpu *gpu, Mode to) {
        _cleanup_(devnodes_deinit) DevNodes found = { .gpu = gpu->address };
        int r;

        for (size_t i = 0; i < gpu->n_functions; ++i) {
                r = add_function(&found, roots, &gpu->functions[i], to);
                if (r < 0)
                        return r;
        }
        r = find_others(&found, roots->sysfs);
        if (r < 0)
                return r;

        *nodes = found;
        found = (DevNodes) DEVNODES_NULL;
        return 0;
}

/* The node with a number, or NULL if it is none of this GPU's. */
const DevNode *devnodes_find(const DevNodes *nodes, mode_t type, dev_t rdev) {
        DevNode wanted = { .type = type, .rdev = rdev };

        return nodes->n == 0 ? NULL
                             : bsearch(&wanted, nodes->items, nodes->n, sizeof(*nodes->items),
                                               compare_nodes);
}

/* Whether who has it open uses this very GPU, and not just its sound or its I2C. */
bool devnode_is_gpu(const DevNode *node) {
        return !node->is_shared &&
                        (text_starts_with(node->name, "nvidia", NULL) ||
                                        text_starts_with(node->name, "dri/", NULL));
}

/* Likewise by name, which proves less. */
const DevNode *devnodes_find_name(const DevNodes *nodes, const char *name, size_t n) {
        for (size_t i = 0; i < nodes->n; ++i)
                if (strlen(nodes->items[i].name) == n && !memcmp(nodes->items[i].name, name, n))
                        return &nodes->items[i];
        return NULL;
}

/**
 * devnodes_find_vfio() - whose is an open device of VFIO?
 * @nodes:      nodes
 * @path:       the device's path as VFIO tells it, or NULL: not told
 *
 * Such a file has no node of its own. Kernels of late tell which device it is;
 * elsewhere it must be of this GPU if all that VFIO has belongs to it.
 *
 * Return: a node that it was got through, or NULL if it is not of this GPU, or if
 *         that cannot be told.
 */
const DevNode *devnodes_find_vfio(const DevNodes *nodes, const char *path) {
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
