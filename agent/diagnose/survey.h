/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Survey
 *
 * All that checks.h judges, looked at once: what a switch to passthrough would find of each GPU, what
 * one back to the host would, and what the machine says of itself. It reads only. No device node is
 * opened and no sleeping GPU is woken; what only that would tell is not known here.
 */

#include "probe/iommu.h"
#include "switch/switch.h"

typedef struct SurveyGpu {
        Gpu *gpu;
        Runtime runtime;
        Decision decision;     /* where it belongs from now on */
        char *doubt;           /* why nothing that is remembered applies to it; or NULL */
        const Findings *found; /* in the way of passthrough */
        Findings more;         /* likewise, of what a switch would come to later, or not at all */
        const Move *guest,
                        *home; /* there and back, as they were prepared; no .home: it is at the host */
} SurveyGpu;

typedef struct Survey {
        Roots *roots;
        Modules *modules;
        Policy policy;
        Inventory inventory;
        char **complaints; /* of our own files */
        size_t n_complaints;
        SurveyGpu *gpus; /* those that are asked about, by address or as they were named */
        size_t n_gpus;
        /* the machine */
        bool is_root;
        char *container; /* the file that says so; or NULL */
        char *processor; /* the line of /proc/cpuinfo that lists what it can do; or NULL */
        bool has_kvm;
        char *remover;    /* the rule that removes NVIDIA's cards from the bus; or NULL */
        IommuCause iommu; /* IOMMU_DEVICE: there are groups */
        char *iommu_argument;
        /* the moves behind .gpus */
        SwitchContext context;
        Gpu **there, **back;
        size_t n_back;
        Move *to_guest, *to_host;
} Survey;

int survey_init(Survey *survey, Roots *roots) _warn_unused_result_;
void survey_deinit(Survey *survey);
int survey_add(Survey *survey, Gpu *gpu) _warn_unused_result_;
int survey_look(Survey *survey) _warn_unused_result_;
