/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * All that the kernel has made of a device is below it in sysfs (KERNEL.md 1.17, 10.1). What is on a
 * disk is found the other way round: by its number among the mounted file systems and by its
 * name among the areas of swap, for itself and for all that is made of it (device mapper, RAID,
 * bcache), which is linked from its folder "holders". The mounts of containers are not among ours:
 * most file systems have a folder in sysfs, or in procfs for their journal, wherever they are mounted.
 * One that has none may be in use without any sign; so no disk is ever said to be free.
 *
 * Nothing here opens a node or wakes a device: the attributes are all kept by the kernel.
 */

#include <dirent.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "model/device.h"
#include "probe/carries.h"

/* LVM on LUKS on RAID is three. */
#define HOLDERS_DEPTH_MAX 8U

/* A line for each mount: a host of many containers has thousands. */
#define MOUNTS_MAX (4U * 1024 * 1024)
#define SWAPS_MAX  65536U

enum {
        HAS_DEV,
        HAS_SIZE,      /* of a disk or partition */
        HAS_HIDDEN,    /* of a disk: whether it is one of several paths to another */
        HAS_OPERSTATE, /* of a network interface */
        HAS_DEVPATH,   /* of a USB device */
        HAS_UNIQUE_ID, /* of a host of SCSI or ATA */
        HAS_NODE_GUID, /* of an RDMA device, like "mlx5_0" */
        HAS_VIRTFN,    /* of a function with virtual ones */
        HAS_MDEV_TYPE, /* of a mediated device */
};

static const char *const wanted[] = {
        [HAS_DEV] = "dev",
        [HAS_SIZE] = "size",
        [HAS_HIDDEN] = "hidden",
        [HAS_OPERSTATE] = "operstate",
        [HAS_DEVPATH] = "devpath",
        [HAS_UNIQUE_ID] = "unique_id",
        [HAS_NODE_GUID] = "node_guid",
        [HAS_VIRTFN] = "virtfn0",
        [HAS_MDEV_TYPE] = "mdev_type",
};

typedef enum Load {
        LOAD_ROOT,
        LOAD_MOUNT,
        LOAD_SWAP,
        LOAD_HELD,
        LOAD_NETWORK,
        LOAD_INPUT,
        LOAD_USB,
        LOAD_VIRTUAL,
        LOAD_MEDIATED,
        LOAD_UNKNOWN,
        LOAD_DISK, /* from here on, nobody is known to need it now */
        _LOAD_MAX,
} Load;

typedef struct Look {
        const Roots *roots;
        char *mounts; /* /proc/self/mountinfo, once it was asked for */
        char *swaps;
        bool carried[_LOAD_MAX];
        char *names[_LOAD_MAX]; /* one of each, or NULL */
        unsigned int seen;      /* HAS_*, as bits */
} Look;

static void look_deinit(Look *look) {
        for (size_t i = 0; i < _LOAD_MAX; ++i)
                free(look->names[i]);
        free(look->mounts);
        free(look->swaps);
}

/* Of several names the first by the alphabet is told: a directory has no order. */
static int push(Look *look, Load load, const char *name) {
        char **first = &look->names[load];

        look->carried[load] = true;
        if (!name || (*first && strcmp(*first, name) <= 0))
                return 0;
        free(*first);
        *first = strdup(name);
        return *first ? 0 : -ENOMEM;
}

/* disks */

/* The next field of a line of mountinfo, which are separated by single blanks. */
static const char *next_field(char **rest) {
        const char *field = strsep(rest, " ");

        return field ?: "";
}

/* Whether "/dev/sda2", or one of "/dev/sda2:/dev/sdb2", is the disk @name. */
static bool is_source(const char *source, const char *name, const char *mapped) {
        size_t n;

        for (const char *s = source; *s; s += n + (s[n] == ':')) {
                const char *rest = s;

                n = strcspn(s, ":");
                if (!text_starts_with(s, "/dev/", &rest))
                        continue;
                n = strcspn(rest, ":") + (rest - s);
                if (strlen(name) == n - (rest - s) && !memcmp(rest, name, strlen(name)))
                        return true;
                if (mapped && text_starts_with(rest, "mapper/", &rest) &&
                                strlen(mapped) == n - (rest - s) &&
                                !memcmp(rest, mapped, strlen(mapped)))
                        return true;
        }
        return false;
}

/*
 * An option that names a disk, such as logdev= of XFS. A name that is only a link to one may be any.
 */
static int look_at_options(Look *look,
                char *options,
                const char *where,
                const char *name,
                const char *mapped) {
        int r = 0;

        for (char *option; (option = strsep(&options, ",")) && r >= 0;) {
                const char *value = strchr(option, '='), *rest;

                if (!value || !text_starts_with(value, "=/dev/", &rest))
                        continue;
                if (is_source(value + 1, name, mapped))
                        r = push(look, LOAD_MOUNT, where);
                else if (strchr(rest, '/') && !text_starts_with(rest, "mapper/", NULL))
                        r = push(look, LOAD_UNKNOWN, NULL);
        }
        return r;
}

/*
 * One mounted file system. One of btrfs, ZFS or bcachefs has a number of its own, and may be on
 * more disks than the one that it is called after; where ZFS's are is told nowhere in sysfs.
 */
static int look_at_mount(
                Look *look, char *line, const char *number, const char *name, const char *mapped) {
        const char *where, *type, *source;
        char *rest = line;
        bool on_it;

        (void) next_field(&rest);
        (void) next_field(&rest);
        on_it = !strcmp(next_field(&rest), number);
        (void) next_field(&rest);
        where = next_field(&rest);
        while (rest && strcmp(next_field(&rest), "-") != 0)
                ;
        type = next_field(&rest);
        source = next_field(&rest);

        if (on_it || is_source(source, name, mapped))
                return !strcmp(where, "/") ? push(look, LOAD_ROOT, NULL)
                                           : push(look, LOAD_MOUNT, where);
        if (!strcmp(type, "zfs"))
                return push(look, LOAD_UNKNOWN, NULL);
        return look_at_options(look, rest, where, name, mapped);
}

static int look_at_mounts(Look *look, const char *path, const char *number, const char *name) {
        _cleanup_(freep) char *mapped = NULL;
        _cleanup_(freep) char *lines = NULL;
        char *rest, *line;
        int r;

        if (!look->mounts) {
                r = file_read(look->roots->proc_fd, "self/mountinfo", MOUNTS_MAX, &look->mounts,
                                NULL);
                if (r == -ENOMEM)
                        return r;
                /* Then each disk may be mounted. */
                if (r)
                        return push(look, LOAD_UNKNOWN, NULL);
        }
        r = sysfs_read_at(look->roots->sysfs, path, "dm/name", &mapped);
        if (r < 0)
                return r;
        lines = strdup(look->mounts);
        if (!lines)
                return -ENOMEM;
        for (rest = lines; (line = strsep(&rest, "\n")) && r >= 0;)
                r = look_at_mount(look, line, number, name, mapped);
        return r < 0 ? r : 0;
}

/* Whether it is one of the disks of a btrfs that is mounted, which are all in one folder. */
static int look_at_btrfs(Look *look, const char *name) {
        _cleanup_(strv_freep) char **systems = NULL;
        size_t n;
        int r;

        r = sysfs_list(look->roots->sysfs, "fs/btrfs", &systems, &n);
        if (r)
                return r == SYSFS_E_MISSING ? 0 : r;
        for (size_t i = 0; i < n && r == 0; ++i) {
                _cleanup_(freep) char *device = NULL;

                device = text_format("fs/btrfs/%s/devices/%s", systems[i], name);
                if (!device)
                        return -ENOMEM;
                if (sysfs_exists(look->roots->sysfs, device))
                        r = push(look, LOAD_MOUNT, NULL);
        }
        return r;
}

/* Whether a file system is on it that is mounted anywhere, which has a folder called like the disk. */
static int look_at_file_systems(Look *look, const char *name) {
        static const char *const types[] = { "erofs", "ext4", "f2fs", "nilfs2", "xfs" };

        for (size_t i = 0; i < ARRAY_SIZE(types); ++i) {
                _cleanup_(freep) char *folder = text_format("fs/%s/%s", types[i], name);

                if (!folder)
                        return -ENOMEM;
                if (sysfs_exists(look->roots->sysfs, folder))
                        return push(look, LOAD_MOUNT, NULL);
        }
        return 0;
}

/* Whether a journal is on it: "sda2-8", or "sda2" alone for one of a file system elsewhere. */
static int look_at_journals(Look *look, const char *name) {
        _cleanup_(closedirp) DIR *dir = NULL;
        struct dirent *entry;
        const char *rest;
        int r;

        r = file_open_dirp(look->roots->proc_fd, "fs/jbd2", 0, &dir);
        if (r == FILE_E_MISSING)
                return 0;
        if (r)
                return r == -ENOMEM ? r : push(look, LOAD_UNKNOWN, NULL);
        for (errno = 0; (entry = readdir(dir)); errno = 0)
                if (text_starts_with(entry->d_name, name, &rest) && (!rest[0] || rest[0] == '-'))
                        return push(look, LOAD_MOUNT, NULL);
        return errno > 0 ? push(look, LOAD_UNKNOWN, NULL) : 0;
}

/* Its first field is the path of a node, or of a file. */
static int look_at_swaps(Look *look, const char *name) {
        int r;

        if (!look->swaps) {
                r = file_read(look->roots->proc_fd, "swaps", SWAPS_MAX, &look->swaps, NULL);
                if (r == FILE_E_MISSING)
                        return 0; /* a kernel without swap */
                if (r < 0)
                        return r;
        }
        for (const char *s = look->swaps; *s; s += strcspn(s, "\n"), s += *s == '\n') {
                size_t n = strcspn(s, " \t\n");

                if (n == strlen("/dev/") + strlen(name) && text_starts_with(s, "/dev/", NULL) &&
                                !memcmp(s + strlen("/dev/"), name, strlen(name)))
                        return push(look, LOAD_SWAP, NULL);
        }
        return 0;
}

static int look_at_disk(Look *look, const char *path, const char *name, size_t depth);

/* What is made of a disk is in use with it, whether it is mounted or not. */
static int look_at_holders(Look *look, const char *path, size_t depth) {
        _cleanup_(freep) char *folder = text_format("%s/holders", path);
        _cleanup_(strv_freep) char **names = NULL;
        size_t n;
        int r;

        if (!folder)
                return -ENOMEM;
        r = sysfs_list(look->roots->sysfs, folder, &names, &n);
        if (r)
                return r == SYSFS_E_MISSING ? 0 : r;
        for (size_t i = 0; i < n && r >= 0; ++i) {
                _cleanup_(freep) char *holder = text_format("%s/%s", folder, names[i]);

                if (!holder)
                        return -ENOMEM;
                r = push(look, LOAD_HELD, names[i]);
                if (r >= 0)
                        r = look_at_disk(look, holder, names[i], depth + 1);
        }
        return r;
}

/* A disk, or a partition. */
static int look_at_disk(Look *look, const char *path, const char *name, size_t depth) {
        _cleanup_(freep) char *number = NULL;
        _cleanup_(freep) char *size = NULL;
        int r;

        if (depth > HOLDERS_DEPTH_MAX)
                return push(look, LOAD_UNKNOWN, NULL);
        r = sysfs_read_at(look->roots->sysfs, path, "size", &size);
        if (r < 0)
                return r;
        /* A drive without a medium. */
        if (r == 0 && !strcmp(size, "0"))
                return 0;
        r = sysfs_read_at(look->roots->sysfs, path, "dev", &number);
        if (r)
                return r < 0 ? r : push(look, LOAD_UNKNOWN, NULL);

        r = push(look, LOAD_DISK, name);
        /* A pool of it need not be mounted. */
        if (r >= 0 && sysfs_exists(look->roots->sysfs, "module/zfs"))
                r = push(look, LOAD_UNKNOWN, NULL);
        if (r >= 0)
                r = look_at_mounts(look, path, number, name);
        if (r >= 0)
                r = look_at_btrfs(look, name);
        if (r >= 0)
                r = look_at_file_systems(look, name);
        if (r >= 0)
                r = look_at_journals(look, name);
        if (r >= 0)
                r = look_at_swaps(look, name);
        return r < 0 ? r : look_at_holders(look, path, depth);
}

static int look_below(void *userdata, const char *path, const char *name, unsigned int found);

/*
 * "nvme0c1n1" is one path to nvme0n1, which is not below this device and has the file systems
 * (drivers/nvme/host/multipath.c: nvme_mpath_set_disk_name()).
 */
static int look_at_path(Look *look, const char *path, const char *name) {
        _cleanup_(freep) char *hidden = NULL, *head = NULL;
        unsigned int subsystem, controller, namespace;
        int r;

        r = sysfs_read_at(look->roots->sysfs, path, "hidden", &hidden);
        if (r || strcmp(hidden, "1") != 0)
                return r < 0 ? r : 1;

        if (sscanf(name, "nvme%uc%un%u", &subsystem, &controller, &namespace) == 3) {
                head = text_format("class/block/nvme%un%u", subsystem, namespace);
                if (!head)
                        return -ENOMEM;
        }
        if (!head || !sysfs_exists(look->roots->sysfs, head))
                return push(look, LOAD_UNKNOWN, NULL);
        return sysfs_walk(look->roots->sysfs, head, wanted, ARRAY_SIZE(wanted), look_below, look);
}

/* anything */

/* Whether an interface is a part of another one: a bond, a bridge, a VLAN, a guest's macvtap. */
static int has_upper(Look *look, const char *path, bool *ret) {
        _cleanup_(strv_freep) char **names = NULL;
        size_t n;
        int r;

        *ret = false;
        r = sysfs_list(look->roots->sysfs, path, &names, &n);
        if (r < 0)
                return r;
        for (size_t i = 0; r == 0 && i < n && !*ret; ++i)
                *ret = !strcmp(names[i], "master") || text_starts_with(names[i], "upper_", NULL);
        return 0;
}

/* Up, or not told (Documentation/ABI/testing/sysfs-class-net); or the spare one of a bond. */
static int look_at_interface(Look *look, const char *path, const char *name) {
        _cleanup_(freep) char *state = NULL;
        bool needed;
        int r;

        r = sysfs_read_at(look->roots->sysfs, path, "operstate", &state);
        if (r < 0)
                return r;
        needed = r > 0 || (strcmp(state, "down") != 0 && strcmp(state, "notpresent") != 0);
        if (!needed)
                r = has_upper(look, path, &needed);
        if (r < 0)
                return r;
        return needed ? push(look, LOAD_NETWORK, name) : 0;
}

/* A root hub is the controller itself, seen from the other side. */
static int look_at_usb(Look *look, const char *path) {
        _cleanup_(freep) char *devpath = NULL;
        int r;

        r = sysfs_read_at(look->roots->sysfs, path, "devpath", &devpath);
        if (r < 0)
                return r;
        return r == 0 && !strcmp(devpath, "0") ? 0 : push(look, LOAD_USB, NULL);
}

/* A keyboard or a mouse; the plugs of a sound card are input devices as well, and are neither. */
static bool is_input(const char *path, const char *name) {
        return text_starts_with(name, "event", NULL) && strstr(path, "/input/") &&
                        !strstr(path, "/sound/");
}

static int look_below(void *userdata, const char *path, const char *name, unsigned int found) {
        Look *look = userdata;
        int r = 0;

        look->seen |= found;
        /* Guests may have them, which are not asked. */
        if (found & 1U << HAS_VIRTFN)
                r = push(look, LOAD_VIRTUAL, NULL);
        if (r >= 0 && found & 1U << HAS_MDEV_TYPE)
                r = push(look, LOAD_MEDIATED, NULL);
        if (r < 0)
                return r;
        /* It is of use to programs without any interface, or beside one that is down. */
        if (found & 1U << HAS_NODE_GUID)
                return push(look, LOAD_NETWORK, name);
        if (found & 1U << HAS_OPERSTATE)
                return look_at_interface(look, path, name);
        if (found & 1U << HAS_DEVPATH)
                return look_at_usb(look, path);
        r = 1;
        if (found & 1U << HAS_HIDDEN)
                r = look_at_path(look, path, name);
        if (r > 0 && found & 1U << HAS_SIZE)
                r = look_at_disk(look, path, name, 0);
        if (r <= 0)
                return r;
        return is_input(path, name) ? push(look, LOAD_INPUT, NULL) : 0;
}

/* words */

typedef struct Sort {
        uint32_t class, mask; /* 16 bits */
        const char *name;
        unsigned int proof; /* of HAS_*: without one of these, what it carries was not seen */
} Sort;

/* A device that is none of these may be the one that the machine hangs on. */
static const Sort sorts[] = {
        { 0x0100, 0xff00, "disk controller",
                        1U << HAS_DEV | 1U << HAS_SIZE | 1U << HAS_HIDDEN | 1U << HAS_UNIQUE_ID },
        { 0x0200, 0xff00, "network card", 1U << HAS_OPERSTATE | 1U << HAS_NODE_GUID },
        { 0x0c03, 0xffff, "USB controller", 1U << HAS_DEVPATH },
        { 0x0401, 0xffff, "sound card", 0 },
        { 0x0403, 0xffff, "sound card", 0 },
};

static int describe(const Look *look, const char *sort, char **ret) {
        static const struct {
                const char *words;
                bool has_name;
        } loads[_LOAD_MAX] = {
                [LOAD_ROOT] = { "the root file system", false },
                [LOAD_MOUNT] = { "a mounted file system", true },
                [LOAD_SWAP] = { "swap", false },
                [LOAD_HELD] = { "a part of", true },
                [LOAD_NETWORK] = { "the network", true },
                [LOAD_INPUT] = { "input devices", false },
                [LOAD_USB] = { "USB devices", false },
                [LOAD_VIRTUAL] = { "virtual functions", false },
                [LOAD_MEDIATED] = { "mediated devices", false },
                [LOAD_UNKNOWN] = { "what the host may need", false },
                [LOAD_DISK] = { "a disk", true },
        };
        _cleanup_(text_deinit) Text words = TEXT_NULL;
        bool needed = false, any = false;
        int r;

        r = text_append(&words, "%s", sort);
        for (size_t i = 0; i < _LOAD_MAX && r >= 0; ++i) {
                const char *name = loads[i].has_name ? look->names[i] : NULL;

                /* What is on a disk that is used, and what a USB device is, says more. */
                if (!look->carried[i] || (i == LOAD_DISK && needed) ||
                                (i == LOAD_USB && look->carried[LOAD_INPUT]) ||
                                (i == LOAD_HELD &&
                                                (look->carried[LOAD_ROOT] ||
                                                                look->carried[LOAD_MOUNT])))
                        continue;
                r = text_append(&words, "%s%s%s%s", any ? ", " : " with ", loads[i].words,
                                name ? " " : "", name ?: "");
                needed |= i < LOAD_DISK;
                any = true;
        }
        if (r < 0)
                return r;
        *ret = text_take(&words);
        return 0;
}

/**
 * carries_init() - find out what the host would lose with a device
 * @carries:    the answer; carries_deinit() it
 * @roots:      roots
 * @address:    of the device, which is bound to some driver
 *
 * What may not or cannot be read is no failure, but something that may be needed.
 *
 * Return: 0 on success, negative error code on failure.
 */
int carries_init(Carries *carries, const Roots *roots, Address address) {
        _cleanup_(look_deinit) Look look = { .roots = roots };
        const Sort *sort = NULL;
        char path[DEVICE_PATH_MAX];
        uint64_t class = 0;
        int r;

        *carries = (Carries){ .needed = true };
        r = sysfs_read_uint(
                        roots->sysfs, device_path(address, "class", path), 16, 0xffffff, &class);
        for (size_t i = 0; i < ARRAY_SIZE(sorts) && r == 0; ++i)
                if ((class >> 8 & sorts[i].mask) == sorts[i].class)
                        sort = &sorts[i];
        if (r == 0)
                r = sysfs_walk(roots->sysfs, device_path(address, "", path), wanted,
                                ARRAY_SIZE(wanted), look_below, &look);
        if (r == -ENOMEM)
                return r;
        if (r || !sort || (sort->proof && !(look.seen & sort->proof))) {
                r = push(&look, LOAD_UNKNOWN, NULL);
                if (r < 0)
                        return r;
        }

        carries->needed = false;
        for (size_t i = 0; i < LOAD_DISK; ++i)
                carries->needed |= look.carried[i];
        return describe(&look,
                        sort                                  ? sort->name
                                        : class >> 16 == 0x03 ? "display"
                                                              : "device",
                        &carries->what);
}

void carries_deinit(Carries *carries) {
        free(carries->what);
        *carries = (Carries){};
}

/**
 * carries_network() - does the host have network by a part of a device?
 * @roots:      roots
 * @path:       of the device, relative to the root of sysfs
 * @ret:        name of an interface that is not known to be down, or NULL; free() it
 *
 * Return: 0 on success, negative error code on failure.
 */
int carries_network(const Roots *roots, const char *path, char **ret) {
        _cleanup_(look_deinit) Look look = { .roots = roots };
        int r;

        r = sysfs_walk(roots->sysfs, path, wanted, ARRAY_SIZE(wanted), look_below, &look);
        if (r == -ENOMEM)
                return r;
        *ret = TAKE_PTR(look.names[LOAD_NETWORK]);
        return 0;
}

/**
 * carries_disk_in_use() - does the host use a disk that is part of a device?
 * @roots:      roots
 * @path:       of the device, relative to the root of sysfs
 * @ret:        whether one is mounted, or swap, or more is made of it; or whether that cannot be told
 *
 * Return: 0 on success, negative error code on failure.
 */
int carries_disk_in_use(const Roots *roots, const char *path, bool *ret) {
        _cleanup_(look_deinit) Look look = { .roots = roots };
        int r;

        r = sysfs_walk(roots->sysfs, path, wanted, ARRAY_SIZE(wanted), look_below, &look);
        if (r == -ENOMEM)
                return r;
        *ret = r || look.carried[LOAD_ROOT] || look.carried[LOAD_MOUNT] ||
                        look.carried[LOAD_SWAP] || look.carried[LOAD_HELD] ||
                        look.carried[LOAD_UNKNOWN];
        return 0;
}
