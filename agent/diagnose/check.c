/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Identifiers are a promise to users and their scripts: one that goes is not given to another check.
 */

#include "diagnose/check.h"
#include "base/text.h"

typedef struct Check {
        const char *id;
        const char *title;
        CheckFn fn;
        bool of_gpu;
} Check;

static const Check checks[] = {
        { "SY01", "surroundings", check_container, false },
        { "FW01", "virtualization by the processor", check_processor, false },
        { "FW02", "IOMMU in the firmware", check_firmware, false },
        { "KR01", "IOMMU in the kernel", check_iommu, false },
        { "KR03", "settings of VFIO", check_unsafe, false },
        { "KR05", "isolation of interrupts", check_remapping, false },
        { "GR02", "override of IOMMU groups", check_acs_override, false },
        { "UN01", "rules for udev", check_rules, false },
        { "UN02", "units", check_units, false },
        { "UN03", "agent", check_agent, false },
        { "MD02", "loading of vfio-pci", check_script, false },
        { "MD04", "leftovers of older tools", check_leftovers, false },
        { "CF01", "files of vfiopt", check_files, false },
        { "CF02", "word on the kernel's command line", check_kernel_line, false },
        { "DV01", "NVIDIA GPU", check_presence, false },
        { "SY02", "switches", check_switches, true },
        { "SY03", "remembered card", check_memory, true },
        { "DV09", "PCI bus", check_bus, true },
        { "GR01", "IOMMU group", check_group, true },
        { "KR06", "memory at fixed places", check_regions, true },
        { "KR07", "VFIO driver", check_vfio_driver, true },
        { "DV07", "reset", check_reset, true },
        { "DV12", "parts given away", check_virtual, true },
        { "DV05", "display", check_display, true },
        { "DV14", "idle functions of other GPUs", check_idle_functions, true },
        { "HU05", "release by NVIDIA's driver", check_release, true },
        { "HU01", "users", check_users, true },
        { "HO01", "way back to the host", check_way_home, true },
        { "IR02", "drivers in the initramfs", check_initramfs, true },
        { "MD03", "lines for vfio-pci", check_traces, true },
        { "DV02", "functions", check_sides, true },
        { "DV04", "mode", check_wish, true },
};

void results_deinit(Results *results) {
        for (size_t i = 0; i < results->n; ++i)
                result_deinit(&results->items[i]);
        free(results->items);
        *results = (Results){};
}

static int run(const Check *check, const Survey *survey, const SurveyGpu *gpu, Results *results) {
        Result *result = &results->items[results->n];
        int r;

        *result = (Result){ .id = check->id, .title = check->title, .gpu = gpu ? gpu->gpu : NULL };
        r = check->fn(survey, gpu, result);
        if (r < 0 || result->verdict == VERDICT_NONE)
                result_deinit(result);
        else
                ++results->n;
        return r;
}

/**
 * diagnose() - go through all checks
 * @survey:     of survey_look(); outlives @ret
 * @ret:        those that have something to say; results_deinit() it
 *
 * Return: 0 on success, negative error code on failure.
 */
int diagnose(const Survey *survey, Results *ret) {
        _cleanup_(results_deinit) Results results = {};
        int r = 0;

        results.items = calloc(ARRAY_SIZE(checks) * (survey->n_gpus + 1), sizeof(*results.items));
        if (!results.items)
                return -ENOMEM;
        for (size_t i = 0; i < ARRAY_SIZE(checks) && r >= 0; ++i)
                if (!checks[i].of_gpu)
                        r = run(&checks[i], survey, NULL, &results);
        for (size_t k = 0; k < survey->n_gpus; ++k)
                for (size_t i = 0; i < ARRAY_SIZE(checks) && r >= 0; ++i)
                        if (checks[i].of_gpu)
                                r = run(&checks[i], survey, &survey->gpus[k], &results);
        if (r < 0)
                return r;

        *ret = results;
        results = (Results){};
        return 0;
}

/* VERDICT_NONE of none. */
Verdict results_worst(const Results *results) {
        Verdict worst = VERDICT_NONE;

        for (size_t i = 0; i < results->n; ++i)
                if (results->items[i].verdict > worst)
                        worst = results->items[i].verdict;
        return worst;
}

/* Those with this verdict, and the first of them. */
static size_t count(const Results *results, Verdict verdict, const Result **ret_first) {
        size_t n = 0;

        for (size_t i = results->n; i-- > 0;) {
                if (results->items[i].verdict != verdict)
                        continue;
                *ret_first = &results->items[i];
                ++n;
        }
        return n;
}

/* What keeps all that fails from being mended; or NULL. */
static const Result *find_hopeless(const Results *results) {
        for (size_t i = 0; i < results->n; ++i)
                if (results->items[i].verdict == VERDICT_FAIL && !results->items[i].remedy)
                        return &results->items[i];
        return NULL;
}

/* What keeps it from being told; or NULL. */
static const Result *find_blind(const Results *results) {
        for (size_t i = 0; i < results->n; ++i)
                if (results->items[i].is_blind)
                        return &results->items[i];
        return NULL;
}

static const Result *find_use(const Results *results) {
        for (size_t i = 0; i < results->n; ++i)
                if (results->items[i].is_in_use && results->items[i].remedy)
                        return &results->items[i];
        return NULL;
}

/**
 * results_conclude() - can this machine give the GPUs to a guest?
 * @ret:        one line: yes, no and why, after which step, or why it is not known; free() it
 *
 * Return: 0 on success, -ENOMEM.
 */
int results_conclude(const Results *results, char **ret) {
        const Result *first = NULL, *hopeless = find_hopeless(results), *use = find_use(results);
        const Result *blind = find_blind(results);
        const size_t n_fail = count(results, VERDICT_FAIL, &first);

        if (hopeless)
                *ret = text_format("No: %s.", hopeless->summary);
        else if (n_fail == 1)
                *ret = text_format("After this step: %s.", first->remedy);
        else if (n_fail > 0)
                *ret = text_format("After %zu steps, of which the first is: %s.", n_fail,
                                first->remedy);
        else if (blind)
                *ret = text_format("Not known: %s.", blind->summary);
        else if (use)
                *ret = text_format("Yes, as soon as it is not in use: %s.", use->remedy);
        else if (count(results, VERDICT_UNKNOWN, &first) > 0)
                *ret = text_format("Yes, as far as can be seen.");
        else
                *ret = text_format("Yes.");
        return *ret ? 0 : -ENOMEM;
}
