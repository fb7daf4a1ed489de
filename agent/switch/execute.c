/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Executing a Move
 *
 * All functions of a GPU move, or none does. The record of the move is written before the
 * first write to sysfs, with how the GPU was on the host. When a step fails, the way back is
 * planned from where the GPU is then, not replayed from a list: the truth is in sysfs. When
 * that fails too, the record stays, so that the next move tries again before anything else;
 * nothing is retried in a loop. When a write does not come back, nothing more is written at
 * all: the record says so, and the GPU is left to the kernel.
 *
 * When all is verified, the state file comes first, then the pins, and the record of the move
 * goes last, in the one rename that also says where the GPU is.
 */

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "model/nvidia.h"
#include "probe/explain.h"
#include "probe/finding.h"
#include "probe/upgrade.h"
#include "record/pin.h"
#include "switch/commit.h"
#include "switch/move.h"
#include "switch/step.h"
#include "vfiopt/names.h"

/* What to do about a GPU that a write hangs on. */
#define STUCK_ADVICE                                                                                \
        "nothing more is written to it. The write may return when the holders of the GPU exit; if " \
        "it does not, save your work, then as root: sync; echo b >/proc/sysrq-trigger (an orderly " \
        "reboot and suspend hang, too)"

/* What stopped a plan. */
typedef struct Trouble {
        const Step *step; /* of the plan; NULL: reading the facts for it */
        StepResult result;
} Trouble;

static void trouble_deinit(Trouble *trouble) {
        step_result_deinit(&trouble->result);
}

/* The end of a sentence, "could not bind 0000:01:00.2 to vfio-pci: No such device"; or NULL. */
static char *trouble_format(const Trouble *trouble) {
        _cleanup_(freep) char *what = NULL;

        if (!trouble->step || step_describe(trouble->step, &what) < 0)
                return trouble->result.reason ? strdup(trouble->result.reason) : NULL;
        return trouble->result.reason
                        ? text_format("could not %s: %s", what, trouble->result.reason)
                        : text_format("could not %s", what);
}

static const char *trouble_phase(const Trouble *trouble) {
        return trouble->step ? step_kind_to_string(trouble->step->kind) : "check";
}

/* records and pins */

static int save(const Move *move) {
        return gpu_record_save(&move->record, move->context->roots->run_fd);
}

/*
 * Have udev do the right thing with functions that appear from now on. That is a help, and
 * no condition. Before a GPU goes home, since a rule that is run again meanwhile (udevadm
 * trigger) would set its driver_override again; but after it has come to vfio.
 */
static void set_pins(const Move *move, bool pinned) {
        int run_fd = move->context->roots->run_fd, r;

        r = pinned ? pins_set(run_fd, move->gpu, move->facts.vfio_driver,
                                     move->facts.input.keeps_awake)
                   : pins_clear(run_fd, move->gpu);
        if (r < 0)
                notify(move, EVENT_WARNING, "pin", strerror(-r));
}

/* Unknown is yes: a pin too many brings it where it was, and the agent to where it belongs. */
static bool has_pins(const Move *move) {
        bool pinned;

        return pins_test(move->context->roots->run_fd, move->gpu, &pinned) < 0 || pinned;
}

static void commit_and_tell(Move *move) {
        _cleanup_(freep) char *text = NULL;
        CommitNotes notes;
        int r;

        r = commit(move->context->roots, move->gpu, move->to, move->transient,
                        move->trigger == TRIGGER_COMMAND, &move->record, &notes);
        if (notes.aside) {
                text = text_format(
                                "the state file could not be understood, and was set aside as %s",
                                notes.aside);
                notify(move, EVENT_WARNING, "commit", text);
                freep(&text);
        }
        text = r < 0 ? text_format("the mode was not saved: %s", strerror(-r))
                        : notes.error < 0
                        ? text_format("cannot write the state file, the mode is kept until the "
                                      "next boot only: %s",
                                          strerror(-notes.error))
                        : NULL;
        if (text)
                notify(move, EVENT_WARNING, "commit", text);
}

/* The move in the record is then the one that was interrupted. */
static bool recovers(const Move *move) {
        return move->trigger == TRIGGER_RECOVERY && move->record.has_move;
}

/* Recovery is for the one that was interrupted: that stays who has begun it. */
static Trigger begun_by(const Move *move) {
        return recovers(move) ? move->record.move.trigger : move->trigger;
}

/* Everything is over, well or as before. */
static int conclude(Move *move, Mode where, bool commit_it) {
        GpuRecord *record = &move->record;

        /* This may save the record, and so goes before anything in it is forgotten. */
        if (commit_it)
                commit_and_tell(move);
        /* What another program has brought there has no pins to come back to. */
        if (where == MODE_PASSTHROUGH &&
                        (move->to == MODE_PASSTHROUGH || record->n_host > 0 || move->had_pins))
                set_pins(move, true);
        if (where == MODE_HOST)
                gpu_record_forget_host(record);
        gpu_record_forget_move(record);
        return save(move);
}

static int write_down(Move *move) {
        GpuRecord *record = &move->record;
        const Trigger trigger = begun_by(move);

        if (lock_is_lost(&move->lock)) {
                notify(move, EVENT_WARNING, "start",
                                "its lock was removed from " VFIOPT_RUN_DIR
                                ", so that another switch may be at work; nothing is written to it");
                return -ESTALE;
        }
        gpu_record_forget_move(record);
        record->has_move = true;
        record->move = (MoveRecord){
                .from = move->from,
                .to = move->to,
                .trigger = trigger,
                .moved = move->plan.functions,
                .mover = process_identify(move->context->roots->proc_fd, getpid()),
        };
        return save(move);
}

/*
 * Leave word that a write to a GPU hangs. Without it, the guard still tells the next switch; to
 * say that it hangs matters more than why there is no record.
 */
static void note_stuck(Move *move, const Trouble *trouble) {
        LateWrite late = {
                .function = trouble->step ? trouble->step->function : move->gpu->address,
                .action = trouble->step ? strdup(step_kind_to_string(trouble->step->kind)) : NULL,
                .driver = trouble->step ? strdup(trouble->step->value ?: "") : NULL,
                .writer = process_identify(move->context->roots->proc_fd, trouble->result.pid),
                .since_usec = realtime_usec(),
        };
        int r;

        move->record.move.is_late = true;
        move->record.move.late = late;
        r = save(move);
        if (r < 0)
                notify(move, EVENT_WARNING, trouble_phase(trouble), strerror(-r));
}

/* the plan */

static bool is_notable(const Step *step) {
        return step->kind == STEP_UNBIND || step->kind == STEP_BIND;
}

static void tell_slow(void *userdata, const Step *step) {
        _cleanup_(freep) char *what = NULL, *reason = NULL;
        Move *move = userdata;

        if (step_describe(step, &what) < 0)
                return;
        reason = text_format("%s has not come back after %u s; waiting for it up to %u s", what,
                        (unsigned int) (STEP_SLOW_USEC / USEC_PER_SEC),
                        (unsigned int) (WRITE_LIMIT_USEC / USEC_PER_SEC));
        notify(move, EVENT_WARNING, step_kind_to_string(step->kind), reason);
}

/*
 * What becomes of a step that is over. An error of ours is taken like a refusal of the kernel's:
 * half-way there is no place to stop. Return: 0, or the outcome that stops the plan.
 */
static int
judge_step(Move *move, const Step *step, int outcome, StepResult *result, FunctionSet *refused) {
        if (outcome < 0) {
                free(result->reason);
                result->reason = strdup(strerror(-outcome));
                result->error = -outcome;
                outcome = STEP_E_REFUSED;
        }
        if (outcome == STEP_E_REFUSED && step->optional) {
                _cleanup_(freep) char *reason = NULL;

                reason = trouble_format(&(Trouble){ .step = step, .result = *result });
                notify(move, EVENT_WARNING, step_kind_to_string(step->kind), reason);
                if (step->kind == STEP_BIND)
                        *refused |= (FunctionSet) (1U << step->function.function);
                return 0;
        }
        if (outcome == 0 && is_notable(step))
                notify_step(move, step, result->usec);
        return outcome;
}

/* Steps that are at work at the same time. A late one outweighs the others: nothing more is written then. */
static int run_along(Move *move,
                StepContext *context,
                const Step *steps,
                size_t n,
                Trouble *trouble,
                FunctionSet *refused) {
        StepResult results[STEP_ALONG_MAX];
        int outcomes[STEP_ALONG_MAX], worst = 0;

        if (n == 1)
                outcomes[0] = step_run(context, steps, &results[0]);
        else
                (void) !steps_run_along(context, steps, n, results, outcomes);

        for (size_t i = 0; i < n; ++i) {
                int r = judge_step(move, &steps[i], outcomes[i], &results[i], refused);

                if (r > 0 && (worst == 0 || (r == STEP_E_LATE && worst != STEP_E_LATE))) {
                        trouble_deinit(trouble);
                        *trouble = (Trouble){ .step = &steps[i], .result = results[i] };
                        worst = r;
                } else {
                        step_result_deinit(&results[i]);
                }
        }
        return worst;
}

/* The first step of the driver that is tried after that of @step, or NULL if that is the last. */
static const Step *next_candidate(const Plan *plan, const Step *step) {
        for (const Step *next = step; step->candidate > 0 && next < plan->steps + plan->n_steps;
                        ++next)
                if (next->candidate > step->candidate)
                        return next;
        return NULL;
}

/* A driver that does not take function 0, as one that is too new for it, makes way for the next. */
static void tell_next(Move *move, const Step *next, Trouble *trouble) {
        _cleanup_(freep) char *reason = trouble_format(trouble), *text = NULL;

        text = text_format("%s; trying %s", reason ?: "it failed", next->value);
        notify(move, EVENT_WARNING, trouble_phase(trouble), text);
        trouble_deinit(trouble);
        *trouble = (Trouble){};
}

/* Function 1 that its driver has not taken is not set free for vfio-pci, beside nvidia (KERNEL.md 1.27). */
static bool stays_aimed(const Step *step, FunctionSet refused) {
        return step->kind == STEP_OVERRIDE && !step->value && step->function.function == 1 &&
                        refused & 1U << 1;
}

/*
 * Carry out a plan, step by step until the first that is not done.
 *
 * Return: 0 if all of it is done; STEP_E_REFUSED, STEP_E_BUSY or STEP_E_LATE, with @trouble
 * (which refers to @plan), if not. Never a negative error code.
 */
static int run_plan(Move *move,
                const Gpu *gpu,
                const Plan *plan,
                const PreflightInput *preflight,
                Trouble *trouble) {
        _cleanup_(step_context_deinit) StepContext context = {
                .roots = move->context->roots,
                .modules = move->context->modules,
                .lock = &move->lock,
                .gpu = gpu,
                .preflight = preflight,
                .slow = tell_slow,
                .slow_userdata = move,
        };
        uint8_t candidate =
                        1; /* of the drivers of function 0, the one that is tried, or has taken it */
        FunctionSet refused = 0;
        size_t n;

        step_context_init(&context);
        for (size_t i = 0; i < plan->n_steps; i += n) {
                const Step *step = &plan->steps[i], *next;
                int r;

                for (n = 1; i + n < plan->n_steps && n < STEP_ALONG_MAX; ++n)
                        if (!plan->steps[i + n].along)
                                break;
                if ((step->candidate > 0 && step->candidate != candidate) ||
                                stays_aimed(step, refused))
                        continue;
                r = run_along(move, &context, step, n, trouble, &refused);
                next = r == STEP_E_REFUSED ? next_candidate(plan, step) : NULL;
                if (next) {
                        candidate = next->candidate;
                        tell_next(move, next, trouble);
                        r = 0;
                }
                if (r > 0)
                        return r;
        }
        return 0;
}

/* A better driver whose module would not load is no failure where there is another, but worth a word. */
static int tell_passed_over(Move *move) {
        for (size_t i = 0; i < move->facts.input.n_functions; ++i) {
                _cleanup_(freep) char *reason = NULL;
                int r;

                r = move_explain_passed_over(move, i, &reason);
                if (r < 0)
                        return r;
                if (reason)
                        notify(move, EVENT_WARNING, "load", reason);
        }
        return 0;
}

/* The administrator's line goes on for everybody else; here it would be for other cards. */
static void tell_script(const Move *move) {
        for (size_t i = 0; i < move->plan.n_steps; ++i) {
                _cleanup_(freep) char *text = NULL;
                const Step *step = &move->plan.steps[i];

                if (!step->script)
                        continue;
                text = text_format("%s is loaded without running %s: that may be about other cards",
                                step->value, step->script);
                notify(move, EVENT_WARNING, step_kind_to_string(step->kind), text);
        }
}

/*
 * The module has stayed in the kernel while the card was away, and its package may be another one by
 * now. Programs of NVIDIA's want the very version that they come with.
 */
static int tell_upgrade(const Move *move) {
        _cleanup_(freep) char *driver = NULL, *loaded = NULL, *on_disk = NULL, *text = NULL;
        const Roots *roots = move->context->roots;
        int r;

        if (move->to != MODE_HOST)
                return 0;
        r = device_read_driver(roots->sysfs, move->gpu->address, &driver);
        if (r < 0 || !driver || strcmp(driver, NVIDIA_DRIVER) != 0)
                return r < 0 ? r : 0;
        r = upgrade_find(roots, move->context->modules, move->gpu->functions[0].modalias, &loaded,
                        &on_disk);
        if (r)
                return r < 0 ? r : 0;
        text = text_format(
                        "nvidia in the kernel has version %s, but %s is on disk, whose programs "
                        "cannot use the GPU with it (nvidia-smi, CUDA, containers); reboot, or, once "
                        "no program uses an NVIDIA GPU: modprobe -r nvidia_drm nvidia_modeset "
                        "nvidia_uvm nvidia && modprobe nvidia",
                        loaded, on_disk);
        notify(move, EVENT_WARNING, "end", text);
        return 0;
}

/* the way back */

/* A holder that only an errno showed (EBUSY of the group node): look who it is. */
static int find_holders(const PreflightInput *preflight, Trouble *trouble) {
        Findings *findings = &trouble->result.findings;
        int r = 0;

        /* Not to learn who it is keeps nothing from being put back. */
        if (findings->n == 0)
                r = preflight_holders(preflight, findings);
        if (r >= 0 && findings->n > 0)
                return 0;
        return findings_push(findings,
                        &(Finding){ .kind = FINDING_UNKNOWN,
                                        .function = trouble->step->function,
                                        .error = EBUSY });
}

/*
 * On its way back to vfio the GPU leaves a host driver that has had it for a moment
 * only. That driver may not be able to let go (KERNEL.md 1.5), or wait for a card that
 * does not answer any more (1.8): then it has to stay there.
 */
static int may_leave_host(const PreflightInput *preflight, Trouble *trouble) {
        _cleanup_(findings_deinit) Findings findings = FINDINGS_NULL;
        _cleanup_(freep) char *holders = NULL;
        int r;

        r = preflight_preconditions(preflight, &findings);
        if (r < 0 || findings.n == 0)
                return r;
        r = findings_explain(&findings, preflight->gpu, preflight->to, &trouble->result.reason,
                        &holders);
        return r < 0 ? r : STEP_E_REFUSED;
}

/* Functions that were without a driver, and are not taken by any: that is what they go back to. */
static void leave_idle(Facts *facts, const PlanInput *before) {
        for (size_t i = 0; i < facts->input.n_functions && i < before->n_functions; ++i)
                if (!facts->input.functions[i].driver &&
                                (!before->functions[i].driver || before->functions[i].on_stub))
                        facts->input.functions[i].n_homes = 0;
}

/* Bring the GPU back to where it came from. As run_plan(), but -ENODEV if it is gone. */
static int roll_back(Move *move, Mode back, Trouble *trouble) {
        _cleanup_(facts_deinit) Facts facts = FACTS_NULL;
        _cleanup_(plan_deinit) Plan plan = PLAN_NULL;
        _cleanup_(gpu_deinit) Gpu gpu = {};
        SwitchContext *context = move->context;
        PreflightInput preflight;
        int r;

        r = gpu_init(&gpu, context->roots->sysfs, move->gpu->address);
        if (r)
                return r < 0 ? r : -ENODEV;
        /* Holders are looked for where it is now, not where it was. */
        preflight = move_preflight(move, &gpu, back);

        r = facts_init(&facts, context->roots, context->modules, &gpu, back, &move->record);
        if (r == FACTS_E_LATE) {
                trouble->result.reason = strdup(FACTS_LATE_REASON);
                return STEP_E_LATE;
        }
        facts.input.keeps_awake = move->facts.input.keeps_awake;
        if (r == 0 && move->facts.input.is_of_no_use)
                leave_idle(&facts, &move->facts.input);
        /* A vfio driver that has no module any more is still there to go back to. */
        if (r == 0 && !facts.input.vfio_driver && move->facts.input.n_functions > 0 &&
                        move->facts.input.functions[0].on_vfio)
                facts.input.vfio_driver = move->facts.input.functions[0].driver;
        if (r == 0 && back == MODE_PASSTHROUGH && !facts.input.vfio_driver) {
                trouble->result.reason = strdup("this kernel has no vfio driver");
                return STEP_E_REFUSED;
        }
        if (r == 0)
                r = plan_init(&plan, &facts.input);
        if (r == 0 && plan.leaves_host)
                r = may_leave_host(&preflight, trouble);
        if (r == 0)
                r = run_plan(move, &gpu, &plan, &preflight, trouble);
        if (r == 0 && back == MODE_PASSTHROUGH) {
                /* Its pins are set for that driver again. */
                free(move->facts.vfio_driver);
                move->facts.vfio_driver = TAKE_PTR(facts.vfio_driver);
        }
        if (r == STEP_E_LATE)
                note_stuck(move, trouble);
        /* The step goes with its plan. */
        if (r > 0) {
                char *reason = trouble_format(trouble);

                free(trouble->result.reason);
                trouble->result.reason = reason;
                trouble->step = NULL;
        }
        return r;
}

/* Neither there nor back. */
static SwitchResult tell_broken(Move *move, int why, const Trouble *first, const Trouble *next) {
        _cleanup_(freep) char *reason = trouble_format(first), *text = NULL;
        const char *again = why < 0 ? strerror(-why) : next->result.reason;
        bool stuck = why == STEP_E_LATE;

        text = text_format("%s; and on the way back: %s%s", reason ?: "it failed",
                        again ?: "it failed", stuck ? "; " STUCK_ADVICE : "");
        notify(move, stuck ? EVENT_STUCK : EVENT_ROLLBACK_FAILED, trouble_phase(first), text);
        return stuck ? SWITCH_STUCK : SWITCH_FAILED;
}

static SwitchResult tell_stuck(Move *move, const Trouble *trouble) {
        _cleanup_(freep) char *reason = trouble_format(trouble), *text = NULL;

        text = text_format("%s; " STUCK_ADVICE, reason ?: "a write did not come back");
        notify(move, EVENT_STUCK, trouble_phase(trouble), text);
        return SWITCH_STUCK;
}

/* The plan was stopped. Return: 0 on success, with how it ended; negative error code on failure. */
static int give_up(Move *move, int why, Trouble *trouble, SwitchResult *ret) {
        const PreflightInput preflight = move_preflight(move, move->gpu, move->to);
        Mode back = move->from == MODE_PASSTHROUGH ? MODE_PASSTHROUGH : MODE_HOST;
        _cleanup_(trouble_deinit) Trouble next = {};
        Findings *findings = &trouble->result.findings;
        int unnamed, r;
        bool idle;

        if (why == STEP_E_LATE) {
                note_stuck(move, trouble);
                *ret = tell_stuck(move, trouble);
                return 0;
        }
        /* Not even short memory keeps it from being put back. */
        unnamed = why == STEP_E_BUSY ? find_holders(&preflight, trouble) : 0;

        r = roll_back(move, back, &next);
        if (r == 0)
                r = conclude(move, back, false);
        if (r == 0 && unnamed < 0)
                return unnamed;
        /* Tried and left as it was, which is where it was asked to be. */
        idle = why == STEP_E_REFUSED && move->facts.input.is_of_no_use;
        if (r != 0) {
                *ret = tell_broken(move, r, trouble, &next);
        } else if (why == STEP_E_BUSY) {
                move_refuse(move, findings, trouble_phase(trouble));
                *ret = findings_are_busy(findings) ? SWITCH_BUSY : SWITCH_PRECONDITION;
        } else {
                _cleanup_(freep) char *reason = trouble_format(trouble);

                notify(move, idle ? EVENT_NO_DRIVER : EVENT_ROLLED_BACK, trouble_phase(trouble),
                                reason);
                *ret = idle ? SWITCH_NO_DRIVER : SWITCH_FAILED;
        }
        return 0;
}

/*
 * Have what systemd-modules-load.service leaves out be as the GPUs are now, and what it has left out be
 * loaded with the first that is at the host. Goes with the writes: what ends the job behind them
 * would leave it undone.
 */
void move_update_modules(const Move *move) {
        int r;

        r = modules_load_update(move->context->roots);
        if (r < 0)
                notify(move, EVENT_WARNING, "end", strerror(-r));
}

/**
 * move_execute() - move a GPU
 * @move:       prepared, with nothing in its way; its lock is held
 * @ret:        how it ended
 *
 * Looks for holders once more where the plan says so, but for nothing else: that was done
 * when it was prepared. Tells the observer of each function that moves and of how it ended.
 *
 * Return: 0 on success, whatever the result is; negative error code on failure, and then the
 *         record of the move is still there.
 */
int move_execute(Move *move, SwitchResult *ret) {
        const PreflightInput preflight = move_preflight(move, move->gpu, move->to);
        bool nothing = move->plan.n_steps == 0;
        bool commit_it = !move->uncommitted && (!nothing || move->gpu->mode == move->to);
        _cleanup_(trouble_deinit) Trouble trouble = {};
        _cleanup_(freep) char *why_idle = NULL;
        int r = 0;

        if (!nothing)
                r = write_down(move);
        if (r < 0)
                return r;
        if (move->to == MODE_HOST) {
                move->had_pins = has_pins(move);
                set_pins(move, false);
        }

        if (!nothing) {
                notify(move, EVENT_STARTED, "start", NULL);
                tell_script(move);
                r = tell_passed_over(move);
                if (r < 0)
                        return r;
                r = run_plan(move, move->gpu, &move->plan, &preflight, &trouble);
                if (r > 0)
                        return give_up(move, r, &trouble, ret);
        }

        /* What is noted of the host, which may be the reason, is forgotten next. */
        *ret = move_result(move);
        if (*ret == SWITCH_NO_DRIVER)
                r = move_explain_idle(move, &why_idle);
        if (r >= 0)
                r = conclude(move, move->to, commit_it);
        if (r < 0)
                return r;
        /* To read a large module takes a while, and nothing has to wait for that but the last word. */
        r = nothing ? 0 : tell_upgrade(move);
        if (r < 0)
                notify(move, EVENT_WARNING, "end", strerror(-r));
        if (*ret == SWITCH_NO_DRIVER)
                notify(move, EVENT_NO_DRIVER, "end", why_idle);
        else if (move->trigger == TRIGGER_RECOVERY)
                notify(move, EVENT_RECOVERED, "recover", NULL);
        else
                notify(move, nothing ? EVENT_NOTHING : EVENT_DONE, "end", NULL);
        return 0;
}
