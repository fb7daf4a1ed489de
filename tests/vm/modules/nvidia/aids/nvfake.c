// SPDX-License-Identifier: GPL-2.0-only
/*
 * Let NVIDIA's own driver believe that the GPU works
 *
 * The emulated GPU has registers enough to be bound, but nothing behind them,
 * so the first open fails where the driver starts the firmware. This module
 * takes the place of that function and of its opposites. Everything around
 * them is NVIDIA's code as it is: the usage count, interrupts, waiting in
 * remove(), taking down.
 *
 * It may be loaded before nvidia or after it, and has the same PCI alias, so
 * udev loads both. It does not depend on nvidia, for that would count as a user
 * of that module, and it takes its place again whenever nvidia is loaded anew.
 * It must not come or go while a GPU is open.
 *
 * A kprobe at the first instruction of a function sends the call on to ours,
 * which then runs as if it had been called, so it may sleep.
 */

#include <linux/delay.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/string.h>

static unsigned int init_ms;
module_param(init_ms, uint, 0644);
MODULE_PARM_DESC(init_ms, "time that the first open takes");

/* Called in place of NVIDIA's, with arguments that we do not look at. */

static noinline unsigned long fake_true(void)
{
	if (init_ms)
		msleep(init_ms);
	return 1;
}

static noinline unsigned long fake_zero(void)
{
	return 0;
}

static int send_on_true(struct kprobe *probe, struct pt_regs *regs)
{
	instruction_pointer_set(regs, (unsigned long)fake_true);
	return 1;
}

static int send_on_zero(struct kprobe *probe, struct pt_regs *regs)
{
	instruction_pointer_set(regs, (unsigned long)fake_zero);
	return 1;
}

/* There only to be there: an optimised kprobe could not send a call elsewhere. */
static void after(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
}

#define FAKE(function, handler)                                                                    \
	{                                                                                          \
		.symbol_name = (function), .pre_handler = (handler), .post_handler = after         \
	}

static struct kprobe probes[] = {
	FAKE("rm_init_adapter", send_on_true),
	FAKE("rm_disable_adapter", send_on_zero),
	FAKE("rm_shutdown_adapter", send_on_zero),
	FAKE("rm_set_external_kernel_client_count", send_on_zero),
	FAKE("rm_get_gpu_uuid_raw", send_on_zero),
};

static DEFINE_MUTEX(lock);
static bool armed;

static void disarm_first(unsigned int n)
{
	while (n-- > 0)
		unregister_kprobe(&probes[n]);
}

static int arm(void)
{
	unsigned int i;
	int r = 0;

	mutex_lock(&lock);
	for (i = 0; !armed && i < ARRAY_SIZE(probes); i++) {
		/* What an earlier registration has left there. */
		probes[i].addr = NULL;
		probes[i].flags = 0;
		r = register_kprobe(&probes[i]);
		if (r < 0) {
			disarm_first(i);
			goto unlock;
		}
	}
	armed = true;
unlock:
	mutex_unlock(&lock);
	return r;
}

static void disarm(void)
{
	mutex_lock(&lock);
	if (armed)
		disarm_first(ARRAY_SIZE(probes));
	armed = false;
	mutex_unlock(&lock);
}

static int on_module(struct notifier_block *nb, unsigned long event, void *data)
{
	const struct module *module = data;

	if (strcmp(module->name, "nvidia"))
		return NOTIFY_DONE;

	if (event == MODULE_STATE_COMING && arm() < 0)
		pr_err("nvfake: this nvidia has other functions\n");
	if (event == MODULE_STATE_GOING)
		disarm();
	return NOTIFY_DONE;
}

static struct notifier_block modules = { .notifier_call = on_module };

static int __init nvfake_init(void)
{
	int r;

	r = register_module_notifier(&modules);
	if (r < 0)
		return r;

	/* Without nvidia there is nothing to find yet; the notifier will see it come. */
	r = arm();
	return r == -ENOENT ? 0 : r;
}

static void __exit nvfake_exit(void)
{
	unregister_module_notifier(&modules);
	disarm();
}

static const struct pci_device_id nvfake_pci_table[] = {
	{ .vendor = PCI_VENDOR_ID_NVIDIA,
	  .device = PCI_ANY_ID,
	  .subvendor = PCI_ANY_ID,
	  .subdevice = PCI_ANY_ID,
	  .class = PCI_CLASS_DISPLAY_VGA << 8,
	  .class_mask = ~0 },
	{},
};
MODULE_DEVICE_TABLE(pci, nvfake_pci_table);

module_init(nvfake_init);
module_exit(nvfake_exit);
MODULE_DESCRIPTION("Makes opens of an emulated GPU succeed, for the vfiopt test machine");
MODULE_LICENSE("GPL");
