/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Configuration Space
 */

#include "function.h"

void config_init(Function *function);
void config_reset(Function *function);
void config_write(Function *function, uint64_t offset, const uint8_t *data, size_t size);
