/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Open a Function through VFIO
 *
 * Goes the way of a virtual machine monitor: the group must be viable, goes
 * into a container with an IOMMU, gives the device, and the device gives its
 * vendor and device id through the config region. What it prints:
 *
 *     group 12 viable
 *     device 0000:01:00.0 10de:2204
 *     held PID                          (with --hold)
 *
 * Exit status: 0, or 3 if the group is not viable, or 1.
 */

#include <fcntl.h>
#include <getopt.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "util.h"

enum {
        EXIT_NOT_VIABLE = 3,
};

static const char usage[] = "vfio-open [OPTION…] BDF\n\n"
                            "  --hold=group   keep only the group open, until stdin ends\n"
                            "  --hold=device  keep the device open too\n";

static int open_group(const char *bdf) {
        struct vfio_group_status status = { .argsz = sizeof(status) };
        char path[128], group[32];
        int fd;

        snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
        link_name(path, group, sizeof(group));

        snprintf(path, sizeof(path), "/dev/vfio/%s", group);
        fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0)
                die("open %s: %m", path);

        if (ioctl(fd, VFIO_GROUP_GET_STATUS, &status) < 0)
                die("group status: %m");

        if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE)) {
                say("group %s not viable", group);
                exit(EXIT_NOT_VIABLE);
        }

        say("group %s viable", group);
        return fd;
}

static int open_device(int group_fd, const char *bdf) {
        int container_fd, fd;

        container_fd = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
        if (container_fd < 0)
                die("open /dev/vfio/vfio: %m");

        if (ioctl(group_fd, VFIO_GROUP_SET_CONTAINER, &container_fd) < 0)
                die("set container: %m");

        if (ioctl(container_fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0)
                die("set IOMMU: %m");

        fd = ioctl(group_fd, VFIO_GROUP_GET_DEVICE_FD, bdf);
        if (fd < 0)
                die("get device %s: %m", bdf);
        return fd;
}

static void print_ids(int device_fd, const char *bdf) {
        struct vfio_region_info region = {
                .argsz = sizeof(region),
                .index = VFIO_PCI_CONFIG_REGION_INDEX,
        };
        uint16_t ids[2];

        if (ioctl(device_fd, VFIO_DEVICE_GET_REGION_INFO, &region) < 0)
                die("config region: %m");

        if (pread(device_fd, ids, sizeof(ids), region.offset) != sizeof(ids))
                die("read config region: %m");

        say("device %s %04x:%04x", bdf, ids[0], ids[1]);
}

int main(int argc, char **argv) {
        static const struct option longs[] = {
                { "hold", required_argument, NULL, 'H' },
                { "help", no_argument, NULL, 'h' },
                {},
        };
        const char *hold = "", *bdf;
        int c, group_fd;

        while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
                switch (c) {
                case 'H':
                        hold = optarg;
                        break;
                case 'h':
                        fputs(usage, stdout);
                        return EXIT_SUCCESS;
                default:
                        return 2;
                }
        }
        if (optind + 1 != argc)
                die("one address is needed");
        bdf = argv[optind];

        group_fd = open_group(bdf);
        if (strcmp(hold, "group") != 0)
                print_ids(open_device(group_fd, bdf), bdf);

        if (*hold) {
                say("held %d", getpid());
                wait_for_end();
        }
        return EXIT_SUCCESS;
}
