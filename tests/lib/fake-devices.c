/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Devices of a Fake Tree
 *
 * A device's directory is below its root complex, and in bus/pci/devices there
 * is a link, as in the real thing: who walks the wrong way finds nothing.
 */

#include <string.h>

#include "lib/fake-tree.h"
#include "lib/pci-model.h"

static const char *device_dir(
                const char *address, const char *attribute, char buffer[static FAKE_PATH_MAX]) {
        return fake_path(buffer, "sys/devices/pci%.7s/%s%s%s", address, address,
                        attribute[0] ? "/" : "", attribute);
}

/* Set an attribute as the kernel would, without anybody having written it. */
void fake_device_write(
                FakeTree *tree, const char *address, const char *attribute, const char *value) {
        char path[FAKE_PATH_MAX];

        fake_write(tree->root, device_dir(address, attribute, path), "%s\n", value);
}

/* The first line of an attribute; "" if there is none. */
void fake_device_read(
                FakeTree *tree, const char *address, const char *attribute, char *value, size_t n) {
        char path[FAKE_PATH_MAX];

        (void) fake_read(tree->root, device_dir(address, attribute, path), value, n);
}

static void write_ids(FakeTree *tree, const char *address, const FakeDevice *device) {
        const uint8_t config[8] = { device->vendor & 0xff, device->vendor >> 8,
                device->device & 0xff, device->device >> 8, 0x07, 0x04 };
        const struct {
                const char *attribute;
                uint16_t id;
        } ids[] = {
                { "vendor", device->vendor },
                { "device", device->device },
                { "subsystem_vendor", device->subsystem_vendor },
                { "subsystem_device", device->subsystem_device },
        };
        char path[FAKE_PATH_MAX];

        for (size_t i = 0; i < ARRAY_SIZE(ids); ++i)
                fake_write(tree->root, device_dir(address, ids[i].attribute, path), "0x%04x\n",
                                ids[i].id);
        fake_write(tree->root, device_dir(address, "class", path), "0x%06x\n", device->class);
        fake_write(tree->root, device_dir(address, "modalias", path),
                        "pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X\n", device->vendor,
                        device->device, device->subsystem_vendor, device->subsystem_device,
                        device->class >> 16, device->class >> 8 & 0xff, device->class & 0xff);
        fake_write_bytes(tree->root, device_dir(address, "config", path), config, sizeof(config));
}

static void join_group(FakeTree *tree, const char *address, int group) {
        char path[FAKE_PATH_MAX], target[FAKE_PATH_MAX];

        if (group >= (int) ARRAY_SIZE(tree->machine->group_owned)) {
                errno = ERANGE;
                fake_fail("join its group", address);
        }
        fake_link(tree->root, fake_path(target, "sys/kernel/iommu_groups/%d", group),
                        device_dir(address, "iommu_group", path));
        fake_link(tree->root, device_dir(address, "", target),
                        fake_path(path, "sys/kernel/iommu_groups/%d/devices/%s", group, address));
}

static MachineDevice *machine_add_device(Machine *machine, const char *address, int group) {
        MachineDevice *device = &machine->devices[machine->n_devices];

        if (machine->n_devices >= ARRAY_SIZE(machine->devices) ||
                        strlen(address) >= sizeof(device->address)) {
                errno = ENOSPC;
                fake_fail("add", address);
        }
        *device = (MachineDevice){ .group = group, .minor = -1 };
        strcpy(device->address, address);
        ++machine->n_devices;
        return device;
}

/* The module that registers a driver, loaded or not; NULL if there is none. */
static const MachineModule *module_of_driver(const Machine *machine, const char *driver) {
        for (unsigned int i = 0; i < machine->n_modules; ++i)
                if (!strcmp(machine->modules[i].driver.name, driver))
                        return &machine->modules[i];
        return NULL;
}

static void bind_to(FakeTree *tree, MachineDevice *device, const char *name) {
        const MachineModule *module = module_of_driver(tree->machine, name);
        MachineDriver *driver;
        int r = -ENOENT;

        if (module)
                fake_module_load(tree, module->name);
        if (!strcmp(device->driver, name))
                return;

        driver = machine_find_driver(tree->machine, name);
        if (driver)
                r = pci_model_bind(tree, driver, device, false);
        if (r < 0) {
                errno = -r;
                fake_fail("bind", device->address);
        }
}

/* Plug in a device. The module of the driver that it shall have is loaded if need be. */
void fake_device_push(FakeTree *tree, const char *address, const FakeDevice *device) {
        char path[FAKE_PATH_MAX], target[FAKE_PATH_MAX];
        MachineDevice *added;

        added = machine_add_device(tree->machine, address, device->group);
        write_ids(tree, address, device);
        fake_device_write(tree, address, "driver_override", device->override ?: "(null)");
        fake_device_write(tree, address, "power/control", device->power ?: "on");
        fake_device_write(tree, address, "d3cold_allowed", device->d3cold ?: "1");
        fake_device_write(tree, address, "msi_bus", "1");
        if (device->boot_vga)
                fake_device_write(tree, address, "boot_vga", device->boot_vga);
        if (device->group)
                join_group(tree, address, device->group);
        fake_link(tree->root, device_dir(address, "", target),
                        fake_path(path, "sys/bus/pci/devices/%s", address));
        if (device->driver)
                bind_to(tree, added, device->driver);
}

void fake_device_plug_below(FakeTree *tree, const char *address, const char *port) {
        char path[FAKE_PATH_MAX], target[FAKE_PATH_MAX];

        fake_path(path, "sys/devices/%s/%s", port, address);
        fake_remove(tree->root, path);
        fake_link(tree->root, device_dir(address, "", target), path);
        fake_remove(tree->root, fake_path(target, "sys/bus/pci/devices/%s", address));
        fake_link(tree->root, path, target);
}

/* Pull a device out. Its driver's remove() runs, as for a surprise removal. */
void fake_device_remove(FakeTree *tree, const char *address) {
        MachineDevice *device = machine_find_device(tree->machine, address);
        _cleanup_(closep) _unused_ int attributes = -1;
        _cleanup_(closep) int lock = -1;
        char path[FAKE_PATH_MAX];

        if (!device)
                return;
        for (;;) {
                if (device->driver[0])
                        pci_model_unbind(tree, machine_find_driver(tree->machine, device->driver),
                                        device, false);
                lock = pci_model_lock(tree, address, false);
                if (!device->driver[0])
                        break;
                /* It was bound meanwhile, by a write at the same time. */
                closep(&lock);
        }
        attributes = pci_model_lock_attributes(tree, address);
        device->is_gone = true;
        if (device->group)
                fake_remove(tree->root,
                                fake_path(path, "sys/kernel/iommu_groups/%d/devices/%s",
                                                device->group, address));
        fake_remove(tree->root, fake_path(path, "sys/bus/pci/devices/%s", address));
        fake_remove(tree->root, device_dir(address, "", path));
}

/* Pull out a card: every function in the slot of an address. */
void fake_slot_remove(FakeTree *tree, const char *address) {
        char name[MACHINE_NAME_MAX];

        for (int function = 7; function >= 0; --function) {
                snprintf(name, sizeof(name), "%.*s%d", (int) strlen(address) - 1, address,
                                function);
                if (address[0])
                        fake_device_remove(tree, name);
        }
}

/* Let a device fall off the bus: it is still known, but reads as all ones. */
void fake_device_drop(FakeTree *tree, const char *address) {
        char path[FAKE_PATH_MAX];

        if (machine_find_device(tree->machine, address))
                fake_write_bytes(tree->root, device_dir(address, "config", path),
                                "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
}

/* Name of the driver whose link a device has; "-" for none. */
const char *fake_device_driver(
                FakeTree *tree, const char *address, char name[static MACHINE_NAME_MAX]) {
        char path[FAKE_PATH_MAX], target[FAKE_PATH_MAX] = "";
        ssize_t k;

        snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/driver", tree->root, address);
        k = readlink(path, target, sizeof(target) - 1);
        snprintf(name, MACHINE_NAME_MAX, "%s", k > 0 ? strrchr(target, '/') + 1 : "-");
        return name;
}

static bool is_vfio(const Machine *machine, const char *driver) {
        const MachineModule *module = driver ? module_of_driver(machine, driver) : NULL;

        return module && module->driver.is_vfio;
}

static const char *driver_of_function(FakeTree *tree, const FakeGpu *gpu, unsigned int function) {
        static const char *const natural[] = { NULL, "snd_hda_intel", "xhci_hcd", "nvidia-gpu" };

        if (function == 0 || !gpu->driver || is_vfio(tree->machine, gpu->driver))
                return gpu->driver;
        return module_of_driver(tree->machine, natural[function]) ? natural[function] : NULL;
}

/* A display that the machine boots on, which no driver of the model has anything to do with. */
static void have_boot_display(FakeTree *tree) {
        static const char dir[] = "sys/devices/pci0000:00/" FAKE_BOOT_DISPLAY;
        static const char *const attributes[][2] = { { "class", "0x030000" },
                { "vendor", "0x1234" }, { "boot_vga", "1" } };
        char path[FAKE_PATH_MAX];

        if (fake_exists(tree->root, dir))
                return;
        for (unsigned int i = 0; i < ARRAY_SIZE(attributes); ++i)
                fake_write(tree->root, fake_path(path, "%s/%s", dir, attributes[i][0]), "%s\n",
                                attributes[i][1]);
        fake_link(tree->root, dir, "sys/bus/pci/devices/" FAKE_BOOT_DISPLAY);
}

/* Plug in a card; see struct FakeGpu. */
void fake_gpu_push(FakeTree *tree, const char *address, const FakeGpu *gpu) {
        static const struct {
                uint16_t device;
                uint32_t class;
        } functions[] = { { 0x2d04, 0x030000 }, { 0x22eb, 0x040300 }, { 0x1ad8, 0x0c0330 },
                { 0x1ad9, 0x0c8000 } };
        unsigned int n = gpu->functions ?: ARRAY_SIZE(functions);

        if (!gpu->is_3d && !gpu->boot_vga)
                have_boot_display(tree);
        for (unsigned int i = 0; i < n; ++i) {
                FakeDevice device = { .vendor = 0x10de, .subsystem_vendor = 0x1043 };
                char name[MACHINE_NAME_MAX];

                snprintf(name, sizeof(name), "%.*s%u", (int) strlen(address) - 1, address, i);
                device.device = i == 0 && gpu->device ? gpu->device : functions[i].device;
                device.subsystem_device = gpu->subsystem ?: 0x5678;
                device.class = i == 0 && gpu->is_3d ? 0x030200 : functions[i].class;
                device.group = gpu->group;
                device.driver = driver_of_function(tree, gpu, i);
                if (is_vfio(tree->machine, device.driver))
                        device.override = device.driver;
                device.boot_vga = i == 0 && !gpu->is_3d ? gpu->boot_vga ?: "0" : NULL;
                fake_device_push(tree, name, &device);
        }
}
