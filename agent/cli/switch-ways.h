/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Ways to Switch
 *
 * In this process, as a job of the manager, or not at all. Each returns an exit
 * code, or a negative error code.
 */

#include "cli/outcome.h"
#include "cli/select.h"

int switch_direct(Cli *cli, const Selection *selection, Outcomes *outcomes);
int switch_dry_run(Cli *cli, const Selection *selection);
int switch_by_job(Cli *cli, const Selection *selection, Outcomes *outcomes);
