/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef STANDIN_DRM_CARD_H
#define STANDIN_DRM_CARD_H

/*
 * DRM cards of the stand-in
 */

#include <drm/drm_client.h>
#include <drm/drm_connector.h>
#include <drm/drm_simple_kms_helper.h>
#include <linux/list.h>
#include <linux/types.h>

#include "standin.h"

struct drm_client_buffer;

struct card {
	struct list_head link;
	struct drm_device *drm;
	struct pci_dev *pdev;
	u32 id;
	bool modeset; /* has a display, and holds the GPU */

	/* with modeset only */
	struct drm_simple_display_pipe pipe;
	struct drm_connector connector;
	struct drm_client_dev client;
	struct drm_client_buffer *buffer; /* what it shows, NULL when dark */
	bool connected;
};

/* card.c */
struct card *card_new(const struct standin_gpu_info *info, bool modeset);
void card_remove(struct card *card, bool unplug);

/* display.c: cards with modeset */
int display_init(struct card *card);
void display_deinit(struct card *card);
void display_update(struct card *card);

/* module.c: what the parameters say of this card */
bool card_wants_connected(struct card *card);
bool card_wants_lit(struct card *card);

#endif
