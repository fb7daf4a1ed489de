/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The Tail of the Journal
 *
 * Anybody may write records to the journal, with our message ids in them, too. What cannot
 * be forged is who has sent them, which the journal notes itself, in the fields that begin
 * with an underscore. So only records of root are believed, and of the agent's user. That
 * is left to the journal's own filter, so that others' records are not even looked at.
 */

#include <pwd.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <systemd/sd-journal.h>

#include "cli/tail.h"
#include "journal/audit.h"

#define AGENT_USER "vfiopt" /* as in units/vfiopt.sysusers */

struct Tail {
        sd_journal *journal;
        sd_event_source *readable;
        TailFn fn;
        void *userdata;
};

/* Takes and returns NULL. */
Tail *tail_free(Tail *tail) {
        if (!tail)
                return NULL;

        sd_event_source_disable_unref(tail->readable);
        sd_journal_close(tail->journal);
        free(tail);
        return NULL;
}

/* whom to believe, and what */

static int match_uid(sd_journal *journal, uid_t uid) {
        char value[16];

        snprintf(value, sizeof(value), "%u", uid);
        return record_match(journal, "_UID", value);
}

/* Values of one field are alternatives; all fields have to be right. */
static int match_ours(sd_journal *journal) {
        const struct passwd *agent;
        int r;

        r = match_uid(journal, 0);
        /* A machine without the agent does not have its user either. */
        agent = getpwnam(AGENT_USER);
        if (r >= 0 && agent)
                r = match_uid(journal, agent->pw_uid);
        for (EventKind kind = 0; kind < _EVENT_MAX && r >= 0; ++kind)
                r = record_match(journal, "MESSAGE_ID", audit_id(kind));
        return r;
}

/* Stand at the last entry that there is, whosever it is. */
static int seek_now(sd_journal *journal) {
        int r;

        r = sd_journal_seek_tail(journal);
        if (r >= 0)
                r = sd_journal_previous(journal);
        /* Behind the end of an empty journal nothing ever comes; its beginning is the same place. */
        return r == 0 ? sd_journal_seek_head(journal) : r;
}

/* No file of the journal could be opened. */
static bool is_blind(sd_journal *journal) {
        return sd_journal_has_runtime_files(journal) <= 0 &&
                        sd_journal_has_persistent_files(journal) <= 0;
}

/* as they come */

static int read_on(Tail *tail) {
        int r;

        while ((r = sd_journal_next(tail->journal)) > 0) {
                Record record;

                if (!record_read(&record, tail->journal))
                        continue;
                r = tail->fn(tail->userdata, &record);
                record_deinit(&record);
                if (r)
                        break;
        }
        return r < 0 ? r : 0;
}

static int on_readable(sd_event_source *source _unused_,
                int fd _unused_,
                uint32_t events _unused_,
                void *userdata) {
        Tail *tail = userdata;
        int r;

        /* Entries may have been added, or files have come and gone: the place where we are
         * is known by what was read last, in whichever file that is now. */
        r = sd_journal_process(tail->journal);
        return r < 0 ? r : read_on(tail);
}

static int start(Tail *tail, sd_event *event) {
        int fd, r;

        /* First of all, so that nothing is missed between. */
        fd = sd_journal_get_fd(tail->journal);
        if (fd < 0)
                return fd;
        if (is_blind(tail->journal))
                return TAIL_E_BLIND;

        r = seek_now(tail->journal);
        if (r >= 0)
                r = match_ours(tail->journal);
        if (r >= 0)
                r = sd_event_add_io(event, &tail->readable, fd,
                                sd_journal_get_events(tail->journal), on_readable, tail);
        if (r >= 0)
                r = sd_event_source_set_exit_on_failure(tail->readable, true);
        return r < 0 ? r : 0;
}

/**
 * tail_new() - be told of our records
 * @event:      loop that it is done in
 * @fn:         called for each that is written from now on
 * @userdata:   for it
 * @ret:        tail; tail_free() it
 *
 * Return: 0 on success, TAIL_E_BLIND if there is nothing that can be read, negative error
 *         code on failure.
 */
int tail_new(sd_event *event, TailFn fn, void *userdata, Tail **ret) {
        _cleanup_(tail_freep) Tail *tail = calloc(1, sizeof(*tail));
        int r;

        if (!tail)
                return -ENOMEM;
        tail->fn = fn;
        tail->userdata = userdata;

        /* Other users' own journals can have nothing of ours in them. */
        r = sd_journal_open(&tail->journal, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM);
        if (r >= 0)
                r = start(tail, event);
        if (r)
                return r;

        *ret = TAKE_PTR(tail);
        return 0;
}
