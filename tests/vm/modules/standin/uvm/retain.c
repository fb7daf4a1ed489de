// SPDX-License-Identifier: GPL-2.0-only
/*
 * GPUs that UVM retains
 *
 * While UVM retains a GPU there is /proc/driver/nvidia-uvm/gpus/<UUID>, in
 * release builds too: the one way to see from outside that a CUDA program uses
 * this GPU and not just UVM (init_parent_procfs_dir() in uvm_gpu.c).
 */

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/slab.h>

#include "standin.h"
#include "uvm/retain.h"

struct uvm_gpu {
	struct list_head link;
	u32 id;
	unsigned int n_users;
	struct proc_dir_entry *proc;
};

static DEFINE_MUTEX(retained_lock);
static LIST_HEAD(retained);
static struct proc_dir_entry *proc_uvm, *proc_gpus;

static struct uvm_gpu *find_locked(u32 id)
{
	struct uvm_gpu *gpu;

	list_for_each_entry(gpu, &retained, link)
		if (gpu->id == id)
			return gpu;
	return NULL;
}

static int add_locked(u32 id, struct uvm_gpu **ret_gpu)
{
	char uuid[STANDIN_UUID_SIZE];
	struct uvm_gpu *gpu;
	int r;

	r = standin_gpu_get(id);
	if (r < 0)
		return r;

	r = -ENOMEM;
	gpu = kzalloc(sizeof(*gpu), GFP_KERNEL);
	if (!gpu)
		goto put;

	r = standin_gpu_uuid(id, uuid);
	if (r < 0)
		goto free;

	gpu->id = id;
	gpu->proc = proc_mkdir(uuid, proc_gpus);
	list_add(&gpu->link, &retained);
	*ret_gpu = gpu;
	return 0;

free:
	kfree(gpu);
put:
	standin_gpu_put(id);
	return r;
}

int retain_gpu(const char *bdf, struct uvm_gpu **ret_gpu)
{
	struct uvm_gpu *gpu;
	u32 id;
	int r;

	r = standin_gpu_find(bdf, &id);
	if (r < 0)
		return r;

	mutex_lock(&retained_lock);
	gpu = find_locked(id);
	r = gpu ? 0 : add_locked(id, &gpu);
	if (r == 0) {
		gpu->n_users++;
		*ret_gpu = gpu;
	}
	mutex_unlock(&retained_lock);
	return r;
}

void release_gpu(struct uvm_gpu *gpu)
{
	mutex_lock(&retained_lock);
	if (--gpu->n_users == 0) {
		list_del(&gpu->link);
		proc_remove(gpu->proc);
		standin_gpu_put(gpu->id);
		kfree(gpu);
	}
	mutex_unlock(&retained_lock);
}

int retain_init(void)
{
	proc_uvm = proc_mkdir("driver/nvidia-uvm", NULL);
	if (!proc_uvm)
		return -ENOMEM;

	proc_gpus = proc_mkdir("gpus", proc_uvm);
	if (!proc_gpus) {
		proc_remove(proc_uvm);
		return -ENOMEM;
	}
	return 0;
}

void retain_exit(void)
{
	proc_remove(proc_uvm);
}
