/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reports
 *
 * Lines on the standard error stream. A quoted word may come from a unit's instance that
 * another user chose: it is quoted only if it is plain and short, so that a report is one line,
 * and has no escape sequence for the terminal.
 */

#include "base/macro.h"

/* A quoted piece of the user's input: 60 characters, quotes, dots and a zero at most. */
#define QUOTE_MAX 68

void report_error(const char *format, ...) _printf_(1, 2);
void report_warning(const char *format, ...) _printf_(1, 2);
void report_line(const char *format, ...) _printf_(1, 2);
const char *report_quote(const char *input, char buffer[static QUOTE_MAX]);
const char *report_suggest(const char *input, const char *const *names, size_t n);
bool report_goes_to_journal(void);
