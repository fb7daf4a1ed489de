/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Faults
 *
 * Every act passes through faults_act(): it is numbered, recorded, and hit by
 * the fault that is meant for it. The number is what makes "every failure point"
 * and "every crash point" a loop: count the writes of an undisturbed run, then
 * disturb the first, the second, and so on.
 *
 * Waiting is done on futexes in the shared page: a child has no file descriptors
 * left to wait on.
 */

#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "lib/fake-file.h"
#include "lib/fake-tree.h"
#include "lib/faults.h"

/* Far beyond what anything takes; so that a broken test fails instead of hanging. */
#define PATIENCE_SEC 60

static int futex_wait(atomic_int *word, int value) {
        struct timespec limit = { .tv_sec = PATIENCE_SEC };

        if (syscall(SYS_futex, word, FUTEX_WAIT, value, &limit, NULL, 0) < 0 && errno == ETIMEDOUT)
                return -ETIMEDOUT;
        return 0;
}

static void futex_wake(atomic_int *word) {
        (void) syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

int machine_blocked_fd = -1;

void machine_count_blocked(Machine *machine) {
        atomic_fetch_add(&machine->n_blocked, 1);
        futex_wake(&machine->n_blocked);
        if (machine_blocked_fd >= 0 && eventfd_write(machine_blocked_fd, 1) < 0)
                fake_fail("tell", "that we wait");
}

/* Wait in here until the gate is opened. There is no limit: the kernel has none. */
void machine_meet_gate(Machine *machine) {
        machine_count_blocked(machine);
        while (atomic_load(&machine->gate) == 0)
                (void) futex_wait(&machine->gate, 0);
}

/* Let go whatever waits at the gate, now and from now on. */
void machine_open_gate(Machine *machine) {
        atomic_store(&machine->gate, 1);
        futex_wake(&machine->gate);
}

/* Wait until @n writes in all have come to the gate, or to a lock that another holds. */
bool machine_wait_blocked(Machine *machine, int n) {
        int now;

        while ((now = atomic_load(&machine->n_blocked)) < n)
                if (futex_wait(&machine->n_blocked, now) < 0)
                        return false;
        return true;
}

void device_hold(MachineDevice *device) {
        atomic_fetch_add(&device->users, 1);
}

void device_let_go(MachineDevice *device) {
        atomic_fetch_sub(&device->users, 1);
        futex_wake(&device->users);
}

void device_wait_for_users(Machine *machine, MachineDevice *device) {
        int n;

        if (atomic_load(&device->users) > 0)
                machine_count_blocked(machine);
        while ((n = atomic_load(&device->users)) > 0)
                (void) futex_wait(&device->users, n);
}

void wait_for_children(void) {
        while (wait(NULL) > 0 || errno == EINTR)
                ;
}

void faults_push(Machine *machine, const Fault *fault) {
        Fault *slot = &machine->faults[machine->n_faults];

        if (machine->n_faults >= ARRAY_SIZE(machine->faults)) {
                errno = ENOSPC;
                fake_fail("add", "another fault");
        }
        memcpy(slot, fault, sizeof(*slot));
        ++machine->n_faults;
        if (fault->kind == FAULT_BLOCK || fault->kind == FAULT_KILL_BLOCK)
                atomic_store(&machine->gate, 0);
}

void faults_clear(Machine *machine) {
        machine->n_faults = 0;
        machine->victim = 0;
}

void writes_clear(Machine *machine) {
        atomic_store(&machine->n_writes, 0);
}

/* How many acts of a kind there were; ACT_ANY for all. */
unsigned int writes_count(Machine *machine, ActKind kind) {
        unsigned int n = 0, n_writes = atomic_load(&machine->n_writes);

        for (unsigned int i = 0; i < n_writes; ++i)
                n += kind == ACT_ANY || machine->writes[i].kind == kind;
        return n;
}

static bool fault_agrees(Fault *fault, unsigned int number, const Act *act) {
        return (!fault->at || fault->at == number) && fault->since <= number &&
                        (!fault->act || fault->act == act->kind) &&
                        (!fault->driver[0] || !strcmp(fault->driver, act->driver)) &&
                        (!fault->device[0] || !strcmp(fault->device, act->device));
}

static bool fault_hits(Fault *fault) {
        return atomic_fetch_add(&fault->hits, 1) < fault->times || fault->times == 0;
}

static Fault *fault_find(Machine *machine, unsigned int number, const Act *act) {
        for (unsigned int i = 0; i < machine->n_faults; ++i) {
                Fault *fault = &machine->faults[i];

                if (fault->kind != FAULT_PROBE && fault_agrees(fault, number, act) &&
                                fault_hits(fault))
                        return fault;
        }
        return NULL;
}

/* Does the probe() of a driver fail on a device? Return: 0, or the negative errno. */
int faults_of_probe(Machine *machine, const char *driver, const char *device) {
        for (unsigned int i = 0; i < machine->n_faults; ++i) {
                Fault *fault = &machine->faults[i];

                if (fault->kind == FAULT_PROBE &&
                                (!fault->driver[0] || !strcmp(fault->driver, driver)) &&
                                (!fault->device[0] || !strcmp(fault->device, device)) &&
                                fault_hits(fault))
                        return fault->error;
        }
        return 0;
}

/* End the process whose child we are, and return when it is really gone. */
static void kill_victim(Machine *machine) {
        struct pollfd fds = { .events = POLLIN };

        if (machine->victim <= 0 || getppid() != machine->victim)
                return;

        fds.fd = pidfd_open(machine->victim, 0);
        if (fds.fd < 0 || kill(machine->victim, SIGKILL) < 0)
                fake_fail("kill", "the victim");
        while (poll(&fds, 1, -1) < 0)
                ;
        close(fds.fd);
}

static int act_with(FakeTree *tree, Act *act, ActFn fn, const Fault *fault) {
        int r;

        switch (fault->kind) {
        case FAULT_ANSWER:
                return fault->error;
        case FAULT_BLOCK:
                act->blocks = true;
                break;
        case FAULT_KILL_BEFORE:
                kill_victim(tree->machine);
                _exit(0);
        case FAULT_KILL_DURING:
                kill_victim(tree->machine);
                break;
        case FAULT_KILL_BLOCK:
                kill_victim(tree->machine);
                act->blocks = true;
                break;
        case FAULT_OFF_BUS:
                fake_device_drop(tree, act->device);
                break;
        case FAULT_UNPLUG:
                fake_slot_remove(tree, act->device);
                break;
        case FAULT_KILL_AFTER:
        case FAULT_PROBE:
                break;
        }

        r = fn(tree, act);
        if (fault->kind == FAULT_KILL_AFTER)
                kill_victim(tree->machine);
        return r;
}

/* Number, record and carry out an act, unless a fault has it otherwise. */
int faults_act(FakeTree *tree, Act *act, ActFn fn) {
        Machine *machine = tree->machine;
        unsigned int i = atomic_fetch_add(&machine->n_writes, 1);
        MachineWrite *write;
        Fault *fault;

        if (i >= ARRAY_SIZE(machine->writes)) {
                errno = ENOSPC;
                fake_fail("record", act->path);
        }
        write = &machine->writes[i];
        snprintf(write->path, sizeof(write->path), "%s", act->path);
        snprintf(write->value, sizeof(write->value), "%s", act->value);
        write->kind = act->kind;
        write->pid = getpid();
        write->job = getppid();
        write->answer = MACHINE_NO_ANSWER;

        fault = fault_find(machine, i + 1, act);
        write->answer = fault ? act_with(tree, act, fn, fault) : fn(tree, act);
        return write->answer;
}
