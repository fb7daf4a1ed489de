/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Rules that Remove Cards
 *
 * Tools for laptops have a card taken off the bus at each boot, by a rule of udev's. Nothing of the
 * card is left then, but the rule.
 */

#include "base/macro.h"

int remover_find(int root_fd, const char *address, char **ret_where) _warn_unused_result_;
