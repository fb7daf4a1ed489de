/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Status of a GPU
 *
 * Only looks: takes no lock, opens no device. Of a GPU that a write hangs on,
 * nothing is read that might hang as well.
 */

#include "cli/report.h"
#include "cli/status.h"
#include "model/override.h"
#include "probe/preflight.h"

/* Reading an override waits for a driver's probe() or remove() on older kernels. */
#define LIMIT_OVERRIDES_USEC (USEC_PER_SEC / 2)

static int status_read_runtime(Status *status, const Roots *roots, const Policy *policy) {
        Decision decision;
        int r;

        r = runtime_init(&status->runtime, roots, status->gpu);
        if (r < 0)
                return r;
        status->is_stuck = runtime_is_stuck(&status->runtime);

        decision = policy_decide(policy, roots->sysfs, status->gpu, &status->runtime, 0);
        if (!policy_manages(policy, status->gpu) && decision.mode == MODE_UNSET)
                decision = policy_wish(policy, status->gpu, &status->runtime, false);
        status->other_card = decision.source == POLICY_OTHER_CARD;
        status->wish = mode_to_string(decision.mode);
        /* Nobody makes the wish of one that is not managed come true. */
        status->pending = policy_manages(policy, status->gpu) &&
                        !mode_fulfils(decision.mode, status->gpu->mode);
        return 0;
}

/* Somebody else's unbind may hang as well as ours. */
static int status_read_leaving(Status *status, const Roots *roots) {
        bool leaving;
        int r;

        if (status->runtime.lock.locked || status->runtime.lock.writing)
                return 0;

        r = preflight_is_leaving(roots->proc_fd, status->gpu, &leaving);
        if (r >= 0 && leaving)
                status->is_stuck = true;
        return r;
}

static int status_read_overrides(Status *status, Sysfs *sysfs) {
        char address[ADDRESS_STRING_MAX];
        int r;

        if (status->is_stuck)
                return 0;

        r = gpu_read_overrides(sysfs, status->gpu, LIMIT_OVERRIDES_USEC, &status->overrides);
        if (r == OVERRIDE_E_LATE)
                report_error("%s: the kernel does not tell its overrides now",
                                address_format(status->gpu->address, address));
        return r < 0 ? r : 0;
}

/**
 * status_init() - look at a GPU
 * @status:     to initialise; status_deinit() it
 * @cli:        where; run_fd may be missing
 * @ids:        names
 * @policy:     wishes
 * @gpu:        which; must outlive @status
 *
 * Return: 0 on success, negative error code on failure.
 */
int status_init(Status *status, Cli *cli, Ids *ids, const Policy *policy, const Gpu *gpu) {
        Identity identity = gpu->functions[0].identity;
        int r;

        *status = (Status){ .gpu = gpu };

        r = status_read_runtime(status, cli->roots, policy);
        if (r >= 0)
                r = status_read_leaving(status, cli->roots);
        if (r >= 0)
                r = status_read_overrides(status, cli->roots->sysfs);
        if (r >= 0)
                r = ids_device_name(ids, identity.vendor, identity.device, &status->name);
        if (r < 0)
                status_deinit(status);
        return r;
}

void status_deinit(Status *status) {
        if (status->gpu)
                overrides_free(status->overrides, status->gpu->n_functions);
        runtime_deinit(&status->runtime);
        free(status->name);
        *status = (Status){};
}

const char *status_mode(const Status *status) {
        return status->is_stuck ? "stuck" : mode_to_string(status->gpu->mode);
}
