// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hold a GPU as nvidia-modeset does
 *
 * A reference that no open file accounts for: what nvidia-drm with modeset=1
 * keeps on every GPU. The real nvidia-drm cannot have one here, for it needs a
 * GPU that works; the function below is the one that it ends up in.
 *
 *     echo 0000:01:00.0 >/sys/module/nvhold/parameters/hold
 *     echo 0000:01:00.0 >/sys/module/nvhold/parameters/release
 *
 * From 595 on a release that comes after the unbind has begun is lost.
 */

#include <linux/module.h>
#include <linux/moduleparam.h>

#include "nv-modeset-interface.h"

static nvidia_modeset_rm_ops_t rm_ops = { .version_string = NV_VERSION_STRING };

/* The driver's own name of a GPU. */
static int parse_gpu_id(const char *bdf, NvU32 *ret_id)
{
	unsigned int domain, bus, slot;

	if (sscanf(bdf, "%x:%x:%x", &domain, &bus, &slot) != 3)
		return -EINVAL;

	*ret_id = domain << 16 | bus << 8 | slot;
	return 0;
}

static int call_rm(const char *bdf, bool hold)
{
	nvidia_modeset_stack_ptr stack = NULL;
	NvU32 id;
	int r;

	r = parse_gpu_id(bdf, &id);
	if (r < 0)
		return r;

	if (rm_ops.alloc_stack(&stack) != 0)
		return -ENOMEM;

	if (hold)
		r = rm_ops.open_gpu(id, stack);
	else
		rm_ops.close_gpu(id, stack);

	rm_ops.free_stack(stack);
	return r;
}

static int hold_set(const char *text, const struct kernel_param *kp)
{
	return call_rm(text, true);
}

static int release_set(const char *text, const struct kernel_param *kp)
{
	return call_rm(text, false);
}

static const struct kernel_param_ops hold_ops = { .set = hold_set };
static const struct kernel_param_ops release_ops = { .set = release_set };

module_param_cb(hold, &hold_ops, NULL, 0200);
MODULE_PARM_DESC(hold, "write the PCI address of a GPU to take a reference on it");
module_param_cb(release, &release_ops, NULL, 0200);
MODULE_PARM_DESC(release, "write the PCI address of a GPU to drop one");

static int __init nvhold_init(void)
{
	return nvidia_get_rm_ops(&rm_ops) == NV_OK ? 0 : -EINVAL;
}

static void __exit nvhold_exit(void)
{
}

module_init(nvhold_init);
module_exit(nvhold_exit);
MODULE_DESCRIPTION("Holds a GPU from inside the kernel, for the vfiopt test machine");
MODULE_LICENSE("GPL");
