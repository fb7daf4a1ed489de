/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Refusals
 *
 * Something is in the way of a move: the observer is told, and who uses the GPU is noted.
 */

#include "switch/notify.h"

void refusal_forget(const Move *move);
void refuse(const Move *move, const Findings *findings, const char *phase);
