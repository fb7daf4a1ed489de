/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Checks of each GPU. What refuses a switch is told in the words of the pre-flight, and is a failure; use
 * of the GPU may end at any time, and is a warning.
 */

#include <string.h>

#include "base/text.h"
#include "diagnose/check.h"

#define IN_USE                                                                                \
        (FINDINGS_OF(FINDING_HOLDER) | FINDINGS_OF(FINDING_CUDA) | FINDINGS_OF(FINDING_USB) | \
                        FINDINGS_OF(FINDING_STARTED) | FINDINGS_OF(FINDING_UNKNOWN))

/* Then nothing else was asked. */
static bool is_stuck(const SurveyGpu *gpu) {
        return findings_are_stuck(gpu->found);
}

static bool is_on_vfio(const Survey *survey, const SurveyGpu *gpu) {
        return driver_is_vfio(survey->roots->sysfs, gpu->gpu->functions[0].driver);
}

/* What the pre-flight says of it, or that it holds. */
static int judge(Result *result, const SurveyGpu *gpu, FindingKinds kinds, const char *otherwise) {
        int r;

        if (is_stuck(gpu))
                return 0;
        r = result_explain(result, VERDICT_FAIL, gpu, kinds);
        return r < 0 || result->verdict != VERDICT_NONE
                        ? r
                        : result_say(result, VERDICT_PASS, "%s", otherwise);
}

int check_switches(const Survey *survey _unused_, const SurveyGpu *gpu, Result *result) {
        char address[ADDRESS_STRING_MAX];
        int r;

        if (is_stuck(gpu))
                return result_explain(result, VERDICT_FAIL, gpu, FINDINGS_OF(FINDING_STUCK));
        if (gpu->runtime.damaged)
                r = result_say(result, VERDICT_WARN, "its record in /run is not understood");
        else if (runtime_is_interrupted(&gpu->runtime))
                r = result_say(result, VERDICT_WARN, "an earlier switch was interrupted");
        else
                return result_say(result, VERDICT_PASS, "none is stuck or interrupted");
        return r < 0 ? r
                     : result_advise(result, "vfioptctl switch host %s",
                                       address_format(gpu->gpu->address, address));
}

int check_memory(const Survey *survey _unused_, const SurveyGpu *gpu, Result *result) {
        if (gpu->doubt)
                return result_say(result, VERDICT_WARN, "%s", gpu->doubt);
        return judge(result, gpu, FINDINGS_OF(FINDING_OTHER_CARD), "no other card was here");
}

/* To ask a card that sleeps is to wake it. */
int check_bus(const Survey *survey, const SurveyGpu *gpu, Result *result) {
        bool is_asleep = false;
        int r;

        for (size_t i = 0; i < gpu->gpu->n_functions; ++i) {
                _cleanup_(freep) char *status = NULL;
                char path[DEVICE_PATH_MAX];

                r = sysfs_read(survey->roots->sysfs,
                                device_path(gpu->gpu->functions[i].address, "power/runtime_status",
                                                path),
                                &status);
                if (r == -ENOMEM)
                        return r;
                is_asleep |= r != 0 || strcmp(status, "active") != 0;
        }
        r = judge(result, gpu, FINDINGS_OF(FINDING_OFF_BUS) | FINDINGS_OF(FINDING_FELL_OFF),
                        "it answers; what the kernel's log has about it is not asked");
        if (r < 0 || result->verdict != VERDICT_PASS || !is_asleep)
                return r;
        return result_say(result, VERDICT_PASS, "it seems to sleep, and was not woken to be asked");
}

/* Where the machine has no IOMMU at all, that is told of the machine. */
int check_group(const Survey *survey, const SurveyGpu *gpu, Result *result) {
        FindingKinds kinds = FINDINGS_OF(FINDING_GROUP_MEMBER) | FINDINGS_OF(FINDING_UNSAFE_IOMMU);
        int number = gpu->gpu->functions[0].iommu_group;
        char group[64];

        if (survey->iommu == IOMMU_DEVICE)
                kinds |= FINDINGS_OF(FINDING_NO_IOMMU);
        else if (number < 0)
                return 0;
        snprintf(group, sizeof(group), "nothing else that is in use is in group %d", number);
        return judge(result, gpu, kinds, group);
}

int check_vfio_driver(const Survey *survey, const SurveyGpu *gpu, Result *result) {
        const char *driver = is_on_vfio(survey, gpu) ? gpu->gpu->functions[0].driver
                        : gpu->guest                 ? gpu->guest->facts.vfio_driver
                                                     : NULL;

        /* Another reason came first, and it was not looked for. */
        if (!driver && (!gpu->guest || !gpu->guest->facts.overrides))
                return 0;
        return judge(result, gpu, FINDINGS_OF(FINDING_NO_VFIO_DRIVER), driver ?: "there is one");
}

int check_virtual(const Survey *survey _unused_, const SurveyGpu *gpu, Result *result) {
        return judge(result, gpu, FINDINGS_OF(FINDING_VIRTUAL), "none is");
}

int check_display(const Survey *survey, const SurveyGpu *gpu, Result *result) {
        if (is_on_vfio(survey, gpu))
                return 0;
        return judge(result, gpu,
                        FINDINGS_OF(FINDING_BOOT_DISPLAY) | FINDINGS_OF(FINDING_DISPLAY_ACTIVE),
                        policy_allows_display(&survey->policy, gpu->gpu)
                                        ? "it may be given up (AllowDisplay=yes)"
                                        : "it is not the display in use");
}

int check_idle_functions(const Survey *survey _unused_, const SurveyGpu *gpu, Result *result) {
        return is_stuck(gpu)
                        ? 0
                        : result_explain(result, VERDICT_FAIL, gpu, FINDINGS_OF(FINDING_CLASH));
}

int check_release(const Survey *survey _unused_, const SurveyGpu *gpu, Result *result) {
        const char *driver = gpu->gpu->functions[0].driver;

        if (!driver || strcmp(driver, "nvidia") != 0)
                return 0;
        return judge(result, gpu, FINDINGS_OF(FINDING_CANNOT_RELEASE),
                        "it can release this GPU alone");
}

/* Whether all that is told is what could not be seen. */
static bool is_unknown(const Findings *findings) {
        for (size_t i = 0; i < findings->n; ++i)
                if (finding_is_busy(&findings->items[i]) &&
                                findings->items[i].kind != FINDING_UNKNOWN)
                        return false;
        return true;
}

int check_users(const Survey *survey _unused_, const SurveyGpu *gpu, Result *result) {
        int r;

        if (is_stuck(gpu) || gpu->gpu->mode == MODE_PASSTHROUGH)
                return 0;
        r = result_explain(result,
                        is_unknown(gpu->found) && is_unknown(&gpu->more) ? VERDICT_UNKNOWN
                                                                         : VERDICT_WARN,
                        gpu, IN_USE);
        result->is_in_use = result->verdict == VERDICT_WARN;
        return r < 0 || result->verdict != VERDICT_NONE
                        ? r
                        : result_say(result, VERDICT_PASS, "nothing uses it");
}

int check_way_home(const Survey *survey _unused_, const SurveyGpu *gpu, Result *result) {
        const PlanFunction *display;
        int r;

        if (is_stuck(gpu))
                return 0;
        if (!gpu->home)
                return result_say(result, VERDICT_PASS, "it is there, on %s",
                                gpu->gpu->functions[0].driver);
        r = result_explain_home(result, VERDICT_WARN, gpu,
                        FINDINGS_OF(FINDING_NO_HOST_DRIVER) | FINDINGS_OF(FINDING_CLASH));
        if (r < 0 || result->verdict != VERDICT_NONE)
                return r;
        display = &gpu->home->facts.input.functions[0];
        return gpu->home->facts.overrides && display->n_homes > 0
                        ? result_say(result, VERDICT_PASS, "%s would have it",
                                          display->homes[0].driver)
                        : 0;
}

int check_sides(const Survey *survey _unused_, const SurveyGpu *gpu, Result *result) {
        char address[ADDRESS_STRING_MAX];
        int r;

        if (gpu->gpu->mode != MODE_MIXED)
                return result_say(result, VERDICT_PASS, "all are in %s",
                                mode_to_string(gpu->gpu->mode));
        r = result_say(result, VERDICT_WARN,
                        "some are with vfio and some are not, as another program or an "
                        "interrupted switch leaves them");
        return r < 0 ? r
                     : result_advise(result, "vfioptctl switch host %s",
                                       address_format(gpu->gpu->address, address));
}

/*
 * Intel's driver refuses such a device (drivers/iommu/intel/iommu.c: device_rmrr_is_relaxable()), and newer
 * kernels do so for all (drivers/iommu/iommu.c: __iommu_device_set_domain()).
 */
int check_regions(const Survey *survey _unused_, const SurveyGpu *gpu, Result *result) {
        int r;

        if (is_stuck(gpu) || gpu->gpu->functions[0].iommu_group < 0)
                return 0;
        if (!gpu->is_mapped)
                return result_say(result, VERDICT_PASS, "the firmware wants none");
        r = result_say(result, VERDICT_WARN,
                        "the firmware wants some for its group, which the kernel may not give to a "
                        "guest then");
        return r < 0 ? r
                     : result_advise(result,
                                       "update the firmware, or put the card into another slot");
}

/* Kernels before 5.15 do not tell. */
int check_reset(const Survey *survey, const SurveyGpu *gpu, Result *result) {
        char path[DEVICE_PATH_MAX];
        int r;

        if (is_stuck(gpu))
                return 0;
        if (gpu->reset && gpu->reset[0])
                return result_say(result, VERDICT_PASS, "%s", gpu->reset);
        if (sysfs_exists(survey->roots->sysfs, device_path(gpu->gpu->address, "reset", path)))
                return result_say(result, VERDICT_PASS, "the kernel has a way");
        r = result_say(result, VERDICT_WARN,
                        "the kernel knows no way, so a guest may find it as another has left it");
        return r < 0 ? r
                     : result_advise(result,
                                       "where a guest cannot use it for that, power the machine off "
                                       "and on again");
}

int check_wish(const Survey *survey _unused_, const SurveyGpu *gpu, Result *result) {
        const Mode wish = gpu->decision.mode, mode = gpu->gpu->mode;
        char address[ADDRESS_STRING_MAX];
        int r;

        if (is_stuck(gpu) || wish == MODE_UNSET)
                return 0;
        if (mode_fulfils(wish, mode))
                return result_say(result, VERDICT_PASS, "it is in %s, where it belongs",
                                mode_to_string(mode));
        r = result_say(result, VERDICT_WARN, "it is in %s, and belongs in %s%s",
                        mode_to_string(mode), mode_to_string(wish),
                        gpu->decision.claimed ? "; another program has taken it" : "");
        return r < 0 ? r
                     : result_advise(result, "vfioptctl switch %s %s", mode_to_string(wish),
                                       address_format(gpu->gpu->address, address));
}
