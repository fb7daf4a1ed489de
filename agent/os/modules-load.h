/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The Loader of Modules
 *
 * systemd-modules-load.service, which loads at boot what modules-load.d(5) names.
 */

#include "base/macro.h"

int modules_load_again(void) _warn_unused_result_;
