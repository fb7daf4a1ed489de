/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "switch/park.h"
#include "switch/step.h"

/* The one that decides: of the others that way, none takes a function without an override. */
const char *park_module(Mode to) {
        return to == MODE_PASSTHROUGH ? "vfio_pci" : "nvidia";
}

static bool is_asked_for(const Gpu *gpu, Gpu *const *gpus, size_t n) {
        for (size_t i = 0; i < n; ++i)
                if (address_same_slot(gpus[i]->address, gpu->address))
                        return true;
        return false;
}

/**
 * park_find_bystanders() - which other GPUs would a request have to park?
 * @inventory:  all GPUs; those that stay are the answer
 * @to:         where the request goes
 * @gpus:       its own GPUs
 * @n:          how many
 *
 * No lock is held yet. A GPU that comes to need it from now on is no more than a load that is
 * refused.
 *
 * Return: 0 on success, negative error code on failure.
 */
int park_find_bystanders(Sysfs *sysfs, Inventory *inventory, Mode to, Gpu *const *gpus, size_t n) {
        size_t n_left = 0;
        int r = 0;

        for (size_t i = 0; i < inventory->n_gpus; ++i) {
                Gpu *gpu = &inventory->gpus[i];
                Clash clash = {};

                if (r >= 0 && !is_asked_for(gpu, gpus, n))
                        r = clash_foresee(sysfs, gpu, park_module(to), &clash);
                else if (r >= 0)
                        r = 0;
                if (r == CLASH_E_FORESEEN)
                        inventory->gpus[n_left++] = *gpu;
                else
                        gpu_deinit(gpu);
                clash_deinit(&clash);
        }
        inventory->n_gpus = n_left;
        return r < 0 ? r : 0;
}

/* Not one that was left out before its record was read, nor where a write to it may still come. */
static bool can_be_parked(const Move *move) {
        return (!move->skip || move->stands_by) &&
                        !(move->record.has_move && move->record.move.is_late);
}

/**
 * park_look() - find the functions that have to be parked while a module is loaded
 * @parking:    of a request; its GPUs are locked, with their records loaded
 *
 * What the kernel does not tell in time is left to the load, which is refused then.
 *
 * Return: 0 on success, negative error code on failure.
 */
int park_look(Parking *parking) {
        parking->n = 0;
        for (size_t i = 0; i < parking->n_moves; ++i) {
                Move *move = &parking->moves[i];
                int r;

                clash_deinit(&move->clash);
                move->is_parked = false;
                if (!can_be_parked(move))
                        continue;
                r = clash_foresee(move->context->roots->sysfs, move->gpu, park_module(move->to),
                                &move->clash);
                if (r < 0)
                        return r;
                move->is_parked = r == CLASH_E_FORESEEN;
                if (move->is_parked)
                        parking->items[parking->n++] = (PlanParked){
                                .function = move->clash.function,
                                .override = move->clash.override,
                        };
        }
        return 0;
}

/* What is parked of the GPU that loads is a part of its own move. */
static bool is_others(const Move *move, Address loader) {
        return move->is_parked && !address_same_slot(move->gpu->address, loader);
}

/* What a recovery has to know of a GPU that has not been prepared. */
static int note_host(Move *move) {
        GpuRecord *record = &move->record;
        Sysfs *sysfs = move->context->roots->sysfs;
        char **overrides;
        int r;

        if (record->n_host > 0)
                return 0;
        r = gpu_read_overrides(sysfs, move->gpu, FACTS_LIMIT_USEC, &overrides);
        if (r)
                return r == GPU_E_LATE ? -ETIMEDOUT : r;
        r = gpu_record_note_host(record, sysfs, move->gpu, overrides);
        overrides_free(overrides, move->gpu->n_functions);
        move->has_host = r >= 0;
        return r;
}

/**
 * park_begin() - write down that functions are going to be parked
 * @parking:    as for park_look(), which has found them; the plan with them is about to be carried out
 * @loader:     the GPU whose plan that is
 *
 * A move that was interrupted is in the record already, and says no less; it stays there.
 *
 * Return: 0 on success, negative error code on failure: nothing is parked then.
 */
int park_begin(Parking *parking, Address loader) {
        for (size_t i = 0; i < parking->n_moves; ++i) {
                Move *move = &parking->moves[i];
                int r;

                if (!is_others(move, loader) || move->record.has_move)
                        continue;
                r = note_host(move);
                if (r < 0)
                        return r;
                move->has_note = true;
                move->record.has_move = true;
                move->record.move = (MoveRecord){
                        .from = move->gpu->mode,
                        .to = move->to,
                        .trigger = move->trigger,
                        .asked = FUNCTION_SET_ALL,
                        .moved = (FunctionSet) (1U << move->clash.function.function),
                };
                r = gpu_record_save(&move->record, move->context->roots->run_fd);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The override as it was, unless it is, or is somebody else's by now. Return: as step_run(). */
static int put_back(Move *move, StepResult *result) {
        const Step step = {
                .kind = STEP_OVERRIDE,
                .function = move->clash.function,
                .value = move->clash.override,
        };
        _cleanup_(step_context_deinit) StepContext context = {
                .roots = move->context->roots,
                .modules = move->context->modules,
                .lock = &move->lock,
                .gpu = move->gpu,
        };
        char **overrides;
        bool is_parked = false;
        int r;

        step_context_init(&context);
        r = gpu_read_overrides(
                        move->context->roots->sysfs, move->gpu, FACTS_LIMIT_USEC, &overrides);
        if (r)
                return r == GPU_E_LATE ? STEP_E_LATE : r;
        for (size_t i = 0; i < move->gpu->n_functions; ++i)
                if (!address_compare(move->gpu->functions[i].address, step.function))
                        is_parked = overrides[i] && !strcmp(overrides[i], OVERRIDE_PARKED);
        overrides_free(overrides, move->gpu->n_functions);
        return is_parked ? step_run(&context, &step, result) : 0;
}

/* Its record as before. How it is on the host may be known for its own move, which is to come. */
static int forget(Move *move) {
        GpuRecord *record = &move->record;
        size_t n_host;
        int r;

        gpu_record_forget_move(record);
        if (move->has_host)
                gpu_record_forget_host(record);
        n_host = record->n_host;
        if (move->facts.fresh_host)
                record->n_host = 0;
        r = gpu_record_save(record, move->context->roots->run_fd);
        record->n_host = n_host;
        move->has_note = move->has_host = false;
        return r;
}

/**
 * park_end() - have the functions as they were, whatever has come of the load
 * @parking:    as for park_begin()
 * @loader:     likewise
 *
 * Where that fails, the record stays, and the next switch of that GPU tries again.
 *
 * Return: 0 on success, negative error code on failure.
 */
int park_end(Parking *parking, Address loader) {
        int r = 0;

        parking->is_planned = false;
        for (size_t i = 0; i < parking->n_moves; ++i) {
                Move *move = &parking->moves[i];
                StepResult result = STEP_RESULT_NULL;
                int k;

                if (!is_others(move, loader))
                        continue;
                move->is_parked = false;
                k = put_back(move, &result);
                if (k == 0 && move->has_note)
                        k = forget(move);
                else if (k != 0)
                        notify(move, EVENT_WARNING, "override", result.reason);
                error_gather(&r, k < 0 ? k : 0);
                step_result_deinit(&result);
        }
        return r;
}
