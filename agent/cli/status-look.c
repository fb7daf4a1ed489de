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

static void status_read_wish(Status *status, const Policy *policy) {
        Verdict verdict = policy_judge(policy, status->gpu, false);

        status->other_card = verdict.source == POLICY_STRANGER;
        status->wish = mode_to_string(verdict.wish);
        /* Of one that is not managed nobody makes it come true. */
        status->pending = policy_manages(policy, status->gpu) &&
                        !mode_fulfils(verdict.wish, status->gpu->mode);
}

static int status_read_job(Status *status, const Roots *roots) {
        int r;

        if (roots->run_fd < 0)
                return 0;

        r = stuck_load(&status->stuck, roots->run_fd, roots->proc_fd, status->gpu->address);
        if (r < 0)
                return r;
        status->is_stuck = r == 0;
        return lock_test(roots->run_fd, roots->proc_fd, status->gpu->address, &status->job);
}

/* Somebody else's unbind may hang as well as ours. */
static int status_read_leaving(Status *status, const Roots *roots) {
        bool leaving;
        int r;

        if (status->job.locked || status->job.writing)
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

        status_read_wish(status, policy);
        r = status_read_job(status, cli->roots);
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
        stuck_deinit(&status->stuck);
        free(status->name);
        *status = (Status){};
}

const char *status_mode(const Status *status) {
        return status->is_stuck ? "stuck" : mode_to_string(status->gpu->mode);
}
