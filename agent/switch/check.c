/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Checks
 *
 * In the order of what they cost: what we remember, the hardware, and only when
 * nothing else is in the way, all open files of the machine.
 */

#include <string.h>

#include "policy/stranger.h"
#include "record/state.h"
#include "record/stuck.h"
#include "switch/check.h"
#include "switch/facts.h"

/* Is this the card that we know? Of what cannot be read, nothing is remembered. */
static int check_identity(SwitchContext *context, const Gpu *gpu, Findings *findings) {
        State state = STATE_NULL;
        int r;

        r = state_load(&state, context->roots->etc_fd);
        if (r == -ENOMEM)
                return r;
        r = stranger_find(&state, gpu, findings);
        state_deinit(&state);
        return r;
}

/* Is there anything to bind it to? */
static int check_driver(SwitchContext *context, const PreflightInput *input, Findings *findings) {
        char path[DEVICE_PATH_MAX];
        Facts facts = FACTS_NULL;
        int r;

        /* Where it is loaded there is no need to ask kmod. */
        if (input->to != MODE_PASSTHROUGH ||
                        sysfs_exists(context->roots->sysfs, driver_path("vfio-pci", "bind", path)))
                return 0;

        r = facts_init(&facts, context->roots, context->modules, input->gpu, input->to);
        if (r == FACTS_E_LATE)
                return findings_push(findings, FINDING_STUCK, input->gpu->address, NULL);
        if (r < 0)
                return r;
        if (!facts.vfio_driver)
                r = findings_push(findings, FINDING_NO_VFIO_DRIVER, input->gpu->address, NULL);
        facts_deinit(&facts);
        return r;
}

/* Is a write to it stuck in the kernel? (The marker of one that came back does not count.) */
int check_stuck(SwitchContext *context, const Gpu *gpu, Findings *findings) {
        Finding *finding;
        Stuck stuck;
        int r;

        r = stuck_load(&stuck, context->roots->run_fd, context->roots->proc_fd, gpu->address);
        if (r < 0 || r == STUCK_E_NONE)
                return r < 0 ? r : 0;
        if (r == 0) {
                r = findings_push(findings, FINDING_STUCK, stuck.function, &finding);
                if (r >= 0) {
                        finding->pid = stuck.pid;
                        finding->detail = stuck.action;
                        stuck.action = NULL;
                }
        }
        stuck_deinit(&stuck);
        return r < 0 ? r : 0;
}

/**
 * check() - may this GPU move?
 * @context:    of the switch
 * @input:      which GPU, where to, and what moves along
 * @give_back:  whether the GPU itself does not move, and so needs no permission
 * @findings:   gets everything that is in the way
 *
 * Nor does one that is there already, unless it is another card.
 *
 * Return: 0 on success, whatever was found; negative error code on failure.
 */
int check(SwitchContext *context, const PreflightInput *input, bool give_back, Findings *findings) {
        int r = 0;

        if (!give_back)
                r = check_identity(context, input->gpu, findings);
        if (r < 0 || input->gpu->mode == input->to)
                return r;

        if (!give_back)
                r = preflight_preconditions(input, findings);
        if (r >= 0)
                r = check_driver(context, input, findings);
        if (r >= 0 && findings->n == 0)
                r = preflight_holders(input, findings);
        return r;
}

/* What a switch comes to that has these in its way. */
SwitchResult check_result(const Findings *findings) {
        if (findings->n == 0)
                return SWITCH_DONE;
        if (findings_are_stuck(findings))
                return SWITCH_STUCK;
        return findings_are_busy(findings) ? SWITCH_BUSY : SWITCH_PRECONDITION;
}
