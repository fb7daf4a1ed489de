// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/driver/nvidia
 *
 * The text is that of 550.163.01, tabs and blanks included, because programs
 * parse it. The directory of a GPU stays until remove() has stopped waiting: it
 * being there while the driver link has gone means a removal in progress.
 *
 * Readers take no lock: the directory is removed with both locks held, and
 * removing it waits for the readers.
 */

#include <linux/pci.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/string.h>

#include "nvidia/gpu.h"

#define UUID_UNKNOWN "GPU-\?\?\?\?\?\?\?\?-\?\?\?\?-\?\?\?\?-\?\?\?\?-\?\?\?\?\?\?\?\?\?\?\?\?"

static struct proc_dir_entry *proc_nvidia, *proc_gpus;

static const struct {
	unsigned int device;
	const char *name;
} models[] = {
	{ 0x1e04, "NVIDIA GeForce RTX 2080 Ti" },
	{ 0x2204, "NVIDIA GeForce RTX 3090" },
	{ 0x2684, "NVIDIA GeForce RTX 4090" },
	{ 0x2d04, "NVIDIA GeForce RTX 5060 Ti" },
};

static const char *model_name(unsigned int device)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(models); i++)
		if (models[i].device == device)
			return models[i].name;
	return "NVIDIA Graphics Device";
}

/* The UUID is known from the first start on; what is printed before it is not one. */
static int information_show(struct seq_file *s, void *v)
{
	struct standin_gpu *gpu = s->private;
	const bool seen = READ_ONCE(gpu->seen);

	seq_printf(s, "Model: \t\t %s\n", model_name(gpu->pdev->device));
	seq_printf(s, "IRQ:   \t\t %d\n", READ_ONCE(gpu->irq));
	seq_printf(s, "GPU UUID: \t %s\n", seen ? gpu->uuid : UUID_UNKNOWN);
	seq_printf(s, "Video BIOS: \t %s\n", seen ? "94.02.42.00.a9" : "\?\?.\?\?.\?\?.\?\?.\?\?");
	seq_puts(s, "Bus Type: \t PCIe\n");
	seq_puts(s, "DMA Size: \t 36 bits\n");
	seq_puts(s, "DMA Mask: \t 0xfffffffff\n");
	seq_printf(s, "Bus Location: \t %s\n", pci_name(gpu->pdev));
	seq_printf(s, "Device Minor: \t %u\n", gpu->minor);
	seq_printf(s, "GPU Firmware: \t %s\n", seen ? standin_version() : "N/A");
	seq_puts(s, "GPU Excluded:\t No\n");
	return 0;
}

static int power_show(struct seq_file *s, void *v)
{
	const struct standin_gpu *gpu = s->private;
	const bool seen = READ_ONCE(gpu->seen);

	seq_printf(s, "Runtime D3 status:          %s\n", seen ? "Disabled by default" : "?");
	seq_printf(s, "Video Memory:               %s\n\n", seen ? "Active" : "?");
	seq_puts(s, "GPU Hardware Support:\n");
	seq_printf(s, " Video Memory Self Refresh: %s\n", seen ? "Not Supported" : "?");
	seq_printf(s, " Video Memory Off:          %s\n", seen ? "Not Supported" : "?");
	return 0;
}

static int registry_show(struct seq_file *s, void *v)
{
	seq_puts(s, "Binary: \"\"\n");
	return 0;
}

static int version_show(struct seq_file *s, void *v)
{
	seq_printf(s,
		   "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  %s  Release Build"
		   "  (stand-in)\n",
		   standin_version());
	seq_puts(s, "GCC version:  " CONFIG_CC_VERSION_TEXT "\n");
	return 0;
}

/* Only those that somebody who moves a GPU might want to know. */
static int params_show(struct seq_file *s, void *v)
{
	seq_puts(s, "EnableMSI: 1\n");
	seq_puts(s, "EnableResizableBar: 0\n");
	seq_puts(s, "PreserveVideoMemoryAllocations: 0\n");
	seq_puts(s, "DynamicPowerManagement: 3\n");
	seq_puts(s, "RegisterPCIDriver: 1\n");
	seq_puts(s, "EnableNonblockingOpen: 1\n");
	seq_puts(s, "ExcludedGpus: \"\"\n");
	return 0;
}

int procfs_init(void)
{
	proc_nvidia = proc_mkdir("driver/nvidia", NULL);
	if (!proc_nvidia)
		return -ENOMEM;

	proc_create_single("params", 0444, proc_nvidia, params_show);
	proc_create_single("registry", 0444, proc_nvidia, registry_show);
	proc_create_single("version", 0444, proc_nvidia, version_show);
	proc_gpus = proc_mkdir("gpus", proc_nvidia);
	if (!proc_gpus) {
		procfs_exit();
		return -ENOMEM;
	}
	return 0;
}

void procfs_exit(void)
{
	proc_remove(proc_nvidia);
}

void procfs_add_gpu(struct standin_gpu *gpu)
{
	gpu->proc = proc_mkdir(pci_name(gpu->pdev), proc_gpus);
	if (!gpu->proc)
		return;

	proc_create_single_data("information", 0444, gpu->proc, information_show, gpu);
	proc_create_single_data("power", 0444, gpu->proc, power_show, gpu);
	proc_create_single_data("registry", 0444, gpu->proc, registry_show, gpu);
}

void procfs_remove_gpu(struct standin_gpu *gpu)
{
	proc_remove(gpu->proc);
	gpu->proc = NULL;
}
