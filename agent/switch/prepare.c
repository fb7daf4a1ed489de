/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Preparing a Move
 *
 * In the order of cost: the record, the hardware, the facts for a plan, and only when nothing
 * else is in the way, all open files of the machine.
 */

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "model/clash.h"
#include "os/initramfs.h"
#include "policy/claim.h"
#include "probe/advice.h"
#include "probe/explain.h"
#include "switch/move.h"
#include "vfiopt/names.h"

void move_deinit(Move *move) {
        plan_deinit(&move->plan);
        facts_deinit(&move->facts);
        findings_deinit(&move->findings);
        gpu_record_deinit(&move->record);
        lock_release(&move->lock);
}

/* What the probes are asked of a GPU that goes there with this move. */
PreflightInput move_preflight(const Move *move, const Gpu *gpu, Mode to) {
        return (PreflightInput){
                .roots = move->context->roots,
                .gpu = gpu,
                .to = to,
                .moving = move->along,
                .n_moving = move->n_along,
                .allow_display = move->allow_display,
                .is_passive = move->context->is_passive,
        };
}

static int push(Move *move, FindingKind kind) {
        return findings_push(&move->findings,
                        &(Finding){ .kind = kind, .function = move->gpu->address });
}

/* Only the guard tells of a write that is late where there was no room for a record of it. */
void note_late(Move *move, pid_t writer) {
        LateWrite *late = &move->record.move.late;

        if (!move->record.move.is_late)
                *late = (LateWrite){ .function = move->gpu->address,
                        .since_usec = realtime_usec() };
        /* Of several that were late, one may have come back. */
        if (writer > 0)
                late->writer = process_identify(move->context->roots->proc_fd, writer);
        move->record.move.is_late = true;
}

/* The late write of the record is in its way. Return: 0, or negative. */
int move_push_stuck(Move *move) {
        const LateWrite *late = &move->record.move.late;

        return findings_push(&move->findings,
                        &(Finding){ .kind = FINDING_STUCK,
                                        .function = late->function,
                                        .pid = late->writer.pid,
                                        .detail = late->action });
}

/*
 * Is a write to it stuck in the kernel? Nothing of the GPU may be read then; nor by who has no lock of
 * it while a write is at work, as what waits for that would seem to be stuck as well. A switch waits.
 */
static int check_stuck(Move *move) {
        const Roots *roots = move->context->roots;
        LockHolders lock = {};
        int r;

        if (roots->run_fd < 0)
                return 0;
        r = runtime_test_lock(roots, &move->record, &lock);
        if (r < 0)
                return r;
        if (!lock_is_stuck(&lock, &move->record)) {
                move->skip = lock.writing && move->lock.lock_fd < 0;
                return 0;
        }
        note_late(move, lock.writer);
        return move_push_stuck(move);
}

/* Is this the card that is remembered? Of a state file that cannot be read, nothing is. */
static int check_identity(Move *move) {
        char id[IDENTITY_STRING_MAX];
        const StateEntry *entry;
        StateMatch match;

        entry = state_find(&move->policy->state, move->gpu, &match);
        if (match != MATCH_OTHER)
                return 0;
        if (entry->place == PLACE_FOUND)
                return findings_push(&move->findings,
                                &(Finding){ .kind = FINDING_OTHER_CARD,
                                                .function = move->gpu->address,
                                                .other = entry->now,
                                                .number = 1,
                                                .detail = (char *) mode_to_string(entry->mode) });
        return findings_push(&move->findings,
                        &(Finding){ .kind = FINDING_OTHER_CARD,
                                        .function = move->gpu->address,
                                        .other = entry->address,
                                        .detail = (char *) state_entry_differs(
                                                        entry, move->gpu, id) });
}

/* What keeps the module of a driver from loading. Return: 0, or negative. */
static int push_obstacle(Findings *findings, Address function, const HostDriver *driver) {
        return findings_push(findings,
                        &(Finding){ .kind = FINDING_NO_HOST_DRIVER,
                                        .function = function,
                                        .node = driver->module,
                                        .number = (int) driver->obstacle.kind,
                                        .detail = driver->obstacle.where });
}

/* No driver is known, maybe as there is no module at all. Return: 0, or negative. */
static int push_no_driver(Move *move, FindingKind kind) {
        _cleanup_(obstacle_deinit) Obstacle obstacle = {};
        int r;

        r = obstacle_find_no_index(move->context->roots, &obstacle);
        return r < 0 ? r
                     : findings_push(&move->findings,
                                       &(Finding){ .kind = kind,
                                                       .function = move->gpu->address,
                                                       .number = (int) obstacle.kind,
                                                       .detail = obstacle.where });
}

/* What keeps vfio-pci away, if it is to be loaded. Return: 0, or negative. */
static int check_vfio_driver(Move *move) {
        const Facts *facts = &move->facts;

        if (!facts->vfio_driver)
                return push_no_driver(move, FINDING_NO_VFIO_DRIVER);
        if (facts->vfio_obstacle.kind == OBSTACLE_NONE)
                return 0;
        return findings_push(&move->findings,
                        &(Finding){ .kind = FINDING_NO_VFIO_DRIVER,
                                        .function = move->gpu->address,
                                        .node = *facts->vfio_modules,
                                        .number = (int) facts->vfio_obstacle.kind,
                                        .detail = facts->vfio_obstacle.where });
}

/* Is there anything to bind it to? Of several modules that would not load, the best one is told. */
static int check_driver(Move *move) {
        const PlanFunction *display = &move->facts.input.functions[0];
        const HostDrivers *homes = &move->facts.homes[0];

        if (move->to == MODE_PASSTHROUGH)
                return check_vfio_driver(move);
        if (display->n_homes > 0 || display->stays_idle)
                return 0;
        if (homes->n > 0)
                return push_obstacle(&move->findings, move->gpu->address, &homes->items[0]);
        return push_no_driver(move, FINDING_NO_HOST_DRIVER);
}

/*
 * Without a driver, or on a stub: at the host, if a person asks; or beside siblings on vfio, from where all of it
 * comes home.
 */
static bool is_of_no_use(const Move *move) {
        const char *driver = move->gpu->functions[0].driver;

        if (move->to != MODE_HOST || (driver && !driver_is_stub(driver)))
                return false;
        if (move->gpu->mode != MODE_HOST)
                return move->trigger != TRIGGER_RECOVERY;
        return move->trigger == TRIGGER_COMMAND;
}

/**
 * move_plan() - gather the facts, and make the plan
 * @move:       which; gets a finding if the kernel does not answer, or has no driver for it
 * @looked:     holders are looked for between now and its execution, which nothing delays
 *
 * Return: 0 on success, negative error code on failure.
 */
int move_plan(Move *move, bool looked) {
        const size_t n = move->findings.n;
        int r;

        r = facts_init(&move->facts, move->context->roots, move->context->modules, move->gpu,
                        move->to, &move->record);
        if (r == FACTS_E_LATE)
                return push(move, FINDING_STUCK);
        if (r < 0)
                return r;
        move->facts.input.is_of_no_use = is_of_no_use(move);
        move->facts.input.keeps_awake = !config_allows_d3cold(&move->policy->config, move->gpu);
        if ((move->gpu->mode != move->to || move->facts.input.is_of_no_use) &&
                        move->facts.input.n_functions > 0) {
                r = check_driver(move);
                if (r < 0 || move->findings.n > n)
                        return r;
        }
        /* Without a driver to bind it to there is no plan. */
        if (move->to == MODE_PASSTHROUGH && !move->facts.vfio_driver)
                return 0;
        move->facts.input.looked = looked;
        return plan_init(&move->plan, &move->facts.input);
}

/* All but the holders. The first move of a request is executed as soon as they are looked for. */
static int examine(Move *move, const Displays *displays, bool is_first) {
        PreflightInput preflight = move_preflight(move, move->gpu, move->to);
        bool moves = move->gpu->mode != move->to;
        int r;

        preflight.displays = displays;
        r = check_stuck(move);
        if (r < 0 || move->findings.n > 0 || move->skip)
                return r;

        r = check_identity(move);
        if (r >= 0 && moves)
                r = preflight_preconditions(&preflight, &move->findings);
        if (r >= 0)
                r = move_plan(move, is_first && moves);
        return r;
}

/* All display devices, once for all GPUs that leave the host: each would look at all of them. */
static int look_at_displays(const Move *moves, size_t n, Displays *displays) {
        for (size_t i = 0; i < n; ++i)
                if (!moves[i].skip && moves[i].to == MODE_PASSTHROUGH)
                        return displays_init(displays, moves[i].context->roots);
        return 0;
}

/* Whether there is nothing in the way but what comes of a driver of the host's that has the card. */
static bool come_of_driver(const Findings *findings, bool *ret_splash) {
        for (size_t i = 0; i < findings->n; ++i) {
                const Finding *finding = &findings->items[i];

                *ret_splash |= advice_is_splash(finding);
                if (finding->kind < FINDING_HOLDER &&
                                (finding->kind != FINDING_DISPLAY_ACTIVE || finding->is_last) &&
                                finding->kind != FINDING_CANNOT_RELEASE)
                        return false;
        }
        return findings->n > 0;
}

/* A driver that is in the kernel itself needs no initramfs. It has a module's folder, but no state of one. */
static bool is_built_in(Sysfs *sysfs, const char *driver) {
        char module[DEVICE_PATH_MAX], state[DEVICE_PATH_MAX];

        return sysfs_exists(sysfs, driver_path(driver, "module", module)) &&
                        !sysfs_exists(sysfs, driver_path(driver, "module/initstate", state));
}

/*
 * Where it belongs in passthrough from the boot on, a driver of the host's that has it was faster
 * than the boot's job. That runs before anything of the real root loads one, and so says more than
 * any file; at any other time a file tells, or a boot splash, which the initramfs has started.
 */
static int add_hint(Move *move) {
        const Roots *roots = move->context->roots;
        const char *driver = move->gpu->functions[0].driver;
        _cleanup_(initramfs_deinit) Initramfs initramfs = INITRAMFS_NULL;
        const bool at_boot = move->trigger == TRIGGER_BOOT;
        bool has_splash = false;
        const char *how;
        Decision decision;
        int r;

        if (move->to != MODE_PASSTHROUGH || !driver || driver_is_vfio(roots->sysfs, driver) ||
                        !come_of_driver(&move->findings, &has_splash))
                return 0;
        r = policy_look_and_decide(move->policy, roots, move->gpu, DECISION_AT_BOOT, &decision);
        if (r < 0 || decision.mode != MODE_PASSTHROUGH)
                return r;
        r = initramfs_find(roots, driver, &initramfs);
        if (r < 0 || (!initramfs.where && !at_boot && !has_splash) ||
                        is_built_in(roots->sysfs, driver))
                return r;

        how = !initramfs.where && !at_boot
                        ? " seems to be in the initramfs, if this is so after each boot"
                        : !at_boot ? " seems to come first at each boot, from the initramfs"
                        : initramfs.where
                        ? " had it before " VFIOPT_UNIT_BOOT ", as the initramfs has it"
                        : " had it before " VFIOPT_UNIT_BOOT ", so the initramfs seems to have it";
        move->findings.hint = text_format("%s%s%s%s%s: %s", driver, how,
                        initramfs.where ? " (" : "", initramfs.where ?: "",
                        initramfs.where ? ")" : "", initramfs.remedy);
        return move->findings.hint ? 0 : -ENOMEM;
}

/* The one of its modules that may make a clash: of the others that way, none takes a function by itself. */
static const char *loaded_for(Mode to) {
        return to == MODE_PASSTHROUGH ? "vfio_pci" : "nvidia";
}

/*
 * What is loaded for one GPU may take an idle function of another. If that is one of this request it goes
 * first, as its own plan keeps its functions from it.
 * @ret: the function of a GPU that is in the way; unchanged if there is none
 */
static int order_for_load(Move *moves, size_t n, Finding *ret) {
        _cleanup_(inventory_deinit) Inventory inventory = {};
        const SwitchContext *context = moves[0].context;
        Sysfs *sysfs = context->roots->sysfs;
        const char *module = loaded_for(moves[0].to);
        bool has_first = false;
        int r;

        if (!clash_is_possible(sysfs, module))
                return 0;
        r = inventory_init(&inventory, context->roots);
        for (size_t i = 0; r >= 0 && i < inventory.n_gpus; ++i) {
                Address idle;
                size_t k = 0;

                r = clash_foresee(sysfs, context->modules, &inventory.gpus[i], module, &idle);
                if (r != CLASH_E_FORESEEN)
                        continue;
                while (k < n && (moves[k].skip || !address_same_slot(moves[k].gpu->address, idle)))
                        ++k;
                if (k < n && !has_first) {
                        Move first = moves[k];

                        moves[k] = moves[0];
                        moves[0] = first;
                        has_first = true;
                } else {
                        *ret = (Finding){
                                .kind = FINDING_CLASH, .other = idle, .detail = (char *) module
                        };
                }
        }
        return r < 0 ? r : 0;
}

/* Whether a module is to be loaded that clashes. */
static bool loads(const Move *move) {
        for (size_t i = 0; i < move->plan.n_steps; ++i)
                if (move->plan.steps[i].kind == STEP_LOAD &&
                                clash_is_possible(move->context->roots->sysfs,
                                                move->plan.steps[i].value))
                        return true;
        return false;
}

/**
 * move_prepare() - look whether GPUs may move, and how
 * @moves:      which; each that is not skipped gets findings, facts and plan. Its record is loaded. They
 *              may change places
 * @n:          how many
 *
 * A GPU that is there already needs no permission, unless it is another card.
 *
 * Return: 0 on success, whatever was found; negative error code on failure.
 */
int move_prepare(Move *moves, size_t n) {
        _cleanup_(freep) PreflightInput *inputs = calloc(n ?: 1, sizeof(*inputs));
        _cleanup_(freep) Findings **findings = calloc(n ?: 1, sizeof(*findings));
        _cleanup_(displays_deinit) Displays displays = {};
        bool is_first = true;
        Finding clash = {};
        size_t n_inputs = 0;
        int r;

        if (!inputs || !findings)
                return -ENOMEM;
        r = look_at_displays(moves, n, &displays);
        if (r >= 0 && n > 0)
                r = order_for_load(moves, n, &clash);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; ++i) {
                Move *move = &moves[i];

                if (move->skip)
                        continue;
                r = examine(move, &displays, is_first);
                if (r >= 0 && clash.kind == FINDING_CLASH && loads(move))
                        r = findings_push(&move->findings, &clash);
                if (r < 0)
                        return r;
                is_first = false;
                if (move->gpu->mode == move->to || move->findings.n > 0)
                        continue;
                inputs[n_inputs] = move_preflight(move, move->gpu, move->to);
                findings[n_inputs++] = &move->findings;
        }
        r = preflight_holders_of_all(inputs, n_inputs, findings);
        for (size_t i = 0; r >= 0 && i < n; ++i)
                if (!moves[i].skip)
                        r = add_hint(&moves[i]);
        return r;
}

/**
 * move_ends_idle() - will no driver have the GPU, although it goes to the host?
 * @move:       prepared
 *
 * What is at the host already counts if a person has asked: so early in the boot as a job may run,
 * the driver may only be late. To undo is to leave it as it was.
 */
bool move_ends_idle(const Move *move) {
        const PlanFunction *display = &move->facts.input.functions[0];

        if (move->to != MODE_HOST || move->trigger == TRIGGER_RECOVERY ||
                        move->facts.input.n_functions == 0 ||
                        (display->driver && !display->on_vfio && !display->on_stub))
                return false;
        for (size_t i = 0; i < move->plan.n_steps; ++i)
                if (move->plan.steps[i].kind == STEP_BIND &&
                                !address_compare(move->plan.steps[i].function, display->address))
                        return false;
        for (size_t i = 0; i < move->findings.n; ++i)
                if (move->gpu->mode != MODE_HOST ||
                                move->findings.items[i].kind != FINDING_NO_HOST_DRIVER)
                        return false;
        return move->trigger == TRIGGER_COMMAND || move->plan.n_steps > 0;
}

/* Why no driver will have it, as the end of a sentence; free() it. Return: 0, or negative. */
int move_explain_idle(const Move *move, char **ret) {
        const PlanFunction *display = &move->facts.input.functions[0];
        const char *override = display->stays_idle && display->host ? display->host->override
                                                                    : display->override;
        _cleanup_(freep) char *holders = NULL;
        char address[ADDRESS_STRING_MAX];

        if (move->findings.n > 0)
                return findings_explain(&move->findings, move->gpu, move->to, ret, &holders);
        address_format(display->address, address);
        *ret = override ? text_format("its driver_override %s keeps all drivers of the host away; to "
                                      "clear it: echo >/sys/bus/pci/devices/%s/driver_override",
                                          text_is_printable(override) ? override : "", address)
                        : strdup("no driver was there when it was last at the host");
        return *ret ? 0 : -ENOMEM;
}

/*
 * Why a driver of a function is passed over for another one, or for none; NULL where none is. free() it.
 * @i:          number of the function among those of the plan
 *
 * Return: 0, or negative.
 */
int move_explain_passed_over(const Move *move, size_t i, char **ret) {
        const PlanFunction *function = &move->facts.input.functions[i];
        _cleanup_(findings_deinit) Findings findings = FINDINGS_NULL;
        _cleanup_(freep) char *holders = NULL;
        int r;

        *ret = NULL;
        if (!function->passed_over)
                return 0;
        r = push_obstacle(&findings, function->address, function->passed_over);
        return r < 0 ? r : findings_explain(&findings, move->gpu, move->to, ret, &holders);
}

/* What a move comes to that has its findings in the way. */
SwitchResult move_result(const Move *move) {
        if (move_ends_idle(move))
                return SWITCH_NO_DRIVER;
        if (move->findings.n == 0)
                return SWITCH_DONE;
        if (findings_are_stuck(&move->findings))
                return SWITCH_STUCK;
        return findings_are_busy(&move->findings) ? SWITCH_BUSY : SWITCH_PRECONDITION;
}

/**
 * move_refuse() - tell that a GPU does not move, and note the holders
 * @move:       which
 * @findings:   what is in the way; at least one
 * @phase:      of the move
 *
 * The note is for the agent, which cannot look into other users' processes. A person is told,
 * and knows best when to try again.
 */
void move_refuse(Move *move, const Findings *findings, const char *phase) {
        Refusal *refusal = &move->record.refusal;
        int r;

        notify_findings(move, findings, phase);
        if (!findings_are_busy(findings) ||
                        (move->trigger != TRIGGER_AGENT && move->trigger != TRIGGER_RECOVERY))
                return;

        *refusal = (Refusal){ .when_usec = monotonic_usec() };
        for (size_t i = 0; i < findings->n; ++i)
                refusal_add(refusal,
                                process_identify(move->context->roots->proc_fd,
                                                findings->items[i].pid));
        move->record.has_refusal = refusal->n_holders > 0;
        if (!move->record.has_refusal)
                return;
        /* It has not left the host: how it is there is nothing to go back to. */
        if (move->facts.fresh_host && !move->record.has_move)
                gpu_record_forget_host(&move->record);
        r = gpu_record_save(&move->record, move->context->roots->run_fd);
        if (r < 0)
                notify(move, EVENT_WARNING, phase, strerror(-r));
}
