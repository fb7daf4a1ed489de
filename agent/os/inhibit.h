/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Inhibitors
 *
 * What this project asks of logind: not to let the machine sleep.
 */

#include "base/macro.h"

int inhibit_sleep(const char *who, const char *why, int *ret_fd) _warn_unused_result_;
