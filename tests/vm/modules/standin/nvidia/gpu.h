/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef STANDIN_NVIDIA_GPU_H
#define STANDIN_NVIDIA_GPU_H

/*
 * GPUs of the stand-in
 *
 * Two locks, always taken in this order: the one of the list of GPUs, and the
 * one of a GPU. A lookup takes the second under the first and then lets go of
 * the first, so whoever holds both knows that nobody else is about to use that
 * GPU. The real driver calls them nv_linux_devices_lock and ldata_lock.
 */

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>

#include "standin.h"

struct i2c_adapter;
struct pci_dev;
struct proc_dir_entry;
struct workqueue_struct;

/*
 * What a driver of which age does when a GPU in use is removed. All of them
 * wait without an end until it is no longer in use.
 */
enum standin_order {
	STANDIN_ORDER_550, /* stays on the list while waiting; opens succeed */
	STANDIN_ORDER_580, /* stays on the list while waiting; opens are refused */
	STANDIN_ORDER_595, /* leaves the list first: opens and kernel puts miss it */
};

struct standin_gpu {
	struct kref ref;
	struct list_head link;
	struct pci_dev *pdev;
	u32 id;
	unsigned int minor;
	char uuid[STANDIN_UUID_SIZE];

	struct mutex lock;
	unsigned long usage; /* open files and kernel-side references */
	bool started;	     /* usage > 0: interrupts allocated */
	bool removing;	     /* remove() has begun */
	bool seen;	     /* was started once: the UUID is known */
	int irq;

	struct workqueue_struct *open_queue; /* opens with O_NONBLOCK */
	bool accepting;			     /* … are still taken */

	struct i2c_adapter *i2c;
	struct proc_dir_entry *proc;
};

/* gpu.c: the list */
extern struct mutex gpus_lock;
struct standin_gpu *gpu_new(struct pci_dev *pdev);
struct standin_gpu *gpu_ref(struct standin_gpu *gpu);
void gpu_unref(struct standin_gpu *gpu);
void gpu_list_add(struct standin_gpu *gpu);
void gpu_list_del_locked(struct standin_gpu *gpu);
void gpu_minor_put_locked(struct standin_gpu *gpu);
struct standin_gpu *gpu_find_minor_locked(unsigned int minor);

/* adapter.c: in use, or not; the GPU's lock held */
int gpu_open_locked(struct standin_gpu *gpu);
void gpu_close_locked(struct standin_gpu *gpu);
bool gpu_off_the_bus(struct pci_dev *pdev);

/* probe.c, remove.c: binding */
extern unsigned int probe_called, probe_succeeded;
int nv_pci_register(void);
void nv_pci_unregister(void);
unsigned int nv_pci_count(void);
void nv_pci_remove(struct pci_dev *pdev);

/* chardev.c, devnodes.c, procfs.c, i2c.c: what user space sees */
int chardev_init(void);
void chardev_exit(void);
int devnodes_init(void);
void devnodes_exit(void);
int procfs_init(void);
void procfs_exit(void);
void procfs_add_gpu(struct standin_gpu *gpu);
void procfs_remove_gpu(struct standin_gpu *gpu);
void i2c_on_probe(struct standin_gpu *gpu);
void i2c_on_start(struct standin_gpu *gpu);
void i2c_on_remove(struct standin_gpu *gpu);

/* clients.c: nvidia-modeset */
void client_probe(struct standin_gpu *gpu);
void client_remove(struct standin_gpu *gpu);

/* version.c */
int version_init(void);
enum standin_order version_order(void);

#endif
