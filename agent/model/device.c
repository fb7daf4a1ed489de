/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * PCI Devices
 *
 * The one file that knows the names of a PCI function's attributes. It reads
 * only those that cannot hang behind a stuck driver: sriov_numvfs for one takes
 * the device lock (drivers/pci/iov.c), so virtual functions are known by their
 * links instead.
 */

#include <string.h>

#include "base/text.h"
#include "model/device.h"

/* Write the path of an attribute (or of the device itself for "") into @buffer. */
const char *device_path(
                Address address, const char *attribute, char buffer[static DEVICE_PATH_MAX]) {
        char name[ADDRESS_STRING_MAX];

        snprintf(buffer, DEVICE_PATH_MAX, "bus/pci/devices/%s%s%s", address_format(address, name),
                        attribute[0] ? "/" : "", attribute);
        return buffer;
}

/* Likewise for a driver of the PCI bus. */
const char *driver_path(
                const char *driver, const char *attribute, char buffer[static DEVICE_PATH_MAX]) {
        snprintf(buffer, DEVICE_PATH_MAX, "bus/pci/drivers/%s/%s", driver, attribute);
        return buffer;
}

static int read_hex(
                Sysfs *sysfs, Address address, const char *attribute, uint64_t max, uint64_t *ret) {
        char path[DEVICE_PATH_MAX];
        int r;

        r = sysfs_read_uint(sysfs, device_path(address, attribute, path), 16, max, ret);
        return r == SYSFS_E_MISSING ? DEVICE_E_GONE : r;
}

static int device_read_ids(Device *device, Sysfs *sysfs) {
        const struct {
                const char *attribute;
                uint16_t *id;
        } ids[] = {
                { "vendor", &device->identity.vendor },
                { "device", &device->identity.device },
                { "subsystem_vendor", &device->identity.subsystem_vendor },
                { "subsystem_device", &device->identity.subsystem_device },
        };
        uint64_t value;
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(ids); ++i) {
                r = read_hex(sysfs, device->address, ids[i].attribute, UINT16_MAX, &value);
                if (r)
                        return r;
                *ids[i].id = value;
        }

        r = read_hex(sysfs, device->address, "class", 0xffffff, &value);
        if (r)
                return r;
        device->class = value;
        return 0;
}

static int device_read_group(Device *device, Sysfs *sysfs) {
        _cleanup_(freep) char *name = NULL;
        char path[DEVICE_PATH_MAX];
        uint64_t number;
        int r;

        r = sysfs_link(sysfs, device_path(device->address, "iommu_group", path), &name);
        if (r == SYSFS_E_MISSING)
                return 0;
        if (r < 0)
                return r;
        if (text_to_uint(name, 10, INT32_MAX, &number) < 0)
                return -EBADMSG;

        device->iommu_group = (int) number;
        return 0;
}

/* Mediated devices are children with a link to their type. */
static int device_has_mediated(Device *device, Sysfs *sysfs, bool *ret) {
        _cleanup_(strv_freep) char **names = NULL;
        char path[DEVICE_PATH_MAX];
        size_t n;
        int r;

        if (!sysfs_exists(sysfs, device_path(device->address, "mdev_supported_types", path))) {
                *ret = false;
                return 0;
        }

        r = sysfs_list(sysfs, device_path(device->address, "", path), &names, &n);
        if (r)
                return r == SYSFS_E_MISSING ? DEVICE_E_GONE : r;

        *ret = false;
        for (size_t i = 0; i < n; ++i) {
                _cleanup_(freep) char *type = NULL;

                type = text_format("%s/%s/mdev_type", path, names[i]);
                if (!type)
                        return -ENOMEM;
                if (sysfs_exists(sysfs, type))
                        *ret = true;
        }
        return 0;
}

static int device_read(Device *device, Sysfs *sysfs) {
        char path[DEVICE_PATH_MAX];
        uint64_t boot_vga;
        bool mediated;
        int r;

        r = device_read_ids(device, sysfs);
        if (r == 0)
                r = device_read_group(device, sysfs);
        if (r)
                return r;
        r = sysfs_read_uint(
                        sysfs, device_path(device->address, "boot_vga", path), 10, 1, &boot_vga);
        if (r < 0)
                return r;
        if (r == 0)
                device->boot_vga = (int) boot_vga;
        r = device_read_driver(sysfs, device->address, &device->driver);
        if (r == 0)
                r = device_has_mediated(device, sysfs, &mediated);
        if (r)
                return r;

        r = sysfs_read(sysfs, device_path(device->address, "modalias", path), &device->modalias);
        if (r)
                return r == SYSFS_E_MISSING ? DEVICE_E_GONE : r;

        device->is_virtual = sysfs_exists(sysfs, device_path(device->address, "physfn", path));
        device->has_virtual = mediated ||
                        sysfs_exists(sysfs, device_path(device->address, "virtfn0", path));
        return 0;
}

/*
 * Read the facts of a device; device_deinit() it. Return: 0 on success, DEVICE_E_GONE if there is
 * no such device, negative error code on failure.
 */
int device_init(Device *device, Sysfs *sysfs, Address address) {
        int r;

        *device = (Device) DEVICE_NULL;
        device->address = address;

        r = device_read(device, sysfs);
        if (r)
                device_deinit(device);
        return r;
}

void device_deinit(Device *device) {
        free(device->modalias);
        free(device->driver);
        *device = (Device) DEVICE_NULL;
}

/*
 * Read the name of the driver that a device is bound to, or NULL if it has none; free() it.
 * Also NULL while a driver's remove() still runs: the link goes first
 * (drivers/base/dd.c: __device_release_driver()).
 *
 * Return: 0 on success, negative error code on failure.
 */
int device_read_driver(Sysfs *sysfs, Address address, char **ret) {
        char path[DEVICE_PATH_MAX];
        char *driver = NULL;
        int r;

        r = sysfs_link(sysfs, device_path(address, "driver", path), &driver);
        if (r < 0)
                return r;

        *ret = r == SYSFS_E_MISSING ? NULL : driver;
        return 0;
}

/*
 * Read the name of the driver that alone may bind a device, or NULL if any may; free() it.
 * Takes the device lock on kernels before 7.0 and their stable siblings, and then
 * hangs behind a stuck driver: call it in a child.
 *
 * Return: 0 on success, DEVICE_E_GONE if there is no such device, negative error
 *         code on failure.
 */
int device_read_override(Sysfs *sysfs, Address address, char **ret) {
        _cleanup_(freep) char *value = NULL;
        char path[DEVICE_PATH_MAX];
        int r;

        r = sysfs_read(sysfs, device_path(address, "driver_override", path), &value);
        if (r)
                return r == SYSFS_E_MISSING ? DEVICE_E_GONE : r;

        /* That is how the kernel prints a NULL. */
        *ret = value[0] == 0 || !strcmp(value, "(null)") ? NULL : TAKE_PTR(value);
        return 0;
}

/*
 * Read where a device is plugged in. Return: 0 on success, .n_hops being 0 where the path says less
 * than is needed; DEVICE_E_GONE if there is no such device, negative error code on failure.
 */
int device_read_location(Sysfs *sysfs, Address address, Location *ret) {
        _cleanup_(freep) char *target = NULL;
        char path[DEVICE_PATH_MAX];
        int r;

        r = sysfs_link_target(sysfs, device_path(address, "", path), &target);
        if (r)
                return r == SYSFS_E_MISSING ? DEVICE_E_GONE : r;
        if (location_of_link(target, ret) < 0)
                *ret = (Location){};
        return 0;
}

/*
 * Ask whether a device still answers. The configuration space of one that has fallen off the bus
 * reads as all ones. (The ids in sysfs are remembered ones and prove nothing.) Wakes the device
 * up if it sleeps.
 *
 * Return: 0 on success, DEVICE_E_GONE if there is no such device, negative error
 *         code on failure.
 */
int device_is_on_bus(Sysfs *sysfs, Address address, bool *ret) {
        char path[DEVICE_PATH_MAX];
        uint8_t id[4];
        size_t n;
        int r;

        r = sysfs_read_bytes(sysfs, device_path(address, "config", path), id, sizeof(id), &n);
        if (r)
                return r == SYSFS_E_MISSING ? DEVICE_E_GONE : r;
        if (n != sizeof(id))
                return -EIO;

        *ret = id[0] != 0xff || id[1] != 0xff || id[2] != 0xff || id[3] != 0xff;
        return 0;
}

/*
 * Whether a driver (or NULL) hands devices to user space through VFIO: vfio-pci itself and its
 * variants, whose modules stand on vfio_pci_core. An override may name one that is not loaded, which
 * goes by its name; all variants of Linux 6.12 are called so (drivers/vfio/pci/).
 */
bool driver_is_vfio(Sysfs *sysfs, const char *driver) {
        _cleanup_(freep) char *module = NULL, *holder = NULL;
        char path[DEVICE_PATH_MAX];

        if (!driver)
                return false;
        if (!strcmp(driver, "vfio-pci"))
                return true;
        if (!driver_is_registered(sysfs, driver))
                return text_ends_with(driver, "vfio-pci") || text_ends_with(driver, "vfio_pci");
        if (sysfs_link(sysfs, driver_path(driver, "module", path), &module))
                return false;

        holder = text_format("module/vfio_pci_core/holders/%s", module);
        return holder && sysfs_exists(sysfs, holder);
}

/*
 * Whether a driver has devices only to keep others from them: that is no use of them at the host. Xen's
 * pciback is none, as a guest may have them through it.
 */
bool driver_is_stub(const char *driver) {
        return driver && !strcmp(driver, "pci-stub");
}

/*
 * Whether a device of this driver (or of none) may share a group with a guest's: those that set
 * driver_managed_dma, and so leave the group's DMA alone.
 */
bool driver_is_inert(Sysfs *sysfs, const char *driver) {
        return !driver || driver_is_vfio(sysfs, driver) || !strcmp(driver, "pci-stub") ||
                        !strcmp(driver, "pcieport");
}

bool driver_is_registered(Sysfs *sysfs, const char *driver) {
        char path[DEVICE_PATH_MAX];

        return driver && sysfs_exists(sysfs, driver_path(driver, "bind", path));
}

/* identity */

bool identity_equal(Identity a, Identity b) {
        return a.vendor == b.vendor && a.device == b.device &&
                        a.subsystem_vendor == b.subsystem_vendor &&
                        a.subsystem_device == b.subsystem_device;
}

/* Write "vendor:device" into @buffer, and return that. */
const char *identity_format_id(Identity identity, char buffer[static IDENTITY_STRING_MAX]) {
        snprintf(buffer, IDENTITY_STRING_MAX, "%04x:%04x", identity.vendor, identity.device);
        return buffer;
}

/* Likewise for those of the board's maker. */
const char *identity_format_subsystem(Identity identity, char buffer[static IDENTITY_STRING_MAX]) {
        snprintf(buffer, IDENTITY_STRING_MAX, "%04x:%04x", identity.subsystem_vendor,
                        identity.subsystem_device);
        return buffer;
}

/* Parse "vvvv:dddd". Return: 0 on success, -EINVAL if it is anything else. */
int identity_parse_id(const char *id, uint16_t *ret_vendor, uint16_t *ret_device) {
        uint64_t vendor, device;

        if (strlen(id) != 9 || id[4] != ':' || text_n_to_uint(id, 4, 16, UINT16_MAX, &vendor) < 0 ||
                        text_n_to_uint(id + 5, 4, 16, UINT16_MAX, &device) < 0)
                return -EINVAL;

        *ret_vendor = vendor;
        *ret_device = device;
        return 0;
}

static int parse_word(const char *s, void *ret) {
        uint16_t *ids = ret;

        return identity_parse_id(s, &ids[0], &ids[1]);
}

static void format_word(const void *value, char *buffer, size_t n) {
        const uint16_t *ids = value;

        snprintf(buffer, n, "%04x:%04x", ids[0], ids[1]);
}

const CodecWord identity_word = { .parse = parse_word, .format = format_word };
