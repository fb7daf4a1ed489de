/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Checks
 *
 * Whether boot files have what a plan is for. Nothing is written: programs are run that only look.
 */

#include <string.h>

#include "base/text.h"
#include "os/tool.h"
#include "setup/apply.h"
#include "setup/words.h"

static _printf_(2, 3) int say(SetupReport *report, const char *format, ...) {
        va_list args;
        int n;

        free(report->problem);
        va_start(args, format);
        n = vasprintf(&report->problem, format, args);
        va_end(args);
        if (n < 0) {
                report->problem = NULL;
                return -ENOMEM;
        }
        return SETUP_E_STALE;
}

static int check_output(const SetupTarget *target, const PlanCheck *check, SetupReport *report) {
        _cleanup_(text_deinit) Text output = TEXT_NULL;
        int status = 0, r;

        r = tool_run(target->root_fd, target->is_here, check->argv, &output, &status);
        if (r < 0)
                return r;
        if (r)
                return say(report, "%s cannot look into %s", check->argv[0], check->what);
        for (char **need = check->needs; need && *need; ++need)
                if (!strstr(text(&output), *need))
                        return say(report, "%s does not have %s", check->what, *need);
        return 0;
}

/* The line's content behind one of the keys; NULL if it does not start with any. */
static const char *match_key(const PlanCheck *check, const char *line, size_t n) {
        size_t blanks = 0;

        while (blanks < n && (line[blanks] == ' ' || line[blanks] == '\t'))
                ++blanks;
        for (char **key = check->keys; key && *key; ++key) {
                size_t k = strlen(*key);

                if (n - blanks > k && memcmp(line + blanks, *key, k) == 0 &&
                                (line[blanks + k] == ' ' || line[blanks + k] == '\t'))
                        return line + blanks + k;
        }
        return NULL;
}

static int check_line(const PlanCheck *check, const char *line, size_t n, SetupReport *report) {
        for (char **need = check->needs; need && *need; ++need) {
                _cleanup_(freep) char *other = NULL;

                if (word_judge(line, n, *need, &other) != WORD_PRESENT)
                        return say(report, "%s does not have %s", check->what, *need);
        }
        return 0;
}

static int check_file(const SetupTarget *target, const PlanCheck *check, SetupReport *report) {
        _cleanup_(tree_file_deinit) TreeFile file = TREE_FILE_NULL;
        bool is_found = false;
        int r;

        r = tree_read(target->root_fd, check->path, &file);
        if (r)
                return r < 0 ? r : say(report, "cannot read /%s", check->path);
        for (size_t i = 0; r == 0 && i < file.n && !(is_found && check->is_first);) {
                const char *line = file.data + i, *end = memchr(line, '\n', file.n - i), *rest;
                size_t n = end ? (size_t) (end - line) : file.n - i;

                rest = match_key(check, line, n);
                if (rest) {
                        is_found = true;
                        r = check_line(check, rest, (size_t) (line + n - rest), report);
                }
                i += n + 1;
        }
        if (r == 0 && !is_found)
                r = say(report, "%s has no such line: %s", check->what, check->keys[0]);
        return r;
}

/**
 * setup_check() - whether a machine's boot files have what a plan is for
 * @report:     gets .problem with SETUP_E_STALE; setup_report_deinit() it
 *
 * Return: 0, SETUP_E_STALE, or a negative error code.
 */
int setup_check(const SetupTarget *target, const SetupPlan *plan, SetupReport *report) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < plan->n_checks; ++i)
                r = plan->checks[i].argv ? check_output(target, &plan->checks[i], report)
                                         : check_file(target, &plan->checks[i], report);
        return r;
}
