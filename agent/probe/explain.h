/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Explanations
 *
 * Findings in words: who or what is in the way, and what would help.
 */

#include "model/gpu.h"
#include "probe/finding.h"

int explain_finding(const Finding *finding,
                const Gpu *gpu,
                Mode to,
                char **ret_sentence,
                char **ret_remedy) _warn_unused_result_;
int explain_findings(const Findings *findings,
                const Gpu *gpu,
                Mode to,
                char **ret_reason,
                char **ret_holders) _warn_unused_result_;
