/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Requests to end, held up while a GPU is half-way: a terminal that went away is one, too. */

#include <signal.h>

#include "base/macro.h"

void signals_hold(sigset_t *old);
void signals_release(const sigset_t *old);
bool signals_take(const sigset_t *old) _warn_unused_result_;
