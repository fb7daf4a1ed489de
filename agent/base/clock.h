/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Clock
 *
 * Points in time and durations, in microseconds. Deadlines are times of
 * CLOCK_MONOTONIC; what is written down for people is a time of CLOCK_REALTIME.
 */

#include "base/macro.h"

struct pollfd;

uint64_t monotonic_usec(void);
uint64_t realtime_usec(void);
int poll_until(struct pollfd *fds, size_t n, uint64_t deadline_usec) _warn_unused_result_;
