/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Plans
 *
 * What to write where, and in which order, to bring a GPU to a mode: plain data,
 * computed from facts without touching anything. `--dry-run` prints it, tests
 * compare it, the transaction carries it out.
 */

#include "model/gpu.h"
#include "record/origin.h"

typedef enum StepKind {
        STEP_LOAD,       /* load the modules for alias or module .value */
        STEP_HOLD_GROUP, /* open the node of group .number, and keep it open */
        STEP_OVERRIDE,   /* set driver_override to .value, or clear it (NULL) */
        STEP_CHECK,      /* look for holders once more: the last chance to stop */
        STEP_UNBIND,     /* from driver .value */
        STEP_BIND,       /* to driver .value by name, unless it is there already */
        STEP_PROBE,      /* to whatever driver matches, if any */
        STEP_VERIFY,     /* driver is .value (NULL: none), and for vfio its node is there */
        STEP_POWER,      /* power/control to .value */
        STEP_D3COLD,     /* d3cold_allowed to .value */
        STEP_RELEASE_GROUP,
        _STEP_MAX,
} StepKind;

typedef struct Step {
        StepKind kind;
        Address function; /* of the GPU as a whole: its function 0 */
        int number;
        char *value;
        bool optional; /* failure is a warning */
} Step;

typedef struct Plan {
        Address gpu;
        Mode from;
        Mode to;
        Step *steps;
        size_t n_steps;
} Plan;

#define PLAN_NULL \
        {}

typedef struct PlanInput {
        const Gpu *gpu;
        Sysfs *sysfs;              /* only to tell which drivers are vfio's */
        char *const *overrides;    /* current one of each function, NULL for none */
        char *const *vfio_drivers; /* the best one for each function */
        const Origin *origin;      /* or NULL: not known */
        const char *host_driver;   /* for function 0 where the origin does not say */
        Mode to;
} PlanInput;

int plan_init(Plan *plan, const PlanInput *input) _warn_unused_result_;
void plan_deinit(Plan *plan);
const char *step_kind_to_string(StepKind kind);
int step_describe(const Step *step, char **ret) _warn_unused_result_;
