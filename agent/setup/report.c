/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a set-up or a rollback has to tell: notes, the problem that has ended it, and the end of what the
 * program has said that is to blame.
 */

#include <string.h>

#include "base/text.h"
#include "os/tool.h"
#include "setup/apply.h"

/* What is shown of the output of a program that has failed: its end. */
#define OUTPUT_SHOWN 2000U

void setup_report_deinit(SetupReport *report) {
        free(report->problem);
        free(report->output);
        free(report->backup);
        strv_free(report->notes);
        *report = (SetupReport) SETUP_REPORT_NULL;
}

/* Return: 0, or -ENOMEM. */
int setup_note(SetupReport *report, const char *format, ...) {
        _cleanup_(freep) char *note = NULL;
        va_list args;

        va_start(args, format);
        note = text_vformat(format, args);
        va_end(args);
        return note ? strv_push(&report->notes, &report->n_notes, note) : -ENOMEM;
}

/* Say what has failed. Return: SETUP_E_UNDONE, or -ENOMEM. */
int setup_fail(SetupReport *report, const char *format, ...) {
        va_list args;

        free(report->problem);
        va_start(args, format);
        report->problem = text_vformat(format, args);
        va_end(args);
        return report->problem ? SETUP_E_UNDONE : -ENOMEM;
}

static int keep_output(SetupReport *report, const Text *output) {
        const char *s = text(output);

        if (output->n > OUTPUT_SHOWN)
                s += output->n - OUTPUT_SHOWN;
        free(report->output);
        report->output = strdup(s);
        if (!report->output)
                return -ENOMEM;
        text_repair(report->output);
        return 0;
}

/* Run one, and say what has failed. @output: all that it has said; text_deinit() it */
int setup_run_tool(
                const SetupTarget *target, char *const *argv, Text *output, SetupReport *report) {
        int status = 0, r;

        if (target->progress)
                target->progress(target->userdata, argv);
        r = tool_run(target->root_fd, target->is_here, argv, output, &status);
        if (r == 0)
                return 0;
        if (keep_output(report, output) < 0)
                return -ENOMEM;
        if (r == TOOL_E_MISSING)
                return setup_fail(report, "%s is not there", argv[0]);
        if (r == TOOL_E_FAILED && status < 0)
                return setup_fail(report, "%s was ended by signal %d", argv[0], -status);
        if (r == TOOL_E_FAILED)
                return setup_fail(report, "%s has failed with exit status %d", argv[0], status);
        return setup_fail(report, "cannot run %s: %s", argv[0], strerror(-r));
}

int setup_run_command(const SetupTarget *target, char *const *argv, SetupReport *report) {
        _cleanup_(text_deinit) Text output = TEXT_NULL;

        return setup_run_tool(target, argv, &output, report);
}
