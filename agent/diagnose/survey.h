/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Survey
 *
 * All that check.h judges, looked at once: what a switch to passthrough would find of each GPU, what
 * one back to the host would, and what the machine says of itself. It reads only. No device node is
 * opened and no sleeping GPU is woken; what only that would tell is not known here.
 */

#include "diagnose/installed.h"
#include "diagnose/trace.h"
#include "os/initramfs.h"
#include "probe/iommu.h"
#include "switch/switch.h"

typedef struct SurveyGpu {
        Gpu *gpu;
        Runtime runtime;
        Decision decision;       /* where it belongs from now on */
        char *doubt;             /* why nothing that is remembered applies to it; or NULL */
        const Findings *found;   /* in the way of passthrough */
        Findings more;           /* likewise, of what a switch would come to later, or not at all */
        const Move *guest;       /* the way there, as it was prepared */
        const Move *home;        /* and back; NULL: a driver of the host's has it */
        bool boots_to_guest;     /* it belongs in passthrough from the boot on */
        const char *host_driver; /* that has it, or would have it at the host; or NULL */
        Initramfs initramfs;     /* what has that loaded there; of one that boots to a guest */
        Traces traces;           /* of one that does not */
        char *reset;             /* how the kernel can reset function 0; or NULL */
        bool is_mapped;          /* the firmware wants memory of its group at fixed places */
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
        char *container; /* the file that says so; or NULL */
        char *processor; /* the line of /proc/cpuinfo that lists what it can do; or NULL */
        bool has_kvm;
        char *script;     /* the line that is run in the place of vfio_pci; or NULL */
        char **leftovers; /* files that older tools have left */
        size_t n_leftovers;
        Installed installed[_INSTALLED_MAX];
        bool has_cgroups, agent_runs;
        bool trusts_interrupts, has_noiommu; /* settings of vfio's that protect nothing */
        char *acs_override, *no_remapping;   /* such an argument of the kernel's; or NULL */
        size_t n_remapping;                  /* Intel's IOMMUs that isolate interrupts */
        size_t n_not_remapping;              /* and those that do not */
        const char *switch_off;              /* the switch of a laptop, static; or NULL */
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
