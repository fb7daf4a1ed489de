/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Drivers of the Fake Machine
 *
 * What probe() and remove() leave in the file system. VFIO: a node per group
 * which comes with its first member and goes with its last, and the device's
 * power management, which it turns on and off as it likes. NVIDIA: a minor,
 * always the lowest free one, and a directory in /proc which stays until
 * remove() is through.
 */

#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "lib/pci-model.h"

/* Every device of a group that a driver of VFIO's has. */
static unsigned int count_vfio(FakeTree *tree, int group, bool *ret_all_inert) {
        Machine *machine = tree->machine;
        unsigned int n = 0;

        *ret_all_inert = true;
        for (unsigned int i = 0; i < machine->n_devices; ++i) {
                MachineDevice *device = &machine->devices[i];
                MachineDriver *driver = machine_find_driver(machine, device->driver);

                if (device->is_gone || device->group != group || !driver)
                        continue;
                n += driver->is_vfio;
                if (!driver->shares_dma)
                        *ret_all_inert = false;
        }
        return n;
}

/* Under its lock: siblings come and go at the same time. */
static bool group_is_used(const Machine *machine, int group) {
        for (unsigned int i = 0; i < machine->n_devices; ++i)
                if (machine->devices[i].group == group && machine->devices[i].in_vfio_group)
                        return true;
        return false;
}

static int lock_group(FakeTree *tree, int group) {
        char name[32];

        snprintf(name, sizeof(name), "group-%d", group);
        return pci_model_lock(tree, name, false);
}

static int vfio_probe(FakeTree *tree, MachineDevice *device) {
        _cleanup_(closep) int lock = -1;
        char path[FAKE_PATH_MAX], class[16];

        fake_device_read(tree, device->address, "class", class, sizeof(class));
        if (device->group == 0 || text_starts_with(class, "0x06", NULL))
                return -EINVAL;
        if (fake_exists(tree->root,
                            fake_path(path, "sys/bus/pci/devices/%s/virtfn0", device->address)))
                return -EBUSY;

        lock = lock_group(tree, device->group);
        device->in_vfio_group = true;
        fake_device_write(tree, device->address, "power/control", "auto");
        fake_write(tree->root, fake_path(path, "dev/vfio/%d", device->group), "%s", "");
        fake_write(tree->root, fake_path(path, "sys/class/vfio/%d/dev", device->group), "511:%d\n",
                        device->group);
        return 0;
}

static void vfio_remove(FakeTree *tree, MachineDevice *device) {
        _cleanup_(closep) _unused_ int lock = lock_group(tree, device->group);
        char path[FAKE_PATH_MAX];

        fake_device_write(tree, device->address, "power/control", "on");
        device->in_vfio_group = false;
        if (group_is_used(tree->machine, device->group))
                return;
        fake_remove(tree->root, fake_path(path, "dev/vfio/%d", device->group));
        fake_remove(tree->root, fake_path(path, "sys/class/vfio/%d", device->group));
}

static int lowest_free_minor(const Machine *machine) {
        for (int minor = 0;; ++minor) {
                bool taken = false;

                for (unsigned int i = 0; i < machine->n_devices; ++i)
                        taken = taken || machine->devices[i].minor == minor;
                if (!taken)
                        return minor;
        }
}

static int nvidia_probe(FakeTree *tree, MachineDevice *device) {
        _cleanup_(closep) int lock = -1;
        char path[FAKE_PATH_MAX];
        unsigned int number;

        fake_device_read(tree, device->address, "config", path, sizeof(path));
        if (!memcmp(path, "\xff\xff", 2))
                return -EIO;

        lock = pci_model_lock(tree, "nvidia", true);
        device->minor = lowest_free_minor(tree->machine);
        number = device - tree->machine->devices;
        fake_write(tree->root,
                        fake_path(path, "proc/driver/nvidia/gpus/%s/information", device->address),
                        "Model: \t\t NVIDIA GeForce RTX 5060 Ti\n"
                        "IRQ:   \t\t %u\n"
                        "GPU UUID: \t " FAKE_UUID "\n"
                        "Video BIOS: \t 98.06.1f.00.01\n"
                        "Bus Type: \t PCIe\n"
                        "DMA Size: \t 47 bits\n"
                        "DMA Mask: \t 0x7fffffffffff\n"
                        "Bus Location: \t %s\n"
                        "Device Minor: \t %d\n"
                        "GPU Excluded:\t No\n",
                        32 + number, number, device->address, device->minor);
        fake_write(tree->root, fake_path(path, "dev/nvidia%d", device->minor), "%s", "");
        return 0;
}

static void nvidia_remove(FakeTree *tree, MachineDevice *device) {
        _cleanup_(closep) _unused_ int lock = pci_model_lock(tree, "nvidia", true);
        char path[FAKE_PATH_MAX];

        fake_remove(tree->root, fake_path(path, "dev/nvidia%d", device->minor));
        fake_remove(tree->root, fake_path(path, "proc/driver/nvidia/gpus/%s", device->address));
        device->minor = -1;
}

int driver_probe(FakeTree *tree, const MachineDriver *driver, MachineDevice *device) {
        if (driver->is_vfio)
                return vfio_probe(tree, device);
        if (driver->is_nvidia)
                return nvidia_probe(tree, device);
        return 0;
}

void driver_remove(FakeTree *tree, const MachineDriver *driver, MachineDevice *device) {
        fake_nodes_remove(tree, device->address);
        if (driver->is_vfio)
                vfio_remove(tree, device);
        if (driver->is_nvidia)
                nvidia_remove(tree, device);
}

static bool goes_on(const Machine *machine, const MachineDevice *device) {
        for (unsigned int i = 0; i < machine->n_drivers; ++i)
                if (!strcmp(machine->drivers[i].name, device->driver))
                        return machine->drivers[i].goes_on;
        return false;
}

/* Drivers that went on behind their probe() come to its end: a card, and power management. */
void pci_model_catch_up(FakeTree *tree) {
        const Machine *machine = tree->machine;
        char path[FAKE_PATH_MAX];

        for (unsigned int i = 0; i < machine->n_devices; ++i) {
                const MachineDevice *device = &machine->devices[i];

                fake_path(path, "sys/bus/pci/devices/%s/sound", device->address);
                if (device->is_gone || !goes_on(machine, device) || fake_exists(tree->root, path))
                        continue;
                fake_sound_add(tree, device->address, i);
                fake_device_write(tree, device->address, "power/control", "auto");
        }
}

/*
 * A guest starts: opens the group, and each of its devices that VFIO has.
 *
 * Return: 0, -ENODEV if VFIO has none, -EBUSY if another guest has it, -EPERM if
 * the group is not viable because a host driver uses its DMA.
 */
int pci_model_guest_start(FakeTree *tree, int group) {
        Machine *machine = tree->machine;
        bool viable;

        if (count_vfio(tree, group, &viable) == 0)
                return -ENODEV;
        if (atomic_load(&machine->group_owned[group]))
                return -EBUSY;
        if (!viable)
                return -EPERM;

        atomic_store(&machine->group_owned[group], true);
        for (unsigned int i = 0; i < machine->n_devices; ++i)
                if (machine->devices[i].group == group)
                        device_hold(&machine->devices[i]);
        return 0;
}

void pci_model_guest_stop(FakeTree *tree, int group) {
        Machine *machine = tree->machine;

        atomic_store(&machine->group_owned[group], false);
        for (unsigned int i = 0; i < machine->n_devices; ++i)
                if (machine->devices[i].group == group)
                        device_let_go(&machine->devices[i]);
}
