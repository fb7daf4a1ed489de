// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/nvidia-modeset
 *
 * Opening it holds no GPU, allocating a device through it does, and from
 * outside the two cannot be told apart. So anyone who has it open counts as a
 * holder of every GPU that is started and not explained otherwise. In place of the ioctl that allocates a device, writing
 * the PCI address of a GPU takes the reference; closing the file drops it.
 *
 *     exec 5<>/dev/nvidia-modeset; echo 0000:01:00.0 >&5
 */

#include <linux/cdev.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "modeset/user.h"
#include "standin.h"

#define USER_DEV MKDEV(STANDIN_MAJOR, STANDIN_MINOR_MODESET)

struct user_client {
	struct mutex lock;
	u32 ids[STANDIN_GPUS_MAX];
	unsigned int n_ids;
};

static struct cdev user_cdev;

static int user_open(struct inode *inode, struct file *file)
{
	struct user_client *client = kzalloc(sizeof(*client), GFP_KERNEL);

	if (!client)
		return -ENOMEM;

	mutex_init(&client->lock);
	file->private_data = client;
	return 0;
}

static int user_attach(struct user_client *client, const char *bdf)
{
	u32 id;
	int r;

	r = standin_gpu_find(bdf, &id);
	if (r < 0)
		return r;

	mutex_lock(&client->lock);
	if (client->n_ids == STANDIN_GPUS_MAX)
		r = -ENOSPC;
	else
		r = standin_kms_open_gpu(id);
	if (r == 0)
		client->ids[client->n_ids++] = id;
	mutex_unlock(&client->lock);
	return r;
}

static ssize_t user_write(struct file *file, const char __user *buf, size_t n, loff_t *pos)
{
	char bdf[32] = {};
	int r;

	if (n >= sizeof(bdf))
		return -EINVAL;
	if (copy_from_user(bdf, buf, n))
		return -EFAULT;

	r = user_attach(file->private_data, bdf);
	return r < 0 ? r : n;
}

static int user_release(struct inode *inode, struct file *file)
{
	struct user_client *client = file->private_data;

	while (client->n_ids > 0)
		standin_kms_close_gpu(client->ids[--client->n_ids]);
	kfree(client);
	return 0;
}

static const struct file_operations user_fops = {
	.owner = THIS_MODULE,
	.open = user_open,
	.write = user_write,
	.release = user_release,
};

int user_init(void)
{
	int r;

	r = register_chrdev_region(USER_DEV, 1, "nvidia-modeset");
	if (r < 0)
		return r;

	cdev_init(&user_cdev, &user_fops);
	r = cdev_add(&user_cdev, USER_DEV, 1);
	if (r < 0) {
		unregister_chrdev_region(USER_DEV, 1);
		return r;
	}

	standin_node_add(STANDIN_MAJOR, STANDIN_MINOR_MODESET, "nvidia-modeset");
	return 0;
}

void user_exit(void)
{
	standin_node_del(STANDIN_MAJOR, STANDIN_MINOR_MODESET);
	cdev_del(&user_cdev);
	unregister_chrdev_region(USER_DEV, 1);
}
