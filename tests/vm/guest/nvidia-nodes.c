/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Make NVIDIA's Device Nodes
 *
 * The driver makes none: nvidia-modprobe does, a setuid program that every
 * NVIDIA library calls. This one makes the same nodes from the same two places,
 * /proc/devices for the majors and /proc/driver/nvidia/gpus for the minors of
 * the GPUs that are bound now, and takes away those of GPUs that are not.
 */

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "util.h"

#define NVIDIA_MAJOR         195
#define NVIDIA_MINOR_MAX     247
#define NVIDIA_MINOR_MODESET 254
#define NVIDIA_MINOR_CTL     255

static void make_node(const char *name, unsigned int major, unsigned int minor) {
        char path[64];

        snprintf(path, sizeof(path), "/dev/%s", name);
        if (unlink(path) < 0 && errno != ENOENT)
                die("unlink %s: %m", path);
        if (mknod(path, S_IFCHR | 0666, makedev(major, minor)) < 0)
                die("mknod %s: %m", path);
        say("%s %u:%u", path, major, minor);
}

/* The character devices come first in the file. */
static bool find_major(const char *wanted, unsigned int *ret_major) {
        unsigned int major;
        char line[128], name[64];
        bool found = false;
        FILE *f;

        f = fopen("/proc/devices", "re");
        if (!f)
                die("/proc/devices: %m");

        while (!found && fgets(line, sizeof(line), f) && strncmp(line, "Block", 5) != 0) {
                if (sscanf(line, "%u %63s", &major, name) == 2 && strcmp(name, wanted) == 0) {
                        *ret_major = major;
                        found = true;
                }
        }

        fclose(f);
        return found;
}

static bool read_minor(const char *bdf, unsigned int *ret_minor) {
        char path[128], line[256];
        bool found = false;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/driver/nvidia/gpus/%.32s/information", bdf);
        f = fopen(path, "re");
        if (!f)
                return false;

        while (!found && fgets(line, sizeof(line), f))
                found = sscanf(line, "Device Minor: %u", ret_minor) == 1;

        fclose(f);
        return found;
}

static void make_gpu_nodes(void) {
        char name[64];
        struct dirent *entry;
        unsigned int minor;
        DIR *dir;

        for (minor = 0; minor <= NVIDIA_MINOR_MAX; minor++) {
                snprintf(name, sizeof(name), "/dev/nvidia%u", minor);
                unlink(name);
        }

        dir = opendir("/proc/driver/nvidia/gpus");
        if (!dir)
                die("the nvidia module is not loaded");

        while ((entry = readdir(dir))) {
                if (entry->d_name[0] == '.' || !read_minor(entry->d_name, &minor))
                        continue;
                snprintf(name, sizeof(name), "nvidia%u", minor);
                make_node(name, NVIDIA_MAJOR, minor);
        }

        closedir(dir);
}

int main(void) {
        unsigned int major;

        umask(0);
        make_gpu_nodes();
        make_node("nvidiactl", NVIDIA_MAJOR, NVIDIA_MINOR_CTL);

        if (find_major("nvidia-modeset", &major))
                make_node("nvidia-modeset", major, NVIDIA_MINOR_MODESET);

        if (find_major("nvidia-uvm", &major)) {
                make_node("nvidia-uvm", major, 0);
                make_node("nvidia-uvm-tools", major, 1);
        }
        return EXIT_SUCCESS;
}
