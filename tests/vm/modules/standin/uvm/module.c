// SPDX-License-Identifier: GPL-2.0-only
/*
 * The nvidia-uvm stand-in
 *
 * /dev/nvidia-uvm has a dynamic major, opens without any GPU, and an open file
 * holds none until a program has registered one. In place of that ioctl,
 * writing the PCI address of a GPU retains it; closing the file lets it go.
 *
 *     exec 5<>/dev/nvidia-uvm; echo 0000:01:00.0 >&5
 */

#define pr_fmt(fmt) "nvidia-uvm: " fmt

#include <linux/cdev.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "standin.h"
#include "uvm/retain.h"

#define UVM_MINORS 2 /* nvidia-uvm and nvidia-uvm-tools */

struct uvm_file {
	struct mutex lock;
	struct uvm_gpu *gpus[STANDIN_GPUS_MAX];
	unsigned int n_gpus;
};

static dev_t uvm_dev;
static struct cdev uvm_cdev;

static int uvm_open(struct inode *inode, struct file *file)
{
	struct uvm_file *uf = kzalloc(sizeof(*uf), GFP_KERNEL);

	if (!uf)
		return -ENOMEM;

	mutex_init(&uf->lock);
	file->private_data = uf;
	return 0;
}

static int uvm_release(struct inode *inode, struct file *file)
{
	struct uvm_file *uf = file->private_data;

	while (uf->n_gpus > 0)
		release_gpu(uf->gpus[--uf->n_gpus]);
	kfree(uf);
	return 0;
}

static ssize_t uvm_write(struct file *file, const char __user *buf, size_t n, loff_t *pos)
{
	struct uvm_file *uf = file->private_data;
	char bdf[32] = {};
	int r;

	if (n >= sizeof(bdf))
		return -EINVAL;
	if (copy_from_user(bdf, buf, n))
		return -EFAULT;

	mutex_lock(&uf->lock);
	if (uf->n_gpus == STANDIN_GPUS_MAX)
		r = -ENOSPC;
	else
		r = retain_gpu(bdf, &uf->gpus[uf->n_gpus]);
	if (r == 0)
		uf->n_gpus++;
	mutex_unlock(&uf->lock);
	return r < 0 ? r : n;
}

static const struct file_operations uvm_fops = {
	.owner = THIS_MODULE,
	.open = uvm_open,
	.write = uvm_write,
	.release = uvm_release,
};

/* The cdev has an owner, as the real one has: each open file counts twice. */
static int chardev_create(void)
{
	int r;

	r = alloc_chrdev_region(&uvm_dev, 0, UVM_MINORS, "nvidia-uvm");
	if (r < 0)
		return r;

	cdev_init(&uvm_cdev, &uvm_fops);
	uvm_cdev.owner = THIS_MODULE;
	r = cdev_add(&uvm_cdev, uvm_dev, UVM_MINORS);
	if (r < 0) {
		unregister_chrdev_region(uvm_dev, UVM_MINORS);
		return r;
	}

	standin_node_add(MAJOR(uvm_dev), 0, "nvidia-uvm");
	standin_node_add(MAJOR(uvm_dev), 1, "nvidia-uvm-tools");
	return 0;
}

static int __init uvm_init(void)
{
	int r;

	standin_version_apply(THIS_MODULE);

	r = retain_init();
	if (r < 0)
		return r;

	r = chardev_create();
	if (r < 0) {
		retain_exit();
		return r;
	}

	pr_info("Loaded the UVM driver, major device number %d.\n", MAJOR(uvm_dev));
	return 0;
}

static void __exit uvm_exit(void)
{
	standin_node_del(MAJOR(uvm_dev), 0);
	standin_node_del(MAJOR(uvm_dev), 1);
	cdev_del(&uvm_cdev);
	unregister_chrdev_region(uvm_dev, UVM_MINORS);
	retain_exit();
	pr_info("Unloaded the UVM driver.\n");
}

module_init(uvm_init);
module_exit(uvm_exit);
MODULE_DESCRIPTION("Stand-in for nvidia-uvm, for the vfiopt test machine");
MODULE_LICENSE("GPL");
MODULE_VERSION(STANDIN_VERSION);
