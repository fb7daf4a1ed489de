/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Names of PCI Devices
 *
 * libpci ends the process when something is wrong: its error callback must not
 * return. It is used here for its name list alone, which needs no access to any
 * device and raises no error for a list that is missing; the guard is there for
 * the day when that changes, and makes a lookup fail instead of the program.
 */

#include <pci/pci.h>
#include <setjmp.h>

#include "base/text.h"
#include "os/ids.h"

struct Ids {
        struct pci_access *access;
};

/* libpci's callback has no argument of ours: where to go on after an error. */
static jmp_buf guard;

static _noreturn_ void on_error(char *format _unused_, ...) {
        longjmp(guard, 1);
}

static void on_message(char *format _unused_, ...) {
}

/* Open the name list. It is read at the first lookup. */
int ids_new(Ids **ret_ids) {
        Ids *ids;

        ids = calloc(1, sizeof(*ids));
        if (!ids)
                return -ENOMEM;

        if (setjmp(guard)) {
                free(ids);
                return -EIO;
        }
        ids->access = pci_alloc();
        ids->access->error = on_error;
        ids->access->warning = on_message;
        ids->access->debug = on_message;

        *ret_ids = ids;
        return 0;
}

Ids *ids_free(Ids *ids) {
        if (!ids)
                return NULL;

        if (!setjmp(guard))
                pci_cleanup(ids->access);
        free(ids);
        return NULL;
}

/**
 * ids_device_name() - name of a device
 * @ids:        name list
 * @vendor:     vendor id
 * @device:     device id
 * @ret:        "Vendor Device" as lspci prints it, with ids for what is not in the
 *              list; free() it
 *
 * Return: 0 on success, negative error code on failure.
 */
int ids_device_name(Ids *ids, uint16_t vendor, uint16_t device, char **ret) {
        char buffer[512];
        const char *name;

        if (setjmp(guard))
                return -EIO;

        /* Not in udev's database as well: where there is none, libpci leaks with each name. */
        name = pci_lookup_name(ids->access, buffer, sizeof(buffer),
                        PCI_LOOKUP_VENDOR | PCI_LOOKUP_DEVICE | PCI_LOOKUP_NO_HWDB, (int) vendor,
                        (int) device);
        return text_copy(name, ret);
}
