/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Virtual Functions
 *
 * Whether parts of a GPU are given away already: virtual functions, mediated devices.
 */

#include "probe/preflight.h"

int virtual_check(const PreflightInput *input, Findings *findings) _warn_unused_result_;
