// SPDX-License-Identifier: GPL-2.0-only
/*
 * One DRM card for each GPU
 *
 * Without modeset a card is only a pair of nodes: it has no connectors, takes
 * no reference on its GPU, not even while it is open, and knows nothing of the
 * GPU's unbinding. With modeset it holds the GPU from its creation to its end,
 * which is why no unbind can finish before.
 *
 * The card's memory belongs to the DRM device, never to the PCI function: a
 * card that outlives the binding ("zombie") must stay safe to open.
 */

#include <drm/drm_atomic_helper.h>
#include <drm/drm_drv.h>
#include <drm/drm_gem_shmem_helper.h>
#include <drm/drm_managed.h>
#include <drm/drm_print.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/version.h>

#include "drm/card.h"

#define CARD_FMT "[nvidia-drm] [GPU ID 0x%08x] "

DEFINE_DRM_GEM_FOPS(card_fops);

static const struct drm_driver card_driver = {
	.driver_features = DRIVER_MODESET | DRIVER_ATOMIC | DRIVER_GEM | DRIVER_RENDER,
	.fops = &card_fops,
	DRM_GEM_SHMEM_DRIVER_OPS,
	.name = "nvidia-drm",
	.desc = "NVIDIA DRM driver",
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 14, 0)
	.date = "20160202",
#endif
};

/* Takes the GPU and adds the display. */
static int card_load(struct card *card)
{
	int r;

	DRM_INFO(CARD_FMT "Loading driver\n", card->id);

	if (!card->modeset) {
		card->drm->driver_features &= ~(DRIVER_MODESET | DRIVER_ATOMIC);
		return 0;
	}

	r = standin_kms_open_gpu(card->id);
	if (r < 0) {
		DRM_ERROR(CARD_FMT "Failed to allocate NvKmsKapiDevice\n", card->id);
		return r;
	}

	r = display_init(card);
	if (r < 0)
		standin_kms_close_gpu(card->id);
	return r;
}

static void card_unload(struct card *card)
{
	DRM_INFO(CARD_FMT "Unloading driver\n", card->id);

	if (!card->modeset)
		return;

	drm_atomic_helper_shutdown(card->drm);
	standin_kms_close_gpu(card->id);
}

/**
 * card_new() - make and register the card of a GPU
 * @info:    the GPU
 * @modeset: whether with a display
 *
 * Return: the card, or NULL, which has been logged.
 */
struct card *card_new(const struct standin_gpu_info *info, bool modeset)
{
	struct drm_device *drm;
	struct card *card;

	drm = drm_dev_alloc(&card_driver, &info->pdev->dev);
	if (IS_ERR(drm))
		return NULL;

	card = drmm_kzalloc(drm, sizeof(*card), GFP_KERNEL);
	if (!card)
		goto put;

	drm->dev_private = card;
	card->drm = drm;
	card->pdev = info->pdev; /* kept alive by drm->dev */
	card->id = info->id;
	card->modeset = modeset;

	if (card_load(card) < 0)
		goto put;

	if (drm_dev_register(drm, 0) < 0) {
		DRM_ERROR(CARD_FMT "Failed to register device\n", card->id);
		card_unload(card);
		goto put;
	}

	if (modeset)
		display_update(card);
	return card;

put:
	drm_dev_put(drm);
	return NULL;
}

/**
 * card_remove() - take a card away and let go of its GPU
 * @card:   the card
 * @unplug: whether files on it may still be open
 */
void card_remove(struct card *card, bool unplug)
{
	if (card->modeset)
		display_deinit(card);

	if (unplug) {
		DRM_INFO(CARD_FMT "Removing device\n", card->id);
		drm_dev_unplug(card->drm);
	} else {
		drm_dev_unregister(card->drm);
	}

	card_unload(card);
	drm_dev_put(card->drm);
}
