/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "diagnose/result.h"
#include "base/text.h"
#include "probe/explain.h"

const char *verdict_to_string(Verdict verdict) {
        static const char *const names[_VERDICT_MAX] = { "none", "pass", "unknown", "warn",
                "fail" };

        return names[verdict];
}

void result_deinit(Result *result) {
        free(result->summary);
        free(result->remedy);
        *result = (Result){};
}

/* What comes from a copy of a machine, or from a command line, may be anything. */
_printf_(2, 0) static int format_into(char **s, const char *format, va_list args) {
        _cleanup_(freep) char *made = text_vformat(format, args);
        char *printable;

        if (!made)
                return -ENOMEM;
        printable = text_printable(made);
        if (!printable)
                return -ENOMEM;
        free(*s);
        *s = printable;
        return 0;
}

/* Give it a verdict and a summary, which is a sentence without a full stop. Return: 0, or -ENOMEM. */
int result_say(Result *result, Verdict verdict, const char *format, ...) {
        va_list args;
        int r;

        va_start(args, format);
        r = format_into(&result->summary, format, args);
        va_end(args);
        result->verdict = verdict;
        return r;
}

/* Say what would help. Return: 0, or -ENOMEM. */
int result_advise(Result *result, const char *format, ...) {
        va_list args;
        int r;

        va_start(args, format);
        r = format_into(&result->remedy, format, args);
        va_end(args);
        return r;
}

static bool has_kind(const Findings *findings, FindingKind kind) {
        for (size_t i = 0; i < findings->n; ++i)
                if (findings->items[i].kind == kind)
                        return true;
        return false;
}

/* @part: gets copies of those of the kinds, which own nothing. A precondition that is in both counts once. */
static void take(Findings *part, const Findings *findings, FindingKinds kinds) {
        const Findings before = *part;

        for (size_t i = 0; i < findings->n; ++i) {
                const Finding *finding = &findings->items[i];

                if ((kinds & FINDINGS_OF(finding->kind)) &&
                                (finding_is_busy(finding) || !has_kind(&before, finding->kind)))
                        part->items[part->n++] = *finding;
        }
        if (kinds & FINDINGS_OF(FINDING_HOLDER))
                part->n_more += findings->n_more;
}

static int explain(Result *result,
                Verdict verdict,
                const Findings *findings,
                const Findings *more,
                const Gpu *gpu,
                Mode to,
                FindingKinds kinds) {
        _cleanup_(freep) Finding *items = calloc(findings->n + more->n + 1, sizeof(*items));
        Findings part = { .items = items };

        if (!items)
                return -ENOMEM;
        take(&part, findings, kinds);
        take(&part, more, kinds);
        if (part.n == 0)
                return 0;
        result->verdict = verdict;
        return findings_explain_apart(&part, gpu, to, &result->summary, &result->remedy);
}

/**
 * result_explain() - say what the pre-flight has found in the way of passthrough
 * @result:     stays as it is where nothing of these kinds was found
 * @kinds:      findings that this is about
 *
 * Return: 0 on success, negative error code on failure.
 */
int result_explain(Result *result, Verdict verdict, const SurveyGpu *gpu, FindingKinds kinds) {
        return explain(result, verdict, gpu->found, &gpu->more, gpu->gpu, MODE_PASSTHROUGH, kinds);
}

/* Likewise, in the way back to the host; of a GPU that has one. */
int result_explain_home(Result *result, Verdict verdict, const SurveyGpu *gpu, FindingKinds kinds) {
        const Findings none = FINDINGS_NULL;

        return explain(result, verdict, &gpu->home->findings, &none, gpu->gpu, MODE_HOST, kinds);
}
