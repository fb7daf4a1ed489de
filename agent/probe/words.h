/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Words for Findings
 *
 * One finding at a time, as parts of a line; see probe/explain.h for whole ones.
 */

#include "base/text.h"
#include "model/gpu.h"
#include "probe/finding.h"

typedef struct Subject {
        const Finding *finding;
        const Gpu *gpu; /* which the finding is in the way of */
        Mode to;        /* and where it was to go */
} Subject;

int words_append_sentence(Text *out, const Subject *subject) _warn_unused_result_;
int words_append_remedy(Text *out, const Subject *subject) _warn_unused_result_;
int words_append_holder(Text *out, const Subject *subject) _warn_unused_result_;
int words_append_node(Text *out, const Subject *subject) _warn_unused_result_;
