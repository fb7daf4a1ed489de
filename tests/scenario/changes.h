/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Changes to our own Files
 *
 * The linker puts these in front of the calls by which a job changes its files in
 * /run and /etc, so that it can be killed right before each of them.
 */

#include <stdatomic.h>

#include "lib/test.h"

/* The job dies before its n-th change; 0: it does not. */
void changes_kill_at(unsigned int n);

/* While @when is above zero, there is no room for files of a job; NULL: there always is. */
void changes_need_room(const atomic_int *when);

/* To be called by the job itself, at its start; @ret_count is where it shall count. */
void changes_start(unsigned int *ret_count);
