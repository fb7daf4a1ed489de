/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Results
 *
 * What a check has come to, and the words of the pre-flight for it. A check gives one result for the machine,
 * or one for each GPU; or none, where it is about nothing that is there.
 */

#include "diagnose/survey.h"

/* Worst last. */
typedef enum Verdict {
        VERDICT_NONE, /* there is nothing to be said */
        VERDICT_PASS,
        VERDICT_UNKNOWN, /* it could not be seen */
        VERDICT_WARN,    /* a guest can have the GPU, and something is not as it should be */
        VERDICT_FAIL,    /* a switch to passthrough would be refused, or no guest could start */
        _VERDICT_MAX,
} Verdict;

typedef struct Result {
        const char *id;
        const char *title;
        const Gpu *gpu; /* NULL: it is about the machine */
        Verdict verdict;
        bool is_in_use; /* a switch would be refused as long as that lasts */
        bool is_blind;  /* without it nothing can be said of the whole */
        char *summary;
        char *remedy; /* fit to be typed; NULL: there is none, or none is needed */
} Result;

const char *verdict_to_string(Verdict verdict);
void result_deinit(Result *result);
int result_say(Result *result, Verdict verdict, const char *format, ...) _printf_(3, 4)
                _warn_unused_result_;
int result_advise(Result *result, const char *format, ...) _printf_(2, 3) _warn_unused_result_;

/* A set of findings, and FINDINGS_OF() each of its members. */
typedef uint32_t FindingKinds;
_Static_assert(_FINDING_MAX <= 32, "a set has a bit for each of them");
#define FINDINGS_OF(kind) ((FindingKinds) 1 << (kind))

int result_explain(Result *result, Verdict verdict, const SurveyGpu *gpu, FindingKinds kinds)
                _warn_unused_result_;
int result_explain_home(Result *result, Verdict verdict, const SurveyGpu *gpu, FindingKinds kinds)
                _warn_unused_result_;
