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
 * Load it after nvidia, before the first open, and let it be until after the
 * last close.
 *
 * A kprobe at the first instruction of a function sends the call on to ours,
 * which then runs as if it had been called, so it may sleep.
 */

#include <linux/delay.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

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

static int __init nvfake_init(void)
{
	unsigned int i;
	int r;

	for (i = 0; i < ARRAY_SIZE(probes); i++) {
		r = register_kprobe(&probes[i]);
		if (r < 0) {
			pr_err("nvfake: %s: %d\n", probes[i].symbol_name, r);
			goto unregister;
		}
	}
	return 0;

unregister:
	while (i-- > 0)
		unregister_kprobe(&probes[i]);
	return r;
}

static void __exit nvfake_exit(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(probes); i++)
		unregister_kprobe(&probes[i]);
}

module_init(nvfake_init);
module_exit(nvfake_exit);
MODULE_DESCRIPTION("Makes opens of an emulated GPU succeed, for the vfiopt test machine");
MODULE_LICENSE("GPL");
MODULE_SOFTDEP("pre: nvidia");
