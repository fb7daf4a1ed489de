/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Control Commands
 */

#include "function.h"

void control_run(Function **functions,
                size_t n_functions,
                const char *command,
                char *reply,
                size_t size);
