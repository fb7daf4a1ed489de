/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Watching
 *
 * The files and devices whose change may be a reason to act. Nothing is decided here: each change
 * enables the event source of the agent's next look.
 *
 * systemd reports the end of a job. But a GPU may be switched without one, in a rescue shell. Then
 * the lock file is removed, or only closed if the switch is killed.
 */

#include "os/roots.h"

typedef struct Watch Watch;
struct sd_event_source;

/* Called from the loop, before the next look. */
typedef struct Watcher {
        /* The configuration has changed, or events of devices were lost. */
        void (*reset)(void *userdata, bool reconfigured);
        /* As UdevMonitorFn. */
        void (*device)(void *userdata, const char *action, const char *name);
        void *userdata;
} Watcher;

int watch_new(struct sd_event_source *look, const Watcher *watcher, Watch **ret)
                _warn_unused_result_;
Watch *watch_free(Watch *watch);
DEFINE_CLEANUP(Watch, watch_free);
int watch_update(Watch *watch, const Roots *roots) _warn_unused_result_;
int watch_settle(Watch *watch, bool *ret_settled) _warn_unused_result_;
