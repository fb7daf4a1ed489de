/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The Agent
 *
 * Whatever happens is a reason to look, and nothing else: all GPUs are looked at, once all
 * events that have come are taken in. So several events of one GPU are one look, and none
 * that was missed does any harm for longer than until the next.
 *
 * Nothing is written here but to the journal. What shall be done is a job of the manager's.
 */

#include <string.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "base/clock.h"
#include "base/text.h"
#include "daemon/agent.h"
#include "daemon/tell.h"
#include "daemon/view.h"
#include "daemon/ward.h"
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
        Ward *wards;
        bool policy_told;  /* what is wrong in the files, since they were last changed */
        int state_problem; /* that was told */
};

static void wake(void *userdata) {
        Agent *agent = userdata;

        (void) sd_event_source_set_enabled(agent->look, SD_EVENT_ONESHOT);
}

/* jobs */

static void on_answer(
                void *userdata, const char *unit, int outcome, uint32_t job_id, const char *why) {
        Agent *agent = userdata;
        Ward *ward = wards_find_unit(agent->wards, unit);

        if (!ward || !ward->memory.busy)
                return;
        if (outcome == 0) {
                ward->job_id = job_id;
                return;
        }

        log_error("%s was not started: %s", unit, why ?: strerror(-outcome));
        /* What is denied now will be denied then; but the manager may only have been busy. */
        if (outcome == SYSTEMD_E_DENIED)
                memory_end(&ward->memory, false);
        else
                memory_untry(&ward->memory);
}

static void on_over(void *userdata, uint32_t job_id, const char *unit, const char *result) {
        Agent *agent = userdata;
        Ward *ward;
        int status;

        /* What udev had in hand when it was started again, it tells nobody of. */
        if (!text_starts_with(unit, VFIOPT_UNIT_ANY, NULL) && strcmp(unit, UDEV_UNIT))
                return;
        ward = wards_find_unit(agent->wards, unit);
        if (ward && ward->job_id == job_id) {
                memory_end(&ward->memory, !strcmp(result, "done"));
                /* What was killed has not tried all that it can. */
                if (!strcmp(result, "failed") &&
                                systemd_exit_status(agent->systemd, unit, &status) ==
                                                SYSTEMD_E_KILLED)
                        memory_untry(&ward->memory);
        }
        wake(agent);
}

/* The manager was executed anew: of jobs that ended meanwhile nobody has told. */
static void on_back(void *userdata) {
        Agent *agent = userdata;

        for (Ward *ward = agent->wards; ward; ward = ward->next)
                if (ward->memory.busy)
                        memory_untry(&ward->memory);
        wake(agent);
}

static void start(Agent *agent, Ward *ward, const Gpu *gpu, const Decision *decision) {
        int r;

        tell_asked(&agent->source, gpu, decision, ward->unit);
        ward->job_id = 0;
        r = systemd_ask(agent->systemd, ward->unit, on_answer, agent);
        if (r < 0)
                on_answer(agent, ward->unit, r, 0, NULL);
}

/* looking */

/* What one job could not do, another one can when the GPU is let go. */
static int decide(Agent *agent, Ward *ward, const Gpu *gpu, const View *view, Action *ret) {
        uint64_t now_usec = monotonic_usec();

        if (ward_was_let_go(ward) && !memory_let_go(&ward->memory, now_usec))
                tell_come_and_go(&agent->source, gpu, view->sight.fingerprint.wish);

        *ret = reconcile(&ward->memory, &view->sight, now_usec);
        if (*ret == RECONCILE_START || !ward->memory.tried)
                ward->holders = holders_free(ward->holders);
        if (*ret == RECONCILE_NOTHING && ward->memory.tried)
                return ward_wait_for_holders(ward, agent->event, &view->refusal, wake, agent);
        return 0;
}

static int look_at(Agent *agent, const Policy *policy, const Gpu *gpu, bool *ret_fulfilled) {
        bool same = true;
        Action action;
        Ward *ward;
        View view;
        int r;

        r = wards_get(&agent->wards, gpu->address, &ward);
        if (r < 0)
                return r;
        ward->seen = true;
        r = view_init(&view, agent->roots, policy, gpu);
        if (r >= 0)
                r = ward_keep_vigil(ward, agent->event, &view, wake, agent);
        if (r >= 0 && !view.sight.locked && !view.sight.fulfilled)
                r = view_is_current(&view, agent->roots, gpu, &same);
        if (r >= 0 && !same)
                wake(agent);
        if (r < 0 || !same)
                return r;

        ward_tell_stranger(ward, &agent->source, &view, policy, gpu);
        r = decide(agent, ward, gpu, &view, &action);
        switch (action) {
        case RECONCILE_START:
                start(agent, ward, gpu, &view.decision);
                break;
        case RECONCILE_GIVE_UP:
                tell_gave_up(&agent->source, gpu, view.decision.mode);
                break;
        default:
                break;
        }
        *ret_fulfilled = view.sight.fulfilled;
        return r;
}

/*
 * No GPU is left, nor a reason to be. Whoever wants us from now on has us started again;
 * but one may have come while the manager did not know yet that we go.
 */
static int retire(Agent *agent) {
        Inventory inventory;
        int exit_code, r;

        (void) sd_notify(0, "STOPPING=1\nSTATUS=There is no NVIDIA GPU");
        (void) sd_notify_barrier(0, LIMIT_BARRIER_USEC);
        r = inventory_init(&inventory, agent->roots->sysfs);
        if (r < 0)
                return r;

        exit_code = inventory.n_gpus > 0 ? AGENT_EXIT_AGAIN : 0;
        inventory_deinit(&inventory);
        return sd_event_exit(agent->event, exit_code);
}

static int look_with(Agent *agent, const Policy *policy, const Inventory *inventory) {
        size_t n_elsewhere = 0;
        int r = 0;

        /* One that cannot be looked at is no reason to leave the others where they are. */
        for (size_t i = 0; i < inventory->n_gpus; ++i) {
                bool fulfilled = false;

                error_gather(&r, look_at(agent, policy, &inventory->gpus[i], &fulfilled));
                n_elsewhere += !fulfilled;
        }

        wards_sweep(&agent->wards);
        (void) sd_notifyf(0, "STATUS=%zu of %zu GPUs where they belong",
                        inventory->n_gpus - n_elsewhere, inventory->n_gpus);
        return inventory->n_gpus > 0 ? r : retire(agent);
}

static int look(Agent *agent) {
        Inventory inventory = {};
        Policy policy = POLICY_NULL;
        bool settled = false;
        int r;

        r = watch_settle(agent->watch, &settled);
        if (r < 0 || !settled)
                return r;
        r = roots_open_run(agent->roots, false);
        if (r >= 0)
                r = roots_open_etc(agent->roots, false);
        if (r >= 0)
                r = watch_update(agent->watch, agent->roots);
        if (r >= 0)
                r = policy_load(&policy, agent->roots);
        if (r < 0)
                return r;

        if (!agent->policy_told)
                tell_policy(&policy);
        else if (policy.state_problem != agent->state_problem)
                tell_state(&policy);
        agent->policy_told = true;
        agent->state_problem = policy.state_problem;

        r = inventory_init(&inventory, agent->roots->sysfs);
        if (r >= 0)
                r = look_with(agent, &policy, &inventory);
        inventory_deinit(&inventory);
        policy_deinit(&policy);
        return r;
}

/* What cannot be looked at now may be at the next event; an error here would only hide it. */
static int on_look(sd_event_source *source _unused_, void *userdata) {
        int r;

        r = look(userdata);
        /* One goes while it is looked at: the event that tells of that is on its way. */
        if (r < 0 && r != -ENODEV)
                log_error("cannot look at the GPUs: %s", strerror(-r));
        return 0;
}

/* events */

/**
 * agent_reload() - a person acts
 * @agent:      agent
 *
 * Read everything again, and try again what was in vain.
 */
void agent_reload(Agent *agent) {
        for (Ward *ward = agent->wards; ward; ward = ward->next)
                memory_forgive(&ward->memory);
        agent->policy_told = false;
        wake(agent);
}

static void on_reconfigured(void *userdata) {
        agent_reload(userdata);
}

/* Any card may have been another one meanwhile. */
static void on_lost(void *userdata) {
        Agent *agent = userdata;

        for (Ward *ward = agent->wards; ward; ward = ward->next)
                memory_forgive(&ward->memory);
        wake(agent);
}

/* A card that is plugged in is a new one, even if it has sat there before. */
static void on_device(void *userdata, const char *action, const char *name) {
        Agent *agent = userdata;
        Address address;
        Ward *ward = NULL;

        if (address_parse(name, &address) == 0)
                ward = wards_find_slot(agent->wards, address);
        if (ward && (!strcmp(action, "bind") || !strcmp(action, "unbind")))
                memory_note_move(&ward->memory);
        if (ward && !strcmp(action, "remove") && !address_compare(ward->address, address)) {
                memory_forgive(&ward->memory);
                ward->stranger = false;
        }
        wake(agent);
}

/**
 * agent_new() - set an agent to work
 * @event:      loop, which it does all of its work in
 * @roots:      our own directories may be missing
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

        const Watcher watcher = {
                .changed = wake,
                .reconfigured = on_reconfigured,
                .lost = on_lost,
                .device = on_device,
                .userdata = agent,
        };
        r = journal_source_init(&agent->source, roots->proc_fd, NULL);
        if (r >= 0)
                r = systemd_new(event, on_over, agent, &agent->systemd);
        if (r >= 0)
                r = systemd_watch(agent->systemd, on_back);
        if (r >= 0)
                r = watch_new(event, &watcher, &agent->watch);
        if (r >= 0)
                r = sd_event_add_defer(event, &agent->look, on_look, agent);
        if (r >= 0)
                r = sd_event_source_set_priority(agent->look, SD_EVENT_PRIORITY_IDLE);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(agent);
        return 0;
}

/* Takes and returns NULL. */
Agent *agent_free(Agent *agent) {
        if (!agent)
                return NULL;

        sd_event_source_disable_unref(agent->look);
        watch_free(agent->watch);
        systemd_free(agent->systemd);
        wards_free(agent->wards);
        journal_source_deinit(&agent->source);
        sd_event_unref(agent->event);
        free(agent);
        return NULL;
}
