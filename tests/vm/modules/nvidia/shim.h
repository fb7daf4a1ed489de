/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_H
#define SHIM_H

/*
 * What NVIDIA's glue does not know of Debian's kernels
 *
 * They took over a later kernel's fourth argument of pci_resize_resource(),
 * and NVIDIA's build looks at the version number only. Zero excludes no BAR,
 * which is what the function with three arguments did.
 */

#include <linux/pci.h>

#define pci_resize_resource(dev, bar, size) (pci_resize_resource)(dev, bar, size, 0)

#endif
