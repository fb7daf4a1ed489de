// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/nvidiaN and /dev/nvidiactl
 *
 * An open of a GPU's node is a reference on that GPU until the last close or,
 * where it was mapped, the last unmap. An open of nvidiactl is a reference on
 * nothing but this module. The driver only registers the numbers; whoever needs
 * a node makes it (nvidia-modprobe).
 */

#include <linux/cdev.h>
#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "nvidia/gpu.h"

struct standin_file {
	struct standin_gpu *gpu;
	struct work_struct work;
	struct completion opened;
	int open_error;
};

static struct cdev gpus_cdev, ctl_cdev;

static struct standin_file *file_new(struct standin_gpu *gpu)
{
	struct standin_file *sf = kzalloc(sizeof(*sf), GFP_KERNEL);

	if (!sf)
		return NULL;

	init_completion(&sf->opened);
	sf->gpu = gpu_ref(gpu);
	return sf;
}

static void file_free(struct standin_file *sf)
{
	gpu_unref(sf->gpu);
	kfree(sf);
}

static void open_work(struct work_struct *work)
{
	struct standin_file *sf = container_of(work, struct standin_file, work);

	mutex_lock(&sf->gpu->lock);
	sf->open_error = gpu_open_locked(sf->gpu);
	mutex_unlock(&sf->gpu->lock);
	complete_all(&sf->opened);
}

/*
 * With O_NONBLOCK an open that would have to start the GPU, or to wait for
 * someone who does, is done later by a worker: open(2) succeeds either way and
 * the reference appears some time after it. Called with the list's lock held.
 */
static int open_later_locked(struct standin_file *sf)
{
	if (!sf->gpu->accepting)
		return -EBUSY;

	INIT_WORK(&sf->work, open_work);
	queue_work(sf->gpu->open_queue, &sf->work);
	return 0;
}

/* Whether to go on at once; the GPU's lock is held then. */
static bool open_try_lock(struct file *file, struct standin_gpu *gpu)
{
	if (!(file->f_flags & O_NONBLOCK)) {
		mutex_lock(&gpu->lock);
		return true;
	}

	if (!mutex_trylock(&gpu->lock))
		return false;
	if (gpu->started)
		return true;

	mutex_unlock(&gpu->lock);
	return false;
}

static int nvidia_open(struct inode *inode, struct file *file)
{
	struct standin_gpu *gpu;
	struct standin_file *sf;
	int r;

	mutex_lock(&gpus_lock);
	gpu = gpu_find_minor_locked(iminor(inode));
	if (!gpu) {
		mutex_unlock(&gpus_lock);
		return -ENODEV;
	}

	sf = file_new(gpu);
	if (!sf) {
		mutex_unlock(&gpus_lock);
		return -ENOMEM;
	}

	if (open_try_lock(file, gpu)) {
		mutex_unlock(&gpus_lock);
		r = sf->open_error = gpu_open_locked(gpu);
		mutex_unlock(&gpu->lock);
		complete_all(&sf->opened);
	} else {
		r = open_later_locked(sf);
		mutex_unlock(&gpus_lock);
	}

	if (r < 0) {
		file_free(sf);
		return r;
	}

	file->private_data = sf;
	return 0;
}

/* By pointer, not through the list: a file's reference is never lost. */
static int nvidia_release(struct inode *inode, struct file *file)
{
	struct standin_file *sf = file->private_data;

	wait_for_completion(&sf->opened);
	if (sf->open_error == 0) {
		mutex_lock(&sf->gpu->lock);
		gpu_close_locked(sf->gpu);
		mutex_unlock(&sf->gpu->lock);
	}
	file_free(sf);
	return 0;
}

/* The first page of the registers; enough to keep the file alive by a mapping. */
static int nvidia_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct standin_file *sf = file->private_data;

	return vm_iomap_memory(vma, pci_resource_start(sf->gpu->pdev, 0), PAGE_SIZE);
}

static int nvidia_ctl_open(struct inode *inode, struct file *file)
{
	return 0;
}

static const struct file_operations gpus_fops = {
	.owner = THIS_MODULE,
	.open = nvidia_open,
	.release = nvidia_release,
	.mmap = nvidia_mmap,
};

static const struct file_operations ctl_fops = {
	.owner = THIS_MODULE,
	.open = nvidia_ctl_open,
};

/* No owner in the cdev, as in the real one: each open file counts once, not twice. */
static int register_nodes(struct cdev *cdev, const struct file_operations *fops, unsigned int minor,
			  unsigned int count, const char *name)
{
	const dev_t dev = MKDEV(STANDIN_MAJOR, minor);
	int r;

	r = register_chrdev_region(dev, count, name);
	if (r < 0)
		return r;

	cdev_init(cdev, fops);
	r = cdev_add(cdev, dev, count);
	if (r < 0)
		unregister_chrdev_region(dev, count);
	return r;
}

static void unregister_nodes(struct cdev *cdev)
{
	const dev_t dev = cdev->dev;
	const unsigned int count = cdev->count;

	cdev_del(cdev);
	unregister_chrdev_region(dev, count);
}

int chardev_init(void)
{
	int r;

	r = register_nodes(&gpus_cdev, &gpus_fops, 0, STANDIN_MINOR_MAX + 1, "nvidia");
	if (r < 0)
		return r;

	r = register_nodes(&ctl_cdev, &ctl_fops, STANDIN_MINOR_CTL, 1, "nvidiactl");
	if (r < 0) {
		unregister_nodes(&gpus_cdev);
		return r;
	}

	standin_node_add(STANDIN_MAJOR, STANDIN_MINOR_CTL, "nvidiactl");
	return 0;
}

void chardev_exit(void)
{
	standin_node_del(STANDIN_MAJOR, STANDIN_MINOR_CTL);
	unregister_nodes(&ctl_cdev);
	unregister_nodes(&gpus_cdev);
}
