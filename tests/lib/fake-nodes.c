/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Nodes below Fake Devices
 *
 * What drivers hang below their function, each with a `dev` file and a `uevent`
 * that names its node: that is where the scan for holders finds them. All of it
 * goes when the driver does.
 */

#include <string.h>

#include "base/text.h"
#include "lib/fake-tree.h"

/* A class device @path below the function, and its node below /dev. */
static void add_node(FakeTree *tree,
                const char *address,
                const char *path,
                unsigned int major,
                unsigned int minor,
                const char *node) {
        char below[FAKE_PATH_MAX], attribute[FAKE_PATH_MAX], number[32], event[128];

        snprintf(number, sizeof(number), "%u:%u", major, minor);
        snprintf(event, sizeof(event), "MAJOR=%u\nMINOR=%u\nDEVNAME=%s", major, minor, node);
        fake_device_write(tree, address, fake_path(attribute, "%s/dev", path), number);
        fake_device_write(tree, address, fake_path(attribute, "%s/uevent", path), event);
        fake_write(tree->root, fake_path(below, "dev/%s", node), "%s", "");
}

/* A DRM card with its render node, and (unless NULL) a connector without a display. */
void fake_drm_add(FakeTree *tree, const char *address, unsigned int card, const char *connector) {
        char path[FAKE_PATH_MAX], node[64], attribute[FAKE_PATH_MAX];

        snprintf(node, sizeof(node), "dri/card%u", card);
        add_node(tree, address, fake_path(path, "drm/card%u", card), 226, card, node);
        snprintf(node, sizeof(node), "dri/renderD%u", 128 + card);
        add_node(tree, address, fake_path(path, "drm/renderD%u", 128 + card), 226, 128 + card,
                        node);
        if (!connector)
                return;

        fake_path(path, "drm/card%u/card%u-%s", card, card, connector);
        fake_device_write(tree, address, fake_path(attribute, "%s/status", path), "disconnected");
        fake_device_write(tree, address, fake_path(attribute, "%s/enabled", path), "disabled");
        fake_device_write(tree, address, fake_path(attribute, "%s/dpms", path), "Off");
}

/* A sound card with its control node. */
void fake_sound_add(FakeTree *tree, const char *address, unsigned int card) {
        char path[FAKE_PATH_MAX], node[64];

        snprintf(node, sizeof(node), "snd/controlC%u", card);
        add_node(tree, address, fake_path(path, "sound/card%u/controlC%u", card, card), 116,
                        2 + card, node);
}

void fake_i2c_add(FakeTree *tree, const char *address, unsigned int adapter) {
        char path[FAKE_PATH_MAX], node[64];

        snprintf(node, sizeof(node), "i2c-%u", adapter);
        add_node(tree, address, fake_path(path, "i2c-%u/i2c-dev/i2c-%u", adapter, adapter), 89,
                        adapter, node);
}

/* A USB device at a @port like "1-2", below its root hub. */
void fake_usb_add(FakeTree *tree, const char *address, const char *port, const char *product) {
        char path[FAKE_PATH_MAX], node[64];
        unsigned int bus = strtoul(port, NULL, 10);

        fake_device_write(tree, address, fake_path(path, "usb%u/product", bus),
                        "xHCI Host Controller");
        fake_device_write(tree, address, fake_path(path, "usb%u/devpath", bus), "0");
        snprintf(node, sizeof(node), "bus/usb/%03u/001", bus);
        add_node(tree, address, fake_path(path, "usb%u", bus), 189, (bus - 1) * 128, node);

        fake_device_write(tree, address, fake_path(path, "usb%u/%s/product", bus, port), product);
        fake_device_write(tree, address, fake_path(path, "usb%u/%s/devpath", bus, port),
                        strchr(port, '-') + 1);
        snprintf(node, sizeof(node), "bus/usb/%03u/002", bus);
        add_node(tree, address, fake_path(path, "usb%u/%s", bus, port), 189, (bus - 1) * 128 + 1,
                        node);
}

/* An interrupt: NVIDIA's driver has one while its adapter is started. */
void fake_msi_add(FakeTree *tree, const char *address, unsigned int irq) {
        char path[FAKE_PATH_MAX];

        fake_device_write(tree, address, fake_path(path, "msi_irqs/%u", irq), "msi");
}

/* UVM retains the card: a CUDA program runs on it. */
void fake_cuda_add(FakeTree *tree, const char *address) {
        MachineDevice *device = machine_find_device(tree->machine, address);
        unsigned int number = device - tree->machine->devices;
        char path[FAKE_PATH_MAX];

        fake_make_dir(tree->root,
                        fake_path(path, "proc/driver/nvidia-uvm/gpus/" FAKE_UUID, number));
}

typedef struct Removal {
        FakeTree *tree;
        const char *address;
} Removal;

static void remove_child(void *userdata, const char *name) {
        static const char *const prefixes[] = { "drm", "sound", "i2c-", "usb" };
        Removal *removal = userdata;
        char path[FAKE_PATH_MAX];

        for (size_t i = 0; i < ARRAY_SIZE(prefixes); ++i)
                if (text_starts_with(name, prefixes[i], NULL))
                        fake_remove(removal->tree->root,
                                        fake_path(path, "sys/bus/pci/devices/%s/%s",
                                                        removal->address, name));
}

static void remove_interrupt(void *userdata, const char *name) {
        Removal *removal = userdata;
        char path[FAKE_PATH_MAX];

        fake_remove(removal->tree->root,
                        fake_path(path, "sys/bus/pci/devices/%s/msi_irqs/%s", removal->address,
                                        name));
}

/* What a driver's remove() takes along. An empty msi_irqs may stay, as in Linux. */
void fake_nodes_remove(FakeTree *tree, const char *address) {
        Removal removal = { .tree = tree, .address = address };
        char path[FAKE_PATH_MAX];

        fake_each(tree->root, fake_path(path, "sys/bus/pci/devices/%s", address), remove_child,
                        &removal);
        fake_each(tree->root, fake_path(path, "sys/bus/pci/devices/%s/msi_irqs", address),
                        remove_interrupt, &removal);
}
