/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Wishes
 *
 * Nobody can wish a GPU to be half here and half there: what is mixed is wished by
 * nobody, and fulfils no wish but that of being left alone.
 */

#include <string.h>

#include "model/wish.h"

static const char *const wish_names[_WISH_MAX] = {
        [WISH_UNSET] = "unset",
        [WISH_HOST] = "host",
        [WISH_PASSTHROUGH] = "passthrough",
};

/* The name of a wish, as in files and in `status`. */
const char *wish_to_string(Wish wish) {
        return wish < _WISH_MAX ? wish_names[wish] : "unknown";
}

/**
 * wish_from_string() - parse a wish
 * @s:          "unset", "host" or "passthrough"
 * @ret:        the wish
 *
 * Return: 0 on success, -EINVAL if it is anything else.
 */
int wish_from_string(const char *s, Wish *ret) {
        for (Wish wish = 0; wish < _WISH_MAX; ++wish)
                if (!strcmp(s, wish_names[wish])) {
                        *ret = wish;
                        return 0;
                }
        return -EINVAL;
}

/**
 * wish_of_mode() - the wish that a mode fulfils
 * @mode:       mode
 *
 * Return: the wish to be in @mode; WISH_UNSET if it cannot be wished for.
 */
Wish wish_of_mode(Mode mode) {
        switch (mode) {
        case MODE_HOST:
                return WISH_HOST;
        case MODE_PASSTHROUGH:
                return WISH_PASSTHROUGH;
        default:
                return WISH_UNSET;
        }
}

/**
 * wish_mode() - where a wish wants a GPU to be
 * @wish:       wish
 * @unset:      where it is
 *
 * Return: the mode, which is @unset for WISH_UNSET.
 */
Mode wish_mode(Wish wish, Mode unset) {
        switch (wish) {
        case WISH_HOST:
                return MODE_HOST;
        case WISH_PASSTHROUGH:
                return MODE_PASSTHROUGH;
        default:
                return unset;
        }
}

/**
 * wish_is_fulfilled() - is a GPU where it is wished to be?
 * @wish:       wish
 * @mode:       where it is
 *
 * Return: whether there is nothing to do; that is always so for WISH_UNSET.
 */
bool wish_is_fulfilled(Wish wish, Mode mode) {
        return wish == WISH_UNSET || wish == wish_of_mode(mode);
}
