/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * GPUs
 *
 * The display function is function 0 of its slot, and every other function of
 * that slot is part of the card, whoever made it: they share one link, one reset
 * and one IOMMU group. The mode is what sysfs shows at this moment, never what
 * somebody remembers.
 */

#include <string.h>

#include "base/text.h"
#include "model/gpu.h"
#include "os/child.h"

static const char *const mode_names[_MODE_MAX] = {
        [MODE_UNSET] = "unset",
        [MODE_HOST] = "host",
        [MODE_PASSTHROUGH] = "passthrough",
        [MODE_MIXED] = "mixed",
};

const char *mode_to_string(Mode mode) {
        return mode < _MODE_MAX ? mode_names[mode] : "unknown";
}

/* Parse a mode that can be asked for. Return: 0 on success, -EINVAL otherwise. */
int mode_from_string(const char *s, Mode *ret) {
        for (Mode mode = MODE_HOST; mode <= MODE_PASSTHROUGH; ++mode)
                if (!strcmp(s, mode_names[mode])) {
                        *ret = mode;
                        return 0;
                }
        return -EINVAL;
}

/* Whether a GPU that is in @mode is where @wish wants it; MODE_UNSET wants nothing. */
bool mode_fulfils(Mode wish, Mode mode) {
        return wish == MODE_UNSET || wish == mode;
}

static int parse_word(const char *s, void *ret) {
        return mode_from_string(s, ret);
}

static int parse_seen_word(const char *s, void *ret) {
        for (Mode mode = MODE_HOST; mode < _MODE_MAX; ++mode)
                if (!strcmp(s, mode_names[mode])) {
                        *(Mode *) ret = mode;
                        return 0;
                }
        return -EINVAL;
}

static void format_word(const void *value, char *buffer, size_t n) {
        Mode mode = *(const Mode *) value;

        snprintf(buffer, n, "%s", mode == MODE_UNSET ? "" : mode_to_string(mode));
}

const CodecWord mode_word = { .parse = parse_word, .format = format_word };
const CodecWord mode_seen_word = { .parse = parse_seen_word, .format = format_word };

/* Whether this is the display function of an NVIDIA card (and no virtual function). */
bool device_is_gpu(const Device *device) {
        uint32_t class = device->class >> 8;

        return device->identity.vendor == PCI_VENDOR_NVIDIA &&
                        (class == PCI_CLASS_VGA || class == PCI_CLASS_3D) && !device->is_virtual &&
                        device->address.function == 0;
}

static int gpu_add_function(Gpu *gpu, Sysfs *sysfs, Address address) {
        _cleanup_(device_deinit) Device device = DEVICE_NULL;
        Device *more;
        int r;

        r = device_init(&device, sysfs, address);
        /* A virtual function may come to lie in our slot; it belongs to its physical one. */
        if (r || device.is_virtual)
                return r;
        more = reallocarray(gpu->functions, gpu->n_functions + 1, sizeof(*more));
        if (!more)
                return -ENOMEM;
        gpu->functions = more;
        gpu->functions[gpu->n_functions++] = device;
        device = (Device) DEVICE_NULL;
        return 0;
}

/*
 * Read a GPU with all its functions, by any address in its slot; gpu_deinit() it.
 *
 * Return: 0 on success, GPU_E_NONE if there is no NVIDIA GPU in that slot,
 *         negative error code on failure.
 */
int gpu_init(Gpu *gpu, Sysfs *sysfs, Address address) {
        size_t n_vfio = 0;
        int r;

        *gpu = (Gpu){ .address = address_of_function(address, 0) };

        for (uint8_t function = 0; function < 8; ++function) {
                r = gpu_add_function(gpu, sysfs, address_of_function(address, function));
                if (r < 0) {
                        gpu_deinit(gpu);
                        return r;
                }
                if (function == 0 && (r || !gpu->n_functions || !device_is_gpu(gpu->functions))) {
                        gpu_deinit(gpu);
                        return GPU_E_NONE;
                }
        }

        r = device_read_location(sysfs, gpu->address, &gpu->location);
        if (r) {
                gpu_deinit(gpu);
                return r < 0 ? r : GPU_E_NONE;
        }
        for (size_t i = 0; i < gpu->n_functions; ++i)
                n_vfio += driver_is_vfio(sysfs, gpu->functions[i].driver);
        gpu->mode = n_vfio == 0                      ? MODE_HOST
                        : n_vfio == gpu->n_functions ? MODE_PASSTHROUGH
                                                     : MODE_MIXED;
        return 0;
}

/*
 * Read a GPU anew; unchanged on failure. Return: 0 on success, -ENODEV if it is not there any
 * more, other negative error code on failure.
 */
int gpu_refresh(Gpu *gpu, Sysfs *sysfs) {
        Gpu fresh;
        int r;

        r = gpu_init(&fresh, sysfs, gpu->address);
        if (r)
                return r < 0 ? r : -ENODEV;

        fresh.boots_machine = gpu->boots_machine;
        fresh.is_boot_display = gpu->is_boot_display;
        gpu_deinit(gpu);
        *gpu = fresh;
        return 0;
}

void gpu_deinit(Gpu *gpu) {
        for (size_t i = 0; i < gpu->n_functions; ++i)
                device_deinit(&gpu->functions[i]);
        free(gpu->functions);
        *gpu = (Gpu){};
}

/* The function at an address, or NULL if it is none of this GPU's. */
const Device *gpu_find_function(const Gpu *gpu, Address address) {
        for (size_t i = 0; i < gpu->n_functions; ++i)
                if (!address_compare(gpu->functions[i].address, address))
                        return &gpu->functions[i];
        return NULL;
}

/* Whether some function of one is in an IOMMU group with some function of the other. */
bool gpu_shares_group(const Gpu *a, const Gpu *b) {
        for (size_t i = 0; i < a->n_functions; ++i)
                for (size_t k = 0; k < b->n_functions; ++k)
                        if (a->functions[i].iommu_group >= 0 &&
                                        a->functions[i].iommu_group == b->functions[k].iommu_group)
                                return true;
        return false;
}

/*
 * overrides
 *
 * Reading driver_override takes the device lock on kernels before 7.0 and their
 * stable siblings (drivers/pci/pci-sysfs.c: driver_override_show()), and that lock
 * is held for as long as a driver's probe() or remove() runs. Hence a child reads
 * them all, and sends one line each.
 */

typedef struct OverridesOf {
        Sysfs *sysfs;
        const Gpu *gpu;
} OverridesOf;

/* One line per function: "=name", or "-" where there is none. */
static int read_overrides(void *userdata, int reply_fd) {
        const OverridesOf *asked = userdata;
        _cleanup_(text_deinit) Text lines = TEXT_NULL;
        ssize_t k;
        int r;

        for (size_t i = 0; i < asked->gpu->n_functions; ++i) {
                _cleanup_(freep) char *override = NULL;

                r = device_read_override(asked->sysfs, asked->gpu->functions[i].address, &override);
                if (r < 0)
                        return r;
                r = text_append(&lines, "%s%s\n", override ? "=" : "-", override ?: "");
                if (r < 0)
                        return r;
        }

        k = write(reply_fd, text(&lines), lines.n);
        return k < 0 ? -errno : (size_t) k == lines.n ? 0 : -EIO;
}

static int parse_overrides(char *reply, size_t n, char **overrides) {
        char *line = reply, *end;

        for (size_t i = 0; i < n; ++i, line = end + 1) {
                end = line ? strchr(line, '\n') : NULL;
                if (!end)
                        return -EBADMSG;
                *end = 0;
                if (line[0] != '=')
                        continue;
                overrides[i] = strdup(line + 1);
                if (!overrides[i])
                        return -ENOMEM;
        }
        return 0;
}

/**
 * gpu_ask_overrides() - read driver_override of each function, within a limit
 * @limit_usec: how long to wait for the kernel
 * @ret_overrides: one name per function, in order, NULL where there is none; overrides_free() it
 * @ret_reader: with GPU_E_LATE, the child that goes on waiting, to be reaped by the caller
 *
 * Return: 0 on success, GPU_E_LATE if the kernel did not answer in time, negative error code
 *         on failure.
 */
int gpu_ask_overrides(Sysfs *sysfs,
                const Gpu *gpu,
                uint64_t limit_usec,
                char ***ret_overrides,
                pid_t *ret_reader) {
        OverridesOf asked = { .sysfs = sysfs, .gpu = gpu };
        int root_fd = sysfs_root_fd(sysfs), r;
        ChildOptions options = CHILD_OPTIONS_NULL;
        ChildResult result = {};
        char **overrides = NULL;

        options.limit_usec = limit_usec;
        options.keep = &root_fd;
        options.n_keep = 1;

        r = child_run(&options, read_overrides, &asked, &result);
        if (r == 0)
                r = result.answer;
        else if (r > 0)
                r = r == CHILD_E_LATE ? GPU_E_LATE : -EIO;
        if (r == 0) {
                overrides = calloc(gpu->n_functions + 1, sizeof(*overrides));
                r = overrides ? parse_overrides(result.reply, gpu->n_functions, overrides)
                              : -ENOMEM;
        }
        free(result.reply);
        *ret_reader = r == GPU_E_LATE ? result.pid : 0;
        if (r) {
                overrides_free(overrides, gpu->n_functions);
                return r;
        }

        *ret_overrides = overrides;
        return 0;
}

/* The same, for a process that ends soon and has no use for the child that is late. */
int gpu_read_overrides(Sysfs *sysfs, const Gpu *gpu, uint64_t limit_usec, char ***ret_overrides) {
        pid_t reader;

        return gpu_ask_overrides(sysfs, gpu, limit_usec, ret_overrides, &reader);
}

/* Takes and returns NULL. */
char **overrides_free(char **overrides, size_t n) {
        if (!overrides)
                return NULL;

        for (size_t i = 0; i < n; ++i)
                free(overrides[i]);
        free(overrides);
        return NULL;
}
