/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Plans
 *
 * What to write where, and in which order, to bring a GPU to a mode: plain data,
 * computed from facts without touching anything. `--dry-run` prints it, tests
 * compare it, the transaction carries it out.
 *
 * A plan starts from wherever the GPU is, so the same function makes the plan of
 * a switch, of its rollback, and of the recovery after a crash.
 */

#include "model/gpu.h"
#include "record/origin.h"

typedef enum StepKind {
        STEP_LOAD,          /* load module or alias .value, and what it needs */
        STEP_HOLD_GROUP,    /* open the node of group .number: it fails while a guest runs,
                             * and while we hold it none can start */
        STEP_OVERRIDE,      /* set driver_override to .value, or clear it (NULL) */
        STEP_CHECK,         /* look for holders once more: the last chance to stop */
        STEP_UNBIND,        /* from driver .value */
        STEP_BIND,          /* to driver .value by name, unless it is there already */
        STEP_PROBE,         /* to whatever driver matches, if any */
        STEP_VERIFY,        /* driver is .value (NULL: any but vfio), its node is there */
        STEP_SETTLE,        /* wait until driver .value is through with its probe */
        STEP_POWER,         /* power/control to .value */
        STEP_D3COLD,        /* d3cold_allowed to .value */
        STEP_RELEASE_GROUP, /* close what STEP_HOLD_GROUP opened */
        _STEP_MAX,
} StepKind;

typedef struct Step {
        StepKind kind;
        Address function; /* function 0 where it is about the GPU as a whole */
        int number;       /* of the IOMMU group */
        char *value;
        bool optional; /* without it the switch is still good: failure is a warning */
} Step;

typedef struct Plan {
        Address gpu;
        Mode from;
        Mode to;
        Step *steps; /* none if there is nothing to do */
        size_t n_steps;
} Plan;

#define PLAN_NULL \
        {}

typedef struct PlanInput {
        const Gpu *gpu;
        Sysfs *sysfs;              /* to tell which drivers exist, and which are vfio's */
        char *const *overrides;    /* current one of each function, NULL for none */
        const char *vfio_driver;   /* the one for function 0; "vfio-pci" for its siblings */
        char *const *vfio_modules; /* to be loaded for them first, NULL-terminated, or NULL */
        const Origin *origin;      /* what it was like on the host, or NULL: not known */
        FunctionSet unfinished;    /* which a switch was about that was cut off */
        const char *host_driver;   /* for function 0 where the origin does not say, or NULL */
        Mode to;
} PlanInput;

/* plans */

int plan_init(Plan *plan, const PlanInput *input) _warn_unused_result_;
void plan_deinit(Plan *plan);
FunctionSet plan_functions(const Plan *plan);
bool plan_unbinds_host(const Plan *plan, Sysfs *sysfs);

/* words */

const char *step_kind_to_string(StepKind kind);
int step_describe(const Step *step, char **ret) _warn_unused_result_;
