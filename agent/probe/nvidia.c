/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * NVIDIA's Driver
 *
 * Read from its own files in procfs and from its module's in sysfs. Nothing here
 * opens a device node or runs nvidia-smi: either would make us a user of the GPU
 * that we want to see idle, and either can hang.
 */

#include <ctype.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "probe/nvidia.h"

#define UUID_DIGITS 32U

/**
 * nvidia_version_parse() - parse the version of the driver
 * @s:          "580.94.06", or of two parts as long ago
 * @ret:        the version; a third part that is not there is 0
 *
 * Return: 0 on success, -EINVAL or -ERANGE if it is anything else.
 */
int nvidia_version_parse(const char *s, NvidiaVersion *ret) {
        NvidiaVersion version = {};
        uint64_t number;
        size_t i = 0;
        int r;

        for (;; ++i) {
                size_t n = strcspn(s, ".");

                if (i >= ARRAY_SIZE(version.parts))
                        return -EINVAL;
                r = text_n_to_uint(s, n, 10, UINT16_MAX, &number);
                if (r < 0)
                        return r;
                version.parts[i] = (unsigned int) number;
                s += n;
                if (!*s)
                        break;
                ++s;
        }
        if (i == 0)
                return -EINVAL;

        *ret = version;
        return 0;
}

/* As strcmp(3). */
int nvidia_version_compare(NvidiaVersion a, NvidiaVersion b) {
        for (size_t i = 0; i < ARRAY_SIZE(a.parts); ++i)
                if (a.parts[i] != b.parts[i])
                        return a.parts[i] < b.parts[i] ? -1 : 1;
        return 0;
}

/**
 * nvidia_version_releases_gpus() - can this driver let go of one GPU with modeset on?
 * @version:    of the driver
 *
 * With modeset=1 nvidia-drm holds each GPU for as long as its DRM device exists.
 * That it gives up the one that is being unbound needs nvidia_modeset_remove() in
 * nv-pci.c and nv_drm_remove() in nvidia-drm; both are there in 580.94.06 and
 * what followed on that line (a developers' branch cut from 580), in 580.105.08
 * and later of 580, and from 590.44.01 on. They are not in 580.65 to 580.95.05,
 * nor in 575 and before: 580.95.05 is a higher number but older code, since
 * production releases did not get the change until .105.
 */
bool nvidia_version_releases_gpus(NvidiaVersion version) {
        static const NvidiaVersion developer = { { 580, 94, 6 } };
        static const NvidiaVersion production = { { 580, 105, 8 } };
        static const NvidiaVersion next = { { 590, 44, 1 } };

        if (version.parts[0] != 580)
                return nvidia_version_compare(version, next) >= 0;
        if (version.parts[1] == 94)
                return nvidia_version_compare(version, developer) >= 0;
        return nvidia_version_compare(version, production) >= 0;
}

/* Return: 0, NVIDIA_E_MISSING if the driver is not loaded, or a negative error code. */
int nvidia_read_version(Sysfs *sysfs, char **ret) {
        int r;

        r = sysfs_read(sysfs, "module/nvidia/version", ret);
        return r == SYSFS_E_MISSING ? NVIDIA_E_MISSING : r;
}

/**
 * nvidia_read_modeset() - does nvidia-drm hold the GPUs?
 * @sysfs:      where from
 * @ret:        whether it is loaded with modeset=1
 *
 * Return: 0 on success, -EACCES without privilege, other negative error code on
 *         failure.
 */
int nvidia_read_modeset(Sysfs *sysfs, bool *ret) {
        _cleanup_(freep) char *value = NULL;
        int r;

        r = sysfs_read(sysfs, "module/nvidia_drm/parameters/modeset", &value);
        if (r < 0)
                return r;

        *ret = r == 0 && value[0] == 'Y';
        return 0;
}

/*
 * The value behind "key:" at the start of a line, without the blanks around it.
 * Return: 0 on success, NVIDIA_E_MISSING if there is no such line, or -ENOMEM.
 */
static int find_value(const char *text, const char *key, char **ret) {
        size_t n_key = strlen(key), n;
        const char *line, *end;
        char *value;

        for (line = text; *line; line = *end ? end + 1 : end) {
                end = strchrnul(line, '\n');
                if (strncmp(line, key, n_key) || line[n_key] != ':')
                        continue;

                line += n_key + 1;
                line += strspn(line, " \t");
                for (n = end - line; n > 0 && isspace((unsigned char) line[n - 1]);)
                        --n;
                value = strndup(line, n);
                if (!value)
                        return -ENOMEM;
                *ret = value;
                return 0;
        }
        return NVIDIA_E_MISSING;
}

/* Whether NVreg_GpuInitOnProbe is set: then a GPU is started without anybody using it. */
int nvidia_starts_on_probe(int proc_fd, bool *ret) {
        _cleanup_(freep) char *params = NULL, *value = NULL;
        int r;

        r = file_read(proc_fd, "driver/nvidia/params", 65536, &params, NULL);
        if (r < 0)
                return r;
        if (r == 0) {
                r = find_value(params, "GpuInitOnProbe", &value);
                if (r < 0)
                        return r;
        }

        *ret = r == 0 && !strcmp(value, "1");
        return 0;
}

/* The digits of a UUID behind whatever it is prefixed with. Return: whether it is one. */
static bool uuid_digits(const char *uuid, char digits[static UUID_DIGITS + 1]) {
        const char *s = strstr(uuid, "GPU-");
        size_t n = 0;

        if (!s)
                return false;
        for (s += 4; *s; ++s) {
                if (*s == '-')
                        continue;
                if (!isxdigit((unsigned char) *s) || n == UUID_DIGITS)
                        return false;
                digits[n++] = (char) tolower((unsigned char) *s);
        }
        digits[n] = 0;
        return n == UUID_DIGITS;
}

static int parse_information(NvidiaGpu *gpu, const char *information) {
        _cleanup_(freep) char *minor_text = NULL, *uuid = NULL;
        char digits[UUID_DIGITS + 1];
        uint64_t number;
        int r;

        r = find_value(information, "Device Minor", &minor_text);
        if (r < 0)
                return r;
        if (r == 0 && text_to_uint(minor_text, 10, NVIDIA_MINOR_GPU_MAX, &number) == 0)
                gpu->minor = (int) number;

        /* Before its first start all digits are "?", or the line is missing. */
        r = find_value(information, "GPU UUID", &uuid);
        if (r < 0)
                return r;
        if (r == 0 && uuid_digits(uuid, digits))
                gpu->uuid = TAKE_PTR(uuid);
        return 0;
}

/**
 * nvidia_gpu_init() - what the driver says about a GPU
 * @gpu:        to initialise; nvidia_gpu_deinit() it
 * @proc_fd:    root of procfs
 * @address:    of its display function
 *
 * Return: 0 on success, NVIDIA_E_MISSING if it does not know this GPU, negative
 *         error code on failure.
 */
int nvidia_gpu_init(NvidiaGpu *gpu, int proc_fd, Address address) {
        _cleanup_(freep) char *path = NULL, *information = NULL;
        char name[ADDRESS_STRING_MAX];
        int r;

        *gpu = (NvidiaGpu) NVIDIA_GPU_NULL;

        path = text_format("driver/nvidia/gpus/%s/information", address_format(address, name));
        if (!path)
                return -ENOMEM;

        r = file_read(proc_fd, path, 65536, &information, NULL);
        if (r)
                return r == FILE_E_MISSING ? NVIDIA_E_MISSING : r;

        r = parse_information(gpu, information);
        if (r < 0)
                nvidia_gpu_deinit(gpu);
        return r;
}

void nvidia_gpu_deinit(NvidiaGpu *gpu) {
        free(gpu->uuid);
        *gpu = (NvidiaGpu) NVIDIA_GPU_NULL;
}

/**
 * nvidia_knows() - has the driver got this GPU?
 * @proc_fd:    root of procfs
 * @address:    of its display function
 * @ret:        whether it lists it, which it does from the end of its probe() to the end
 *              of its remove(): nv-procfs.c, nv_procfs_add_gpu() and _remove_gpu()
 *
 * Return: 0 on success, negative error code on failure.
 */
int nvidia_knows(int proc_fd, Address address, bool *ret) {
        char path[64], name[ADDRESS_STRING_MAX];

        snprintf(path, sizeof(path), "driver/nvidia/gpus/%s", address_format(address, name));
        if (faccessat(proc_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
                if (errno != ENOENT && errno != ENOTDIR)
                        return -errno;
                *ret = false;
                return 0;
        }

        *ret = true;
        return 0;
}

/**
 * nvidia_is_started() - is the adapter started?
 * @sysfs:      where from
 * @address:    of the display function, bound to this driver
 * @ret:        whether it has message interrupts, which it gets at the first open
 *              and loses at the last close. The directory stays, so files count.
 *
 * Return: 0 on success, negative error code on failure.
 */
int nvidia_is_started(Sysfs *sysfs, Address address, bool *ret) {
        _cleanup_(strv_freep) char **names = NULL;
        char path[DEVICE_PATH_MAX];
        size_t n = 0;
        int r;

        r = sysfs_list(sysfs, device_path(address, "msi_irqs", path), &names, &n);
        if (r < 0)
                return r;

        *ret = r == 0 && n > 0;
        return 0;
}

/**
 * nvidia_is_retained() - does UVM hold a GPU for some CUDA program?
 * @proc_fd:    root of procfs
 * @uuid:       of the GPU; NULL stands for any, where we cannot tell which it is
 * @ret:        the answer
 *
 * Compared by the digits, since 535 writes "UVM-GPU-…" where later ones write
 * "GPU-…" (uvm_gpu.c: init_parent_procfs_dir()).
 *
 * Return: 0 on success, negative error code on failure.
 */
int nvidia_is_retained(int proc_fd, const char *uuid, bool *ret) {
        char wanted[UUID_DIGITS + 1], digits[UUID_DIGITS + 1];
        _cleanup_(closedirp) DIR *dir = NULL;
        struct dirent *entry;
        bool retained = false;
        int fd, r;

        if (uuid && !uuid_digits(uuid, wanted))
                return -EINVAL;

        fd = openat(proc_fd, "driver/nvidia-uvm/gpus", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) {
                if (errno != ENOENT)
                        return -errno;
                *ret = false;
                return 0;
        }
        dir = fdopendir(fd);
        if (!dir) {
                r = -errno;
                close(fd);
                return r;
        }

        for (errno = 0; (entry = readdir(dir)); errno = 0)
                if (uuid_digits(entry->d_name, digits))
                        retained |= !uuid || !strcmp(wanted, digits);
        if (errno > 0)
                return -errno;

        *ret = retained;
        return 0;
}
