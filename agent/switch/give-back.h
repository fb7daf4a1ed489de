/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Giving Back
 *
 * The host gets back what was reserved of a card for another one (switch/judge.h). That is a
 * switch like any other, but it is not about the GPU itself.
 */

#include "switch/notify.h"

int give_back_is_due(const Move *move, bool *ret) _warn_unused_result_;
