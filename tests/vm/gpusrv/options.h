/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Command Line
 */

#include "function.h"

int options_parse(char *text, const Model **ret_model, FunctionOptions *ret_options);
