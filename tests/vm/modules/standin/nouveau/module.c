// SPDX-License-Identifier: GPL-2.0-only
/*
 * The nouveau stand-in
 *
 * Binds to any GPU of NVIDIA's, and does nothing. It has no alias, as udev would load it for each
 * card otherwise; a scenario that wants it gives it one in modprobe.d.
 */

#include <linux/module.h>
#include <linux/pci.h>

static int nouveau_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	return 0;
}

static void nouveau_remove(struct pci_dev *pdev)
{
}

static const struct pci_device_id nouveau_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_NVIDIA, PCI_ANY_ID), .class = PCI_BASE_CLASS_DISPLAY << 16,
	  .class_mask = 0xff0000 },
	{}
};

static struct pci_driver nouveau_driver = {
	.name = "nouveau",
	.id_table = nouveau_ids,
	.probe = nouveau_probe,
	.remove = nouveau_remove,
};
module_pci_driver(nouveau_driver);

MODULE_DESCRIPTION("Stand-in for nouveau");
MODULE_LICENSE("GPL");
