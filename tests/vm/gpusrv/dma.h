/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Guest Memory and Interrupts
 */

#include "function.h"

int function_dma_map(Function *function, const DmaRange *range, int fd);
void function_dma_unmap(Function *function, uint64_t address, uint64_t size);
int function_dma_read(Function *function, uint64_t address, void *data, size_t size);
int function_dma_write(Function *function, uint64_t address, const void *data, size_t size);
void function_raise_irq(Function *function);
