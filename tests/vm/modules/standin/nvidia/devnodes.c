// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device nodes without user space
 *
 * Off by default, because the real driver makes none: there is no class
 * "nvidia", no uevent for /dev/nvidia0, and udev does not know these nodes.
 * With devnodes=1 devtmpfs makes them, for trying things by hand.
 */

#include <linux/device.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "nvidia/gpu.h"

static bool devnodes;
module_param(devnodes, bool, 0444);
MODULE_PARM_DESC(devnodes, "make /dev/nvidia* (the real driver leaves that to user space)");

static char *devnodes_mode(const struct device *dev, umode_t *mode)
{
	if (mode)
		*mode = 0666;
	return NULL;
}

static struct class devnodes_class = {
	.name = "nvidia",
	.devnode = devnodes_mode,
};

int devnodes_init(void)
{
	return devnodes ? class_register(&devnodes_class) : 0;
}

void devnodes_exit(void)
{
	if (devnodes)
		class_unregister(&devnodes_class);
}

/**
 * standin_node_add() - make a device node, where nodes are wanted
 * @major: its major number
 * @minor: its minor number
 * @name: its name, or NULL for that of the GPU with this minor
 */
void standin_node_add(unsigned int major, unsigned int minor, const char *name)
{
	if (!devnodes)
		return;

	if (name)
		device_create(&devnodes_class, NULL, MKDEV(major, minor), NULL, "%s", name);
	else
		device_create(&devnodes_class, NULL, MKDEV(major, minor), NULL, "nvidia%u", minor);
}
EXPORT_SYMBOL_GPL(standin_node_add);

void standin_node_del(unsigned int major, unsigned int minor)
{
	if (devnodes)
		device_destroy(&devnodes_class, MKDEV(major, minor));
}
EXPORT_SYMBOL_GPL(standin_node_del);
