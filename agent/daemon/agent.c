/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "base/clock.h"
#include "base/text.h"
#include "daemon/agent.h"
#include "daemon/gpu-state.h"
#include "daemon/log.h"
#include "daemon/watch.h"
#include "model/inventory.h"
#include "os/systemd.h"
#include "vfiopt/names.h"

#define LIMIT_BARRIER_USEC (5 * USEC_PER_SEC)
#define UDEV_UNIT          "systemd-udevd.service"

struct Agent {
        sd_event *event;
        Roots *roots;
        Systemd *systemd;
        Watch *watch;
        sd_event_source *look;
        JournalSource source;
        GpuState *gpus;
        bool policy_logged;     /* the problems of the policy, since its files changed */
        int state_problem;      /* the last one that was logged */
        struct stat state_file; /* from before the policy was read; {}: there was none */
};

static void wake(Agent *agent) {
        (void) sd_event_source_set_enabled(agent->look, SD_EVENT_ONESHOT);
}

/* jobs */

/* The job may be over: numbers of jobs only grow, and a unit has one job at a time. */
static void on_job(Agent *agent, GpuState *state, uint32_t job_id) {
        state->job_id = job_id;
        if (state->over_id == 0 || state->over_id < job_id)
                return;
        attempts_end(&state->attempts, state->over);
        wake(agent);
}

static void on_failure(GpuState *state, const AskAnswer *answer) {
        log_error("%s was not started: %s", state->unit,
                        answer->why[0] ? answer->why : strerror(-answer->outcome));
        /* A denial lasts. Other failures may not: systemd may only have been busy. */
        attempts_end(&state->attempts,
                        answer->outcome == SYSTEMD_E_DENIED ? ATTEMPT_FAILED : ATTEMPT_IDLE);
}

static void on_answer(void *userdata, const char *gpu, const AskAnswer *answer) {
        Agent *agent = userdata;
        GpuState *state = NULL;
        Address address;

        if (address_parse(gpu, &address) == 0)
                state = gpu_state_find_slot(agent->gpus, address);
        if (!state)
                return;
        state->ask = ask_free(state->ask);
        if (state->attempts.state != ATTEMPT_RUNNING)
                return;
        if (answer->outcome == 0)
                on_job(agent, state, answer->job_id);
        else
                on_failure(state, answer);
}

static void on_over(void *userdata, uint32_t job_id, const char *unit, const char *result) {
        AttemptState outcome = ATTEMPT_FAILED;
        Agent *agent = userdata;
        GpuState *state;
        int status;

        /* udev does not report the events that it was at when it was restarted. */
        if (!text_starts_with(unit, VFIOPT_UNIT_TEMPLATE, NULL) && strcmp(unit, VFIOPT_UNIT_BOOT) &&
                        strcmp(unit, UDEV_UNIT))
                return;

        state = gpu_state_find_unit(agent->gpus, unit);
        if (state && (state->ask || state->job_id == job_id)) {
                if (!strcmp(result, "done"))
                        outcome = ATTEMPT_DONE;
                /* A job that was killed has not tried everything. */
                else if (!strcmp(result, "failed") &&
                                systemd_exit_status(agent->systemd, unit, &status) ==
                                                SYSTEMD_E_KILLED)
                        outcome = ATTEMPT_IDLE;
                if (state->ask) {
                        state->over_id = job_id;
                        state->over = outcome;
                } else
                        attempts_end(&state->attempts, outcome);
        }
        wake(agent);
}

/*
 * Nobody listens where systemd has given the socket up, as what it starts has failed again and again. A new
 * start of the agent brings the socket along, and asks again; the agent's own limit of starts ends that.
 */
static void ask(Agent *agent, GpuState *state) {
        char gpu[ADDRESS_STRING_MAX];
        int r;

        state->ask = ask_free(state->ask);
        state->job_id = state->over_id = 0;
        r = ask_new(agent->event, agent->roots, address_format(state->address, gpu), on_answer,
                        agent, &state->ask);
        if (r < 0)
                on_failure(state, &(AskAnswer){ .outcome = r });
        if (r == -ENOENT || r == -ECONNREFUSED)
                (void) sd_event_exit(agent->event, AGENT_EXIT_AGAIN);
}

/* systemd does not report the jobs that ended while it was executed anew. */
static void on_back(void *userdata) {
        Agent *agent = userdata;

        for (GpuState *state = agent->gpus; state; state = state->next) {
                state->ask = ask_free(state->ask);
                attempts_end(&state->attempts, ATTEMPT_IDLE);
        }
        wake(agent);
}

/* looking */

static void stat_state_file(const Roots *roots, struct stat *ret) {
        *ret = (struct stat){};
        if (roots->etc_fd >= 0)
                (void) fstatat(roots->etc_fd, VFIOPT_ETC_STATE, ret, 0);
}

/*
 * Whether the wish still holds for a GPU that no process was at. A switch that ended during the look
 * leaves a new wish in the state file or in the record, and the policy that was read before would
 * undo what a person has just asked for. Each commit replaces the state file.
 */
static int is_current(Agent *agent,
                const Policy *policy,
                const Gpu *gpu,
                const Observation *observation,
                bool *ret) {
        const struct stat *before = &agent->state_file;
        Observation now;
        Decision decision;
        struct stat st;
        int r;

        r = observation_init(&now, NULL, agent->roots, policy, gpu, &decision);
        if (r < 0)
                return r;
        stat_state_file(agent->roots, &st);

        *ret = now.fingerprint.wish == observation->fingerprint.wish &&
                        st.st_dev == before->st_dev && st.st_ino == before->st_ino &&
                        st.st_ctim.tv_sec == before->st_ctim.tv_sec &&
                        st.st_ctim.tv_nsec == before->st_ctim.tv_nsec;
        return 0;
}

static int look_at(Agent *agent, const Policy *policy, const Gpu *gpu, bool *ret_fulfilled) {
        uint64_t now_usec = monotonic_usec();
        Observation observation;
        bool current = true;
        Decision decision;
        GpuState *state;
        Action action;
        Mode wish;
        int r;

        r = gpu_state_get(&agent->gpus, gpu->address, &state);
        if (r < 0)
                return r;
        state->seen = true;
        r = observation_init(&observation, state, agent->roots, policy, gpu, &decision);
        if (r < 0)
                return r;
        if (!observation.locked && !observation.fulfilled) {
                r = is_current(agent, policy, gpu, &observation, &current);
                if (r < 0)
                        return r;
                if (!current) {
                        wake(agent);
                        return 0;
                }
        }

        wish = observation.fingerprint.wish;
        log_warnings(&agent->source, state, gpu, &observation, &decision, policy);
        /* A move that was refused may work when the holders have exited. */
        if (gpu_state_take_release(state) && !attempts_release(&state->attempts, now_usec))
                log_gave_up(&agent->source, gpu, wish, true);
        action = reconcile(&state->attempts, &observation, now_usec);
        r = gpu_state_watch(state, &observation, agent->look);

        if (action == RECONCILE_GIVE_UP)
                log_gave_up(&agent->source, gpu, wish, false);
        if (action == RECONCILE_START) {
                log_asked(&agent->source, gpu, &observation, state->unit);
                ask(agent, state);
        }
        *ret_fulfilled = observation.fulfilled && !decision.claimed;
        return r;
}

/*
 * The last GPU is gone, and the agent leaves. A GPU that comes from now on starts it again, but one
 * may have come before systemd knew that.
 */
static int retire(Agent *agent) {
        _cleanup_(inventory_deinit) Inventory inventory = {};
        int r;

        (void) sd_notify(0, "STOPPING=1\nSTATUS=There is no NVIDIA GPU");
        (void) sd_notify_barrier(0, LIMIT_BARRIER_USEC);
        r = inventory_init(&inventory, agent->roots);
        if (r < 0)
                return r;
        return sd_event_exit(agent->event, inventory.n_gpus > 0 ? AGENT_EXIT_AGAIN : 0);
}

static int look(Agent *agent) {
        _cleanup_(inventory_deinit) Inventory inventory = {};
        _cleanup_(policy_deinit) Policy policy = POLICY_NULL;
        size_t n_elsewhere = 0;
        bool settled = false;
        int r;

        r = watch_settle(agent->watch, &settled);
        if (r < 0 || !settled)
                return r;
        r = roots_open_run(agent->roots, false);
        if (r < 0)
                return r;
        r = roots_open_etc(agent->roots, false);
        if (r < 0)
                return r;
        r = watch_update(agent->watch, agent->roots);
        if (r < 0)
                return r;

        stat_state_file(agent->roots, &agent->state_file);
        r = policy_load(&policy, agent->roots);
        if (r < 0)
                return r;
        if (!agent->policy_logged || policy.state_problem != agent->state_problem)
                policy_complain(&policy, agent->policy_logged ? NULL : agent->roots->sysfs,
                                log_complaint, NULL);
        agent->policy_logged = true;
        agent->state_problem = policy.state_problem;

        r = inventory_init(&inventory, agent->roots);
        if (r < 0)
                return r;
        /* A GPU that cannot be looked at is no reason to leave the others where they are. */
        for (size_t i = 0; i < inventory.n_gpus; ++i) {
                bool fulfilled = false;

                error_gather(&r, look_at(agent, &policy, &inventory.gpus[i], &fulfilled));
                n_elsewhere += !fulfilled;
        }

        gpu_state_sweep(&agent->gpus, false);
        (void) sd_notifyf(0, "STATUS=%zu of %zu GPUs where they belong",
                        inventory.n_gpus - n_elsewhere, inventory.n_gpus);
        return inventory.n_gpus > 0 ? r : retire(agent);
}

static int on_look(sd_event_source *source _unused_, void *userdata) {
        int r;

        r = look(userdata);
        /* A device that goes during the look is no error: its event is on the way. Other errors are
         * not returned, as that would disable the next look. */
        if (r < 0 && r != -ENODEV)
                log_error("cannot look at the GPUs: %s", strerror(-r));
        return 0;
}

/* events */

/* Lost events of devices mean that any card may be a new one; so every job may be tried again. */
static void on_reset(void *userdata, bool reconfigured) {
        Agent *agent = userdata;

        for (GpuState *state = agent->gpus; state; state = state->next)
                attempts_forgive(&state->attempts);
        if (reconfigured)
                agent->policy_logged = false;
        wake(agent);
}

/* A card that is plugged in is a new one, even if it was there before. */
static void on_device(void *userdata, const char *action, const char *name) {
        Agent *agent = userdata;
        GpuState *state = NULL;
        Address address;

        if (address_parse(name, &address) == 0)
                state = gpu_state_find_slot(agent->gpus, address);
        if (!state)
                return;
        if (!strcmp(action, "bind") || !strcmp(action, "unbind"))
                state->attempts.moved = true;
        if (!strcmp(action, "remove") && !address_compare(state->address, address)) {
                attempts_forgive(&state->attempts);
                state->doubtful = state->damaged = false;
        }
}

/* A person acts: everything is read again, and every job may be tried again. */
void agent_reload(Agent *agent) {
        on_reset(agent, true);
}

/**
 * agent_new() - set an agent to work
 * @event:      loop that runs it
 * @roots:      our own directories may be missing; outlives the agent
 * @ret:        agent; agent_free() it
 *
 * Return: 0 on success, negative error code on failure.
 */
int agent_new(sd_event *event, Roots *roots, Agent **ret) {
        _cleanup_(agent_freep) Agent *agent = calloc(1, sizeof(*agent));
        int r;

        if (!agent)
                return -ENOMEM;
        agent->event = sd_event_ref(event);
        agent->roots = roots;

        r = journal_source_init(&agent->source, roots->proc_fd, NULL);
        if (r < 0)
                return r;
        r = systemd_new(event, on_over, agent, &agent->systemd);
        if (r < 0)
                return r;
        r = systemd_watch(agent->systemd, on_back);
        if (r < 0)
                return r;
        r = sd_event_add_defer(event, &agent->look, on_look, agent);
        if (r < 0)
                return r;
        r = sd_event_source_set_priority(agent->look, SD_EVENT_PRIORITY_IDLE);
        if (r < 0)
                return r;
        r = watch_new(agent->look, &(Watcher){ on_reset, on_device, agent }, &agent->watch);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(agent);
        return 0;
}

/* Takes and returns NULL. */
Agent *agent_free(Agent *agent) {
        if (!agent)
                return NULL;

        watch_free(agent->watch);
        systemd_free(agent->systemd);
        gpu_state_sweep(&agent->gpus, true);
        sd_event_source_disable_unref(agent->look);
        journal_source_deinit(&agent->source);
        sd_event_unref(agent->event);
        free(agent);
        return NULL;
}
