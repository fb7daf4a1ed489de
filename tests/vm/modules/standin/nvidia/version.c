// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which version this driver claims to be
 *
 * Everything that changed from one NVIDIA release to the next hangs on the
 * version here, so that `version=595.45.04` alone makes the stand-in behave as
 * that release, and what a program reads in /sys/module/nvidia/version agrees
 * with what it will meet.
 */

#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "nvidia/gpu.h"

static char version[32] = STANDIN_VERSION;
module_param_string(version, version, sizeof(version), 0444);
MODULE_PARM_DESC(version, "release to stand in for (default " STANDIN_VERSION ")");

static unsigned int order;
module_param(order, uint, 0444);
MODULE_PARM_DESC(order, "behaviour of remove(): 550, 580 or 595 (default: by the version)");

static unsigned int parts[3];

int version_init(void)
{
	if (sscanf(version, "%u.%u.%u", &parts[0], &parts[1], &parts[2]) < 2)
		return -EINVAL;

	if (!order)
		order = parts[0] >= 595 ? 595 : parts[0] >= 580 ? 580 : 550;

	return order == 550 || order == 580 || order == 595 ? 0 : -EINVAL;
}

const char *standin_version(void)
{
	return version;
}
EXPORT_SYMBOL_GPL(standin_version);

enum standin_order version_order(void)
{
	switch (order) {
	case 595:
		return STANDIN_ORDER_595;
	case 580:
		return STANDIN_ORDER_580;
	default:
		return STANDIN_ORDER_550;
	}
}

bool standin_version_at_least(unsigned int major, unsigned int minor, unsigned int patch)
{
	if (parts[0] != major)
		return parts[0] > major;
	if (parts[1] != minor)
		return parts[1] > minor;
	return parts[2] >= patch;
}
EXPORT_SYMBOL_GPL(standin_version_at_least);

/**
 * standin_version_apply() - make /sys/module/NAME/version say our version
 * @module: a module with MODULE_VERSION()
 *
 * The attribute prints module->version, which the module loader has duplicated
 * and will free. Replacing it from module_init is safe against the loader; a
 * reader at that very instant could still see the old text, which is therefore
 * left where it is (a few bytes for each load).
 */
void standin_version_apply(struct module *module)
{
	char *text = kstrdup(version, GFP_KERNEL);

	if (text)
		WRITE_ONCE(module->version, text);
}
EXPORT_SYMBOL_GPL(standin_version_apply);

/**
 * standin_list_names() - whether a list of GPUs includes this one
 * @list: "all", or PCI addresses with anything between them
 * @pdev: the function
 */
bool standin_list_names(const char *list, struct pci_dev *pdev)
{
	return sysfs_streq(list, "all") || strstr(list, pci_name(pdev));
}
EXPORT_SYMBOL_GPL(standin_list_names);
