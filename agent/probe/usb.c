/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * USB
 *
 * The USB controller on the card has a Type-C port. When it is unbound, all that
 * is plugged in there is disconnected, a mounted disk included; nothing waits, and
 * nothing asks (drivers/usb/core/hcd-pci.c: usb_hcd_pci_remove()).
 */

#include <string.h>

#include "base/text.h"
#include "os/sysfs.h"
#include "probe/usb.h"

/* PCI class of USB controllers. */
#define PCI_CLASS_USB 0x0c03U

typedef struct Context {
        Sysfs *sysfs;
        Address function;
        Findings *findings;
} Context;

static int read_attribute(Sysfs *sysfs, const char *path, const char *name, char **ret) {
        _cleanup_(freep) char *attribute = NULL;
        int r;

        attribute = text_format("%s/%s", path, name);
        if (!attribute)
                return -ENOMEM;

        /* It may be pulled out while we read. */
        r = sysfs_read(sysfs, attribute, ret);
        return r < 0 && r != -ENODEV ? r : 0;
}

/* "maker product" in the device's own words, or its id. What it says may be anything. */
static int read_product(Sysfs *sysfs, const char *path, const char *name, char **ret) {
        _cleanup_(freep) char *maker = NULL, *product = NULL, *vendor_id = NULL, *product_id = NULL;
        char *text;
        int r;

        r = read_attribute(sysfs, path, "manufacturer", &maker);
        if (r >= 0)
                r = read_attribute(sysfs, path, "product", &product);
        if (r >= 0)
                r = read_attribute(sysfs, path, "idVendor", &vendor_id);
        if (r >= 0)
                r = read_attribute(sysfs, path, "idProduct", &product_id);
        if (r < 0)
                return r;

        if (product && product[0] && text_is_printable(product))
                text = maker && maker[0] && text_is_printable(maker)
                                ? text_format("%s %s", maker, product)
                                : strdup(product);
        else if (vendor_id && product_id)
                text = text_format("%s:%s", vendor_id, product_id);
        else
                text = strdup(name);
        if (!text)
                return -ENOMEM;

        *ret = text;
        return 0;
}

static int check_usb_device(
                void *userdata, const char *path, const char *name, unsigned int found) {
        _cleanup_(freep) char *devpath = NULL;
        Context *context = userdata;
        Finding *finding;
        int r;

        (void) found;
        r = read_attribute(context->sysfs, path, "devpath", &devpath);
        if (r < 0)
                return r;
        /* A root hub is the controller itself, seen from the other side. */
        if (!devpath || !strcmp(devpath, "0"))
                return 0;

        r = findings_push(context->findings, FINDING_USB, context->function, &finding);
        if (r < 0)
                return r;
        return read_product(context->sysfs, path, name, &finding->detail);
}

/**
 * usb_check() - is something plugged into a card's own USB port?
 * @sysfs:      where from
 * @gpu:        GPU
 * @findings:   where to add FINDING_USB, for each device
 *
 * Return: 0 on success, negative error code on failure.
 */
int usb_check(Sysfs *sysfs, const Gpu *gpu, Findings *findings) {
        static const char *const wanted[] = { "devpath" };
        int r;

        for (size_t i = 0; i < gpu->n_functions; ++i) {
                const Device *function = &gpu->functions[i];
                Context context = { sysfs, function->address, findings };
                char path[DEVICE_PATH_MAX];

                if (function->class >> 8 != PCI_CLASS_USB)
                        continue;
                r = sysfs_walk(sysfs, device_path(function->address, "", path), wanted,
                                ARRAY_SIZE(wanted), check_usb_device, &context);
                if (r < 0)
                        return r;
        }
        return 0;
}
