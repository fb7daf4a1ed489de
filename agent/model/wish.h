/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Wishes
 *
 * Where somebody wants a GPU to be, as opposed to where it is.
 */

#include "model/gpu.h"

typedef enum Wish {
        WISH_UNSET, /* leave it alone */
        WISH_HOST,
        WISH_PASSTHROUGH,
        _WISH_MAX,
} Wish;

const char *wish_to_string(Wish wish);
int wish_from_string(const char *s, Wish *ret) _warn_unused_result_;

/* wishes and modes */

Wish wish_of_mode(Mode mode);
Mode wish_mode(Wish wish, Mode unset);
bool wish_is_fulfilled(Wish wish, Mode mode);
