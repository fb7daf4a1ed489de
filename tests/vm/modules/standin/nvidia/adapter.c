// SPDX-License-Identifier: GPL-2.0-only
/*
 * Starting and stopping a GPU
 *
 * The first user starts the GPU and the last one stops it; between the two its
 * interrupt exists. So files below msi_irqs/ mean "in use", which is what a
 * program can tell without asking the driver (nv_open_device(),
 * nv_start_device() and nv_close_device() of the real one).
 */

#define pr_fmt(fmt) "NVRM: " fmt

#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/pci.h>

#include "nvidia/gpu.h"

#define PMC_BOOT_0 0x000
#define PMC_BOOT_42 0xa00

static char fail_open[128];
module_param_string(fail_open, fail_open, sizeof(fail_open), 0644);
MODULE_PARM_DESC(fail_open, "GPUs whose first open fails with EIO: all, or PCI addresses");

static unsigned int start_ms, stop_ms;
module_param(start_ms, uint, 0644);
MODULE_PARM_DESC(start_ms, "time that the first open takes");
module_param(stop_ms, uint, 0644);
MODULE_PARM_DESC(stop_ms, "time that the last close takes");

/* Registers read as ones when nothing answers. */
bool gpu_off_the_bus(struct pci_dev *pdev)
{
	void __iomem *regs = ioremap(pci_resource_start(pdev, 0), PAGE_SIZE);
	bool gone;

	if (!regs)
		return true;

	gone = readl(regs + PMC_BOOT_0) == ~0U && readl(regs + PMC_BOOT_42) == ~0U;
	iounmap(regs);
	return gone;
}

/* The emulated GPU raises none by itself; a shared line is someone else's. */
static irqreturn_t gpu_interrupt(int irq, void *userdata)
{
	return IRQ_NONE;
}

static void gpu_stop(struct standin_gpu *gpu)
{
	free_irq(gpu->irq, gpu);
	pci_free_irq_vectors(gpu->pdev);
	gpu->started = false; /* and the number stays in `information` */
}

static int gpu_start(struct standin_gpu *gpu)
{
	struct pci_dev *pdev = gpu->pdev;
	int r;

	r = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSI | PCI_IRQ_INTX);
	if (r < 0) {
		pr_err("GPU %s: No interrupts of any type are available. Cannot use this GPU.\n",
		       pci_name(pdev));
		return -EIO;
	}

	gpu->irq = pci_irq_vector(pdev, 0);
	r = request_irq(gpu->irq, gpu_interrupt, IRQF_SHARED, "nvidia", gpu);
	if (r < 0) {
		pr_err("GPU %s: request_irq() failed (%d)\n", pci_name(pdev), r);
		pci_free_irq_vectors(pdev);
		gpu->irq = pdev->irq;
		return r;
	}

	gpu->started = true;
	if (start_ms)
		msleep(start_ms);

	if (gpu_off_the_bus(pdev) || standin_list_names(fail_open, pdev)) {
		pr_err("GPU %s: RmInitAdapter failed! (0x61:0x56:1705)\n", pci_name(pdev));
		pr_err("GPU %s: rm_init_adapter failed, device minor number %u\n", pci_name(pdev),
		       gpu->minor);
		gpu_stop(gpu);
		return -EIO;
	}

	WRITE_ONCE(gpu->seen, true);
	i2c_on_start(gpu);
	return 0;
}

/**
 * gpu_open_locked() - take one reference on a GPU
 * @gpu: the GPU, its lock held
 *
 * Return: 0 on success, -ENODEV while it is being removed (from 580 on; before
 *         that an open succeeds, and keeps remove() waiting), -EIO if it does
 *         not start.
 */
int gpu_open_locked(struct standin_gpu *gpu)
{
	int r;

	if (gpu->removing && version_order() != STANDIN_ORDER_550)
		return -ENODEV;

	if (!gpu->started) {
		r = gpu_start(gpu);
		if (r < 0)
			return r;
	}

	gpu->usage++;
	return 0;
}

void gpu_close_locked(struct standin_gpu *gpu)
{
	if (WARN_ON(!gpu->usage))
		return;
	if (--gpu->usage)
		return;

	if (stop_ms)
		msleep(stop_ms);
	gpu_stop(gpu);
}
