/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Following a Job
 *
 * Reads what one run of a unit writes to the journal, as it comes.
 */

#include "cli/outcome.h"

typedef struct Follow Follow;
struct sd_event;

typedef struct FollowWatcher {
        void (*tell)(void *userdata, const Tale *tale);     /* a record of ours */
        void (*print)(void *userdata, const char *message); /* any other line of the run */
        void (*end)(void *userdata);                        /* all of it has been read */
        void *userdata;
} FollowWatcher;

enum {
        _FOLLOW_E_SUCCESS,

        FOLLOW_E_BLIND, /* this user may not read the journal, or there is none */
};

int follow_new(struct sd_event *event, const char *unit, const FollowWatcher *watcher, Follow **ret)
                _warn_unused_result_;
Follow *follow_free(Follow *follow);
DEFINE_CLEANUP(Follow, follow_free);

int follow_start(Follow *follow, uint32_t job_id, const char *invocation) _warn_unused_result_;
int follow_finish(Follow *follow) _warn_unused_result_;
