/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Switching
 *
 * All-then-all: every GPU is locked, recovered and prepared before the first one is touched.
 * Locks are taken by ascending address, so that two requests cannot wait for each other.
 *
 * From the first write on, a request to end (^C, a stopping unit) is not heeded: half-way
 * there is no place to stop, and every step has a deadline. Before it nothing has to be undone, so
 * the process ends by the signal, and its locks with it: other users could make it wait.
 */

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "policy/claim.h"
#include "probe/advice.h"
#include "probe/explain.h"
#include "switch/signals.h"
#include "switch/switch.h"
#include "vfiopt/names.h"

Move *moves_free(Move *moves, size_t n) {
        for (size_t i = 0; moves && i < n; ++i)
                move_deinit(&moves[i]);
        free(moves);
        return NULL;
}

static Move *moves_new(SwitchContext *context, const SwitchRequest *request) {
        Move *moves;

        moves = calloc(request->n_gpus ?: 1, sizeof(*moves));
        if (!moves)
                return NULL;

        for (size_t i = 0; i < request->n_gpus; ++i)
                moves[i] = (Move){
                        .context = context,
                        .gpu = request->gpus[i],
                        .from = request->gpus[i]->mode,
                        .to = request->to,
                        .trigger = request->trigger,
                        .allow_display = request->allow_display,
                        .transient = request->transient,
                        .lock = LOCK_NULL,
                        .along = (const Gpu *const *) request->gpus,
                        .n_along = request->n_gpus,
                        .start_usec = monotonic_usec(),
                };
        return moves;
}

static void worsen(SwitchResult *result, SwitchResult other) {
        if (other > *result)
                *result = other;
}

/* before the first write */

static int lock_moves(Move *moves, size_t n) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < n; ++i) {
                int run_fd = moves[i].context->roots->run_fd;

                r = lock_take(&moves[i].lock, run_fd, moves[i].gpu->address, false);
                if (r != LOCK_E_BUSY)
                        continue;
                notify(&moves[i], EVENT_WARNING, PHASE_WAIT,
                                "waiting for another switch of this GPU to end");
                r = lock_take(&moves[i].lock, run_fd, moves[i].gpu->address, true);
        }
        return error_fold(r);
}

/* Once for all of them: the files would be read as often as there are GPUs, and grow with them. */
static int load_policy(Policy *policy, const Roots *roots, Move *moves, size_t n) {
        policy_deinit(policy);
        for (size_t i = 0; i < n; ++i)
                moves[i].policy = policy;
        return policy_load(policy, roots);
}

static void tell_of_display(const Move *move) {
        _cleanup_(freep) char *reason = NULL;
        char address[ADDRESS_STRING_MAX];

        address_format(move->gpu->address, address);
        reason = text_format(
                        "it was in passthrough last, but is the display that the machine boots "
                        "on, and stays; to allow it: vfioptctl switch --allow-display "
                        "passthrough %s, or for good: AllowDisplay=yes below [GPU %s] "
                        "in " VFIOPT_ETC_CONFIG,
                        address, address);
        notify(move, EVENT_WARNING, "policy", reason);
}

/*
 * The policy, asked anew under the lock: a switch that was waited for may have moved the GPU,
 * and a person may have said where it belongs. That must not be undone by a job that came late.
 */
static int decide(Move *move) {
        Sysfs *sysfs = move->context->roots->sysfs;
        unsigned int flags = DECISION_LOCKED;
        Decision decision;
        int r;

        if (move->trigger == TRIGGER_BOOT)
                flags |= DECISION_AT_BOOT;
        r = policy_look_and_decide(move->policy, move->context->roots, move->gpu, flags, &decision);
        if (r < 0)
                return r;
        if (r == GPU_E_LATE) {
                move->skip = true;
                notify(move, EVENT_WARNING, "policy",
                                "another program is at work on it; left to that");
                return 0;
        }
        move->skip = decision.mode != move->to || decision.claimed;
        /* A person who asks is refused in the end, with what is in the way besides. */
        if (!move->skip && !move->allow_display && move->trigger != TRIGGER_COMMAND &&
                        policy_keeps_display(move->policy, sysfs, move->gpu, &decision)) {
                move->skip = true;
                tell_of_display(move);
        }
        /* To go back to where an interrupted move began is nothing that anybody has asked for. */
        move->uncommitted = decision.source == POLICY_INTERRUPTED;
        return 0;
}

/* Consent to give up a display that is in use may be given for good, by AllowDisplay=. */
static void note_consent(Move *move) {
        if (policy_allows_display(move->policy, move->gpu))
                move->allow_display = true;
}

/* One that is not understood was there for a reason: a move may have been interrupted, or still write. */
static int read_record(Move *move) {
        int r;

        r = gpu_record_load(&move->record, move->context->roots->run_fd, move->gpu);
        if (r != GPU_RECORD_E_INVALID)
                return r;
        move->record.has_move = true;
        move->record.move = (MoveRecord){
                .from = move->from,
                .to = move->to,
                .trigger = move->trigger,
                .moved = FUNCTION_SET_ALL,
        };
        return r;
}

static int load_record(Move *move) {
        int r;

        r = read_record(move);
        if (r == GPU_RECORD_E_INVALID)
                notify(move, EVENT_WARNING, "recover",
                                "its record below " VFIOPT_RUN_DIR
                                " is not understood, and is replaced");
        if (r < 0 || move->trigger != TRIGGER_AGENT || !move->record.has_refusal)
                return r < 0 ? r : 0;

        /* It is tried anew. A person's move leaves no refusal, and removes none. */
        move->record.has_refusal = false;
        return gpu_record_save(&move->record, move->context->roots->run_fd);
}

/*
 * With the lock, look again, ask again, and clean up behind a move that was interrupted.
 * @recovers: set if there was one, which may be remembered by now
 */
static int enter(Move *move, const SwitchRequest *request, SwitchResult *result, bool *recovers) {
        SwitchResult recovered = SWITCH_DONE;
        int r;

        r = gpu_refresh(move->gpu, move->context->roots->sysfs);
        if (r == 0) {
                move->from = move->gpu->mode;
                r = request->automatic ? decide(move) : 0;
        }
        if (r < 0 || move->skip)
                return r;

        note_consent(move);
        r = load_record(move);
        *recovers = *recovers || move->record.has_move;
        if (r == 0)
                r = move_recover(move, &recovered);
        worsen(result, recovered);
        return r;
}

/* A GPU that is left alone after all is in the way of the others like any member of their group. */
static int note_along(Move *moves, size_t n, const Gpu ***ret) {
        const Gpu **along = calloc(n ?: 1, sizeof(*along));
        size_t n_along = 0;

        if (!along)
                return -ENOMEM;
        for (size_t i = 0; i < n; ++i)
                if (!moves[i].skip)
                        along[n_along++] = moves[i].gpu;
        for (size_t i = 0; i < n; ++i) {
                moves[i].along = along;
                moves[i].n_along = n_along;
        }
        *ret = along;
        return 0;
}

/*
 * Whether there is nothing in the way but a boot splash, which the initramfs has started. It ends when the
 * machine has come up, and a boot that waited for it would keep the machine from that.
 */
static bool are_splashed(const Move *moves, size_t n) {
        bool any = false;

        for (size_t i = 0; i < n; ++i)
                for (size_t k = 0; !moves[i].skip && k < moves[i].findings.n; ++k) {
                        if (!advice_is_splash(&moves[i].findings.items[k]))
                                return false;
                        any = true;
                }
        return any;
}

/* They are left to the agent, which hears when the splash ends. That is no failure of the boot. */
static void leave_to_agent(Move *moves, size_t n) {
        for (size_t i = 0; i < n; ++i) {
                _cleanup_(freep) char *reason = NULL, *holders = NULL;
                Move *move = &moves[i];

                if (!move->skip && move->findings.n > 0 &&
                                findings_explain(&move->findings, move->gpu, move->to, &reason,
                                                &holders) >= 0)
                        notify(move, EVENT_WARNING, "check", reason);
                move->skip = true;
        }
}

/*
 * Last of all before the first write: to look for holders takes a while, and another program may have
 * begun to move the GPU meanwhile, by its override or by the next function. That is left to it. What
 * a person has asked for goes on, and so does a boot, which nothing else but the kernel is at.
 */
static int check_unchanged(Move *move) {
        _cleanup_(gpu_deinit) Gpu now = {};
        Sysfs *sysfs = move->context->roots->sysfs;
        char **overrides = NULL;
        bool unchanged;
        int r;

        if (move->plan.n_steps == 0)
                return 0;
        r = gpu_init(&now, sysfs, move->gpu->address);
        if (r == 0)
                r = gpu_read_overrides(sysfs, &now, FACTS_LIMIT_USEC, &overrides);
        if (r < 0)
                return r;

        unchanged = r == 0 && now.n_functions == move->gpu->n_functions;
        for (size_t i = 0; unchanged && i < now.n_functions; ++i)
                unchanged = text_equal(now.functions[i].driver, move->gpu->functions[i].driver) &&
                                text_equal(overrides[i], move->facts.overrides[i]);
        overrides_free(overrides, now.n_functions);
        move->skip = !unchanged;
        if (!unchanged)
                notify(move, EVENT_WARNING, "policy",
                                "another program has begun to move it; left to that");
        return 0;
}

/* All that is to be known before the first write. Nothing is held up but by what it waits for. */
static int prepare_moves(SwitchContext *context,
                Move *moves,
                const SwitchRequest *request,
                Policy *policy,
                const Gpu ***ret_along,
                SwitchResult *result) {
        const size_t n = request->n_gpus;
        bool recovers = false;
        int r;

        r = load_policy(policy, context->roots, moves, n);
        for (size_t i = 0; r == 0 && i < n; ++i)
                r = enter(&moves[i], request, result, &recovers);
        if (r == 0)
                r = note_along(moves, n, ret_along);
        if (r == 0 && recovers)
                r = load_policy(policy, context->roots, moves, n);
        /* One finding is enough to stop, but all of them are to be told. */
        if (r == 0 && *result == SWITCH_DONE) {
                r = move_prepare(moves, n);
                if (r == 0 && request->trigger == TRIGGER_BOOT && are_splashed(moves, n))
                        leave_to_agent(moves, n);
                for (size_t i = 0; r == 0 && i < n; ++i)
                        if (!moves[i].skip)
                                worsen(result, move_result(&moves[i]));
        }
        if (r == 0 && *result > SWITCH_NO_DRIVER)
                for (size_t i = 0; i < n; ++i)
                        if (moves[i].findings.n > 0)
                                move_refuse(&moves[i], &moves[i].findings, "check");
        return r;
}

static int execute_moves(Move *moves, const SwitchRequest *request, SwitchResult *result) {
        const size_t n = request->n_gpus;
        int r = 0;

        for (size_t i = 0; r == 0 && *result <= SWITCH_NO_DRIVER && i < n; ++i) {
                SwitchResult one = SWITCH_DONE;

                if (!moves[i].skip && request->automatic && request->trigger != TRIGGER_BOOT)
                        r = check_unchanged(&moves[i]);
                if (r == 0 && !moves[i].skip)
                        r = move_execute(&moves[i], &one);
                worsen(result, one);
        }
        return r;
}

/* With the locks. */
static int
run_moves(SwitchContext *context, Move *moves, const SwitchRequest *request, SwitchResult *result) {
        _cleanup_(policy_deinit) Policy policy = POLICY_NULL;
        _cleanup_(freep) const Gpu **along = NULL;
        sigset_t old;
        int r;

        r = prepare_moves(context, moves, request, &policy, &along, result);
        if (r < 0 || *result > SWITCH_NO_DRIVER)
                return r;
        signals_hold(&old);
        r = execute_moves(moves, request, result);
        if (request->n_gpus > 0)
                move_update_modules(moves);
        if (signals_take(&old))
                context->asked_to_end = true;
        return r;
}

/**
 * switch_run() - move GPUs
 * @context:    where, and who is told
 * @request:    which, and where to
 * @ret:        the worst result of all
 *
 * The observer is told of every result, refusal and failure. A request to end that came
 * between the first write and the last is in @context, for a caller that has more to do; one that
 * comes before ends the process.
 *
 * Return: 0 on success, whatever the result is; negative error code on failure.
 */
int switch_run(SwitchContext *context, const SwitchRequest *request, SwitchResult *ret) {
        SwitchResult result = SWITCH_DONE;
        Move *moves;
        int r;

        moves = moves_new(context, request);
        if (!moves)
                return -ENOMEM;

        r = lock_moves(moves, request->n_gpus);
        if (r == 0)
                r = run_moves(context, moves, request, &result);

        moves_free(moves, request->n_gpus);
        if (r < 0)
                return r;
        *ret = result;
        return 0;
}

/**
 * switch_preview() - prepare a switch, and leave it at that
 * @context:    of the switch; run_fd and etc_fd may be missing
 * @request:    which GPUs, and where to
 * @ret_moves:  one for each GPU, in order; moves_free() them
 * @ret:        the worst result that can be foreseen
 *
 * Takes no lock, so a switch under way may overtake it.
 *
 * Return: 0 on success, negative error code on failure.
 */
int switch_preview(SwitchContext *context,
                const SwitchRequest *request,
                Move **ret_moves,
                SwitchResult *ret) {
        _cleanup_(policy_deinit) Policy policy = POLICY_NULL;
        SwitchResult result = SWITCH_DONE;
        Move *moves;
        int r;

        moves = moves_new(context, request);
        if (!moves)
                return -ENOMEM;

        r = load_policy(&policy, context->roots, moves, request->n_gpus);
        for (size_t i = 0; r >= 0 && i < request->n_gpus; ++i) {
                note_consent(&moves[i]);
                r = read_record(&moves[i]);
        }
        if (r >= 0)
                r = move_prepare(moves, request->n_gpus);
        for (size_t i = 0; i < request->n_gpus; ++i)
                worsen(&result, move_result(&moves[i]));
        if (r < 0) {
                moves_free(moves, request->n_gpus);
                return r;
        }

        *ret_moves = moves;
        *ret = result;
        return 0;
}
