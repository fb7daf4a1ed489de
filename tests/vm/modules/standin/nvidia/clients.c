// SPDX-License-Identifier: GPL-2.0-only
/*
 * The way from nvidia to nvidia-modeset
 *
 * nvidia does not depend on nvidia-modeset, so it calls back. The semaphore is
 * held across a call, which is what lets the client's module go away safely.
 */

#include <linux/export.h>
#include <linux/rwsem.h>

#include "nvidia/gpu.h"

static DECLARE_RWSEM(client_sem);
static const struct standin_client *client;

/* NULL takes the client back; no call into it is under way after that. */
void standin_set_client(const struct standin_client *new_client)
{
	down_write(&client_sem);
	client = new_client;
	up_write(&client_sem);
}
EXPORT_SYMBOL_GPL(standin_set_client);

void client_probe(struct standin_gpu *gpu)
{
	const struct standin_gpu_info info = { .id = gpu->id, .pdev = gpu->pdev };

	down_read(&client_sem);
	if (client)
		client->probe(&info);
	up_read(&client_sem);
}

void client_remove(struct standin_gpu *gpu)
{
	down_read(&client_sem);
	if (client)
		client->remove(gpu->id);
	up_read(&client_sem);
}
