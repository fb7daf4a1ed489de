/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Pre-flight
 *
 * Composes the checks. Preconditions are facts which waiting does not change;
 * holders are somebody's use, which may end, and which are looked for once more
 * right before the first unbind. What is not known counts as busy.
 */

#include <string.h>

#include "base/text.h"
#include "probe/bus.h"
#include "probe/collect.h"
#include "probe/display.h"
#include "probe/group.h"
#include "probe/holders.h"
#include "probe/nvidia.h"
#include "probe/preflight.h"
#include "probe/usb.h"

/* A GPU that sleeps deeply is awake in less than one, if it wakes up at all. */
#define WAKE_LIMIT_USEC (10 * USEC_PER_SEC)

static bool is_on_nvidia(const Gpu *gpu) {
        return gpu->functions[0].driver && !strcmp(gpu->functions[0].driver, NVIDIA_DRIVER);
}

static int check_virtual(const Gpu *gpu, Findings *findings) {
        int r;

        for (size_t i = 0; i < gpu->n_functions; ++i) {
                if (!gpu->functions[i].has_virtual)
                        continue;
                r = findings_push(findings, FINDING_VIRTUAL, gpu->functions[i].address, NULL);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Something that must be known and cannot be read: busy, for all we know. */
static int push_unknown(Findings *findings, Address function, const char *what, int error) {
        Finding *finding;
        int r;

        r = findings_push(findings, FINDING_UNKNOWN, function, &finding);
        if (r < 0)
                return r;

        finding->error = error;
        finding->node = strdup(what);
        return finding->node ? 0 : -ENOMEM;
}

/* Can the driver let go of this one GPU while nvidia-drm is there? */
static int check_release(Sysfs *sysfs, const Gpu *gpu, Findings *findings) {
        _cleanup_(freep) char *text = NULL;
        NvidiaVersion version;
        Finding *finding;
        bool modeset;
        int r;

        r = nvidia_read_version(sysfs, &text);
        if (r < 0)
                return r;
        if (r == 0 && nvidia_version_parse(text, &version) == 0 &&
                        nvidia_version_releases_gpus(version))
                return 0;

        r = nvidia_read_modeset(sysfs, &modeset);
        if (r == -EACCES || r == -EPERM)
                return push_unknown(findings, gpu->address, "modeset of nvidia_drm", -r);
        if (r < 0 || !modeset)
                return r;

        r = findings_push(findings, FINDING_CANNOT_RELEASE, gpu->address, &finding);
        if (r < 0)
                return r;
        finding->detail = text ? TAKE_PTR(text) : strdup("unknown");
        return finding->detail ? 0 : -ENOMEM;
}

/**
 * preflight_is_leaving() - is NVIDIA's driver about to let go of a GPU, perhaps for ever?
 * @proc_fd:    root of procfs
 * @gpu:        GPU, as it is now
 * @ret:        the answer
 *
 * The driver link goes before remove() is called, and what the driver keeps for the GPU
 * goes at its end (kernel.md 1.10, 2.9). Where nobody of ours is at work, it is somebody
 * else's unbind, and it hangs.
 *
 * Return: 0 on success, negative error code on failure.
 */
int preflight_is_leaving(int proc_fd, const Gpu *gpu, bool *ret) {
        *ret = false;
        return gpu->functions[0].driver ? 0 : nvidia_knows(proc_fd, gpu->address, ret);
}

/* Before a GPU leaves the host. */
static int check_leaving(const PreflightInput *input, Findings *findings) {
        Sysfs *sysfs = input->roots->sysfs;
        int r;

        r = group_check(sysfs, input->gpu, input->moving, input->n_moving, findings);
        if (r < 0)
                return r;

        /* With the display function on vfio already, the rest of the card can follow. */
        if (driver_is_vfio(sysfs, input->gpu->functions[0].driver))
                return 0;

        if (!input->allow_display) {
                r = display_check(sysfs, input->gpu, findings);
                if (r < 0)
                        return r;
        }
        if (!is_on_nvidia(input->gpu))
                return 0;

        r = check_release(sysfs, input->gpu, findings);
        if (r < 0)
                return r;
        return bus_check_log(input->roots->dev_fd, input->gpu, findings);
}

/**
 * preflight_preconditions() - is there anything in the way that will not go away?
 * @input:      which GPU, and where to
 * @findings:   where to add what is found
 *
 * Return: 0 on success, whatever was found; negative error code on failure.
 */
int preflight_preconditions(const PreflightInput *input, Findings *findings) {
        bool leaving;
        int r;

        /* Then nothing else is asked: it might wait, too. */
        r = preflight_is_leaving(input->roots->proc_fd, input->gpu, &leaving);
        if (r < 0 || leaving)
                return r < 0 ? r
                             : findings_push(findings, FINDING_STUCK, input->gpu->address, NULL);

        r = bus_check(input->roots->sysfs, input->gpu, WAKE_LIMIT_USEC, findings);
        if (r >= 0)
                r = check_virtual(input->gpu, findings);
        if (r >= 0 && input->to == MODE_PASSTHROUGH)
                r = check_leaving(input, findings);
        return r;
}

/* Does CUDA hold the GPU, through UVM and so without any file of the GPU's own? */
static int check_cuda(int proc_fd, const Gpu *gpu, Findings *findings) {
        NvidiaGpu info = NVIDIA_GPU_NULL;
        bool retained = false;
        Finding *finding;
        int r;

        /* One that the driver tells of, but without a UUID, was never started. */
        r = nvidia_gpu_init(&info, proc_fd, gpu->address);
        if (r != 0 || info.uuid)
                r = nvidia_is_retained(proc_fd, info.uuid, &retained);
        if (r >= 0 && retained) {
                r = findings_push(findings, FINDING_CUDA, gpu->address, &finding);
                if (r >= 0)
                        finding->detail = TAKE_PTR(info.uuid);
        }
        nvidia_gpu_deinit(&info);
        return r;
}

/*
 * The last resort: the adapter is started, but by whom? Not asked where nvidia-drm
 * starts it, or the driver does on its own.
 */
static int check_started(const Roots *roots, const Gpu *gpu, Findings *findings) {
        bool modeset = false, on_probe;
        int r;

        r = nvidia_starts_on_probe(roots->proc_fd, &on_probe);
        if (r < 0 || on_probe)
                return r;
        r = nvidia_read_modeset(roots->sysfs, &modeset);
        if (r < 0 && r != -EACCES && r != -EPERM)
                return r;
        return modeset ? 0 : findings_push(findings, FINDING_STARTED, gpu->address, NULL);
}

static int find_holders(const PreflightInput *input, bool started, Findings *findings) {
        Nodes nodes;
        int r;

        r = collect_nodes(&nodes, input->roots, input->gpu, input->to);
        if (r < 0)
                return r;
        /* An adapter that is not started has no mappings at all. */
        r = holders_find(input->roots, input->gpu, &nodes, started, findings);
        nodes_deinit(&nodes);
        return r;
}

/**
 * preflight_holders() - does anybody use the GPU?
 * @input:      which GPU, and where to
 * @findings:   where to add what is found
 *
 * Which drivers the functions have is looked at anew, as is whether they can let go;
 * what @input says of them may be from before some of them moved.
 *
 * Return: 0 on success, whatever was found; negative error code on failure.
 */
int preflight_holders(const PreflightInput *input, Findings *findings) {
        _cleanup_(freep) char *driver = NULL;
        const Roots *roots = input->roots;
        size_t n_before = findings->n;
        bool on_nvidia, started = false;
        int r;

        if (input->to == MODE_HOST)
                return find_holders(input, false, findings);

        r = device_read_driver(roots->sysfs, input->gpu->address, &driver);
        on_nvidia = r >= 0 && driver && !strcmp(driver, NVIDIA_DRIVER);
        if (on_nvidia)
                r = nvidia_is_started(roots->sysfs, input->gpu->address, &started);
        if (r >= 0)
                r = find_holders(input, started, findings);
        if (r >= 0)
                r = usb_check(roots->sysfs, input->gpu, findings);
        if (r < 0 || !on_nvidia)
                return r;

        r = check_release(roots->sysfs, input->gpu, findings);
        if (r >= 0)
                r = check_cuda(roots->proc_fd, input->gpu, findings);
        /* Whoever was about to end when the scan began has stopped it since. */
        if (r >= 0 && started)
                r = nvidia_is_started(roots->sysfs, input->gpu->address, &started);
        if (r < 0 || !started || findings->n > n_before)
                return r;
        return check_started(roots, input->gpu, findings);
}
