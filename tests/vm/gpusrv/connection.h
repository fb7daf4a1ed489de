/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Vfio-User Connection
 */

#include "function.h"

int connection_serve(Function *function, int fd);
