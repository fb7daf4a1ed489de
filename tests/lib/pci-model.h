/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A Model of the PCI Driver Core
 *
 * What Linux does when these attributes are written: bind, unbind, drivers_probe,
 * driver_override, power/control, d3cold_allowed.
 */

#include "lib/fake-tree.h"

/* to be installed by sysfs_set_writer(), with the FakeTree as its argument */
int pci_model_write(void *userdata, const char *path, const char *value);

/* drivers */

bool pci_model_matches(FakeTree *tree, const MachineDriver *driver, const MachineDevice *device);
int pci_model_bind(FakeTree *tree, MachineDriver *driver, MachineDevice *device, bool blocks);
void pci_model_unbind(FakeTree *tree, MachineDriver *driver, MachineDevice *device, bool blocks);
void pci_model_register(FakeTree *tree, const MachineDriver *driver);
bool pci_model_is_registered(FakeTree *tree, const char *driver);

/* guests */

int pci_model_guest_start(FakeTree *tree, int group);
void pci_model_guest_stop(FakeTree *tree, int group);

/* what drivers do to their devices when they come and go (pci-drivers.c) */

int driver_probe(FakeTree *tree, const MachineDriver *driver, MachineDevice *device);
void driver_remove(FakeTree *tree, const MachineDriver *driver, MachineDevice *device);

void pci_model_catch_up(FakeTree *tree);

/* locks of the kernel: they go with the process that holds them */

int pci_model_lock(FakeTree *tree, const char *name, bool counts);
int pci_model_lock_attributes(FakeTree *tree, const char *address);
