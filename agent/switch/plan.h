/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Plans
 *
 * What to write where, and in which order, to bring a GPU to a mode: plain data, computed
 * from plain data. `--dry-run` prints it, tests compare it, a move carries it out.
 *
 * Functions of a card do not wait for each other in the kernel: its lock is one for each device.
 * So siblings are unbound at the same time, and bound to drivers of the host at the same time.
 * Function 0 has its own turn.
 *
 * A plan starts from wherever the GPU is, so the same function makes the plan of a move, of
 * its rollback, and of the recovery after a crash.
 */

#include "model/host-driver.h"
#include "record/gpu-record.h"

typedef enum StepKind {
        STEP_LOAD,          /* load module or alias .value, and what it needs */
        STEP_HOLD_GROUP,    /* open the node of group .number: it fails while a guest runs,
                             * and while we hold it none can start */
        STEP_OVERRIDE,      /* set driver_override to .value, or clear it (NULL) */
        STEP_CHECK,         /* look for holders once more: the last chance to stop */
        STEP_UNBIND,        /* from driver .value */
        STEP_BIND,          /* to driver .value by name, unless it is there already */
        STEP_VERIFY,        /* driver is .value (NULL: any but vfio), its node is there */
        STEP_SETTLE,        /* wait until driver .value has finished its probe */
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
        char *module;  /* whose driver .value is believed to be; NULL: it is that for sure */
        char *script;  /* of a load: the install line that is not run in the place of it; or NULL */
        bool optional; /* without it the move is still good: failure is a warning */
        bool along;    /* may be at work at the same time as the step before it */
        uint8_t candidate; /* from 1: of the drivers that may bind function 0, the first that does
                            * ends the steps of the others; 0: there is one only */
} Step;

typedef struct Plan {
        Step *steps; /* none if there is nothing to do */
        size_t n_steps;
        FunctionSet functions; /* which it is about */
        bool leaves_host;      /* a host driver loses a function */
} Plan;

#define PLAN_NULL \
        {}

/* One function, as far as a plan has to know it. Strings are borrowed. */
typedef struct PlanFunction {
        Address address;
        int iommu_group;
        const char *modalias;
        const char *driver; /* now; or NULL */
        bool on_vfio;
        bool on_stub;         /* pci-stub or the like has it */
        const char *override; /* now; or NULL */
        bool override_is_vfio;
        const HostFunction *host;      /* how it was on the host; NULL: not known */
        const HostDriver *homes;       /* its drivers on the host, best first, with no obstacle */
        size_t n_homes;                /* none: none is known, or it is to have none */
        const HostDriver *passed_over; /* the best one would not load; or NULL */
        bool stays_idle;               /* its owner keeps all drivers from it */
        const char *parked; /* the override that it keeps at home, as no driver takes it; or NULL */
        bool allows_d3cold; /* now */
        bool interrupted;   /* a move that was about it was interrupted */
} PlanFunction;

typedef struct PlanInput {
        Address gpu;
        Mode to;
        PlanFunction functions[8]; /* by number, ascending; without those that are not to move */
        size_t n_functions;
        bool is_of_no_use; /* without a driver or on a stub, and it shall have one at the host */
        bool keeps_awake;  /* it is not to come to D3cold with vfio */
        bool looked; /* for holders, just now, and nothing but the overrides will be written first */
        const char *vfio_driver;   /* the one for function 0; "vfio-pci" for its siblings */
        char *const *vfio_modules; /* to be loaded for it first, NULL-terminated, or NULL */
        const char *vfio_script;   /* the install line for vfio_pci, if it has something else run */
} PlanInput;

/* plans */

int plan_init(Plan *plan, const PlanInput *input) _warn_unused_result_;
void plan_deinit(Plan *plan);

/* words */

const char *step_kind_to_string(StepKind kind);
int step_describe(const Step *step, char **ret) _warn_unused_result_;
