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

/* Parse a mode that can be asked for, or "unset". Return: 0 on success, -EINVAL otherwise. */
int mode_parse_wish(const char *s, Mode *ret) {
        if (strcmp(s, mode_names[MODE_UNSET]) != 0)
                return mode_from_string(s, ret);
        *ret = MODE_UNSET;
        return 0;
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
        Device device, *more;
        int r;

        r = device_init(&device, sysfs, address);
        if (r)
                return r;

        /* A virtual function may come to lie in our slot; it belongs to its physical one. */
        if (device.is_virtual) {
                device_deinit(&device);
                return 0;
        }

        more = realloc(gpu->functions, (gpu->n_functions + 1) * sizeof(*more));
        if (!more) {
                device_deinit(&device);
                return -ENOMEM;
        }
        gpu->functions = more;
        gpu->functions[gpu->n_functions++] = device;
        return 0;
}

static Mode gpu_mode(const Gpu *gpu, Sysfs *sysfs) {
        size_t n_vfio = 0;

        for (size_t i = 0; i < gpu->n_functions; ++i)
                n_vfio += driver_is_vfio(sysfs, gpu->functions[i].driver);

        return n_vfio == 0 ? MODE_HOST : n_vfio == gpu->n_functions ? MODE_PASSTHROUGH : MODE_MIXED;
}

/**
 * gpu_init() - read a GPU with all its functions
 * @gpu:        to initialise; gpu_deinit() it
 * @sysfs:      where from
 * @address:    any address in its slot
 *
 * Return: 0 on success, GPU_E_NONE if there is no NVIDIA GPU in that slot,
 *         negative error code on failure.
 */
int gpu_init(Gpu *gpu, Sysfs *sysfs, Address address) {
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

        gpu->mode = gpu_mode(gpu, sysfs);
        return 0;
}

/**
 * gpu_refresh() - read a GPU anew
 * @gpu:        which; unchanged on failure
 * @sysfs:      where from
 *
 * Return: 0 on success, -ENODEV if it is not there any more, other negative error code on
 *         failure.
 */
int gpu_refresh(Gpu *gpu, Sysfs *sysfs) {
        Gpu fresh;
        int r;

        r = gpu_init(&fresh, sysfs, gpu->address);
        if (r)
                return r < 0 ? r : -ENODEV;

        fresh.managed = gpu->managed;
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
