/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Watching
 *
 * The files and devices whose change may be a reason to act. Nothing is decided here.
 */

#include "os/roots.h"

typedef struct Watch Watch;
struct sd_event;

/* Called from the loop. */
typedef struct Watcher {
        void (*changed)(void *userdata);      /* something is not as before */
        void (*reconfigured)(void *userdata); /* somebody has changed the configuration */
        void (*lost)(void *userdata);         /* something about devices was not told */
        void (*device)(void *userdata, const char *action, const char *name);
        void *userdata;
} Watcher;

int watch_new(struct sd_event *event, const Watcher *watcher, Watch **ret) _warn_unused_result_;
Watch *watch_free(Watch *watch);
DEFINE_CLEANUP(Watch, watch_free);
int watch_update(Watch *watch, const Roots *roots) _warn_unused_result_;
int watch_settle(Watch *watch, bool *ret_settled) _warn_unused_result_;
