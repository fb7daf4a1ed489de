/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Jobs
 *
 * Units are started as `systemctl start` does it: two requests for the same unit are one
 * job. A user who stops following changes nothing, except that a job which still waits is
 * cancelled: in the manager's queue, or for the GPU, as long as its records say so. If it
 * gets the GPU in that moment, it ignores the request to end; so only its exit status tells
 * whether it was cancelled.
 *
 * A job has two ends, and both have to come: the manager's word that it is over, and the
 * last of its records in the journal, which may take a little longer.
 */

#include <signal.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "cli/job.h"
#include "cli/message.h"
#include "journal/read.h"
#include "os/systemd.h"

typedef struct Jobs Jobs;

typedef struct Job {
        Jobs *jobs;
        const char *unit;
        JournalReader *reader; /* NULL: the journal cannot be read */
        uint32_t id;           /* 0: not started */
        bool over;
        bool read;
        bool heard;      /* it has said anything */
        bool waits;      /* as it said last, for another switch */
        bool cancelling; /* it has been asked to end; the id is that of the stopping */
        int exit_code;
} Job;

struct Jobs {
        sd_event *event;
        Systemd *systemd;
        Outcomes *outcomes;
        Job *items;
        size_t n;
        bool verbose;
        bool interrupted;
        int error; /* the first one of noting an outcome, negative */
};

static void jobs_deinit(Jobs *jobs) {
        for (size_t i = 0; i < jobs->n; ++i)
                journal_reader_free(jobs->items[i].reader);
        free(jobs->items);
        systemd_free(jobs->systemd);
        sd_event_unref(jobs->event);
}

/* Leave the loop when nothing more is to come. */
static void jobs_look(Jobs *jobs) {
        for (size_t i = 0; i < jobs->n; ++i)
                if (jobs->items[i].id > 0 && (!jobs->items[i].over || !jobs->items[i].read))
                        return;
        (void) sd_event_exit(jobs->event, 0);
}

/* records */

static int on_record(void *userdata, const Record *record) {
        const Event *event = &record->event;
        Job *job = userdata;

        job->heard = true;
        job->waits = event->phase && !strcmp(event->phase, PHASE_WAIT);
        event_print(event, record->fields[RECORD_MESSAGE], job->jobs->verbose);
        error_gather(&job->jobs->error, outcomes_note(job->jobs->outcomes, event));
        return 0;
}

static int on_line(void *userdata, const char *message) {
        Job *job = userdata;

        job->heard = true;
        message_line("%s", message);
        return 0;
}

static void on_end(void *userdata) {
        Job *job = userdata;

        job->read = true;
        jobs_look(job->jobs);
}

/* ends */

/*
 * The exit status of the job is ours, if it is one of vfioptctl's own. A job that was asked to end
 * is killed by the signal only if it still waited.
 */
static void job_end(Job *job, const char *result) {
        Systemd *systemd = job->jobs->systemd;
        int status, r;

        job->over = true;
        job->exit_code = VFIOPT_EXIT_DONE;
        if (!job->cancelling && !strcmp(result, "done"))
                return;
        r = systemd_exit_status(systemd, job->unit, &status);
        if (!job->cancelling) {
                if (!strcmp(result, "failed") && r == 0 && status > VFIOPT_EXIT_DONE &&
                                status <= VFIOPT_EXIT_NO_DRIVER) {
                        job->exit_code = status;
                        return;
                }
                message_error("the job %s was not carried out (%s); see: systemctl status '%s'",
                                job->unit, result, job->unit);
                job->heard = true;
                job->exit_code = VFIOPT_EXIT_ERROR;
                return;
        }

        if (r != SYSTEMD_E_KILLED) {
                message_line("%s had already started and was not cancelled; see: journalctl -u '%s'",
                                job->unit, job->unit);
                return;
        }
        message_line("%s was waiting for another switch, and is cancelled", job->unit);
        /* A cancelled job is no failure to be listed. */
        r = systemd_reset_failed(systemd, job->unit);
        if (r < 0)
                message_error("%s stays listed as failed: %s; see: systemctl reset-failed",
                                job->unit, strerror(-r));
}

static void on_over(void *userdata, uint32_t id, const char *unit _unused_, const char *result) {
        Jobs *jobs = userdata;

        for (size_t i = 0; i < jobs->n; ++i) {
                Job *job = &jobs->items[i];

                if (job->over || job->id != id)
                        continue;
                job_end(job, result);
                if (!job->reader || journal_reader_finish(job->reader) < 0)
                        job->read = true;
        }
        jobs_look(jobs);
}

/* Return: whether its end is to be waited for. */
static bool job_cancel(Job *job) {
        uint32_t id;

        if (job->id == 0 || job->over)
                return false;
        if (systemd_cancel_waiting(job->jobs->systemd, job->id) == 0) {
                message_line("%s had not begun, and is cancelled", job->unit);
                return false;
        }
        if (job->waits && !job->cancelling &&
                        systemd_stop(job->jobs->systemd, job->unit, &id) == 0) {
                job->id = id;
                job->cancelling = true;
                job->read = true;
                return true;
        }
        message_line("%s %s; follow it with: journalctl -f -u '%s'", job->unit,
                        job->cancelling ? "was asked to stop" : "is still running", job->unit);
        return false;
}

static int on_signal(sd_event_source *source _unused_,
                const struct signalfd_siginfo *info _unused_,
                void *userdata) {
        Jobs *jobs = userdata;
        bool cancelling = false;

        jobs->interrupted = true;
        for (size_t i = 0; i < jobs->n; ++i) {
                Job *job = &jobs->items[i];

                if (job_cancel(job))
                        cancelling = true;
                else
                        job->id = 0; /* not followed any more */
        }
        return cancelling ? 0 : sd_event_exit(jobs->event, 0);
}

/* starts */

/* Return: 0, or an exit code after having told why not; or a negative error code. */
static int job_start(Job *job) {
        _cleanup_(freep) char *why = NULL;
        char invocation[INVOCATION_MAX];
        int r;

        r = systemd_start(job->jobs->systemd, job->unit, &job->id, &why);
        if (r > 0) {
                message_error("%s: %s", job->unit, why);
                return r == SYSTEMD_E_DENIED ? VFIOPT_EXIT_PRECONDITION : VFIOPT_EXIT_ERROR;
        }
        if (r < 0 || !job->reader)
                return r;

        /* The job may be one that was asked for before, and be under way. */
        r = systemd_invocation(job->jobs->systemd, job->unit, invocation);
        return journal_reader_follow(job->reader, job->unit, job->id, r == 0 ? invocation : NULL);
}

/* Return: 0, or an exit code after having told why; or a negative error code. */
static int jobs_start(Jobs *jobs) {
        static const int signals[] = { SIGINT, SIGTERM };
        sigset_t set;
        int r;

        r = sd_event_default(&jobs->event);
        if (r < 0)
                return r;
        sigemptyset(&set);
        for (size_t i = 0; i < ARRAY_SIZE(signals); ++i)
                sigaddset(&set, signals[i]);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        for (size_t i = 0; i < ARRAY_SIZE(signals) && r >= 0; ++i)
                r = sd_event_add_signal(jobs->event, NULL, signals[i], on_signal, jobs);
        for (size_t i = 0; i < jobs->n && r >= 0; ++i) {
                Job *job = &jobs->items[i];
                const JournalWatcher watcher = {
                        .record = on_record,
                        .line = on_line,
                        .end = on_end,
                        .userdata = job,
                };

                r = journal_reader_new(jobs->event, &watcher, &job->reader);
                job->read = r == JOURNAL_E_BLIND;
        }
        if (r < 0)
                return r;

        r = systemd_new(jobs->event, on_over, jobs, &jobs->systemd);
        if (r < 0) {
                message_error("cannot connect to systemd: %s; use --direct", strerror(-r));
                return VFIOPT_EXIT_ERROR;
        }
        for (size_t i = 0; i < jobs->n && r == 0; ++i)
                r = job_start(&jobs->items[i]);
        return r;
}

/**
 * jobs_run() - start units, and follow them to their end
 * @outcomes:   gets what their records say
 * @verbose:    whether steps are printed
 * @ret_exit:   the worst exit code of all, or JOB_EXIT_INTERRUPTED
 *
 * Return: 0 on success, negative error code on failure.
 */
int jobs_run(char *const *units, size_t n, Outcomes *outcomes, bool verbose, int *ret_exit) {
        _cleanup_(jobs_deinit) Jobs jobs = { .outcomes = outcomes, .verbose = verbose };
        int exit_code, r;

        jobs.items = calloc(n ?: 1, sizeof(*jobs.items));
        if (!jobs.items)
                return -ENOMEM;
        for (size_t i = 0; i < n; ++i)
                jobs.items[jobs.n++] = (Job){ .jobs = &jobs, .unit = units[i] };

        exit_code = jobs_start(&jobs);
        if (exit_code < 0)
                return exit_code;
        /* If only some could be started, these are followed to their end. */
        jobs_look(&jobs);
        r = sd_event_loop(jobs.event);
        if (r < 0)
                return r;

        for (size_t i = 0; i < n && !jobs.interrupted; ++i) {
                const Job *job = &jobs.items[i];

                if (job->id == 0)
                        continue;
                exit_code = exit_worse(exit_code, job->exit_code);
                if (job->exit_code != VFIOPT_EXIT_DONE && !job->heard)
                        message_error("%s ended with exit status %d; see: journalctl -u '%s'",
                                        job->unit, job->exit_code, job->unit);
        }
        *ret_exit = jobs.interrupted ? JOB_EXIT_INTERRUPTED : exit_code;
        return jobs.error;
}
