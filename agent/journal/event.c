/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Events
 *
 * The names are what `vfioptctl switch --json` calls a result: they stay.
 */

#include "journal/event.h"

static const char *const event_names[_EVENT_MAX] = {
        [EVENT_STARTED] = "started",
        [EVENT_STEP] = "step",
        [EVENT_DONE] = "done",
        [EVENT_NOTHING] = "nothing",
        [EVENT_BUSY] = "busy",
        [EVENT_PRECONDITION] = "precondition",
        [EVENT_ROLLED_BACK] = "rolled-back",
        [EVENT_ROLLBACK_FAILED] = "rollback-failed",
        [EVENT_STUCK] = "stuck",
        [EVENT_UNSTUCK] = "unstuck",
        [EVENT_RECOVERED] = "recovered",
        [EVENT_WARNING] = "warning",
        [EVENT_ASKED] = "asked",
        [EVENT_GAVE_UP] = "gave-up",
};

const char *event_kind_to_string(EventKind kind) {
        return kind < _EVENT_MAX ? event_names[kind] : "unknown";
}
