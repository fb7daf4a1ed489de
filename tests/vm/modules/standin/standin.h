/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef STANDIN_H
#define STANDIN_H

/*
 * What the stand-in modules know of each other
 *
 * The rule: a kernel-side client names a GPU by its id and never holds a
 * pointer to it, so every get and every put goes through the list of GPUs
 * that nvidia keeps. The real nvidia_dev_get() and nvidia_dev_put() do the
 * same, and that is why a put is lost once the GPU has been taken off the list
 * (nvidia/gpu.h).
 */

#include <linux/pci.h>
#include <linux/types.h>

struct module;

#define STANDIN_MAJOR 195 /* for all of the driver, registered by Linux */
#define STANDIN_MINOR_MAX 247
#define STANDIN_MINOR_MODESET 254
#define STANDIN_MINOR_CTL 255

#define STANDIN_GPUS_MAX 32
#define STANDIN_UUID_SIZE 41 /* "GPU-8-4-4-4-12" and the terminator */

#define STANDIN_VERSION "550.163.01"

/* Any device of NVIDIA's with exactly this class. */
#define STANDIN_PCI_CLASS(cls)                                                                     \
	{                                                                                          \
		.vendor = PCI_VENDOR_ID_NVIDIA, .device = PCI_ANY_ID, .subvendor = PCI_ANY_ID,     \
		.subdevice = PCI_ANY_ID, .class = (cls) << 8, .class_mask = ~0,                    \
	}

struct standin_gpu_info {
	u32 id;
	struct pci_dev *pdev;
};

/* What nvidia calls for nvidia-modeset, and nvidia-modeset for nvidia-drm. */
struct standin_client {
	void (*probe)(const struct standin_gpu_info *info);
	void (*remove)(u32 id);
};

/* nvidia: GPUs */
int standin_gpu_get(u32 id);
void standin_gpu_put(u32 id);
int standin_gpu_find(const char *bdf, u32 *ret_id);
int standin_gpu_uuid(u32 id, char uuid[static STANDIN_UUID_SIZE]);
unsigned int standin_gpu_enumerate(struct standin_gpu_info infos[static STANDIN_GPUS_MAX]);

/* nvidia: its one client */
void standin_set_client(const struct standin_client *client);

/* nvidia: what every module of the set shares */
const char *standin_version(void);
void standin_version_apply(struct module *module);
bool standin_version_at_least(unsigned int major, unsigned int minor, unsigned int patch);
bool standin_list_names(const char *list, struct pci_dev *pdev);
void standin_node_add(unsigned int major, unsigned int minor, const char *name);
void standin_node_del(unsigned int major, unsigned int minor);

/*
 * nvidia-modeset: all that nvidia-drm may use. It does not call into nvidia
 * itself, so that modules depend on each other as the real ones do.
 */
int standin_kms_open_gpu(u32 id);
void standin_kms_close_gpu(u32 id);
void standin_kms_set_client(const struct standin_client *client);
unsigned int standin_kms_enumerate(struct standin_gpu_info infos[static STANDIN_GPUS_MAX]);
void standin_kms_version_apply(struct module *module);
bool standin_kms_version_at_least(unsigned int major, unsigned int minor, unsigned int patch);
bool standin_kms_list_names(const char *list, struct pci_dev *pdev);

#endif
