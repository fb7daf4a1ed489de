/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Jobs
 *
 * Units are started as `systemctl start` does it. Two requests for the same unit are
 * one job. Nothing is decided here, and whoever stops following changes nothing,
 * except that a job which still waits is taken back: in the manager's queue, or for
 * the GPU, as long as it says so itself. Should it get the GPU just then, it does not
 * heed that it is to end; so only the way that it ends tells what has become of it.
 *
 * A job has two ends, and both have to come: the manager's word that it is over, and
 * the last of its records in the journal (follow.c), which may take a little longer.
 */

#include <signal.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "cli/follow.h"
#include "cli/job.h"
#include "cli/report.h"
#include "os/systemd.h"

typedef struct Jobs Jobs;

typedef struct Job {
        Jobs *jobs;
        const char *unit;
        Follow *follow; /* NULL: the journal cannot be read */
        uint32_t id;    /* 0: not started */
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
        const JobWatcher *watcher;
        Job *items;
        size_t n;
        bool interrupted;
};

static void jobs_deinit(Jobs *jobs) {
        for (size_t i = 0; i < jobs->n; ++i)
                follow_free(jobs->items[i].follow);
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

/* what they say */

static void on_tell(void *userdata, const Tale *tale) {
        Job *job = userdata;

        job->heard = true;
        job->waits = tale->phase && !strcmp(tale->phase, PHASE_WAIT);
        job->jobs->watcher->tell(job->jobs->watcher->userdata, tale);
}

static void on_print(void *userdata, const char *message) {
        Job *job = userdata;

        job->heard = true;
        job->jobs->watcher->print(job->jobs->watcher->userdata, message);
}

static void on_end(void *userdata) {
        Job *job = userdata;

        job->read = true;
        jobs_look(job->jobs);
}

/* how they end */

/* The process' exit status is ours; but only if it is one that it may end with. */
static void job_ended(Job *job, const char *result) {
        int status;

        job->over = true;
        job->exit_code = VFIOPT_EXIT_DONE;
        if (!strcmp(result, "done"))
                return;

        if (!strcmp(result, "failed") &&
                        systemd_exit_status(job->jobs->systemd, job->unit, &status) == 0 &&
                        status > VFIOPT_EXIT_DONE && status <= VFIOPT_EXIT_STUCK) {
                job->exit_code = status;
                return;
        }
        report_error("the job %s was not carried out (%s); see: systemctl status '%s'", job->unit,
                        result, job->unit);
        job->heard = true;
        job->exit_code = VFIOPT_EXIT_ERROR;
}

/* It was asked to end: did it still wait? */
static void cancelling_ended(Job *job) {
        int status, r;

        job->over = true;
        if (systemd_exit_status(job->jobs->systemd, job->unit, &status) != SYSTEMD_E_KILLED) {
                report_line("%s had begun, and was not cancelled; to see how it ended: journalctl -u '%s'",
                                job->unit, job->unit);
                return;
        }
        report_line("%s was waiting for another switch, and is cancelled", job->unit);
        /* It has not failed: somebody has thought better of it. */
        r = systemd_reset_failed(job->jobs->systemd, job->unit);
        if (r < 0)
                report_error("%s stays listed as failed: %s; see: systemctl reset-failed",
                                job->unit, strerror(-r));
}

static void on_over(void *userdata, uint32_t id, const char *unit _unused_, const char *result) {
        Jobs *jobs = userdata;

        for (size_t i = 0; i < jobs->n; ++i) {
                Job *job = &jobs->items[i];

                if (job->over || job->id != id)
                        continue;
                if (job->cancelling)
                        cancelling_ended(job);
                else
                        job_ended(job, result);
                if (!job->follow || follow_finish(job->follow) < 0)
                        job->read = true;
        }
        jobs_look(jobs);
}

/* Return: true if its end is to be waited for. */
static bool job_cancel(Job *job) {
        uint32_t id;

        if (job->id == 0 || job->over)
                return false;
        if (systemd_cancel_waiting(job->jobs->systemd, job->id) == 0) {
                report_line("%s had not begun, and is cancelled", job->unit);
                return false;
        }
        if (job->waits && !job->cancelling &&
                        systemd_stop(job->jobs->systemd, job->unit, &id) == 0) {
                job->id = id;
                job->cancelling = true;
                job->read = true;
                return true;
        }
        report_line("%s %s; to see how it ends: journalctl -f -u '%s'", job->unit,
                        job->cancelling ? "was asked to end" : "goes on", job->unit);
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

/* how they begin */

static int job_prepare(Job *job) {
        const FollowWatcher watcher = {
                .tell = on_tell,
                .print = on_print,
                .end = on_end,
                .userdata = job,
        };
        int r;

        r = follow_new(job->jobs->event, job->unit, &watcher, &job->follow);
        job->read = r == FOLLOW_E_BLIND;
        return r < 0 ? r : 0;
}

/* Return: 0, or an exit code after having reported why not; or a negative error code. */
static int job_start(Job *job) {
        _cleanup_(freep) char *why = NULL;
        char invocation[INVOCATION_MAX];
        int r;

        r = systemd_start(job->jobs->systemd, job->unit, &job->id, &why);
        if (r > 0) {
                report_error("%s: %s", job->unit, why);
                return r == SYSTEMD_E_DENIED ? VFIOPT_EXIT_PRECONDITION : VFIOPT_EXIT_ERROR;
        }
        if (r < 0 || !job->follow)
                return r;

        /* Ours may be the job of somebody who asked before us. */
        r = systemd_invocation(job->jobs->systemd, job->unit, invocation);
        return follow_start(job->follow, job->id, r == 0 ? invocation : NULL);
}

static int catch_signals(Jobs *jobs) {
        static const int signals[] = { SIGINT, SIGTERM };
        sigset_t set;
        int r = 0;

        sigemptyset(&set);
        for (size_t i = 0; i < ARRAY_SIZE(signals); ++i)
                sigaddset(&set, signals[i]);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        for (size_t i = 0; i < ARRAY_SIZE(signals) && r >= 0; ++i)
                r = sd_event_add_signal(jobs->event, NULL, signals[i], on_signal, jobs);
        return r < 0 ? r : 0;
}

/* Return: 0, or an exit code after having reported why; or a negative error code. */
static int jobs_start(Jobs *jobs) {
        int r;

        r = sd_event_default(&jobs->event);
        if (r >= 0)
                r = catch_signals(jobs);
        for (size_t i = 0; i < jobs->n && r >= 0; ++i)
                r = job_prepare(&jobs->items[i]);
        if (r < 0)
                return r;

        r = systemd_new(jobs->event, on_over, jobs, &jobs->systemd);
        if (r < 0) {
                report_error("cannot reach the manager: %s; --direct does without it",
                                strerror(-r));
                return VFIOPT_EXIT_ERROR;
        }
        for (size_t i = 0; i < jobs->n && r == 0; ++i)
                r = job_start(&jobs->items[i]);
        return r;
}

/* The worst exit code of those that were started. */
static int jobs_result(const Jobs *jobs, int exit_code) {
        for (size_t i = 0; i < jobs->n; ++i) {
                const Job *job = &jobs->items[i];

                if (job->id == 0)
                        continue;
                exit_code = exit_worse(exit_code, job->exit_code);
                if (job->exit_code != VFIOPT_EXIT_DONE && !job->heard)
                        report_error("%s ended with exit status %d; see: journalctl -u '%s'",
                                        job->unit, job->exit_code, job->unit);
        }
        return exit_code;
}

/**
 * jobs_run() - start units, and follow them to their end
 * @units:      their names
 * @n:          how many
 * @watcher:    who is told what they say
 * @ret_exit:   the worst exit code of all, or JOB_EXIT_INTERRUPTED
 *
 * Return: 0 on success, negative error code on failure.
 */
int jobs_run(const char *const *units, size_t n, const JobWatcher *watcher, int *ret_exit) {
        Jobs jobs = { .watcher = watcher };
        int started, r;

        jobs.items = calloc(n ?: 1, sizeof(*jobs.items));
        if (!jobs.items)
                return -ENOMEM;
        for (size_t i = 0; i < n; ++i)
                jobs.items[jobs.n++] = (Job){ .jobs = &jobs, .unit = units[i] };

        started = jobs_start(&jobs);
        r = started;
        if (started >= 0) {
                /* Of several, those that were started are seen through. */
                jobs_look(&jobs);
                r = sd_event_loop(jobs.event);
        }
        if (r >= 0)
                *ret_exit = jobs.interrupted ? JOB_EXIT_INTERRUPTED : jobs_result(&jobs, started);
        jobs_deinit(&jobs);
        return r < 0 ? r : 0;
}
