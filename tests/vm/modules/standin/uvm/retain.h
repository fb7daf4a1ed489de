/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef STANDIN_UVM_RETAIN_H
#define STANDIN_UVM_RETAIN_H

/*
 * GPUs that UVM retains
 *
 * UVM holds one reference on a GPU however many of its clients use it.
 */

struct uvm_gpu;

int retain_init(void);
void retain_exit(void);

int retain_gpu(const char *bdf, struct uvm_gpu **ret_gpu);
void release_gpu(struct uvm_gpu *gpu);

#endif
