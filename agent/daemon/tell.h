/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Telling
 *
 * What the agent decides, as records of the journal; and what goes wrong with it, as lines
 * on the standard error stream, which is the journal, too.
 */

#include "journal/write.h"
#include "policy/policy.h"

void tell_asked(const JournalSource *source,
                const Gpu *gpu,
                const Decision *decision,
                const char *unit);
void tell_come_and_go(const JournalSource *source, const Gpu *gpu, Mode wish);
void tell_gave_up(const JournalSource *source, const Gpu *gpu, Mode wish);
void tell_stranger(const JournalSource *source, const Gpu *gpu, const State *state);
void tell_state(const Policy *policy);
void tell_policy(const Policy *policy);

void log_error(const char *format, ...) _printf_(1, 2);
void log_warning(const char *format, ...) _printf_(1, 2);
