/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Messages
 *
 * Lines on the standard error stream, and JSON on the standard output stream. A quoted word may
 * come from a unit's instance that another user chose: it is quoted only if it is plain and
 * short, so that a message is one line, and has no escape sequence for the terminal.
 */

#include "base/json.h"

/* A quoted piece of the user's input: 60 characters, quotes, dots and a zero at most. */
#define QUOTE_MAX 68

void message_error(const char *format, ...) _printf_(1, 2);
void message_warning(const char *format, ...) _printf_(1, 2);
void message_line(const char *format, ...) _printf_(1, 2);
int message_json(const char *key, Json *array, const char *also, Json *more) _warn_unused_result_;
const char *message_quote(const char *input, char buffer[static QUOTE_MAX]);
const char *message_suggest(const char *input, const char *const *names, size_t n);
bool message_goes_to_journal(void);
