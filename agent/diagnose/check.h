/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Checks
 *
 * What `vfioptctl diagnose` goes through: each check is a function from what was seen to a verdict. It
 * looks at nothing itself.
 */

#include "diagnose/result.h"

/*
 * @gpu: NULL for a check of the machine. What it leaves at VERDICT_NONE is not told. Return: 0, or a negative
 * error code.
 */
typedef int (*CheckFn)(const Survey *survey, const SurveyGpu *gpu, Result *result);

/* the machine */

int check_container(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_processor(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_firmware(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_iommu(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_presence(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_files(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_kernel_line(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_unsafe(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_remapping(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_acs_override(const Survey *survey, const SurveyGpu *gpu, Result *result);

/* files, of ours and of others */

int check_rules(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_units(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_agent(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_script(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_leftovers(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_initramfs(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_traces(const Survey *survey, const SurveyGpu *gpu, Result *result);

/* GPUs */

int check_vfio_driver(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_group(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_bus(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_display(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_virtual(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_idle_functions(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_release(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_users(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_way_home(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_sides(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_regions(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_reset(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_wish(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_switches(const Survey *survey, const SurveyGpu *gpu, Result *result);
int check_memory(const Survey *survey, const SurveyGpu *gpu, Result *result);

/* all of them */

typedef struct Results {
        Result *items; /* in the order of the table, those of a GPU together */
        size_t n;
} Results;

int diagnose(const Survey *survey, Results *ret) _warn_unused_result_;
void results_deinit(Results *results);
Verdict results_worst(const Results *results);
int results_conclude(const Results *results, char **ret) _warn_unused_result_;
