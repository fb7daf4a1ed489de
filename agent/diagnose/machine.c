/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Checks of the machine as a whole: firmware, kernel, and our own files. */

#include <string.h>

#include "base/text.h"
#include "diagnose/check.h"
#include "vfiopt/names.h"

int check_container(const Survey *survey, const SurveyGpu *gpu _unused_, Result *result) {
        int r;

        if (!survey->container)
                return 0;
        r = result_say(result, VERDICT_WARN, "this is a container, says /%s", survey->container);
        return r < 0 ? r : result_advise(result, "run vfioptctl diagnose on the host itself");
}

static bool has_flag(const char *flags, const char *flag) {
        const size_t n = strlen(flag);

        for (const char *s = flags; s && (s = strstr(s, flag)); s += n)
                if (s > flags && strchr(" \t", s[-1]) && (s[n] == ' ' || !s[n]))
                        return true;
        return false;
}

/*
 * A guest can have a GPU without it, as slow as it then is. The kernel takes the flag away where the
 * firmware has it off (arch/x86/kernel/cpu/feat_ctl.c: init_ia32_feat_ctl()), but not that of AMD's.
 */
int check_processor(const Survey *survey, const SurveyGpu *gpu _unused_, Result *result) {
        const bool intel = has_flag(survey->processor, "vmx");
        const bool amd = has_flag(survey->processor, "svm");
        int r;

        if (survey->roots->is_image)
                return 0;
        if (survey->has_kvm)
                return result_say(result, VERDICT_PASS, "/dev/kvm is there");
        if (!survey->processor)
                return result_say(result, VERDICT_UNKNOWN,
                                "/dev/kvm is not there, and /proc/cpuinfo does not tell why");
        if (intel || amd) {
                r = result_say(result, VERDICT_WARN,
                                "the processor has it (%s), but /dev/kvm is not there",
                                intel ? "VT-x" : "AMD-V");
                return r < 0 ? r
                             : result_advise(result,
                                               "modprobe %s; if that fails, enable it in the firmware",
                                               intel ? "kvm_intel" : "kvm_amd");
        }
        r = result_say(result, VERDICT_WARN, "the processor does not show VT-x or AMD-V");
        return r < 0 ? r : result_advise(result, "enable VT-x or SVM (AMD-V) in the firmware");
}

static bool is_missing_in_firmware(const Survey *survey) {
        return survey->iommu == IOMMU_FIRMWARE || survey->iommu == IOMMU_FIRMWARE_AND_OFF;
}

/* The words that the pre-flight has for its cause. */
static int advise_iommu(const Survey *survey, Result *result) {
        const Finding finding = {
                .kind = FINDING_NO_IOMMU,
                .iommu = survey->iommu,
                .detail = survey->iommu_argument,
        };
        _cleanup_(text_deinit) Text remedy = TEXT_NULL;
        const Gpu none = {};
        int r;

        r = words_append(&remedy, "@iommu@", &finding, &none, MODE_PASSTHROUGH);
        if (r >= 0)
                result->remedy = text_take(&remedy);
        return r;
}

int check_firmware(const Survey *survey, const SurveyGpu *gpu _unused_, Result *result) {
        int r;

        if (survey->iommu == IOMMU_UNKNOWN || survey->iommu == IOMMU_XEN || survey->roots->is_image)
                return 0;
        if (survey->iommu == IOMMU_DEVICE_TREE)
                return result_say(result, VERDICT_FAIL, "the device tree of this machine has none");
        if (!is_missing_in_firmware(survey))
                return result_say(result, VERDICT_PASS, "it is enabled");
        r = result_say(result, VERDICT_FAIL, "the firmware describes none");
        return r < 0 ? r : advise_iommu(survey, result);
}

/* Without a table of the firmware's there is nothing to be said of the kernel. */
int check_iommu(const Survey *survey, const SurveyGpu *gpu _unused_, Result *result) {
        int r;

        if (is_missing_in_firmware(survey) || survey->iommu == IOMMU_DEVICE_TREE ||
                        survey->roots->is_image)
                return 0;
        if (survey->iommu == IOMMU_DEVICE)
                return result_say(result, VERDICT_PASS, "there are IOMMU groups");
        r = result_say(result, VERDICT_FAIL, "there are no IOMMU groups");
        return r < 0 ? r : advise_iommu(survey, result);
}

int check_files(const Survey *survey, const SurveyGpu *gpu _unused_, Result *result) {
        int r;

        if (survey->n_complaints == 0)
                return result_say(result, VERDICT_PASS, "all are understood");
        r = result_say(result, VERDICT_WARN, "%s", survey->complaints[0]);
        if (r < 0 || survey->n_complaints == 1)
                return r;
        return result_say(result, VERDICT_WARN, "%s, and %zu more", survey->complaints[0],
                        survey->n_complaints - 1);
}

int check_kernel_line(const Survey *survey, const SurveyGpu *gpu _unused_, Result *result) {
        const KernelLine *kernel = &survey->policy.kernel;
        int r;

        if (!kernel->is_set)
                return 0;
        r = result_say(result, VERDICT_WARN,
                        kernel->mode == MODE_UNSET ? "no GPU moves on its own in this boot"
                                                   : "all managed GPUs belong in %s in this boot",
                        mode_to_string(kernel->mode));
        return r < 0 ? r
                     : result_advise(result,
                                       "if that is not meant to be, boot without " VFIOPT_KERNEL_KEY
                                       "=");
}

/* Both let a guest do to the host what the IOMMU is there to keep it from. */
int check_unsafe(const Survey *survey, const SurveyGpu *gpu _unused_, Result *result) {
        const char *setting = survey->has_noiommu   ? "vfio.enable_unsafe_noiommu_mode"
                        : survey->trusts_interrupts ? "vfio_iommu_type1.allow_unsafe_interrupts"
                                                    : NULL;
        int r;

        if (survey->roots->is_image)
                return 0;
        if (!setting)
                return result_say(result, VERDICT_PASS, "none of them is unsafe");
        r = result_say(result, VERDICT_WARN, "%s is on", setting);
        return r < 0 ? r
                     : result_advise(result,
                                       "take it out of modprobe.d and of the kernel's command line, "
                                       "and reboot");
}

/* AMD's IOMMUs all have it, and other machines have other means. */
int check_remapping(const Survey *survey, const SurveyGpu *gpu _unused_, Result *result) {
        int r;

        if (survey->no_remapping) {
                r = result_say(result, VERDICT_WARN,
                                "%s turns it off, and no guest with a PCI device starts without it",
                                survey->no_remapping);
                return r < 0 ? r : result_advise(result, "boot without %s", survey->no_remapping);
        }
        if (survey->n_not_remapping == 0)
                return survey->n_remapping == 0
                                ? 0
                                : result_say(result, VERDICT_PASS, "the IOMMU has it");
        r = result_say(result, VERDICT_WARN,
                        "an IOMMU of this machine lacks it, and no guest with a PCI device starts "
                        "without it");
        return r < 0 ? r
                     : result_advise(result,
                                       "update the firmware; or, where all guests are trusted, boot "
                                       "with vfio_iommu_type1.allow_unsafe_interrupts=1");
}

int check_acs_override(const Survey *survey, const SurveyGpu *gpu _unused_, Result *result) {
        int r;

        if (!survey->acs_override)
                return 0;
        r = result_say(result, VERDICT_WARN,
                        "%s has groups shown that the hardware may not isolate from each other",
                        survey->acs_override);
        return r < 0 ? r
                     : result_advise(result,
                                       "boot without it, if the GPU has a group of its own then");
}

/* A rule of a laptop's tool takes the card off the bus. */
int check_presence(const Survey *survey, const SurveyGpu *gpu _unused_, Result *result) {
        const size_t n = survey->inventory.n_gpus;
        int r;

        if (survey->roots->is_image) {
                result->is_blind = true;
                r = result_say(result, VERDICT_UNKNOWN,
                                "these are only the files of a machine, and no hardware");
                return r < 0 ? r
                             : result_advise(result,
                                               "run it on the machine itself, or with its /sys, /proc "
                                               "and /dev mounted in there");
        }
        if (n > 0)
                return result_say(result, VERDICT_PASS, "%zu of them", n);
        if (survey->switch_off) {
                r = result_say(result, VERDICT_FAIL,
                                "there is no NVIDIA GPU; the firmware has it switched off: /sys/%s "
                                "is 1",
                                survey->switch_off);
                return r < 0 ? r
                             : result_advise(result,
                                               "have the tool that has set this take it back, or echo "
                                               "0 | tee /sys/%s; then reboot",
                                               survey->switch_off);
        }
        if (!survey->remover)
                return result_say(result, VERDICT_FAIL, "there is no NVIDIA GPU in this machine");
        r = result_say(result, VERDICT_FAIL,
                        "there is no NVIDIA GPU; a rule of udev's removes it: %s", survey->remover);
        return r < 0 ? r
                     : result_advise(result,
                                       "have the tool that wrote the rule take it back, and reboot");
}
