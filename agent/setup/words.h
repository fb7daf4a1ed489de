/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Words of the Kernel's Command Line
 *
 * Whether a line has them, and taking them out again. A word counts whole; what an administrator has written
 * is never replaced.
 */

#include "base/macro.h"

typedef enum WordPresence {
        WORD_MISSING,
        WORD_PRESENT,
        WORD_CONTRADICTED, /* the same key, with a value that says the opposite */
} WordPresence;

WordPresence word_judge(const char *line, size_t n, const char *word, char **ret_other);
bool text_has_line(const char *data, size_t n, const char *line, size_t n_line);
int words_take_out(const char *data,
                size_t n,
                const char *before,
                size_t n_before,
                char *const *words,
                size_t n_words,
                char **ret,
                size_t *ret_n) _warn_unused_result_;
int words_missing(const char *data,
                size_t n,
                char *const *words,
                size_t n_words,
                char ***ret,
                size_t *ret_n) _warn_unused_result_;
