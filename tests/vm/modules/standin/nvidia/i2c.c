// SPDX-License-Identifier: GPL-2.0-only
/*
 * The DDC bus
 *
 * Somebody with /dev/i2c-N open blocks the unbind as surely as one with
 * /dev/nvidia0 open, uninterruptibly, and shows up in no list of NVIDIA nodes:
 * i2c_del_adapter() waits for the last of them. The real driver adds its
 * adapters when the GPU is started for the first time and deletes them in
 * remove(), after the directory in procfs has gone.
 */

#include <linux/i2c.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "nvidia/gpu.h"

static char i2c[8] = "start";
module_param_string(i2c, i2c, sizeof(i2c), 0444);
MODULE_PARM_DESC(i2c, "when to add the I2C adapter: start (default), probe, or off");

/* Nothing answers: what a bus without a monitor does. */
static int nv_i2c_transfer(struct i2c_adapter *adapter, struct i2c_msg *msgs, int n_msgs)
{
	return -ENXIO;
}

static u32 nv_i2c_functionality(struct i2c_adapter *adapter)
{
	return I2C_FUNC_I2C;
}

static const struct i2c_algorithm nv_i2c_algorithm = {
	.master_xfer = nv_i2c_transfer,
	.functionality = nv_i2c_functionality,
};

static void i2c_add(struct standin_gpu *gpu)
{
	struct i2c_adapter *adapter;

	if (gpu->i2c)
		return;

	adapter = kzalloc(sizeof(*adapter), GFP_KERNEL);
	if (!adapter)
		return;

	adapter->owner = THIS_MODULE;
	adapter->algo = &nv_i2c_algorithm;
	adapter->dev.parent = &gpu->pdev->dev;
	snprintf(adapter->name, sizeof(adapter->name), "NVIDIA i2c adapter 1 at %x:%02x.%u",
		 gpu->pdev->bus->number, PCI_SLOT(gpu->pdev->devfn), PCI_FUNC(gpu->pdev->devfn));

	if (i2c_add_adapter(adapter) < 0) {
		kfree(adapter);
		return;
	}
	gpu->i2c = adapter;
}

void i2c_on_probe(struct standin_gpu *gpu)
{
	if (sysfs_streq(i2c, "probe"))
		i2c_add(gpu);
}

void i2c_on_start(struct standin_gpu *gpu)
{
	if (sysfs_streq(i2c, "start"))
		i2c_add(gpu);
}

void i2c_on_remove(struct standin_gpu *gpu)
{
	if (!gpu->i2c)
		return;

	i2c_del_adapter(gpu->i2c);
	kfree(gpu->i2c);
	gpu->i2c = NULL;
}
