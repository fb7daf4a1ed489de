/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Following a Job
 *
 * The manager writes a record when a job starts and one when it has ended, each
 * with the job's id and the id of the run (invocation). So the journal itself says
 * which records are ours and, since it keeps their order, when we have seen the
 * last of them: no record of the run comes after the manager's word that it is over.
 *
 * The run's own records are looked for by its invocation, in the field that the
 * journal adds and in the one that the job writes itself (see journal/audit.c).
 */

#include <string.h>
#include <systemd/sd-event.h>
#include <systemd/sd-journal.h>

#include "base/clock.h"
#include "cli/follow.h"
#include "cli/record.h"

/* The journal's clock may be a little behind ours: it takes the time once per wakeup. */
#define START_MARGIN_USEC (5 * USEC_PER_SEC)

/* The job is over, but the journal does not say so: it may have dropped that record. */
#define LIMIT_END_USEC (5 * USEC_PER_SEC)

struct Follow {
        sd_journal *journal;
        sd_event_source *readable;
        sd_event_source *deadline;
        sd_event *event;
        FollowWatcher watcher;
        char *unit;
        uint32_t job_id;
        uint64_t start_usec;
        bool found; /* the run is known, and being read */
        bool ended;
};

/* Is there any entry that we may read? */
static int look_for_access(sd_journal *journal) {
        int r;

        r = sd_journal_seek_tail(journal);
        if (r >= 0)
                r = sd_journal_previous(journal);
        return r < 0 ? r : r == 0 ? FOLLOW_E_BLIND : 0;
}

/**
 * follow_new() - get ready to follow
 * @event:      loop that it runs in
 * @unit:       whose runs
 * @watcher:    who is told; called from the loop only
 * @ret:        follower; follow_free() it
 *
 * To be called before the job is asked for, so that nothing of it is missed.
 *
 * Return: 0 on success, FOLLOW_E_BLIND if there is nothing to be read, negative
 *         error code on failure.
 */
int follow_new(sd_event *event, const char *unit, const FollowWatcher *watcher, Follow **ret) {
        _cleanup_(follow_freep) Follow *follow = calloc(1, sizeof(*follow));
        uint64_t now = monotonic_usec();
        int r;

        if (!follow)
                return -ENOMEM;
        follow->event = sd_event_ref(event);
        follow->watcher = *watcher;
        follow->start_usec = now > START_MARGIN_USEC ? now - START_MARGIN_USEC : 0;
        follow->unit = strdup(unit);
        if (!follow->unit)
                return -ENOMEM;

        r = sd_journal_open(&follow->journal, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM);
        if (r >= 0)
                r = look_for_access(follow->journal);
        if (r)
                return r;

        *ret = TAKE_PTR(follow);
        return 0;
}

/* Takes and returns NULL. */
Follow *follow_free(Follow *follow) {
        if (!follow)
                return NULL;

        sd_event_source_disable_unref(follow->readable);
        sd_event_source_disable_unref(follow->deadline);
        sd_event_unref(follow->event);
        sd_journal_close(follow->journal);
        free(follow->unit);
        free(follow);
        return NULL;
}

/* matches */

static int rewind_to_start(Follow *follow) {
        sd_id128_t boot;
        int r;

        r = sd_id128_get_boot(&boot);
        return r < 0 ? r
                     : sd_journal_seek_monotonic_usec(follow->journal, boot, follow->start_usec);
}

/* Read what the manager says about the job. */
static int read_manager(Follow *follow) {
        char id[16];
        int r;

        snprintf(id, sizeof(id), "%u", follow->job_id);
        r = record_match(follow->journal, "_PID", "1");
        if (r >= 0)
                r = record_match(follow->journal, "UNIT", follow->unit);
        if (r >= 0)
                r = record_match(follow->journal, "JOB_ID", id);
        return r < 0 ? r : rewind_to_start(follow);
}

/* Read what belongs to the run, from its beginning. */
static int read_run(Follow *follow, const char *invocation) {
        static const char *const fields[] = {
                "_SYSTEMD_INVOCATION_ID", "OBJECT_SYSTEMD_INVOCATION_ID",
                "INVOCATION_ID", /* of the manager's records */
        };
        int r = 0;

        sd_journal_flush_matches(follow->journal);
        for (size_t i = 0; i < ARRAY_SIZE(fields) && r >= 0; ++i) {
                if (i > 0)
                        r = sd_journal_add_disjunction(follow->journal);
                if (r >= 0)
                        r = record_match(follow->journal, fields[i], invocation);
        }
        /* And of those, what root has written: anybody can use two of these fields. */
        if (r >= 0)
                r = sd_journal_add_conjunction(follow->journal);
        if (r >= 0)
                r = record_match(follow->journal, "_UID", "0");
        follow->found = true;
        return r < 0 ? r : rewind_to_start(follow);
}

/* records */

/* A record of ours. Return: whether it was one. */
static bool tell(Follow *follow) {
        Record record;

        if (!record_read(&record, follow->journal))
                return false;
        follow->watcher.tell(follow->watcher.userdata, &record.tale);
        record_deinit(&record);
        return true;
}

static void look_at_run(Follow *follow) {
        _cleanup_(freep) char *message = NULL,
                              *manager = record_get(follow->journal, "INVOCATION_ID");
        uint64_t id;

        if (manager) {
                _cleanup_(freep) char *result = record_get(follow->journal, "JOB_RESULT");

                if (result && record_get_uint(follow->journal, "JOB_ID", UINT32_MAX, &id) &&
                                id == follow->job_id)
                        follow->ended = true;
                return;
        }
        if (tell(follow))
                return;
        message = record_get(follow->journal, "MESSAGE");
        if (message)
                follow->watcher.print(follow->watcher.userdata, message);
}

static int read_on(Follow *follow) {
        int r;

        while (!follow->ended && (r = sd_journal_next(follow->journal)) != 0) {
                _cleanup_(freep) char *invocation = NULL;

                if (r < 0)
                        return r;
                if (follow->found) {
                        look_at_run(follow);
                        continue;
                }
                invocation = record_get(follow->journal, "INVOCATION_ID");
                r = invocation ? read_run(follow, invocation) : 0;
                if (r < 0)
                        return r;
        }
        if (follow->ended) {
                (void) sd_event_source_set_enabled(follow->readable, SD_EVENT_OFF);
                (void) sd_event_source_set_enabled(follow->deadline, SD_EVENT_OFF);
                follow->watcher.end(follow->watcher.userdata);
        }
        return 0;
}

static int on_readable(sd_event_source *source _unused_,
                int fd _unused_,
                uint32_t events _unused_,
                void *userdata) {
        Follow *follow = userdata;
        int r;

        r = sd_journal_process(follow->journal);
        return r < 0 ? r : read_on(follow);
}

static int on_deadline(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        Follow *follow = userdata;

        follow->ended = true;
        return read_on(follow);
}

/**
 * follow_start() - follow a job
 * @follow:     follower
 * @job_id:     the manager's id of it
 * @invocation: of the run, if that is under way already, else NULL
 *
 * Return: 0 on success, negative error code on failure.
 */
int follow_start(Follow *follow, uint32_t job_id, const char *invocation) {
        int fd, r;

        follow->job_id = job_id;
        /* A run that is under way may have said long ago what it waits for. */
        if (invocation)
                follow->start_usec = 0;
        r = invocation ? read_run(follow, invocation) : read_manager(follow);
        if (r < 0)
                return r;

        fd = sd_journal_get_fd(follow->journal);
        if (fd < 0)
                return fd;
        r = sd_event_add_io(follow->event, &follow->readable, fd,
                        sd_journal_get_events(follow->journal), on_readable, follow);
        return r < 0 ? r : read_on(follow);
}

/**
 * follow_finish() - the job is over: read its last records
 * @follow:     follower; its watcher's end() is called when they are read
 *
 * Return: 0 on success, negative error code on failure.
 */
int follow_finish(Follow *follow) {
        int r;

        if (follow->ended)
                return 0;
        r = sd_event_add_time_relative(follow->event, &follow->deadline, CLOCK_MONOTONIC,
                        LIMIT_END_USEC, 0, on_deadline, follow);
        return r < 0 ? r : 0;
}
