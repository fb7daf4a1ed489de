/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Checks
 *
 * Whether boot files have what a plan is for. Nothing is written: programs are run that only look.
 */

#include <string.h>

#include "base/text.h"
#include "setup/apply.h"
#include "setup/words.h"

static int check_output(const SetupTarget *target, const PlanCheck *check, SetupReport *report) {
        _cleanup_(text_deinit) Text output = TEXT_NULL;
        int r;

        r = setup_run_tool(target, check->argv, &output, report);
        for (char **need = check->needs; r == 0 && need && *need; ++need)
                if (!strstr(text(&output), *need))
                        r = setup_fail(report, "%s does not have %s", check->what, *need);
        return r;
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
                        return setup_fail(report, "%s does not have %s", check->what, *need);
        }
        return 0;
}

static int check_file(const SetupTarget *target, const PlanCheck *check, SetupReport *report) {
        _cleanup_(tree_file_deinit) TreeFile file = TREE_FILE_NULL;
        bool is_found = false;
        int r;

        r = tree_read(target->root_fd, check->path, &file);
        if (r)
                return setup_fail(report, "cannot read /%s: %s", check->path,
                                r < 0 ? strerror(-r) : "there is no such file");
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
                r = setup_fail(report, "%s has no such line: %s", check->what, check->keys[0]);
        return r;
}

/**
 * setup_check() - whether a machine's boot files have what a plan is for
 * @report:     gets .problem with SETUP_E_UNDONE; setup_report_deinit() it
 *
 * Return: 0, SETUP_E_UNDONE if one has it not, or cannot be looked into, or -ENOMEM.
 */
int setup_check(const SetupTarget *target, const SetupPlan *plan, SetupReport *report) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < plan->n_checks; ++i)
                r = plan->checks[i].argv ? check_output(target, &plan->checks[i], report)
                                         : check_file(target, &plan->checks[i], report);
        return r;
}
