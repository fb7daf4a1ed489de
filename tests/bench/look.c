/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * One look of the agent, for tests/bench/growth: what daemon/agent.c: look() does over a copy of a
 * machine, without the bus and udev, which cost nothing while nothing moves.
 */

#include <stdlib.h>

#include "base/clock.h"
#include "daemon/gpu-state.h"
#include "model/inventory.h"

static int look(Roots *roots, GpuState **states) {
        _cleanup_(inventory_deinit) Inventory inventory = {};
        _cleanup_(policy_deinit) Policy policy = POLICY_NULL;
        Observation observation;
        Decision decision;
        GpuState *state;
        int r;

        r = roots_open_run(roots, false);
        if (r >= 0)
                r = roots_open_etc(roots, false);
        if (r >= 0)
                r = policy_load(&policy, roots);
        if (r >= 0)
                r = inventory_init(&inventory, roots);
        for (size_t i = 0; i < inventory.n_gpus && r >= 0; ++i) {
                r = gpu_state_get(states, inventory.gpus[i].address, &state);
                if (r >= 0)
                        r = observation_init(&observation, state, roots, &policy,
                                        &inventory.gpus[i], &decision);
                if (r < 0)
                        return r;
                state->seen = true;
                if (reconcile(&state->attempts, &observation, monotonic_usec()) !=
                                RECONCILE_NOTHING)
                        return -EBUSY;
        }
        gpu_state_sweep(states, false);
        return r;
}

int main(int argc, char **argv) {
        _cleanup_(roots_deinit) Roots roots = ROOTS_NULL;
        GpuState *states = NULL;
        int r;

        r = argc == 2 ? roots_init(&roots, argv[1]) : -EINVAL;
        if (r >= 0)
                r = look(&roots, &states);
        gpu_state_sweep(&states, true);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
