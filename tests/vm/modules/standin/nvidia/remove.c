// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unbinding
 *
 * The reason why this whole project looks before it leaps: remove() cannot
 * fail, so the driver waits in it until nobody uses the GPU any more, and
 * whoever wrote to `unbind` waits with it, beyond any signal (nv_pci_remove()
 * and os_delay() of the real driver, which lend their names so that a stack
 * trace reads the same).
 */

#define pr_fmt(fmt) "NVRM: " fmt

#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/pci.h>
#include <linux/sched.h>

#include "nvidia/gpu.h"

#define POLL_MS 500

static unsigned int remove_ms;
module_param(remove_ms, uint, 0644);
MODULE_PARM_DESC(remove_ms, "time that an unbind takes when nobody uses the GPU");

static unsigned int removes;
module_param(removes, uint, 0444);
MODULE_PARM_DESC(removes, "how often remove has run to its end since the module was loaded");

/*
 * The state is set once, before the loop. That makes the writer show as S; but
 * with a signal pending schedule_timeout() returns at once and leaves the state
 * at TASK_RUNNING, and from then on the loop spins: R, 100 % of a CPU, until
 * the last user has gone. Kept as it is in nv_sleep_ms(), because tests depend
 * on that difference.
 */
static noinline __attribute__((__noclone__)) void os_delay(unsigned int ms)
{
	const ktime_t end = ktime_add_ms(ktime_get_raw(), ms);
	long left = msecs_to_jiffies(ms);

	set_current_state(TASK_INTERRUPTIBLE);
	do {
		schedule_timeout(left);
		left = nsecs_to_jiffies(max(0LL, ktime_to_ns(ktime_sub(end, ktime_get_raw()))));
	} while (left > 0);
	__set_current_state(TASK_RUNNING);
}

/* Both locks held on entry and on return, and let go of while it sleeps. */
static void wait_for_users(struct standin_gpu *gpu)
{
	if (!gpu->usage)
		return;

	pr_err("Attempting to remove device %s with non-zero usage count!\n", pci_name(gpu->pdev));

	while (gpu->usage) {
		mutex_unlock(&gpu->lock);
		mutex_unlock(&gpus_lock);

		os_delay(POLL_MS);

		mutex_lock(&gpus_lock);
		mutex_lock(&gpu->lock);
	}

	pr_err("Continuing with GPU removal for device %s\n", pci_name(gpu->pdev));
}

static void stop_open_queue(struct standin_gpu *gpu)
{
	mutex_lock(&gpus_lock);
	gpu->accepting = false;
	mutex_unlock(&gpus_lock);

	flush_workqueue(gpu->open_queue);
}

noinline void nv_pci_remove(struct pci_dev *pdev)
{
	struct standin_gpu *gpu = pci_get_drvdata(pdev);

	stop_open_queue(gpu);
	client_remove(gpu);

	mutex_lock(&gpus_lock);
	mutex_lock(&gpu->lock);
	gpu->removing = true;

	if (version_order() == STANDIN_ORDER_595)
		gpu_list_del_locked(gpu);

	wait_for_users(gpu);

	if (version_order() != STANDIN_ORDER_595)
		gpu_list_del_locked(gpu);

	procfs_remove_gpu(gpu);
	gpu_minor_put_locked(gpu);
	mutex_unlock(&gpu->lock);
	mutex_unlock(&gpus_lock);

	if (remove_ms)
		msleep(remove_ms);

	standin_node_del(STANDIN_MAJOR, gpu->minor);
	probe_called--;
	probe_succeeded--;
	pci_set_drvdata(pdev, NULL);
	i2c_on_remove(gpu);
	pci_release_region(pdev, 0);
	pci_disable_device(pdev);
	gpu_unref(gpu);
	removes++;
}
