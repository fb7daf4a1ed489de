/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Traces
 *
 * What other programs and old recipes have left in files, and what the firmware of a laptop says, as far as
 * it explains where a GPU is.
 */

#include "model/gpu.h"
#include "os/roots.h"
#include "record/gpu-record.h"

typedef struct Traces {
        const Gpu *gpu;
        FunctionSet functions; /* that one of the lines is about */
        char **lines;          /* with their files, each once */
        size_t n_lines;
} Traces;

int traces_init(Traces *traces, const Roots *roots, const Gpu *gpu) _warn_unused_result_;
void traces_deinit(Traces *traces);
int trace_find_switch(Sysfs *sysfs, const char **ret) _warn_unused_result_;
