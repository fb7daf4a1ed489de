/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Text
 *
 * Strict number parsing, a string that grows, and lists of strings. Addresses and numbers
 * come from users, units and the kernel, and end up in paths that root writes to. Hence
 * parsers take exactly what they name, without leading space, sign or trailing rest; anything
 * else is refused, never cut, rounded or guessed.
 */

#include <stdarg.h>

#include "base/macro.h"

/* A growing string. `{}` is the empty one; text() of it is "". */
typedef struct Text {
        char *data;
        size_t n;
        size_t n_allocated;
} Text;

#define TEXT_NULL \
        {}

void text_deinit(Text *text);
int text_append(Text *text, const char *format, ...) _printf_(2, 3) _warn_unused_result_;
const char *text(const Text *text);
char *text_take(Text *text);

/* numbers, of base 10 or 16: 0 on success, -EINVAL on anything but digits, -ERANGE beyond @max */

int text_to_uint(const char *s, unsigned int base, uint64_t max, uint64_t *ret)
                _warn_unused_result_;
int text_n_to_uint(const char *s, size_t n, unsigned int base, uint64_t max, uint64_t *ret)
                _warn_unused_result_;

/* pieces */

bool text_equal(const char *a, const char *b);
bool text_starts_with(const char *s, const char *prefix, const char **ret_rest);
bool text_ends_with(const char *s, const char *suffix);
bool text_has_word(const char *list, const char *word);
const char *text_find_value(const char *s, const char *key, size_t *ret_n);
char *text_format(const char *format, ...) _printf_(1, 2) _warn_unused_result_;
char *text_vformat(const char *format, va_list args) _printf_(1, 0) _warn_unused_result_;
int text_copy(const char *s, char **ret) _warn_unused_result_;
bool text_is_printable(const char *s);
char *text_printable(const char *s) _warn_unused_result_;
size_t text_character(const char *s, uint32_t *ret);
void text_repair(char *s);

/* lists of strings, with a NULL behind the last; NULL is an empty one, too */

int strv_push(char ***strv, size_t *n, const char *s) _warn_unused_result_;
char **strv_free(char **strv);
DEFINE_CLEANUP(char *, strv_free);
