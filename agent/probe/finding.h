/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Findings
 *
 * Reasons why a GPU must not move now, as evidence: which process, which node, which
 * function. And the same in words.
 */

#include <sys/types.h>

#include "base/text.h"
#include "model/gpu.h"
#include "os/owner.h"
#include "probe/iommu.h"

typedef enum FindingKind {
        /* A precondition does not hold: waiting does not help (exit code 4). */
        FINDING_NO_IOMMU,     /* the function is in no IOMMU group */
        FINDING_UNSAFE_IOMMU, /* the group is one of noiommu mode */
        FINDING_GROUP_MEMBER, /* .other, of driver .detail, shares the group .number; no .detail: no PCI device, .carries its name */
        FINDING_OTHER_CARD, /* not the card that was here; that is at .other now if .number is set; else
                               * .detail is its id if that differs, and .other was its address */
        FINDING_VIRTUAL, /* .number virtual functions exist on it, and mediated devices .detail; or neither,
                          * and .has_instances */
        FINDING_BOOT_DISPLAY, /* the firmware's and console's display, or .is_last, beside .number others */
        FINDING_DISPLAY_ACTIVE, /* the connector .detail is lit, maybe by the console alone */
        FINDING_CANNOT_RELEASE, /* driver version .detail with modeset cannot let one GPU go */
        FINDING_OFF_BUS, /* it does not answer, or not in time (.error is ETIMEDOUT); .detail is its power state */
        FINDING_FELL_OFF,       /* the kernel log says that it fell off the bus (Xid 79) */
        FINDING_NO_VFIO_DRIVER, /* there is no vfio-pci in this kernel; with .node as below */
        FINDING_NO_HOST_DRIVER, /* nothing known to bind the display function to; .node: the module that
                                 * would be, with obstacle .number at .detail */
        FINDING_CLASH, /* the module .detail, once loaded, would take the idle function .other of another GPU */
        FINDING_STUCK, /* an earlier .detail of .pid never came back; neither: an operation that is not ours */

        /* The GPU is in use: waiting or stopping that helps (exit code 3). */
        FINDING_HOLDER, /* .pid has .node open, or mapped */
        FINDING_CUDA,   /* UVM retains the GPU */
        FINDING_USB, /* the USB device .detail hangs on the card's own port; .needed: with a disk in use, or with the network .carries */
        FINDING_STARTED, /* the adapter is started, and no user was found */
        FINDING_UNKNOWN, /* .pid, or .node where that is 0, could not be looked into (.error); neither, and
                          * .error is ETIME: .number processes, or 0 for all */
        _FINDING_MAX,
} FindingKind;

typedef struct Finding {
        FindingKind kind;
        Address function; /* the function of ours that it is about */
        Address other;
        int number;
        int error; /* positive errno */
        char *detail;
        bool has_instances; /* the card is divided by MIG, too */
        IommuCause iommu;   /* why there is none; .detail is then the argument that turns it off */
        /* the member of a group */
        bool is_gpu;     /* it is a part of an NVIDIA GPU; .carries is not asked then */
        bool needed;     /* the host must not lose it; also of a USB device */
        char *carries;   /* what it is, and what the host would lose */
        char *gpus;      /* addresses of all NVIDIA GPUs of the group */
        bool is_console; /* the text console alone lights the connector */
        bool has_fbdev;  /* and it is nvidia-drm's, which can be told to do without */
        bool is_last;    /* of a display: no other one shows anything */
        /* the process */
        pid_t pid;
        uid_t uid;
        char *command;  /* process name */
        Owner owner;    /* what it belongs to */
        char *node;     /* like "/dev/nvidia0" */
        bool mapped;    /* a mapping of it is left, no open file */
        bool leads;     /* the manager of the machine has started it as the first of a service */
        bool serves;    /* a display, by what it has open */
        bool of_person; /* logind knows its session for one of a person's */
} Finding;

/* So many findings of processes are kept of a GPU, and the processes of the others counted. */
#define FINDINGS_PROCESSES_MAX 64U

typedef struct Findings {
        Finding *items;
        size_t n;
        size_t n_of_processes; /* of .items */
        size_t n_more;         /* processes that are not in .items */
        pid_t last_more;       /* the last one of them */
        char *hint; /* how all this came about, and what keeps it from coming about again; or NULL */
} Findings;

#define FINDINGS_NULL \
        {}

void findings_deinit(Findings *findings);
int findings_push(Findings *findings, const Finding *finding) _warn_unused_result_;
bool findings_have_room(const Findings *findings);
bool findings_are_busy(const Findings *findings);
bool findings_are_stuck(const Findings *findings);

/* words */

/* Templates, in which "@name@" stands for a fact of the finding. */
typedef struct Words {
        const char *sentence;
        const char *remedy;
} Words;

#define WORDS_NODE "@node@@mapped@"
#define WORDS_WHO  "@who@ (pid @pid@@place@)"

bool finding_is_busy(const Finding *finding);
bool finding_is_same_culprit(const Finding *a, const Finding *b);
Words words_choose(const Findings *findings, const Finding *finding);
int words_append(Text *out, const char *template, const Finding *finding, const Gpu *gpu, Mode to)
                _warn_unused_result_;
int words_append_printable(Text *out, const char *s) _warn_unused_result_;
int words_append_members(Text *out, const Findings *findings, const Finding *first, const Gpu *gpu)
                _warn_unused_result_;
int words_append_group_remedy(
                Text *out, const Findings *findings, const Finding *first, const Gpu *gpu, Mode to)
                _warn_unused_result_;
