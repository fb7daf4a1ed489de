/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Collecting Nodes
 *
 * Found from below, not from a list of what is known: whatever the kernel made
 * under one of the functions and gave a device number counts (DRM, sound, I2C,
 * framebuffer, DP AUX, VFIO, …), because most of these wait in remove() for
 * their last user. NVIDIA's own nodes are under no device and are added by number.
 *
 * Nothing here opens a node: the first to open a DRM card becomes its master.
 */

#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/text.h"
#include "os/sysfs.h"
#include "probe/collect.h"
#include "probe/nvidia.h"

/* include/uapi/linux/major.h */
#define INPUT_MAJOR 13U

typedef struct Collector {
        Nodes *nodes;
        Sysfs *sysfs;
        Address function;
} Collector;

/* "major:minor" */
static int parse_dev(const char *s, dev_t *ret) {
        const char *colon = strchr(s, ':');
        uint64_t major_number, minor_number;
        int r;

        if (!colon)
                return -EBADMSG;
        r = text_n_to_uint(s, colon - s, 10, UINT32_MAX, &major_number);
        if (r >= 0)
                r = text_to_uint(colon + 1, 10, UINT32_MAX, &minor_number);
        if (r < 0)
                return -EBADMSG;

        *ret = makedev((unsigned int) major_number, (unsigned int) minor_number);
        return 0;
}

/* The value of DEVNAME in a device's environment, or @fallback where there is none. */
static int read_name(Sysfs *sysfs, const char *path, const char *fallback, char **ret) {
        _cleanup_(freep) char *attribute = NULL, *uevent = NULL;
        const char *line;
        char *name;
        int r;

        attribute = text_format("%s/uevent", path);
        if (!attribute)
                return -ENOMEM;
        r = sysfs_read(sysfs, attribute, &uevent);
        if (r < 0 && r != -ENODEV)
                return r;

        line = r == 0 ? strstr(uevent, "DEVNAME=") : NULL;
        if (line && (line == uevent || line[-1] == '\n')) {
                line += strlen("DEVNAME=");
                name = strndup(line, strcspn(line, "\n"));
        } else {
                name = strdup(fallback);
        }
        if (!name)
                return -ENOMEM;

        *ret = name;
        return 0;
}

/* Return: 0 on success (also if the device has gone meanwhile), or a negative error code. */
static int collect_node(void *userdata, const char *path, const char *name, unsigned int found) {
        _cleanup_(freep) char *attribute = NULL, *dev = NULL, *subsystem = NULL;
        Collector *collector = userdata;
        char *node_name;
        dev_t rdev;
        int r;

        (void) found;
        attribute = text_format("%s/dev", path);
        if (!attribute)
                return -ENOMEM;
        r = sysfs_read(collector->sysfs, attribute, &dev);
        if (r)
                return r == SYSFS_E_MISSING || r == -ENODEV ? 0 : r;
        r = parse_dev(dev, &rdev);
        if (r < 0)
                return r;

        /*
         * The jack sensors of the audio function. Who reads them is told that the
         * device has gone, and nothing waits for him (evdev_disconnect()); logind and
         * compositors do read them.
         */
        if (major(rdev) == INPUT_MAJOR)
                return 0;

        free(attribute);
        attribute = text_format("%s/subsystem", path);
        if (!attribute)
                return -ENOMEM;
        r = sysfs_link(collector->sysfs, attribute, &subsystem);
        if (r < 0)
                return r;
        r = read_name(collector->sysfs, path, name, &node_name);
        if (r < 0)
                return r;

        return nodes_add(collector->nodes,
                        subsystem && !strcmp(subsystem, "block") ? S_IFBLK : S_IFCHR, rdev,
                        collector->function, node_name);
}

static int add_subtree(Nodes *nodes, Sysfs *sysfs, Address function, const char *below) {
        static const char *const wanted[] = { "dev" };
        Collector collector = { .nodes = nodes, .sysfs = sysfs, .function = function };
        char path[DEVICE_PATH_MAX];

        return sysfs_walk(sysfs, device_path(function, below, path), wanted, ARRAY_SIZE(wanted),
                        collect_node, &collector);
}

/* The node of the function's group, which exists while a member is bound to vfio. */
static int add_group(Nodes *nodes, Sysfs *sysfs, const Device *function) {
        static const char *const formats[] = { "class/vfio/%d", "class/vfio/noiommu-%d" };
        Collector collector = { .nodes = nodes, .sysfs = sysfs, .function = function->address };
        char path[DEVICE_PATH_MAX], name[DEVICE_PATH_MAX];
        int r;

        if (function->iommu_group < 0)
                return 0;

        for (size_t i = 0; i < ARRAY_SIZE(formats); ++i) {
                snprintf(path, sizeof(path), i == 0 ? "class/vfio/%d" : "class/vfio/noiommu-%d",
                                function->iommu_group);
                snprintf(name, sizeof(name), "%s", path + strlen("class/"));
                r = collect_node(&collector, path, name, 0);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_nvidia_node(Nodes *nodes, Address function, unsigned int number) {
        char *name;

        name = number == NVIDIA_MINOR_MODESET ? strdup("nvidia-modeset")
                                              : text_format("nvidia%u", number);
        return nodes_add(nodes, S_IFCHR, makedev(NVIDIA_MAJOR, number), function, name);
}

/*
 * The GPU's own node, and that of nvidia-modeset, which does not tell which GPU it
 * is used for and hence counts for each. Where the driver does not tell which node
 * is this GPU's, all of them count.
 */
static int add_nvidia(Nodes *nodes, int proc_fd, Address function, bool is_bound) {
        unsigned int first = 0, last = NVIDIA_MINOR_GPU_MAX;
        NvidiaGpu info = NVIDIA_GPU_NULL;
        int r;

        r = nvidia_gpu_init(&info, proc_fd, function);
        if (r < 0 && !is_bound)
                return 0;
        if (r == NVIDIA_E_MISSING && !is_bound)
                return 0;
        if (r == 0 && info.minor >= 0)
                first = last = (unsigned int) info.minor;
        nvidia_gpu_deinit(&info);

        for (unsigned int number = first; number <= last; ++number) {
                r = add_nvidia_node(nodes, function, number);
                if (r < 0)
                        return r;
        }
        return add_nvidia_node(nodes, function, NVIDIA_MINOR_MODESET);
}

/*
 * Does VFIO have nothing but what is this GPU's? Each of its classes has one entry
 * for each node, of the same name.
 */
static int find_others(Nodes *nodes, Sysfs *sysfs) {
        static const struct {
                const char *class;
                const char *prefix;
        } classes[] = {
                { "class/vfio", "vfio" },
                { "class/vfio-dev", "vfio/devices" },
        };
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(classes); ++i) {
                _cleanup_(strv_freep) char **names = NULL;
                size_t n = 0;

                r = sysfs_list(sysfs, classes[i].class, &names, &n);
                if (r < 0)
                        return r;
                for (size_t k = 0; k < n; ++k) {
                        _cleanup_(freep) char *name = NULL;

                        name = text_format("%s/%s", classes[i].prefix, names[k]);
                        if (!name)
                                return -ENOMEM;
                        if (!nodes_find_name(nodes, name, strlen(name)))
                                return 0;
                }
        }
        nodes->has_all_vfio = nodes->has_vfio;
        return 0;
}

static int collect_function(Nodes *nodes,
                const Roots *roots,
                const Device *function,
                Mode to,
                bool is_display) {
        _cleanup_(freep) char *driver = NULL;
        int r;

        /* Which one it has now: between two looks we have moved some of them ourselves. */
        r = device_read_driver(roots->sysfs, function->address, &driver);
        if (r < 0)
                return r;

        /* On the way home, only what is on vfio is going to be unbound. */
        if (to == MODE_HOST && !driver_is_vfio(roots->sysfs, driver))
                return 0;
        r = add_subtree(nodes, roots->sysfs, function->address, to == MODE_HOST ? "vfio-dev" : "");
        if (r >= 0)
                r = add_group(nodes, roots->sysfs, function);
        if (r >= 0 && to != MODE_HOST && is_display)
                r = add_nvidia(nodes, roots->proc_fd, function->address,
                                driver && !strcmp(driver, NVIDIA_DRIVER));
        return r;
}

static int collect(Nodes *nodes, const Roots *roots, const Gpu *gpu, Mode to) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < gpu->n_functions; ++i)
                r = collect_function(nodes, roots, &gpu->functions[i], to, i == 0);
        return r;
}

/**
 * collect_nodes() - find all nodes of a GPU
 * @nodes:      to initialise; nodes_deinit() it
 * @roots:      roots
 * @gpu:        GPU
 * @to:         where it is to go: on the way home only VFIO's nodes matter, and
 *              those of the group
 *
 * Return: 0 on success, negative error code on failure.
 */
int collect_nodes(Nodes *nodes, const Roots *roots, const Gpu *gpu, Mode to) {
        int r;

        *nodes = (Nodes) NODES_NULL;
        nodes->gpu = gpu->address;

        r = collect(nodes, roots, gpu, to);
        if (r >= 0) {
                nodes_sort(nodes);
                r = find_others(nodes, roots->sysfs);
        }
        if (r < 0)
                nodes_deinit(nodes);
        return r;
}
