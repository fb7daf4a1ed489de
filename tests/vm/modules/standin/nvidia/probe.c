// SPDX-License-Identifier: GPL-2.0-only
/*
 * Binding
 *
 * Probe takes the registers and reads one of them, adds the GPU to the list and
 * does not start it: bound does not mean working. A failure is -1, that is
 * -EPERM, whatever the reason, because that is what nv_pci_probe() returns.
 */

#define pr_fmt(fmt) "NVRM: " fmt

#include <linux/delay.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/pci.h>
#include <linux/vgaarb.h>

#include "nvidia/gpu.h"

static char fail_probe[128];
module_param_string(fail_probe, fail_probe, sizeof(fail_probe), 0644);
MODULE_PARM_DESC(fail_probe, "GPUs that do not bind: all, or PCI addresses");

static unsigned int probe_ms;
module_param(probe_ms, uint, 0644);
MODULE_PARM_DESC(probe_ms, "time that a bind takes");

static unsigned int probes;
module_param(probes, uint, 0444);
MODULE_PARM_DESC(probes, "how often probe has been called since the module was loaded");

/* As the real module_init counts them: called, and succeeded and not removed. */
unsigned int probe_called, probe_succeeded;

static const struct pci_device_id nv_pci_table[] = {
	STANDIN_PCI_CLASS(PCI_CLASS_DISPLAY_VGA),
	STANDIN_PCI_CLASS(PCI_CLASS_DISPLAY_3D),
	{},
};
MODULE_DEVICE_TABLE(pci, nv_pci_table);

/* Whether the function answers and is not told to fail. */
static int probe_check(struct pci_dev *pdev)
{
	if (gpu_off_the_bus(pdev)) {
		pr_err("The NVIDIA GPU %s\n", pci_name(pdev));
		pr_err("(PCI ID: %04x:%04x) installed in this system has\n", pdev->vendor,
		       pdev->device);
		pr_err("fallen off the bus and is not responding to commands.\n");
		return -1;
	}

	if (standin_list_names(fail_probe, pdev)) {
		pr_err("GPU %s: rm_init_private_state() failed!\n", pci_name(pdev));
		return -1;
	}

	return 0;
}

static int probe_take(struct pci_dev *pdev)
{
	if (pci_enable_device(pdev) != 0) {
		pr_err("pci_enable_device failed, aborting\n");
		return -1;
	}

	if (pci_request_region(pdev, 0, "nvidia") != 0) {
		pr_err("request_mem_region failed for %lluM @ 0x%llx. This can\n",
		       (u64)pci_resource_len(pdev, 0) >> 20, (u64)pci_resource_start(pdev, 0));
		pr_err("occur when a driver such as rivatv is loaded and claims\n");
		pr_err("ownership of the device's registers.\n");
		pci_disable_device(pdev);
		return -1;
	}

	pci_set_master(pdev);
	vga_set_legacy_decoding(pdev, VGA_RSRC_NONE);
	return 0;
}

static int nv_pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct standin_gpu *gpu;

	probes++;
	probe_called++;
	if (probe_ms)
		msleep(probe_ms);

	if (probe_take(pdev) < 0)
		return -1;
	if (probe_check(pdev) < 0)
		goto release;

	gpu = gpu_new(pdev);
	if (!gpu) {
		pr_err("failed to allocate memory\n");
		goto release;
	}

	pci_set_drvdata(pdev, gpu);
	probe_succeeded++;
	gpu_list_add(gpu);
	procfs_add_gpu(gpu);
	i2c_on_probe(gpu);
	standin_node_add(STANDIN_MAJOR, gpu->minor, NULL);
	client_probe(gpu);
	return 0;

release:
	pci_release_region(pdev, 0);
	pci_disable_device(pdev);
	return -1;
}

static struct pci_driver nv_pci_driver = {
	.name = "nvidia",
	.id_table = nv_pci_table,
	.probe = nv_pci_probe,
	.remove = nv_pci_remove,
	.driver.probe_type = PROBE_FORCE_SYNCHRONOUS,
};

int nv_pci_register(void)
{
	return pci_register_driver(&nv_pci_driver);
}

void nv_pci_unregister(void)
{
	pci_unregister_driver(&nv_pci_driver);
}

/* How many functions probe ought to be called for. */
unsigned int nv_pci_count(void)
{
	struct pci_dev *pdev = NULL;
	unsigned int n = 0;

	for_each_pci_dev(pdev) {
		if (!pci_match_id(nv_pci_table, pdev))
			continue;
		if (pdev->dev.driver)
			pr_warn("GPU %s is already bound to %s.\n", pci_name(pdev),
				pdev->dev.driver->name);
		n++;
	}
	return n;
}
