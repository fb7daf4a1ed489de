/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Facts for a Plan
 *
 * Gathers what a plan has to know of a GPU and of the machine: overrides, the best vfio driver,
 * and where each function is at home. A record of how the GPU was on the host goes before a
 * guess; what is there now goes before both, where no move of it was interrupted.
 */

#include "model/gpu.h"
#include "os/module.h"
#include "os/roots.h"
#include "switch/plan.h"

typedef struct Facts {
        PlanInput input; /* points into the rest, into the GPU and into its record */
        char **overrides;
        size_t n_overrides;
        char *vfio_driver;      /* for function 0, or NULL if this kernel has none */
        char **vfio_modules;    /* still to be loaded for it, NULL-terminated */
        Obstacle vfio_obstacle; /* to the first of them; OBSTACLE_NONE without one */
        char *vfio_script;      /* an install line that has something else run with them; or NULL */
        HostDrivers homes[8];   /* of each function, on the way to the host */
        bool fresh_host;        /* the record says how it is on the host since just now */
} Facts;

#define FACTS_NULL \
        {}

/* How long the kernel may take to tell a driver_override. */
#define FACTS_LIMIT_USEC (10 * USEC_PER_SEC)

#define FACTS_LATE_REASON \
        "reading driver_override timed out: another operation on this GPU is stuck in the kernel"

enum {
        _FACTS_E_SUCCESS,

        FACTS_E_LATE, /* the kernel did not answer */
};

int facts_init(Facts *facts,
                Roots *roots,
                Modules *modules,
                const Gpu *gpu,
                Mode to,
                GpuRecord *record) _warn_unused_result_;
void facts_deinit(Facts *facts);
