/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reasons: what is in the way of a GPU, in words. */

#include "probe/finding.h"

int findings_explain(const Findings *findings,
                const Gpu *gpu,
                Mode to,
                char **ret_reason,
                char **ret_holders) _warn_unused_result_;
int findings_explain_apart(const Findings *findings,
                const Gpu *gpu,
                Mode to,
                char **ret_what,
                char **ret_remedy) _warn_unused_result_;
