/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * /etc/default/grub
 *
 * It is a shell script, which people edit as if it were a list of settings. Where it is one, a word can be added to a
 * setting without touching any other byte. Where it is more (code, several words for one value, a
 * substitution in ours), nobody can tell without running it what comes of an edit: then it is refused, with
 * the line.
 */

#include "base/macro.h"

typedef struct GrubEdit {
        char *data; /* NULL: all words are there */
        size_t n;
        unsigned int line; /* of .problem; 0: of none */
        char *problem;
} GrubEdit;

#define GRUB_EDIT_NULL \
        {}

enum {
        _GRUB_FILE_E_SUCCESS,

        GRUB_FILE_E_REFUSED, /* see .line and .problem */
};

int grub_file_add(const char *data,
                size_t n,
                const char *variable,
                char *const *words,
                size_t n_words,
                GrubEdit *ret) _warn_unused_result_;
void grub_edit_deinit(GrubEdit *edit);
