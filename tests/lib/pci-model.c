/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A Model of the PCI Driver Core
 *
 * Follows drivers/base/bus.c, dd.c and drivers/pci/pci-driver.c of Linux 6.12,
 * above all where they surprise:
 *
 *  * `bind` tells what probe() said; `drivers_probe` succeeds whatever it said;
 *
 *  * unbinding takes the `driver` link away before remove() runs, while the
 *    device still belongs to the driver, so that another unbind waits and then
 *    succeeds, and drivers_probe does nothing and succeeds at once;
 *
 *  * with an override only the driver of that name matches, and no id counts;
 *
 *  * a write of nothing does nothing, so an override is cleared by a newline.
 *
 * The device lock is a flock() on a file: held across probe() and remove(), and
 * dropped by the kernel when the process dies.
 */

#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/file.h>

#include "base/text.h"
#include "lib/pci-model.h"

/* drivers/base/dd.c; user space has no name for it */
#define EPROBE_DEFER 517

#define SYSFS_PAGE 4096U

/*
 * Take a lock; close() gives it back. A writer that waits for the lock of a device counts as
 * blocked; one that waits for its turn at a group, which takes no time, does not.
 */
int pci_model_lock(FakeTree *tree, const char *name, bool counts) {
        char path[FAKE_PATH_MAX];
        int fd;

        fd = open(fake_path(path, "%s/locks/%s", tree->root, name), O_RDWR | O_CREAT | O_CLOEXEC,
                        0600);
        if (fd < 0)
                fake_fail("open", path);
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
                return fd;

        if (counts)
                machine_count_blocked(tree->machine);
        while (flock(fd, LOCK_EX) < 0)
                if (errno != EINTR)
                        fake_fail("lock", path);
        return fd;
}

/* What kernfs waits for before it removes the attributes of a device: writes to them. */
int pci_model_lock_attributes(FakeTree *tree, const char *address) {
        char name[MACHINE_NAME_MAX + 16];

        snprintf(name, sizeof(name), "attributes-%s", address);
        return pci_model_lock(tree, name, false);
}

bool pci_model_matches(FakeTree *tree, const MachineDriver *driver, const MachineDevice *device) {
        char value[SYSFS_PAGE];

        fake_device_read(tree, device->address, "driver_override", value, sizeof(value));
        if (strcmp(value, "(null)"))
                return !strcmp(value, driver->name);

        fake_device_read(tree, device->address, "modalias", value, sizeof(value));
        for (size_t i = 0; i < ARRAY_SIZE(driver->match); ++i)
                if (driver->match[i][0] && !fnmatch(driver->match[i], value, 0))
                        return true;
        return false;
}

static void link_driver(FakeTree *tree, const char *driver, const char *device) {
        char path[FAKE_PATH_MAX], target[FAKE_PATH_MAX];

        fake_link(tree->root, fake_path(target, "sys/bus/pci/drivers/%s", driver),
                        fake_path(path, "sys/bus/pci/devices/%s/driver", device));
        fake_link(tree->root, fake_path(target, "sys/bus/pci/devices/%s", device),
                        fake_path(path, "sys/bus/pci/drivers/%s/%s", driver, device));
}

static void unlink_driver(FakeTree *tree, const char *driver, const char *device) {
        char path[FAKE_PATH_MAX];

        fake_remove(tree->root, fake_path(path, "sys/bus/pci/devices/%s/driver", device));
        fake_remove(tree->root, fake_path(path, "sys/bus/pci/drivers/%s/%s", driver, device));
}

/*
 * NVIDIA's driver takes the driver data of function 1 for a sound card, so that with vfio there
 * the kernel may panic: KERNEL.md 1.27. Nothing of ours may ever come to that.
 */
static void count_clash(FakeTree *tree, const MachineDriver *driver, const MachineDevice *device) {
        const MachineDriver *other_driver;
        const MachineDevice *other;
        char address[MACHINE_NAME_MAX];
        size_t last = strlen(device->address) - 1;

        strcpy(address, device->address);
        if (address[last] > '1')
                return;
        address[last] = address[last] == '0' ? '1' : '0';
        other = machine_find_device(tree->machine, address);
        other_driver = other ? machine_find_driver(tree->machine, other->driver) : NULL;
        if (!other_driver)
                return;
        if (address[last] == '1' ? driver->is_nvidia && other_driver->is_vfio
                                 : driver->is_vfio && other_driver->is_nvidia)
                atomic_fetch_add(&tree->machine->n_clashes, 1);
}

/*
 * really_probe(), under the device lock. Return: 0, a negative errno of the core's
 * own, or the errno of probe() as a positive number.
 */
static int really_probe(FakeTree *tree, MachineDriver *driver, MachineDevice *device, bool blocks) {
        int r;

        if (device->is_gone)
                return -ENODEV;
        if (device->driver[0])
                return -EBUSY;
        /* dma_configure(): a guest must not find its group shared with a host driver */
        if (!driver->shares_dma && atomic_load(&tree->machine->group_owned[device->group]))
                return -EBUSY;
        if (blocks)
                machine_meet_gate(tree->machine);

        r = strcmp(driver->refuses, device->address)
                        ? faults_of_probe(tree->machine, driver->name, device->address)
                        : -ENODEV;
        if (r == 0)
                r = driver_probe(tree, driver, device);
        if (r < 0)
                return -r;

        strcpy(device->driver, driver->name);
        link_driver(tree, driver->name, device->address);
        count_clash(tree, driver, device);
        return 0;
}

/* device_driver_attach(): one device to one driver. Return: 0, or a negative errno. */
int pci_model_bind(FakeTree *tree, MachineDriver *driver, MachineDevice *device, bool blocks) {
        _cleanup_(closep) int lock = -1;
        int r;

        if (!pci_model_matches(tree, driver, device))
                return -ENODEV;

        lock = pci_model_lock(tree, device->address, true);
        r = really_probe(tree, driver, device, blocks);
        if (r > 0)
                r = -r;
        return r == -EPROBE_DEFER ? -EAGAIN : r;
}

/* __device_release_driver() */
void pci_model_unbind(FakeTree *tree, MachineDriver *driver, MachineDevice *device, bool blocks) {
        _cleanup_(closep) _unused_ int lock = pci_model_lock(tree, device->address, true);

        if (strcmp(device->driver, driver->name))
                return;

        unlink_driver(tree, driver->name, device->address);
        if (blocks)
                machine_meet_gate(tree->machine);
        if (driver->waits)
                device_wait_for_users(tree->machine, device);
        driver_remove(tree, driver, device);
        device->driver[0] = 0;
}

bool pci_model_is_registered(FakeTree *tree, const char *driver) {
        char path[FAKE_PATH_MAX];

        return fake_exists(tree->root, fake_path(path, "sys/bus/pci/drivers/%s", driver));
}

/* driver_register(): also binds every device that has none and matches. */
void pci_model_register(FakeTree *tree, const MachineDriver *driver) {
        Machine *machine = tree->machine;
        MachineDriver *slot = &machine->drivers[machine->n_drivers];
        char path[FAKE_PATH_MAX];

        if (machine->n_drivers >= ARRAY_SIZE(machine->drivers)) {
                errno = ENOSPC;
                fake_fail("register", driver->name);
        }
        *slot = *driver;
        ++machine->n_drivers;

        fake_write(tree->root, fake_path(path, "sys/bus/pci/drivers/%s/bind", driver->name), "%s",
                        "");
        fake_write(tree->root, fake_path(path, "sys/bus/pci/drivers/%s/unbind", driver->name), "%s",
                        "");
        if (driver->module[0]) {
                char target[FAKE_PATH_MAX];

                fake_link(tree->root, fake_path(target, "sys/module/%s", driver->module),
                                fake_path(path, "sys/bus/pci/drivers/%s/module", driver->name));
                fake_link(tree->root, fake_path(target, "sys/bus/pci/drivers/%s", driver->name),
                                fake_path(path, "sys/module/%s/drivers/pci:%s", driver->module,
                                                driver->name));
        }

        for (unsigned int i = 0; i < machine->n_devices; ++i) {
                MachineDevice *device = &machine->devices[i];

                if (!device->is_gone && !device->driver[0])
                        (void) pci_model_bind(tree, slot, device, false);
        }
}

/*
 * What is written to. Each returns 0 or the negative errno that write(2) would give.
 */

static int write_bind(FakeTree *tree, const Act *act) {
        MachineDriver *driver = machine_find_driver(tree->machine, act->driver);
        MachineDevice *device = machine_find_device(tree->machine, act->device);

        if (!driver)
                return -ENOENT;
        return device ? pci_model_bind(tree, driver, device, act->blocks) : -ENODEV;
}

static int write_unbind(FakeTree *tree, const Act *act) {
        MachineDriver *driver = machine_find_driver(tree->machine, act->driver);
        MachineDevice *device = machine_find_device(tree->machine, act->device);

        if (!driver)
                return -ENOENT;
        if (!device || strcmp(device->driver, driver->name))
                return -ENODEV;
        pci_model_unbind(tree, driver, device, act->blocks);
        return 0;
}

/* bus_rescan_devices_helper(): what probe() says is not told */
static int write_probe(FakeTree *tree, const Act *act) {
        MachineDevice *device = machine_find_device(tree->machine, act->device);
        _cleanup_(closep) int lock = -1;
        int r = 1;

        if (!device)
                return -ENODEV;
        if (device->driver[0])
                return 0;

        lock = pci_model_lock(tree, device->address, true);
        for (unsigned int i = 0; r > 0 && i < tree->machine->n_drivers; ++i) {
                MachineDriver *driver = &tree->machine->drivers[i];

                if (pci_model_matches(tree, driver, device))
                        r = really_probe(tree, driver, device, act->blocks);
        }
        return r < 0 ? -EINVAL : 0;
}

static int write_override(FakeTree *tree, const Act *act) {
        MachineDevice *device = machine_find_device(tree->machine, act->device);
        _cleanup_(closep) _unused_ int attributes = -1;
        _cleanup_(closep) int lock = -1;
        char name[SYSFS_PAGE];
        size_t n;

        if (!device)
                return -ENOENT;
        n = strlen(act->value);
        if (n >= SYSFS_PAGE - 1)
                return -EINVAL;
        if (tree->machine->override_locks)
                lock = pci_model_lock(tree, device->address, true);
        if (act->blocks)
                machine_meet_gate(tree->machine);

        snprintf(name, sizeof(name), "%.*s", (int) strcspn(act->value, "\n"), act->value);
        attributes = pci_model_lock_attributes(tree, act->device);
        if (device->is_gone)
                return -ENODEV;
        fake_device_write(tree, act->device, "driver_override", name[0] ? name : "(null)");
        return 0;
}

static int write_setting(FakeTree *tree, const Act *act) {
        const MachineDevice *device = machine_find_device(tree->machine, act->device);
        _cleanup_(closep) _unused_ int attributes = -1;
        bool is_power = act->kind == ACT_POWER;
        const char *const *good = is_power ? (const char *const[]){ "on", "auto" }
                                           : (const char *const[]){ "0", "1" };
        size_t n = strcspn(act->value, "\n");

        if (!device)
                return -ENOENT;
        if (act->blocks)
                machine_meet_gate(tree->machine);

        attributes = pci_model_lock_attributes(tree, act->device);
        if (device->is_gone)
                return -ENODEV;
        for (size_t i = 0; i < 2; ++i)
                if (strlen(good[i]) == n && !strncmp(act->value, good[i], n)) {
                        fake_device_write(tree, act->device,
                                        is_power ? "power/control" : "d3cold_allowed", good[i]);
                        return 0;
                }
        return -EINVAL;
}

static int write_kernel(FakeTree *tree, const Act *act) {
        switch (act->kind) {
        case ACT_BIND:
                return write_bind(tree, act);
        case ACT_UNBIND:
                return write_unbind(tree, act);
        case ACT_PROBE:
                return write_probe(tree, act);
        case ACT_OVERRIDE:
                return write_override(tree, act);
        case ACT_POWER:
        case ACT_D3COLD:
                return write_setting(tree, act);
        default:
                return -EACCES;
        }
}

/* Which driver and which device is it about? */
static void take_apart(Act *act, const char *path, const char *value) {
        static const struct {
                ActKind kind;
                const char *parent;
                const char *attribute;
        } known[] = {
                { ACT_BIND, "bus/pci/drivers/", "/bind" },
                { ACT_UNBIND, "bus/pci/drivers/", "/unbind" },
                { ACT_OVERRIDE, "bus/pci/devices/", "/driver_override" },
                { ACT_POWER, "bus/pci/devices/", "/power/control" },
                { ACT_D3COLD, "bus/pci/devices/", "/d3cold_allowed" },
        };
        const char *name;
        size_t n;

        *act = (Act){ .kind = ACT_OTHER, .path = path, .value = value };
        if (!strcmp(path, "bus/pci/drivers_probe"))
                act->kind = ACT_PROBE;

        for (size_t i = 0; i < ARRAY_SIZE(known); ++i) {
                if (!text_starts_with(path, known[i].parent, &name))
                        continue;
                n = strcspn(name, "/");
                if (strcmp(name + n, known[i].attribute))
                        continue;
                act->kind = known[i].kind;
                snprintf(act->kind <= ACT_UNBIND ? act->driver : act->device, MACHINE_NAME_MAX,
                                "%.*s", (int) n, name);
        }
        if (!act->device[0])
                snprintf(act->device, sizeof(act->device), "%.*s", (int) strcspn(value, "\n"),
                                value);
}

int pci_model_write(void *userdata, const char *path, const char *value) {
        FakeTree *tree = userdata;
        Act act;

        /* fs/sysfs/file.c: sysfs_kf_write() does not even ask the attribute */
        if (!value[0])
                return 0;

        take_apart(&act, path, value);
        return faults_act(tree, &act, write_kernel);
}
