/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "record/pin.h"
#include "vfiopt/names.h"

#define FOLDER VFIOPT_RUN_PINS
#define HEAD   "VFIOPT_DRIVER=%s\nMODALIAS=\"\"\n"

/* "0000:01:00.0-10DE:2204-1043:89E5": ids as the kernel's uevent has them */
#define PIN_NAME_MAX (ADDRESS_STRING_MAX + 4 * 5)

static const char *pin_name(const Device *function, char buffer[static PIN_NAME_MAX]) {
        Identity identity = function->identity;
        char address[ADDRESS_STRING_MAX];

        snprintf(buffer, PIN_NAME_MAX, "%s-%04X:%04X-%04X:%04X",
                        address_format(function->address, address), identity.vendor,
                        identity.device, identity.subsystem_vendor, identity.subsystem_device);
        return buffer;
}

/*
 * With function 0 come the modules of its driver, in place of its own (KERNEL.md 2.14); with the others
 * comes none. So MODALIAS is empty (6.1). The others have the same ids on each card of the family, which
 * may have nvidia on function 0 (1.27): so their pins name function 0, and count beside that very one
 * only.
 */
static int
pin_set(int dir_fd, const Gpu *gpu, const Device *function, const char *driver, bool keeps_awake) {
        const char *awake = keeps_awake ? "VFIOPT_D3COLD=0\n" : "";
        _cleanup_(freep) char *data = NULL;
        char name[PIN_NAME_MAX], card[ADDRESS_STRING_MAX];
        const char *rest;

        if (!text_starts_with(function->modalias, "pci:", &rest))
                return -EBADMSG;
        if (function == gpu->functions)
                data = text_format(HEAD "VFIOPT_MODALIAS=vfio_pci:%s\n%s", driver, rest, awake);
        else
                data = text_format(HEAD "VFIOPT_CARD=%s\n%s", driver,
                                address_format(gpu->functions[0].address, card), awake);
        if (!data)
                return -ENOMEM;
        return file_replace(dir_fd, pin_name(function, name), 0644, data, false);
}

/*
 * Pin all functions of a card: function 0 for @vfio_driver (NULL: vfio-pci), the others for that, and all
 * of them to stay out of D3cold where @keeps_awake. One that fails does not keep the others from it. Return: 0, or the first negative error code.
 */
int pins_set(int run_fd, const Gpu *gpu, const char *vfio_driver, bool keeps_awake) {
        _cleanup_(closep) int dir_fd = -1;
        int r;

        r = file_make_dir(run_fd, FOLDER, 0755, &dir_fd);
        for (size_t i = 0; dir_fd >= 0 && i < gpu->n_functions; ++i)
                error_gather(&r,
                                pin_set(dir_fd, gpu, &gpu->functions[i],
                                                i == 0 && vfio_driver ? vfio_driver : "vfio-pci",
                                                keeps_awake));
        return r;
}

/* Leave all of them to the kernel again. Return: 0, also if they were; or as pins_set(). */
int pins_clear(int run_fd, const Gpu *gpu) {
        _cleanup_(closep) int dir_fd = -1;
        char name[PIN_NAME_MAX];
        int r;

        r = file_open_dir(run_fd, FOLDER, &dir_fd);
        if (r)
                return r == FILE_E_MISSING ? 0 : r;
        for (size_t i = 0; i < gpu->n_functions; ++i) {
                const int e = file_remove(dir_fd, pin_name(&gpu->functions[i], name));

                error_gather(&r, e == FILE_E_MISSING ? 0 : e);
        }
        return r;
}

/*
 * Is a card pinned, so that it comes to vfio when it is plugged again? Without its function 0 none of
 * its functions is. Return: 0 on success, negative error code on failure.
 */
int pins_test(int run_fd, const Gpu *gpu, bool *ret) {
        _cleanup_(closep) int dir_fd = -1;
        char name[PIN_NAME_MAX];
        struct stat st;
        int r;

        *ret = false;
        r = file_open_dir(run_fd, FOLDER, &dir_fd);
        if (r)
                return r == FILE_E_MISSING ? 0 : r;
        if (fstatat(dir_fd, pin_name(gpu->functions, name), &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : -errno;
        *ret = true;
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
