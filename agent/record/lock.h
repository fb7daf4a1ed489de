/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Locks
 *
 * One switch of a GPU at a time. The lock belongs to the process that switches
 * and goes with it; the guard belongs to the child that writes (os/child.h)
 * and may outlive both.
 *
 * A lock is a flock(2) on a file that stays when it is let go: a file that is removed can be locked
 * twice, by those that have it open and by those that make it anew. Its holder has an open file
 * description lock on it as well, since that kind can be asked for: root asks the files
 * themselves, and disturbs nobody. Nobody else may open them; they have /proc/locks, which may leave
 * entries out (KERNEL.md 12.2), and believe it only where the record of the GPU agrees (record/runtime.h).
 */

#include <sys/types.h>

#include "model/address.h"

typedef struct Lock {
        int dir_fd;
        int lock_fd;
        int guard_fd; /* for ChildOptions.guard_fd */
        char *name;
} Lock;

#define LOCK_NULL \
        { .dir_fd = -1, .lock_fd = -1, .guard_fd = -1 }

/* How long a write to sysfs is waited for. */
#define WRITE_LIMIT_USEC (300 * USEC_PER_SEC)

typedef struct LockHolders {
        bool certain; /* the locks were asked; else a holder may have been missed */
        bool locked;  /* a switch is under way */
        pid_t owner;  /* by which process, or 0 */
        bool writing; /* a child of it, or of a predecessor that is gone, writes to sysfs */
        pid_t writer; /* which, or 0 */
        bool overdue; /* nobody waits for it any more, and it is older than any write may be */
} LockHolders;

enum {
        _LOCK_E_SUCCESS,

        LOCK_E_BUSY, /* somebody else has it */
};

int lock_take(Lock *lock, int run_fd, Address gpu, bool wait) _warn_unused_result_;
int lock_take_state(Lock *lock, int run_fd) _warn_unused_result_;
bool lock_is_lost(const Lock *lock);
void lock_release(Lock *lock);
int lock_test(int run_fd, int proc_fd, Address gpu, LockHolders *ret) _warn_unused_result_;
