/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Run-Time State
 *
 * Everything that is to be seen of a GPU in /run/vfiopt at one moment: its record, who is at
 * it, and its pins. It needs no privilege, takes no lock and disturbs nobody.
 */

#include "os/roots.h"
#include "record/gpu-record.h"
#include "record/lock.h"

typedef struct Runtime {
        GpuRecord record;
        bool damaged; /* the record is there and not understood */
        LockHolders lock;
        bool pinned; /* this very card is */
} Runtime;

#define RUNTIME_NULL \
        {}

int runtime_test_lock(const Roots *roots, const GpuRecord *record, LockHolders *ret)
                _warn_unused_result_;
int runtime_init(Runtime *runtime, const Roots *roots, const Gpu *gpu) _warn_unused_result_;
void runtime_deinit(Runtime *runtime);

/*
 * A write to it has not come back in time, and still has not. The record says so; or the age of the
 * writer does, where its parent has ended before the time was up, or had no room to say it.
 */
static inline bool lock_is_stuck(const LockHolders *lock, const GpuRecord *record) {
        return lock->writing && (lock->overdue || (record->has_move && record->move.is_late));
}

static inline bool runtime_is_stuck(const Runtime *runtime) {
        return lock_is_stuck(&runtime->lock, &runtime->record);
}

/* A move of it was begun, and nobody is at it: the next one finishes or undoes it. */
static inline bool runtime_is_interrupted(const Runtime *runtime) {
        return runtime->record.has_move && !runtime->lock.locked && !runtime->lock.writing;
}
