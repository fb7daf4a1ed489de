/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Writes
 *
 * The steps' way to the kernel: in a disposable worker, under the guard of the
 * GPU's lock, each with a deadline. All return as step_run() does.
 */

#include "switch/step.h"

int write_attribute(StepContext *context,
                const Step *step,
                const char *path,
                const char *value,
                StepResult *result) _warn_unused_result_;
int write_override(StepContext *context, const Step *step, StepResult *result) _warn_unused_result_;
int write_unbind(StepContext *context, const Step *step, StepResult *result) _warn_unused_result_;
int write_load(StepContext *context, const Step *step, StepResult *result) _warn_unused_result_;
int read_presence(StepContext *context, const Step *step, StepResult *result) _warn_unused_result_;

int step_refuse(StepResult *result, int error, char *reason);
