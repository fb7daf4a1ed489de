// SPDX-License-Identifier: GPL-2.0-only
/*
 * The nvidia-modeset stand-in
 *
 * Sits between nvidia and nvidia-drm: hands down requests for references on a
 * GPU, and hands up the news that one has come or is about to go. User clients
 * are not told (nvkms_remove() of the real one says that it should, one day).
 */

#define pr_fmt(fmt) "nvidia-modeset: " fmt

#include <linux/init.h>
#include <linux/module.h>
#include <linux/rwsem.h>

#include "modeset/user.h"
#include "standin.h"

static DECLARE_RWSEM(kms_client_sem);
static const struct standin_client *kms_client;

int standin_kms_open_gpu(u32 id)
{
	return standin_gpu_get(id);
}
EXPORT_SYMBOL_GPL(standin_kms_open_gpu);

void standin_kms_close_gpu(u32 id)
{
	standin_gpu_put(id);
}
EXPORT_SYMBOL_GPL(standin_kms_close_gpu);

/* NULL takes the client back; no call into it is under way after that. */
void standin_kms_set_client(const struct standin_client *client)
{
	down_write(&kms_client_sem);
	kms_client = client;
	up_write(&kms_client_sem);
}
EXPORT_SYMBOL_GPL(standin_kms_set_client);

unsigned int standin_kms_enumerate(struct standin_gpu_info infos[static STANDIN_GPUS_MAX])
{
	return standin_gpu_enumerate(infos);
}
EXPORT_SYMBOL_GPL(standin_kms_enumerate);

void standin_kms_version_apply(struct module *module)
{
	standin_version_apply(module);
}
EXPORT_SYMBOL_GPL(standin_kms_version_apply);

bool standin_kms_version_at_least(unsigned int major, unsigned int minor, unsigned int patch)
{
	return standin_version_at_least(major, minor, patch);
}
EXPORT_SYMBOL_GPL(standin_kms_version_at_least);

bool standin_kms_list_names(const char *list, struct pci_dev *pdev)
{
	return standin_list_names(list, pdev);
}
EXPORT_SYMBOL_GPL(standin_kms_list_names);

static void nvkms_probe(const struct standin_gpu_info *info)
{
	down_read(&kms_client_sem);
	if (kms_client)
		kms_client->probe(info);
	up_read(&kms_client_sem);
}

static void nvkms_remove(u32 id)
{
	down_read(&kms_client_sem);
	if (kms_client)
		kms_client->remove(id);
	up_read(&kms_client_sem);
}

static const struct standin_client nvkms_callbacks = {
	.probe = nvkms_probe,
	.remove = nvkms_remove,
};

static int __init nvkms_init(void)
{
	int r;

	standin_version_apply(THIS_MODULE);

	r = user_init();
	if (r < 0)
		return r;

	pr_info("Loading NVIDIA UNIX Open Kernel Mode Setting Driver for x86_64  %s  Release Build"
		"  (stand-in)\n",
		standin_version());

	standin_set_client(&nvkms_callbacks);
	return 0;
}

static void __exit nvkms_exit(void)
{
	standin_set_client(NULL);
	user_exit();
	pr_info("Unloading\n");
}

module_init(nvkms_init);
module_exit(nvkms_exit);
MODULE_DESCRIPTION("Stand-in for nvidia-modeset, for the vfiopt test machine");
MODULE_LICENSE("GPL");
MODULE_VERSION(STANDIN_VERSION);
