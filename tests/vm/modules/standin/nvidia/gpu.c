// SPDX-License-Identifier: GPL-2.0-only
/*
 * The list of GPUs, their minors and their references
 *
 * A minor is the lowest free number (nv_linux_assign_minor_locked() of the real
 * driver), so it says in which order GPUs were bound and nothing else: it
 * changes when two of them are bound again in the other order.
 */

#include <linux/bitmap.h>
#include <linux/jhash.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "nvidia/gpu.h"

DEFINE_MUTEX(gpus_lock);
static LIST_HEAD(gpus);
static DECLARE_BITMAP(minors, STANDIN_GPUS_MAX);

/* As the real one: the function number does not take part. */
static u32 gpu_id_of(struct pci_dev *pdev)
{
	return pci_domain_nr(pdev->bus) << 16 | pdev->bus->number << 8 | PCI_SLOT(pdev->devfn);
}

/* Stable across rebinding, and different for two identical cards. */
static void gpu_make_uuid(u32 id, char uuid[static STANDIN_UUID_SIZE])
{
	u32 h[4];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(h); i++)
		h[i] = jhash_1word(id, i + 1);

	snprintf(uuid, STANDIN_UUID_SIZE, "GPU-%08x-%04x-%04x-%04x-%04x%08x", h[0], h[1] >> 16,
		 h[1] & 0xffff, h[2] >> 16, h[2] & 0xffff, h[3]);
}

/* Returns NULL when out of memory. */
struct standin_gpu *gpu_new(struct pci_dev *pdev)
{
	struct standin_gpu *gpu = kzalloc(sizeof(*gpu), GFP_KERNEL);

	if (!gpu)
		return NULL;

	gpu->open_queue = alloc_ordered_workqueue("nv_open_q", 0);
	if (!gpu->open_queue) {
		kfree(gpu);
		return NULL;
	}

	kref_init(&gpu->ref);
	INIT_LIST_HEAD(&gpu->link);
	mutex_init(&gpu->lock);
	gpu->pdev = pci_dev_get(pdev);
	gpu->id = gpu_id_of(pdev);
	gpu->irq = pdev->irq;
	gpu->accepting = true;
	gpu_make_uuid(gpu->id, gpu->uuid);
	return gpu;
}

static void gpu_free(struct kref *ref)
{
	struct standin_gpu *gpu = container_of(ref, struct standin_gpu, ref);

	pci_dev_put(gpu->pdev);
	destroy_workqueue(gpu->open_queue);
	mutex_destroy(&gpu->lock);
	kfree(gpu);
}

struct standin_gpu *gpu_ref(struct standin_gpu *gpu)
{
	kref_get(&gpu->ref);
	return gpu;
}

void gpu_unref(struct standin_gpu *gpu)
{
	kref_put(&gpu->ref, gpu_free);
}

void gpu_list_add(struct standin_gpu *gpu)
{
	mutex_lock(&gpus_lock);
	gpu->minor = find_first_zero_bit(minors, STANDIN_GPUS_MAX);
	__set_bit(gpu->minor, minors);
	list_add_tail(&gpu->link, &gpus);
	mutex_unlock(&gpus_lock);
}

void gpu_list_del_locked(struct standin_gpu *gpu)
{
	list_del_init(&gpu->link);
}

void gpu_minor_put_locked(struct standin_gpu *gpu)
{
	__clear_bit(gpu->minor, minors);
}

struct standin_gpu *gpu_find_minor_locked(unsigned int minor)
{
	struct standin_gpu *gpu;

	list_for_each_entry(gpu, &gpus, link)
		if (gpu->minor == minor)
			return gpu;
	return NULL;
}

/* Returns with the GPU's lock held, and a reference: see gpu_unlock(). */
static struct standin_gpu *gpu_lock_by_id(u32 id)
{
	struct standin_gpu *gpu, *found = NULL;

	mutex_lock(&gpus_lock);
	list_for_each_entry(gpu, &gpus, link) {
		if (gpu->id == id) {
			found = gpu_ref(gpu);
			mutex_lock(&gpu->lock);
			break;
		}
	}
	mutex_unlock(&gpus_lock);
	return found;
}

/* The reference makes it safe that remove() goes on before this returns. */
static void gpu_unlock(struct standin_gpu *gpu)
{
	mutex_unlock(&gpu->lock);
	gpu_unref(gpu);
}

/* nvidia_dev_get(): what nvidia-modeset and nvidia-uvm hold a GPU with. */
int standin_gpu_get(u32 id)
{
	struct standin_gpu *gpu = gpu_lock_by_id(id);
	int r;

	if (!gpu)
		return -ENODEV;

	r = gpu_open_locked(gpu);
	gpu_unlock(gpu);
	return r;
}
EXPORT_SYMBOL_GPL(standin_gpu_get);

/*
 * nvidia_dev_put(): silently does nothing for a GPU that is not on the list.
 * That is harmless up to 590 and, from 595 on, how a reference gets lost
 * (NVIDIA/open-gpu-kernel-modules issue 1119).
 */
void standin_gpu_put(u32 id)
{
	struct standin_gpu *gpu = gpu_lock_by_id(id);

	if (!gpu)
		return;

	gpu_close_locked(gpu);
	gpu_unlock(gpu);
}
EXPORT_SYMBOL_GPL(standin_gpu_put);

/* A GPU by its PCI address, as tests name it. */
int standin_gpu_find(const char *bdf, u32 *ret_id)
{
	struct standin_gpu *gpu;
	int r = -ENODEV;

	mutex_lock(&gpus_lock);
	list_for_each_entry(gpu, &gpus, link) {
		if (sysfs_streq(bdf, pci_name(gpu->pdev))) {
			*ret_id = gpu->id;
			r = 0;
			break;
		}
	}
	mutex_unlock(&gpus_lock);
	return r;
}
EXPORT_SYMBOL_GPL(standin_gpu_find);

int standin_gpu_uuid(u32 id, char uuid[static STANDIN_UUID_SIZE])
{
	struct standin_gpu *gpu = gpu_lock_by_id(id);

	if (!gpu)
		return -ENODEV;

	strscpy(uuid, gpu->uuid, STANDIN_UUID_SIZE);
	gpu_unlock(gpu);
	return 0;
}
EXPORT_SYMBOL_GPL(standin_gpu_uuid);

/* The caller puts each @pdev. */
unsigned int standin_gpu_enumerate(struct standin_gpu_info infos[static STANDIN_GPUS_MAX])
{
	struct standin_gpu *gpu;
	unsigned int n = 0;

	mutex_lock(&gpus_lock);
	list_for_each_entry(gpu, &gpus, link) {
		infos[n].id = gpu->id;
		infos[n].pdev = pci_dev_get(gpu->pdev);
		n++;
	}
	mutex_unlock(&gpus_lock);
	return n;
}
EXPORT_SYMBOL_GPL(standin_gpu_enumerate);
