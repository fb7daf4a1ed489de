/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The Fake Machine
 *
 * What a kernel knows and sysfs does not show, shared with forked children.
 */

#include <stdatomic.h>
#include <sys/types.h>

#include "base/macro.h"

#define MACHINE_NAME_MAX  32
#define MACHINE_MATCH_MAX 64

typedef struct MachineDriver {
        char name[MACHINE_NAME_MAX];
        char module[MACHINE_NAME_MAX];
        char match[4][MACHINE_MATCH_MAX]; /* globs on the modalias: its id table */
        bool is_vfio;                     /* hands devices to user space */
        bool is_nvidia;                   /* keeps /proc/driver/nvidia */
        bool shares_dma;                  /* driver_managed_dma */
        bool waits;                       /* remove() waits for users, without end */
        bool goes_on;                     /* behind its probe(), with a sound card at the end */
        char refuses[MACHINE_NAME_MAX];   /* the device that its probe() does not take; or none */
} MachineDriver;

typedef struct MachineModule {
        char name[MACHINE_NAME_MAX];
        char aliases[4][MACHINE_MATCH_MAX]; /* globs on what is looked up */
        char needs[MACHINE_NAME_MAX];       /* a module that is loaded first */
        MachineDriver driver;               /* which it registers; no name: none */
        int error;                          /* its init fails with this, if negative */
        char version[MACHINE_NAME_MAX], release[MACHINE_NAME_MAX]; /* none: this kernel */
        bool is_blacklisted, is_unsigned, has_softdep, has_script, script_succeeds;
} MachineModule;

typedef struct MachineDevice {
        char address[MACHINE_NAME_MAX];
        char driver[MACHINE_NAME_MAX]; /* dev->driver: set until remove() is over */
        int group;                     /* 0: none */
        int minor;                     /* of NVIDIA's driver, -1 while it has none */
        bool is_gone;
        bool in_vfio_group; /* by its lock, while .driver changes around it */
        atomic_int users;   /* what remove() waits for; a futex */
} MachineDevice;

/* What a write is about. */
typedef enum ActKind {
        ACT_ANY,
        ACT_BIND,
        ACT_UNBIND,
        ACT_PROBE,
        ACT_OVERRIDE,
        ACT_POWER,
        ACT_D3COLD,
        ACT_LOAD, /* of a module */
        ACT_OTHER,
} ActKind;

typedef enum FaultKind {
        FAULT_ANSWER,      /* nothing happens but the answer .error */
        FAULT_PROBE,       /* the probe() of .driver on .device fails with .error */
        FAULT_BLOCK,       /* does not come back before machine_open_gate() */
        FAULT_KILL_BEFORE, /* the victim dies before it can be asked for */
        FAULT_KILL_DURING, /* the victim dies, and the orphan carries it out */
        FAULT_KILL_BLOCK,  /* the victim dies, and the orphan does not come back */
        FAULT_KILL_AFTER,  /* the victim dies before it learns the answer */
        FAULT_OFF_BUS,     /* just before, the device stops to answer */
        FAULT_UNPLUG,      /* just before, the device goes away with all functions of its slot */
} FaultKind;

/* Hits what agrees with all that is given. */
typedef struct Fault {
        FaultKind kind;
        unsigned int at;    /* the write with this number, from 1; 0: any */
        unsigned int since; /* that one and all behind it */
        unsigned int times; /* so often; 0: always */
        ActKind act;
        char driver[MACHINE_NAME_MAX];
        char device[MACHINE_NAME_MAX];
        int error;
        atomic_uint hits;
} Fault;

/* What was written. */
typedef struct MachineWrite {
        ActKind kind;
        char path[96];
        char value[96];
        int answer;     /* MACHINE_NO_ANSWER while it is at work */
        pid_t pid, job; /* the child that wrote, and whose child it is */
} MachineWrite;

#define MACHINE_NO_ANSWER 1
typedef struct Machine {
        MachineDevice devices[32];
        unsigned int n_devices;
        MachineDriver drivers[16]; /* in the order in which they were registered */
        unsigned int n_drivers;
        MachineModule modules[16];
        unsigned int n_modules;
        atomic_bool group_owned[64]; /* a user owns the group's DMA: a guest runs */
        atomic_uint n_clashes;       /* how often nvidia had function 0 while vfio had function 1 */
        bool override_locks; /* driver_override takes the device lock, as it did to Linux 6.12 */
        pid_t victim;        /* whom the FAULT_KILL_* hit */
        Fault faults[8];
        unsigned int n_faults;
        atomic_int gate;      /* 1: open. A futex */
        atomic_int n_blocked; /* how many had to wait, so far. A futex */
        MachineWrite writes[1024];
        atomic_uint n_writes;
} Machine;
Machine *machine_new(void);
Machine *machine_free(Machine *machine);
MachineDevice *machine_find_device(Machine *machine, const char *address);
MachineDriver *machine_find_driver(Machine *machine, const char *name);
MachineModule *machine_find_module(Machine *machine, const char *name);
