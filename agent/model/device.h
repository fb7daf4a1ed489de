/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * PCI Devices
 *
 * What sysfs says about one PCI function, as a plain struct. Everything in it
 * can be read without waiting for a driver; `driver_override` cannot, and is
 * read apart (see device_read_override()).
 */

#include "model/address.h"
#include "os/module.h"
#include "os/sysfs.h"

#define PCI_VENDOR_NVIDIA 0x10deU

/* Class codes are 24 bits: class, subclass, interface. */
#define PCI_CLASS_VGA    0x0300U
#define PCI_CLASS_3D     0x0302U
#define PCI_CLASS_BRIDGE 0x06U
#define PCI_CLASS_SERIAL 0x0c80U

/* What makes a card this very model, whoever sits at the address. */
typedef struct Identity {
        uint16_t vendor;
        uint16_t device;
        uint16_t subsystem_vendor;
        uint16_t subsystem_device;
} Identity;

/* "10de:2204" and a zero */
#define IDENTITY_STRING_MAX 10

typedef struct Device {
        Address address;
        Identity identity;
        uint32_t class;
        char *modalias;   /* "pci:v…" */
        char *driver;     /* name, or NULL while it has none */
        int iommu_group;  /* number, or -1 without an IOMMU */
        int boot_vga;     /* 1, 0, or -1 where the attribute is absent */
        bool is_virtual;  /* a virtual function of another one */
        bool has_virtual; /* virtual functions exist on it, or mediated devices */
} Device;

#define DEVICE_NULL \
        { .iommu_group = -1, .boot_vga = -1 }

enum {
        _DEVICE_E_SUCCESS,

        DEVICE_E_GONE, /* there is no such device (any more) */
};

/* Room for any attribute of a device, and of a driver, whose name may have 255 bytes. */
#define DEVICE_PATH_MAX 320

/* reading */

int device_init(Device *device, Sysfs *sysfs, Address address) _warn_unused_result_;
void device_deinit(Device *device);
int device_read_driver(Sysfs *sysfs, Address address, char **ret) _warn_unused_result_;
int device_read_override(Sysfs *sysfs, Address address, char **ret) _warn_unused_result_;
int device_read_location(Sysfs *sysfs, Address address, Location *ret) _warn_unused_result_;
int device_is_on_bus(Sysfs *sysfs, Address address, bool *ret) _warn_unused_result_;
const char *device_path(
                Address address, const char *attribute, char buffer[static DEVICE_PATH_MAX]);

/* drivers */

bool driver_is_vfio(Sysfs *sysfs, const char *driver);
bool driver_is_stub(const char *driver);
bool driver_is_inert(Sysfs *sysfs, const char *driver);
bool driver_is_registered(Sysfs *sysfs, const char *driver);
const char *driver_path(
                const char *driver, const char *attribute, char buffer[static DEVICE_PATH_MAX]);
int module_read_driver(Sysfs *sysfs, const char *module, char **ret) _warn_unused_result_;
int vfio_driver_find(Sysfs *sysfs,
                Modules *modules,
                const char *modalias,
                char **ret_driver,
                char ***ret_modules) _warn_unused_result_;

/* identity */

bool identity_equal(Identity a, Identity b);
const char *identity_format_id(Identity identity, char buffer[static IDENTITY_STRING_MAX]);
const char *identity_format_subsystem(Identity identity, char buffer[static IDENTITY_STRING_MAX]);
int identity_parse_id(const char *id, uint16_t *ret_vendor, uint16_t *ret_device)
                _warn_unused_result_;

/* Two 16 bit ids in a row, as Identity has them: "10de:2204". */
extern const CodecWord identity_word;
