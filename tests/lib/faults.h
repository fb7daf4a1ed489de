/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Faults
 *
 * What goes wrong in a fake machine, and the record of what was asked of it.
 */

#include "lib/machine.h"

/* One act of the kernel: a write to sysfs taken apart, or a module's load. */
typedef struct Act {
        ActKind kind;
        const char *path;
        const char *value;
        char driver[MACHINE_NAME_MAX]; /* or module */
        char device[MACHINE_NAME_MAX];
        bool blocks; /* meets the gate in the driver's code */
} Act;

struct FakeTree;
typedef int (*ActFn)(struct FakeTree *tree, const Act *act);

int faults_act(struct FakeTree *tree, Act *act, ActFn fn);
int faults_of_probe(Machine *machine, const char *driver, const char *device);

/* for tests: faults_add(machine, .kind = FAULT_ANSWER, .at = 3, .error = -EIO) */

#define faults_add(machine, ...) faults_push(machine, &(Fault){ __VA_ARGS__ })
void faults_push(Machine *machine, const Fault *fault);
void faults_clear(Machine *machine);
void writes_clear(Machine *machine);
unsigned int writes_count(Machine *machine, ActKind kind);

/* children, also those that were abandoned and came to us as orphans */

void wait_for_children(void);

/* the gate */

/* Where not negative: an eventfd that is raised when this process has to wait. */
extern int machine_blocked_fd;

void machine_count_blocked(Machine *machine);
void machine_meet_gate(Machine *machine);
void machine_open_gate(Machine *machine);
bool machine_wait_blocked(Machine *machine, int n);

/* users of a device */

void device_hold(MachineDevice *device);
void device_let_go(MachineDevice *device);
void device_wait_for_users(Machine *machine, MachineDevice *device);
