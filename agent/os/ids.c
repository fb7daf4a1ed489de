/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <pci/pci.h>
#include <setjmp.h>

#include "base/text.h"
#include "os/ids.h"

/* libpci's callback has no argument of ours: where to go on after an error. */
static jmp_buf guard;

static _noreturn_ void on_error(char *format _unused_, ...) {
        longjmp(guard, 1);
}

static void on_message(char *format _unused_, ...) {
}

/* Open the name list. It is read at the first lookup. */
int ids_new(Ids **ret_ids) {
        char name[] = "net.cache_name", none[] = "";
        Ids *ids = pci_alloc();

        if (!ids)
                return -ENOMEM;
        ids->error = on_error;
        ids->warning = on_message;
        ids->debug = on_message;
        /* A user's cache of names from the net is of no use here, and libpci 3.13 leaks its path. */
        if (pci_set_param(ids, name, none) < 0) {
                ids_free(ids);
                return -EIO;
        }

        *ret_ids = ids;
        return 0;
}

Ids *ids_free(Ids *ids) {
        if (ids && !setjmp(guard))
                pci_cleanup(ids);
        return NULL;
}

/*
 * "Vendor Device" as lspci prints it, with ids for what is not in the list. Return: 0, or a
 * negative error code. @ret: free() it
 */
int ids_device_name(Ids *ids, uint16_t vendor, uint16_t device, char **ret) {
        char buffer[512];
        const char *name;

        if (setjmp(guard))
                return -EIO;

        /* Not in udev's database as well: where there is none, libpci leaks with each name. */
        name = pci_lookup_name(ids, buffer, sizeof(buffer),
                        PCI_LOOKUP_VENDOR | PCI_LOOKUP_DEVICE | PCI_LOOKUP_NO_HWDB, (int) vendor,
                        (int) device);
        return text_copy(name, ret);
}
