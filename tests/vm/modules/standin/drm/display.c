// SPDX-License-Identifier: GPL-2.0-only
/*
 * One head, one HDMI connector
 *
 * A monitor is connected when a parameter of the module says so, and shows a
 * picture when another one does. Both take the ways of the DRM core: a change
 * of connection is a hot-plug with its uevent, and the picture is a commit of
 * an in-kernel client as the console would make it. So `status`, `enabled` and
 * `dpms` below /sys/class/drm are the kernel's own and not our invention.
 */

#include <drm/drm_atomic_helper.h>
#include <drm/drm_client.h>
#include <drm/drm_drv.h>
#include <drm/drm_edid.h>
#include <drm/drm_fourcc.h>
#include <drm/drm_gem_framebuffer_helper.h>
#include <drm/drm_managed.h>
#include <drm/drm_modeset_helper_vtables.h>
#include <drm/drm_print.h>
#include <drm/drm_probe_helper.h>
#include <drm/drm_vblank.h>

#include "drm/card.h"

#define WIDTH 1024
#define HEIGHT 768

static int connector_get_modes(struct drm_connector *connector)
{
	const int n = drm_add_modes_noedid(connector, WIDTH, HEIGHT);

	drm_set_preferred_mode(connector, WIDTH, HEIGHT);
	return n;
}

static enum drm_connector_status connector_detect(struct drm_connector *connector, bool force)
{
	const struct card *card = container_of(connector, struct card, connector);

	return card->connected ? connector_status_connected : connector_status_disconnected;
}

static const struct drm_connector_helper_funcs connector_helper_funcs = {
	.get_modes = connector_get_modes,
};

static const struct drm_connector_funcs connector_funcs = {
	.detect = connector_detect,
	.fill_modes = drm_helper_probe_single_connector_modes,
	.destroy = drm_connector_cleanup,
	.reset = drm_atomic_helper_connector_reset,
	.atomic_duplicate_state = drm_atomic_helper_connector_duplicate_state,
	.atomic_destroy_state = drm_atomic_helper_connector_destroy_state,
};

static void pipe_enable(struct drm_simple_display_pipe *pipe, struct drm_crtc_state *crtc_state,
			struct drm_plane_state *plane_state)
{
}

static void pipe_disable(struct drm_simple_display_pipe *pipe)
{
}

/* There is no scan-out, so every page flip is over at once. */
static void pipe_update(struct drm_simple_display_pipe *pipe, struct drm_plane_state *old_state)
{
	struct drm_crtc *crtc = &pipe->crtc;
	struct drm_pending_vblank_event *event = crtc->state->event;

	if (!event)
		return;

	crtc->state->event = NULL;
	spin_lock_irq(&crtc->dev->event_lock);
	drm_crtc_send_vblank_event(crtc, event);
	spin_unlock_irq(&crtc->dev->event_lock);
}

static const struct drm_simple_display_pipe_funcs pipe_funcs = {
	.enable = pipe_enable,
	.disable = pipe_disable,
	.update = pipe_update,
};

static const struct drm_mode_config_funcs mode_config_funcs = {
	.fb_create = drm_gem_fb_create,
	.atomic_check = drm_atomic_helper_check,
	.atomic_commit = drm_atomic_helper_commit,
};

static const u32 formats[] = { DRM_FORMAT_XRGB8888 };

int display_init(struct card *card)
{
	struct drm_device *drm = card->drm;
	int r;

	r = drmm_mode_config_init(drm);
	if (r < 0)
		return r;

	drm->mode_config.max_width = 16384;
	drm->mode_config.max_height = 16384;
	drm->mode_config.funcs = &mode_config_funcs;

	r = drm_connector_init(drm, &card->connector, &connector_funcs, DRM_MODE_CONNECTOR_HDMIA);
	if (r < 0)
		return r;
	drm_connector_helper_add(&card->connector, &connector_helper_funcs);
	card->connector.polled = DRM_CONNECTOR_POLL_HPD;
	card->connected = card_wants_connected(card);

	r = drm_simple_display_pipe_init(drm, &card->pipe, &pipe_funcs, formats,
					 ARRAY_SIZE(formats), NULL, &card->connector);
	if (r < 0)
		return r;

	drm_mode_config_reset(drm);
	drm_kms_helper_poll_init(drm);
	drm_helper_hpd_irq_event(drm);
	return 0;
}

static const struct drm_client_funcs client_funcs = {};

/* Shows a black picture on the connected monitor. */
static int display_light(struct card *card)
{
	struct drm_client_dev *client = &card->client;
	struct drm_mode_set *modeset;
	int r;

	r = drm_client_init(card->drm, client, "standin", &client_funcs);
	if (r < 0)
		return r;

	card->buffer = drm_client_framebuffer_create(client, WIDTH, HEIGHT, DRM_FORMAT_XRGB8888);
	if (IS_ERR(card->buffer)) {
		r = PTR_ERR(card->buffer);
		goto release;
	}

	r = drm_client_modeset_probe(client, WIDTH, HEIGHT);
	if (r < 0)
		goto destroy;

	mutex_lock(&client->modeset_mutex);
	drm_client_for_each_modeset(modeset, client) {
		if (modeset->num_connectors > 0)
			modeset->fb = card->buffer->fb;
	}
	mutex_unlock(&client->modeset_mutex);

	r = drm_client_modeset_commit(client);
	if (r < 0)
		goto destroy;
	return 0;

destroy:
	drm_client_framebuffer_delete(card->buffer);
release:
	card->buffer = NULL;
	drm_client_release(client);
	return r;
}

static void display_darken(struct card *card)
{
	drm_atomic_helper_shutdown(card->drm);
	drm_client_framebuffer_delete(card->buffer);
	card->buffer = NULL;
	drm_client_release(&card->client);
}

void display_deinit(struct card *card)
{
	if (card->buffer)
		display_darken(card);
	drm_kms_helper_poll_fini(card->drm);
}

/* Brings a registered card's display to what the parameters ask for. */
void display_update(struct card *card)
{
	const bool lit = card_wants_lit(card);
	int r = 0;

	card->connected = card_wants_connected(card);
	drm_helper_hpd_irq_event(card->drm);

	if (lit && !card->buffer)
		r = display_light(card);
	else if (!lit && card->buffer)
		display_darken(card);

	if (r < 0)
		DRM_ERROR("no picture: %d\n", r);
}
