/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Committing
 *
 * After a GPU was verified to be where it was to go: this is where it belongs from now on.
 */

#include "os/roots.h"
#include "record/gpu-record.h"

typedef struct CommitNotes {
        const char *aside; /* new name of a state file that was not understood, or NULL */
        int error;         /* negative errno of writing the state file, or 0 */
} CommitNotes;

int commit(const Roots *roots,
                const Gpu *gpu,
                Mode mode,
                bool transient,
                bool by_person,
                GpuRecord *record,
                CommitNotes *ret) _warn_unused_result_;
