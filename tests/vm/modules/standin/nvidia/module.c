// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading and unloading of the nvidia stand-in
 *
 * Loading fails when no GPU came to be bound, which is so on every machine
 * whose only GPU is on vfio-pci, and is why nobody may load this module as long
 * as that is the case (nvidia_init_module() of the real driver).
 */

#define pr_fmt(fmt) "NVRM: " fmt

#include <linux/init.h>
#include <linux/module.h>

#include "nvidia/gpu.h"

static int check_probed(unsigned int n_found)
{
	if (probe_called != n_found) {
		pr_err("The NVIDIA probe routine was not called for %d device(s).\n",
		       n_found - probe_called);
		pr_err("This can occur when another driver was loaded and \n"
		       "NVRM: obtained ownership of the NVIDIA device(s).\n");
		pr_err("Try unloading the conflicting kernel module (and/or\n"
		       "NVRM: reconfigure your kernel without the conflicting\n"
		       "NVRM: driver(s)), then try loading the NVIDIA kernel module\n"
		       "NVRM: again.\n");
	}

	if (!probe_called) {
		pr_err("No NVIDIA devices probed.\n");
		return -ENODEV;
	}

	if (probe_called != probe_succeeded)
		pr_err("The NVIDIA probe routine failed for %d device(s).\n",
		       probe_called - probe_succeeded);

	if (!probe_succeeded) {
		pr_err("None of the NVIDIA devices were initialized.\n");
		return -ENODEV;
	}

	return 0;
}

static int __init start(void)
{
	const unsigned int n_found = nv_pci_count();
	int r;

	if (!n_found) {
		pr_err("No NVIDIA GPU found.\n");
		return -ENODEV;
	}

	r = nv_pci_register();
	if (r < 0)
		return r;

	r = check_probed(n_found);
	if (r < 0)
		goto unregister;

	pr_err("loading NVIDIA UNIX Open Kernel Module for x86_64  %s  Release Build  (stand-in)\n",
	       standin_version());

	/* Last, as there: nothing can be opened before. */
	r = chardev_init();
	if (r < 0)
		goto unregister;

	return 0;

unregister:
	nv_pci_unregister();
	return r;
}

static int __init nvidia_init_module(void)
{
	int r;

	r = version_init();
	if (r < 0)
		return r;
	standin_version_apply(THIS_MODULE);

	r = procfs_init();
	if (r < 0)
		return r;

	r = devnodes_init();
	if (r < 0)
		goto no_devnodes;

	r = start();
	if (r < 0)
		goto no_start;

	return 0;

no_start:
	devnodes_exit();
no_devnodes:
	procfs_exit();
	return r;
}

static void __exit nvidia_exit_module(void)
{
	chardev_exit();
	nv_pci_unregister();
	devnodes_exit();
	procfs_exit();
}

module_init(nvidia_init_module);
module_exit(nvidia_exit_module);
MODULE_DESCRIPTION("Stand-in for the NVIDIA driver, for the vfiopt test machine");
MODULE_LICENSE("GPL");
MODULE_VERSION(STANDIN_VERSION);
/* The real one has it too, and it hides `softdep nvidia pre: vfio-pci`. */
MODULE_SOFTDEP("pre: ecdh_generic,ecdsa_generic");
