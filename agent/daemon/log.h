/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Logging
 *
 * Decisions of the agent are records in the journal. Its own problems are lines on standard error,
 * which leads to the journal, too. A record that cannot be written changes no decision.
 */

#include "daemon/gpu-state.h"
#include "journal/write.h"

void log_asked(JournalSource *source,
                const Gpu *gpu,
                const Observation *observation,
                const char *unit);
void log_gave_up(JournalSource *source, const Gpu *gpu, Mode wish, bool in_use);
void log_warnings(JournalSource *source,
                GpuState *state,
                const Gpu *gpu,
                const Observation *observation,
                const Decision *decision,
                const Policy *policy);

/* standard error */

void log_complaint(void *userdata, bool is_warning, const char *complaint);
void log_error(const char *format, ...) _printf_(1, 2);
