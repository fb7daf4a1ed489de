/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The Channel of a Test's Machine
 *
 * vfiopt-ask, as systemd starts it, but in a child process, for the machine made of files.
 */

#include "lib/test.h"

int fake_ask_listen(FakeTree *tree);
pid_t fake_ask_start(FakeTree *tree, uint64_t linger_usec);
ssize_t fake_ask(FakeTree *tree, const void *request, size_t n, void *answer, size_t n_answer);
