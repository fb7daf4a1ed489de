/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "diagnose/survey.h"
#include "os/obstacle.h"
#include "os/rule.h"
#include "policy/claim.h"
#include "vfiopt/names.h"

/* A machine of a thousand processors has two megabytes. */
#define CPUINFO_MAX (8U * 1024 * 1024)

#define KERNEL_LINE_MAX (64U * 1024)

void survey_deinit(Survey *survey) {
        for (size_t i = 0; i < survey->n_gpus; ++i) {
                runtime_deinit(&survey->gpus[i].runtime);
                findings_deinit(&survey->gpus[i].more);
                free(survey->gpus[i].doubt);
                initramfs_deinit(&survey->gpus[i].initramfs);
                traces_deinit(&survey->gpus[i].traces);
                free(survey->gpus[i].reset);
        }
        if (survey->to_guest)
                moves_free(survey->to_guest, survey->n_gpus);
        if (survey->to_host)
                moves_free(survey->to_host, survey->n_back);
        free(survey->there);
        free(survey->back);
        free(survey->gpus);
        free(survey->container);
        free(survey->processor);
        for (size_t i = 0; i < _INSTALLED_MAX; ++i)
                installed_deinit(&survey->installed[i]);
        free(survey->script);
        strv_free(survey->leftovers);
        free(survey->acs_override);
        free(survey->no_remapping);
        free(survey->remover);
        free(survey->iommu_argument);
        strv_free(survey->complaints);
        inventory_deinit(&survey->inventory);
        policy_deinit(&survey->policy);
        modules_free(survey->modules);
        *survey = (Survey){};
}

/* our own files */

static int complain_of_folder(Survey *survey, const char *folder, int error) {
        _cleanup_(freep) char *text = text_format("cannot open %s: %s", folder, strerror(error));

        return text ? strv_push(&survey->complaints, &survey->n_complaints, text) : -ENOMEM;
}

typedef struct Complaints {
        Survey *survey;
        int error; /* the first one, negative */
} Complaints;

static void on_complaint(void *userdata, bool is_warning _unused_, const char *complaint) {
        Complaints *complaints = userdata;

        error_gather(&complaints->error,
                        strv_push(&complaints->survey->complaints,
                                        &complaints->survey->n_complaints, complaint));
}

static int read_policy(Survey *survey) {
        Complaints complaints = { .survey = survey };
        int etc, run, r = 0;

        etc = roots_open_etc(survey->roots, false);
        if (etc < 0)
                r = complain_of_folder(survey, VFIOPT_ETC_DIR, -etc);
        run = roots_open_run(survey->roots, false);
        if (r >= 0 && run < 0)
                r = complain_of_folder(survey, VFIOPT_RUN_DIR, -run);
        if (r >= 0)
                r = policy_load(&survey->policy, survey->roots);
        if (r < 0)
                return r;
        survey->policy.config.incomplete |= etc < 0;
        policy_complain(&survey->policy, survey->roots->sysfs, on_complaint, &complaints);
        return complaints.error;
}

/**
 * survey_init() - look which GPUs there are, and what is said of them
 * @survey:     to initialise; survey_deinit() it
 * @roots:      of the machine; outlives @survey
 *
 * Return: 0 on success, negative error code on failure.
 */
int survey_init(Survey *survey, Roots *roots) {
        int r;

        *survey = (Survey){ .roots = roots };
        r = modules_new_for(roots, &survey->modules);
        if (r >= 0)
                r = read_policy(survey);
        if (r >= 0)
                r = inventory_init(&survey->inventory, roots);
        if (r < 0)
                survey_deinit(survey);
        return r;
}

/* Have a GPU of the inventory looked at, once. Return: 0, or a negative error code. */
int survey_add(Survey *survey, Gpu *gpu) {
        SurveyGpu *more;

        for (size_t i = 0; i < survey->n_gpus; ++i)
                if (survey->gpus[i].gpu == gpu)
                        return 0;
        more = reallocarray(survey->gpus, survey->n_gpus + 1, sizeof(*more));
        if (!more)
                return -ENOMEM;
        survey->gpus = more;
        more[survey->n_gpus++] = (SurveyGpu){ .gpu = gpu };
        return 0;
}

/* the way there and back */

static const Move *find_move(const Move *moves, size_t n, const Gpu *gpu) {
        for (size_t i = 0; i < n; ++i)
                if (moves[i].gpu == gpu)
                        return &moves[i];
        return NULL;
}

/* As `switch --dry-run` does it. */
static int preview(Survey *survey, Mode to, Gpu **gpus, size_t n, Move **ret) {
        const SwitchRequest request = { .to = to, .gpus = gpus, .n_gpus = n };
        SwitchResult result;

        return switch_preview(&survey->context, &request, ret, &result);
}

static PreflightInput preflight_of(const Survey *survey, const Gpu *gpu) {
        return (PreflightInput){
                .roots = survey->roots,
                .gpu = gpu,
                .to = MODE_PASSTHROUGH,
                .moving = (const Gpu *const *) survey->there,
                .n_moving = survey->n_gpus,
                .displays = &survey->inventory.displays,
                .allow_display = policy_allows_display(&survey->policy, gpu),
                .is_passive = true,
        };
}

/*
 * One that is with vfio already needs no permission to go there, but a guest has the same preconditions;
 * and what cannot move for one of these may be in use as well.
 */
static int look_further(Survey *survey) {
        _cleanup_(freep) PreflightInput *inputs = calloc(survey->n_gpus ?: 1, sizeof(*inputs));
        _cleanup_(freep) Findings **findings = calloc(survey->n_gpus ?: 1, sizeof(*findings));
        size_t n = 0;
        int r = 0;

        if (!inputs || !findings)
                return -ENOMEM;
        for (size_t i = 0; i < survey->n_gpus && r >= 0; ++i) {
                SurveyGpu *gpu = &survey->gpus[i];
                const PreflightInput input = preflight_of(survey, gpu->gpu);

                if (findings_are_stuck(gpu->found))
                        continue;
                if (gpu->gpu->mode == MODE_PASSTHROUGH) {
                        r = preflight_preconditions(&input, &gpu->more);
                } else if (gpu->found->n > 0 && !findings_are_busy(gpu->found)) {
                        inputs[n] = input;
                        findings[n++] = &gpu->more;
                }
        }
        return r < 0 ? r : preflight_holders_of_all(inputs, n, findings);
}

/* A driver of the host's that has it is the way back. */
static bool is_at_home(const Survey *survey, const Gpu *gpu) {
        const char *driver = gpu->functions[0].driver;

        return driver && !driver_is_inert(survey->roots->sysfs, driver);
}

static int look_at_moves(Survey *survey) {
        int r;

        survey->context = (SwitchContext){
                .roots = survey->roots,
                .modules = survey->modules,
                .is_passive = true,
        };
        survey->there = calloc(survey->n_gpus, sizeof(*survey->there));
        survey->back = calloc(survey->n_gpus, sizeof(*survey->back));
        if (!survey->there || !survey->back)
                return -ENOMEM;
        for (size_t i = 0; i < survey->n_gpus; ++i)
                survey->there[i] = survey->gpus[i].gpu;

        r = preview(survey, MODE_PASSTHROUGH, survey->there, survey->n_gpus, &survey->to_guest);
        for (size_t i = 0; i < survey->n_gpus && r >= 0; ++i) {
                SurveyGpu *gpu = &survey->gpus[i];

                gpu->guest = find_move(survey->to_guest, survey->n_gpus, gpu->gpu);
                gpu->found = &gpu->guest->findings;
                if (!is_at_home(survey, gpu->gpu) && !findings_are_stuck(gpu->found))
                        survey->back[survey->n_back++] = gpu->gpu;
        }
        if (r >= 0)
                r = look_further(survey);
        if (r >= 0 && survey->n_back > 0)
                r = preview(survey, MODE_HOST, survey->back, survey->n_back, &survey->to_host);
        for (size_t i = 0; i < survey->n_gpus && r >= 0; ++i)
                survey->gpus[i].home =
                                find_move(survey->to_host, survey->n_back, survey->gpus[i].gpu);
        return r;
}

static int look_at_wish(Survey *survey, SurveyGpu *gpu) {
        int r;

        r = runtime_init(&gpu->runtime, survey->roots, gpu->gpu);
        if (r < 0 || findings_are_stuck(gpu->found))
                return r;
        r = policy_look_and_decide(&survey->policy, survey->roots, gpu->gpu, 0, &gpu->decision);
        /* That a claim cannot be seen leaves the decision as it is. */
        if (r < 0 || gpu->decision.source != POLICY_UNSURE)
                return r < 0 ? r : 0;
        return policy_describe_card(&survey->policy, gpu->gpu, &gpu->doubt);
}

/* the next boot */

static const char *find_host_driver(const Survey *survey, const SurveyGpu *gpu) {
        const PlanFunction *display;

        if (is_at_home(survey, gpu->gpu))
                return gpu->gpu->functions[0].driver;
        if (!gpu->home || !gpu->home->facts.overrides)
                return NULL;
        display = &gpu->home->facts.input.functions[0];
        return display->n_homes > 0 ? display->homes[0].driver : NULL;
}

static int look_at_boot(const Survey *survey, SurveyGpu *gpu) {
        Decision decision;
        int r;

        r = policy_look_and_decide(
                        &survey->policy, survey->roots, gpu->gpu, DECISION_AT_BOOT, &decision);
        if (r < 0)
                return r;
        gpu->boots_to_guest = decision.mode == MODE_PASSTHROUGH;
        gpu->host_driver = find_host_driver(survey, gpu);
        if (!gpu->boots_to_guest)
                return traces_init(&gpu->traces, survey->roots, gpu->gpu);
        return gpu->host_driver ? initramfs_find(survey->roots, gpu->host_driver, &gpu->initramfs)
                                : 0;
}

/* what sysfs says of the hardware, without asking that */

/* "0x00000000fee00000 0x00000000feefffff msi" (drivers/iommu/iommu.c: iommu_group_show_resv_regions()) */
static int look_at_regions(Sysfs *sysfs, SurveyGpu *gpu) {
        _cleanup_(freep) char *path = NULL, *regions = NULL;
        int r;

        path = text_format("kernel/iommu_groups/%d/reserved_regions",
                        gpu->gpu->functions[0].iommu_group);
        if (!path)
                return -ENOMEM;
        r = sysfs_read(sysfs, path, &regions);
        if (r)
                return r == -ENOMEM ? r : 0;
        for (char *rest = regions, *line; (line = strsep(&rest, "\n"));)
                gpu->is_mapped |= text_ends_with(line, " direct");
        return 0;
}

static int look_at_hardware(Sysfs *sysfs, SurveyGpu *gpu) {
        char path[DEVICE_PATH_MAX];
        int r;

        r = sysfs_read(sysfs, device_path(gpu->gpu->address, "reset_method", path), &gpu->reset);
        return r == -ENOMEM ? r : look_at_regions(sysfs, gpu);
}

/* Of one that is stuck, nothing more. */
static int look_at_gpu(Survey *survey, SurveyGpu *gpu) {
        int r;

        r = look_at_wish(survey, gpu);
        if (r < 0 || findings_are_stuck(gpu->found))
                return r;
        r = look_at_boot(survey, gpu);
        return r < 0 ? r : look_at_hardware(survey->roots->sysfs, gpu);
}

/* the machine */

static int look_at_arguments(Survey *survey) {
        _cleanup_(freep) char *line = NULL;
        int r;

        r = file_read(survey->roots->proc_fd, "cmdline", KERNEL_LINE_MAX, &line, NULL);
        if (r)
                return r == -ENOMEM ? r : 0;
        for (char *rest = line, *word; r == 0 && (word = strsep(&rest, " \n"));) {
                /* The rest is for init. */
                if (!strcmp(word, "--"))
                        break;
                if (text_starts_with(word, "pcie_acs_override=", NULL) && !survey->acs_override)
                        r = text_copy(word, &survey->acs_override);
                if ((!strcmp(word, "nointremap") || !strcmp(word, "intremap=off")) &&
                                !survey->no_remapping)
                        r = text_copy(word, &survey->no_remapping);
        }
        return r;
}

/* Bit 3 of the extended capabilities (drivers/iommu/intel/iommu.h: ecap_ir_support()). */
static int look_at_remapping(Survey *survey) {
        Sysfs *sysfs = survey->roots->sysfs;
        _cleanup_(strv_freep) char **units = NULL;
        size_t n = 0;
        int r;

        r = sysfs_list(sysfs, "class/iommu", &units, &n);
        for (size_t i = 0; i < n && r == 0; ++i) {
                _cleanup_(freep) char *path = NULL;
                uint64_t capabilities;

                path = text_format("class/iommu/%s/intel-iommu/ecap", units[i]);
                if (!path)
                        return -ENOMEM;
                if (sysfs_read_uint(sysfs, path, 16, UINT64_MAX, &capabilities) != 0)
                        continue;
                if (capabilities & 1U << 3)
                        ++survey->n_remapping;
                else
                        ++survey->n_not_remapping;
        }
        return r == -ENOMEM ? r : 0;
}

static bool is_on(Sysfs *sysfs, const char *parameter) {
        _cleanup_(freep) char *value = NULL;

        return sysfs_read(sysfs, parameter, &value) == 0 && value[0] == 'Y';
}

static int look_for_leftovers(Survey *survey) {
        static const char *const files[] = {
                "etc/modprobe.d/nvidia-passthrough-blacklist.conf",
                "etc/modprobe.d/vfio-passthrough.conf",
                "etc/modules-load.d/vfio-passthrough.conf",
                "etc/systemd/system/nvidia-passthrough.service",
        };
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(files) && r >= 0; ++i)
                if (file_exists_within(survey->roots->root_fd, files[i]))
                        r = strv_push(&survey->leftovers, &survey->n_leftovers, files[i]);
        return r;
}

static int look_at_files(Survey *survey) {
        int r = 0;

        for (InstalledFile i = 0; i < _INSTALLED_MAX && r >= 0; ++i)
                r = installed_find(survey->roots->root_fd, i, &survey->installed[i]);
        if (r >= 0)
                r = obstacle_find_script(
                                survey->roots, survey->modules, "vfio_pci", &survey->script);
        return r < 0 ? r : look_for_leftovers(survey);
}

static void look_at_settings(Survey *survey) {
        Sysfs *sysfs = survey->roots->sysfs;

        /* A unit that runs has a control group; that of systemd's own is one of several on older machines. */
        survey->has_cgroups = sysfs_exists(sysfs, "fs/cgroup/system.slice") ||
                        sysfs_exists(sysfs, "fs/cgroup/systemd/system.slice");
        survey->agent_runs = sysfs_exists(sysfs, "fs/cgroup/system.slice/" VFIOPT_UNIT_AGENT) ||
                        sysfs_exists(sysfs, "fs/cgroup/systemd/system.slice/" VFIOPT_UNIT_AGENT);
        survey->trusts_interrupts =
                        is_on(sysfs, "module/vfio_iommu_type1/parameters/allow_unsafe_interrupts");
        survey->has_noiommu = is_on(sysfs, "module/vfio/parameters/enable_unsafe_noiommu_mode");
}

/* What could keep a GPU from being there at all. */
static int look_for_absence(Survey *survey) {
        const RuleDevice any = {};
        int r;

        if (survey->inventory.n_gpus > 0)
                return 0;
        r = rule_find_remover(survey->roots->root_fd, &any, &survey->remover);
        return r < 0 ? r : trace_find_switch(survey->roots->sysfs, &survey->switch_off);
}

static int look_for_container(Survey *survey) {
        static const char *const files[] = { "run/systemd/container", "run/.containerenv",
                ".dockerenv" };

        for (size_t i = 0; i < ARRAY_SIZE(files); ++i)
                if (file_exists_within(survey->roots->root_fd, files[i]))
                        return text_copy(files[i], &survey->container);
        return 0;
}

/* One line is the same for all of them; where there is none it is not known. */
static int look_at_processor(Survey *survey) {
        _cleanup_(freep) char *text = NULL;
        int r;

        r = file_read(survey->roots->proc_fd, "cpuinfo", CPUINFO_MAX, &text, NULL);
        if (r)
                return r == -ENOMEM ? r : 0;
        for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
                if (text_starts_with(line, "flags\t", NULL))
                        return text_copy(line, &survey->processor);
        return 0;
}

static int look_at_machine(Survey *survey) {
        int r;

        survey->has_kvm = faccessat(survey->roots->dev_fd, "kvm", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
        r = look_for_container(survey);
        if (r >= 0)
                r = look_at_processor(survey);
        if (r >= 0)
                r = iommu_find_cause(survey->roots, &survey->iommu, &survey->iommu_argument);
        if (r >= 0)
                r = look_for_absence(survey);
        if (r >= 0)
                r = look_at_arguments(survey);
        if (r >= 0)
                r = look_at_remapping(survey);
        if (r >= 0)
                r = look_at_files(survey);
        look_at_settings(survey);
        return r;
}

/**
 * survey_look() - look at the machine, and at all GPUs that were added
 *
 * Takes as long as a few scans for holders, and ten seconds more for each GPU about which the kernel does not
 * answer.
 *
 * Return: 0 on success, negative error code on failure.
 */
int survey_look(Survey *survey) {
        int r;

        r = look_at_machine(survey);
        if (r >= 0 && survey->n_gpus > 0)
                r = look_at_moves(survey);
        for (size_t i = 0; i < survey->n_gpus && r >= 0; ++i)
                r = look_at_gpu(survey, &survey->gpus[i]);
        return r;
}
