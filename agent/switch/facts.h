/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Facts for a Plan
 *
 * What a plan needs to know beside the GPU itself: overrides, the best vfio
 * driver, what the GPU was like on the host.
 */

#include "os/module.h"
#include "os/roots.h"
#include "switch/plan.h"

typedef struct Facts {
        size_t n_functions;
        char **overrides;    /* one per function, NULL for none */
        char *vfio_driver;   /* for function 0, or NULL if this kernel has none */
        char **vfio_modules; /* still to be loaded for it, NULL-terminated */
        Origin origin;
        bool has_origin;
        bool fresh_origin;      /* read from sysfs just now, not from the record */
        FunctionSet unfinished; /* which a switch is about that is not finished, or was cut off */
        char *host_driver;      /* for function 0, where it is not remembered; or NULL */
} Facts;

#define FACTS_NULL \
        {}

enum {
        _FACTS_E_SUCCESS,

        FACTS_E_LATE, /* the kernel did not answer */
};

int facts_init(Facts *facts, Roots *roots, Modules *modules, const Gpu *gpu, Mode to)
                _warn_unused_result_;
void facts_deinit(Facts *facts);
int facts_plan(const Facts *facts, Sysfs *sysfs, const Gpu *gpu, Mode to, Plan *ret_plan)
                _warn_unused_result_;
