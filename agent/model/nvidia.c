/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <ctype.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "model/nvidia.h"

#define UUID_DIGITS 32U

/* More are not behind each other. */
#define BRIDGES_MAX 32U

/* A version as a number that compares. */
#define VERSION(a, b, c) (UINT64_C(a) << 32 | UINT64_C(b) << 16 | UINT64_C(c))

/**
 * nvidia_version_releases_gpus() - can this driver let go of one GPU with modeset on?
 * @version:    "580.94.06", or of two parts as long ago; anything else cannot
 *
 * With modeset=1 nvidia-drm holds each GPU for as long as its DRM device exists.
 * That it gives up the one that is being unbound needs nvidia_modeset_remove() in
 * nv-pci.c and nv_drm_remove() in nvidia-drm; both are there in 580.94.06 and
 * what followed on that line (a developers' branch cut from 580), in 580.105.08
 * and later of 580, and from 590.44.01 on. They are not in 580.65 to 580.95.05,
 * nor in 575 and before: 580.95.05 is a higher number but older code, since
 * production releases did not get the change until .105.
 */
bool nvidia_version_releases_gpus(const char *version) {
        uint64_t number = 0, part;
        size_t n_parts = 0;

        do {
                size_t n = strcspn(version, ".");

                if (n_parts == 3 || text_n_to_uint(version, n, 10, UINT16_MAX, &part) < 0)
                        return false;
                number |= part << (32 - 16 * n_parts++);
                version += n;
        } while (*version++);
        if (n_parts == 1)
                return false;

        if (number >= VERSION(580, 94, 0) && number < VERSION(580, 95, 0))
                return number >= VERSION(580, 94, 6);
        if (number < VERSION(581, 0, 0))
                return number >= VERSION(580, 105, 8);
        return number >= VERSION(590, 44, 1);
}

/* Return: 0, NVIDIA_E_MISSING if the driver is not loaded, or a negative error code. */
int nvidia_read_version(Sysfs *sysfs, char **ret) {
        int r;

        r = sysfs_read(sysfs, "module/nvidia/version", ret);
        return r == SYSFS_E_MISSING ? NVIDIA_E_MISSING : r;
}

/**
 * nvidia_read_modeset() - does nvidia-drm hold the GPUs?
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

/**
 * nvidia_has_console() - may nvidia-drm have made a framebuffer for the text console?
 * @ret:        unless its parameter fbdev says that it is off; what is not told may be on
 *
 * Return: 0 on success, negative error code on failure.
 */
int nvidia_has_console(Sysfs *sysfs, bool *ret) {
        _cleanup_(freep) char *value = NULL;
        int r;

        r = sysfs_read(sysfs, "module/nvidia_drm/parameters/fbdev", &value);
        if (r == -ENOMEM)
                return r;
        *ret = r != 0 || value[0] != 'N';
        return 0;
}

/* Whether a parameter of the driver is told to be 1; @key: with its colon. */
static int read_param(int proc_fd, const char *key, bool *ret) {
        _cleanup_(freep) char *params = NULL;
        const char *value = NULL;
        size_t n = 0;
        int r;

        r = file_read(proc_fd, "driver/nvidia/params", 65536, &params, NULL);
        if (r == 0)
                value = text_find_value(params, key, &n);
        *ret = value && n == 1 && value[0] == '1';
        return r < 0 ? r : 0;
}

/* That it is the default proves nothing of a driver that does not tell. */
static int read_enable_msi(int proc_fd, bool *ret) {
        int r;

        r = read_param(proc_fd, "EnableMSI:", ret);
        return r == -ENOMEM ? r : 0;
}

static int read_command_line(int proc_fd, bool *ret) {
        _cleanup_(freep) char *line = NULL;
        int r;

        r = file_read(proc_fd, "cmdline", 65536, &line, NULL);
        *ret = r == 0 && !strstr(line, "nomsi");
        return r == -ENOMEM ? r : 0;
}

/* Of the device, and of each bridge on the way to it: behind one that has it off there are none. */
static int read_msi_bus(Sysfs *sysfs, Address address, bool *ret) {
        char path[DEVICE_PATH_MAX + 3 * BRIDGES_MAX];
        size_t n, depth = 0;
        int r;

        snprintf(path, sizeof(path), "%s", device_path(address, "", (char[DEVICE_PATH_MAX]){}));
        n = strlen(path);
        do {
                _cleanup_(freep) char *value = NULL;

                r = sysfs_read_at(sysfs, path, "msi_bus", &value);
                if (r == -ENOMEM)
                        return r;
                /* Above the last bridge is none. */
                *ret = r == 0 ? strcmp(value, "0") != 0 : r == SYSFS_E_MISSING && depth > 0;
                n += snprintf(path + n, sizeof(path) - n, "/..");
        } while (r == 0 && *ret && ++depth < BRIDGES_MAX);
        *ret = *ret && r != 0;
        return 0;
}

/**
 * nvidia_shows_start() - has a GPU message interrupts whenever it is started?
 * @address:    of its display function
 * @ret:        whether it is known that the driver, the kernel and all bridges let it have them; if
 *              so, one without any is not started (KERNEL.md 1.12)
 *
 * Return: 0 on success, also if that cannot be told; negative error code on failure.
 */
int nvidia_shows_start(const Roots *roots, Address address, bool *ret) {
        int r;

        r = read_enable_msi(roots->proc_fd, ret);
        if (r == 0 && *ret)
                r = read_command_line(roots->proc_fd, ret);
        if (r == 0 && *ret)
                r = read_msi_bus(roots->sysfs, address, ret);
        return r;
}

/* Whether NVreg_GpuInitOnProbe is set: then a GPU is started though nothing uses it. */
int nvidia_starts_on_probe(int proc_fd, bool *ret) {
        return read_param(proc_fd, "GpuInitOnProbe:", ret);
}

/**
 * nvidia_list_gpus() - which GPUs has the driver got?
 * @ret_names:  addresses of their display functions, in no order; strv_free() it
 *
 * Return: 0 on success, NVIDIA_E_MISSING if the driver is not there, negative error code on
 *         failure.
 */
int nvidia_list_gpus(int proc_fd, char ***ret_names, size_t *ret_n) {
        _cleanup_(strv_freep) char **names = calloc(1, sizeof(*names));
        _cleanup_(closedirp) DIR *dir = NULL;
        struct dirent *entry;
        size_t n = 0;
        int r;

        if (!names)
                return -ENOMEM;
        r = file_open_dirp(proc_fd, "driver/nvidia/gpus", 0, &dir);
        if (r)
                return r == FILE_E_MISSING ? NVIDIA_E_MISSING : r;
        for (errno = 0; (entry = readdir(dir)); errno = 0) {
                if (entry->d_name[0] == '.')
                        continue;
                r = strv_push(&names, &n, entry->d_name);
                if (r < 0)
                        return r;
        }
        if (errno > 0)
                return -errno;

        *ret_names = TAKE_PTR(names);
        *ret_n = n;
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

/**
 * nvidia_read_gpu() - what the driver says about a GPU
 * @address:    of its display function
 * @ret_minor:  number of its node, or -1: not told
 * @ret_uuid:   "GPU-…", or NULL: it was never started, or it is not told; free() it
 *
 * Return: 0 on success, NVIDIA_E_MISSING if it does not know this GPU, negative
 *         error code on failure.
 */
int nvidia_read_gpu(int proc_fd, Address address, int *ret_minor, char **ret_uuid) {
        _cleanup_(freep) char *information = NULL, *uuid = NULL;
        char path[64], name[ADDRESS_STRING_MAX], digits[UUID_DIGITS + 1];
        const char *value;
        uint64_t number;
        size_t n;
        int r;

        snprintf(path, sizeof(path), "driver/nvidia/gpus/%s/information",
                        address_format(address, name));
        r = file_read(proc_fd, path, 65536, &information, NULL);
        if (r)
                return r == FILE_E_MISSING ? NVIDIA_E_MISSING : r;

        /* Before its first start all digits are "?", or the line is missing. */
        value = text_find_value(information, "GPU UUID:", &n);
        uuid = strndup(value ?: "", value ? n : 0);
        if (!uuid)
                return -ENOMEM;

        value = text_find_value(information, "Device Minor:", &n);
        *ret_minor = value && text_n_to_uint(value, n, 10, NVIDIA_MINOR_GPU_MAX, &number) == 0
                        ? (int) number
                        : -1;
        *ret_uuid = uuid_digits(uuid, digits) ? TAKE_PTR(uuid) : NULL;
        return 0;
}

/**
 * nvidia_knows() - has the driver got this GPU?
 * @address:    of its display function
 * @ret:        whether it lists it, which it does from the end of its probe() to the end
 *              of its remove(): nv-procfs.c, nv_procfs_add_gpu() and _remove_gpu()
 *
 * Return: 0 on success, negative error code on failure.
 */
int nvidia_knows(int proc_fd, Address address, bool *ret) {
        char path[64], name[ADDRESS_STRING_MAX];
        bool knows;

        snprintf(path, sizeof(path), "driver/nvidia/gpus/%s", address_format(address, name));
        knows = faccessat(proc_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
        if (!knows && errno != ENOENT && errno != ENOTDIR)
                return -errno;

        *ret = knows;
        return 0;
}

/**
 * nvidia_is_started() - is the adapter started?
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
 * nvidia_is_idle() - is it known that the adapter is not started?
 * @address:    of the display function, bound to this driver
 * @ret:        whether it has no message interrupts, and would have some if it was started
 *
 * Return: 0 on success, negative error code on failure.
 */
int nvidia_is_idle(const Roots *roots, Address address, bool *ret) {
        bool started, shows = false;
        int r;

        r = nvidia_is_started(roots->sysfs, address, &started);
        if (r == 0 && !started)
                r = nvidia_shows_start(roots, address, &shows);
        *ret = r == 0 && shows;
        return r;
}

/**
 * nvidia_is_retained() - does UVM hold a GPU for some CUDA program?
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
        int r;

        if (uuid && !uuid_digits(uuid, wanted))
                return -EINVAL;

        r = file_open_dirp(proc_fd, "driver/nvidia-uvm/gpus", 0, &dir);
        if (r < 0)
                return r;
        if (r == 0) {
                for (errno = 0; (entry = readdir(dir)); errno = 0)
                        if (uuid_digits(entry->d_name, digits))
                                retained |= !uuid || !strcmp(wanted, digits);
                if (errno > 0)
                        return -errno;
        }

        *ret = retained;
        return 0;
}
