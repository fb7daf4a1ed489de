/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "record/pin.h"
#include "vfiopt/names.h"

#define FOLDER VFIOPT_RUN_PINS

/* "0000:01:00.0-0x10de-0x2204-0x1043-0x89e5" */
#define PIN_NAME_MAX (ADDRESS_STRING_MAX + 4 * 7)

static const char *pin_name(const Device *function, char buffer[static PIN_NAME_MAX]) {
        Identity identity = function->identity;
        char address[ADDRESS_STRING_MAX];

        snprintf(buffer, PIN_NAME_MAX, "%s-0x%04x-0x%04x-0x%04x-0x%04x",
                        address_format(function->address, address), identity.vendor,
                        identity.device, identity.subsystem_vendor, identity.subsystem_device);
        return buffer;
}

/*
 * Pin a function to a vfio driver. With the card comes the module of that driver, in place of the
 * function's own (KERNEL.md 2.14); with a sibling none: it has the same identity on another card of
 * the family, which may have nvidia on function 0 (1.27). Return: 0, or negative.
 */
int pin_set(int run_fd, const Device *function, const char *driver) {
        _cleanup_(freep) char *data = NULL;
        _cleanup_(closep) int dir_fd = -1;
        char name[PIN_NAME_MAX];
        const char *rest;
        int r;

        if (!text_starts_with(function->modalias, "pci:", &rest))
                return -EBADMSG;
        data = function->address.function == 0
                        ? text_format("VFIOPT_DRIVER=%s\nVFIOPT_MODALIAS=vfio_pci:%s\n", driver,
                                          rest)
                        : text_format("VFIOPT_DRIVER=%s\n", driver);
        if (!data)
                return -ENOMEM;

        r = file_make_dir(run_fd, FOLDER, 0755, &dir_fd);
        if (r < 0)
                return r;
        return file_replace(dir_fd, pin_name(function, name), 0644, data, false);
}

/* Leave it to the kernel again. Return: 0 on success, also if it was; or a negative error code. */
int pin_clear(int run_fd, const Device *function) {
        _cleanup_(closep) int dir_fd = -1;
        char name[PIN_NAME_MAX];
        int r;

        r = file_open_dir(run_fd, FOLDER, &dir_fd);
        if (r)
                return r == FILE_E_MISSING ? 0 : r;

        r = file_remove(dir_fd, pin_name(function, name));
        return r == FILE_E_MISSING ? 0 : r;
}

/* Pin all functions: function 0 for @vfio_driver (NULL: vfio-pci), the others for that. */
int pins_set(int run_fd, const Gpu *gpu, const char *vfio_driver) {
        int r = 0;

        for (size_t i = 0; i < gpu->n_functions; ++i)
                error_gather(&r,
                                pin_set(run_fd, &gpu->functions[i],
                                                i == 0 && vfio_driver ? vfio_driver : "vfio-pci"));
        return r;
}

/* Leave all of them to the kernel. */
int pins_clear(int run_fd, const Gpu *gpu) {
        int r = 0;

        for (size_t i = 0; i < gpu->n_functions; ++i)
                error_gather(&r, pin_clear(run_fd, &gpu->functions[i]));
        return r;
}

/* Find the functions of a card that are pinned. Return: 0 on success, negative error code. */
int pins_test(int run_fd, const Gpu *gpu, FunctionSet *ret) {
        _cleanup_(closep) int dir_fd = -1;
        FunctionSet functions = 0;
        char name[PIN_NAME_MAX];
        struct stat st;
        int r;

        r = file_open_dir(run_fd, FOLDER, &dir_fd);
        if (r < 0)
                return r;
        for (size_t i = 0; r == 0 && i < gpu->n_functions; ++i) {
                const Device *function = &gpu->functions[i];

                if (fstatat(dir_fd, pin_name(function, name), &st, AT_SYMLINK_NOFOLLOW) == 0)
                        functions |= (FunctionSet) (1U << function->address.function);
                else if (errno != ENOENT)
                        return -errno;
        }

        *ret = functions;
        return 0;
}

/* Likewise all that was ever in the slot of an address, whatever it was. */
int pins_clear_slot(int run_fd, Address address) {
        _cleanup_(closedirp) DIR *dir = NULL;
        char slot[ADDRESS_STRING_MAX];
        const struct dirent *entry;
        int r, e;

        r = file_open_dirp(run_fd, FOLDER, O_NOFOLLOW, &dir);
        if (r)
                return r == FILE_E_MISSING ? 0 : r;

        /* All but the number of the function. */
        address_format(address, slot);
        slot[strlen(slot) - 1] = 0;

        for (errno = 0; (entry = readdir(dir)); errno = 0)
                if (text_starts_with(entry->d_name, slot, NULL)) {
                        e = file_remove(dirfd(dir), entry->d_name);
                        error_gather(&r, e);
                }
        error_gather(&r, -errno);
        return r;
}
