/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Names of PCI Devices
 *
 * Devices as lspci names them, by vendor and device id. libpci ends the process when something is
 * wrong: its error callback must not return. Its name list needs no access to any device and
 * raises no error when it is missing; in case that changes, a guard makes the lookup fail
 * instead of the program.
 */

#include "base/macro.h"

typedef struct pci_access Ids;

int ids_new(Ids **ret_ids) _warn_unused_result_;
Ids *ids_free(Ids *ids);
DEFINE_CLEANUP(Ids, ids_free);

int ids_device_name(Ids *ids, uint16_t vendor, uint16_t device, char **ret) _warn_unused_result_;
