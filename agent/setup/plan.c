/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/text.h"
#include "setup/plan.h"

void setup_plan_deinit(SetupPlan *plan) {
        for (size_t i = 0; i < plan->n_files; ++i) {
                free(plan->files[i].path);
                free(plan->files[i].why);
                tree_file_deinit(&plan->files[i].before);
                tree_file_deinit(&plan->files[i].after);
        }
        for (size_t i = 0; i < plan->n_commands; ++i) {
                strv_free(plan->commands[i].argv);
                free(plan->commands[i].why);
        }
        for (size_t i = 0; i < plan->n_checks; ++i) {
                strv_free(plan->checks[i].argv);
                strv_free(plan->checks[i].keys);
                strv_free(plan->checks[i].needs);
                free(plan->checks[i].path);
                free(plan->checks[i].what);
        }
        for (size_t i = 0; i < plan->n_refusals; ++i) {
                free(plan->refusals[i].where);
                free(plan->refusals[i].problem);
                free(plan->refusals[i].remedy);
        }
        free(plan->files);
        free(plan->commands);
        free(plan->checks);
        free(plan->refusals);
        strv_free(plan->warnings);
        strv_free(plan->dirs);
        strv_free(plan->outputs);
        strv_free(plan->image_files);
        strv_free(plan->entry_dirs);
        strv_free(plan->words);
        free(plan->loader);
        free(plan->images);
        *plan = (SetupPlan) SETUP_PLAN_NULL;
}

/* Whether the machine is as it would be. Commands alone are for what an earlier set-up has begun. */
bool setup_plan_is_empty(const SetupPlan *plan) {
        return plan->n_files == 0 && plan->n_refusals == 0;
}

/* files */

static PlanFile *add_file(SetupPlan *plan) {
        PlanFile *more = reallocarray(plan->files, plan->n_files + 1, sizeof(*more));

        if (!more)
                return NULL;
        plan->files = more;
        more[plan->n_files] = (PlanFile){ .before = TREE_FILE_NULL, .after = TREE_FILE_NULL };
        return &more[plan->n_files++];
}

/* Plan to make the directories that a path goes through and that are missing, the first of them first. */
static int add_dirs(SetupPlan *plan, int root_fd, const char *path) {
        for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
                _cleanup_(freep) char *dir = strndup(path, (size_t) (slash - path));
                bool is_planned = false;
                int r;

                if (!dir)
                        return -ENOMEM;
                for (size_t i = 0; i < plan->n_dirs; ++i)
                        is_planned = is_planned || !strcmp(plan->dirs[i], dir);
                if (is_planned || tree_has(root_fd, dir))
                        continue;
                r = strv_push(&plan->dirs, &plan->n_dirs, dir);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int refuse_link(SetupPlan *plan, const char *path) {
        _cleanup_(freep) char *where = text_format("/%s", path);
        _cleanup_(freep) char *remedy =
                        text_format("move /%s away, then run vfioptctl setup again", path);

        if (!where || !remedy)
                return -ENOMEM;
        return setup_plan_refuse(plan, where,
                        "it is a link or no regular file, where a file of our own belongs", remedy);
}

static int read_own(SetupPlan *plan, int root_fd, const char *path, TreeFile *ret) {
        int r;

        r = tree_is_link(root_fd, path) ? TREE_E_SPECIAL : tree_read(root_fd, path, ret);
        if (r == TREE_E_SPECIAL) {
                r = refuse_link(plan, path);
                return r < 0 ? r : TREE_E_SPECIAL;
        }
        return r;
}

static int push_file(SetupPlan *plan,
                PlanFileKind kind,
                const char *path,
                TreeFile *before,
                TreeFile *after,
                const char *why) {
        PlanFile *file = add_file(plan);

        if (!file)
                return -ENOMEM;
        file->kind = kind;
        file->before = *before;
        file->after = *after;
        *before = *after = (TreeFile) TREE_FILE_NULL;
        file->path = strdup(path);
        file->why = strdup(why);
        return file->path && file->why ? 0 : -ENOMEM;
}

/**
 * setup_plan_own() - plan a file of our own, unless it is there like that
 * @mode:       permissions, which it gets where they differ
 * @content:    all of it
 * @why:        for people, without a full stop
 *
 * Where something else has the name, the plan is refused. Return: 0, or a negative error code.
 */
int setup_plan_own(SetupPlan *plan,
                int root_fd,
                const char *path,
                mode_t mode,
                const char *content,
                const char *why) {
        _cleanup_(tree_file_deinit) TreeFile before = TREE_FILE_NULL, after = TREE_FILE_NULL;
        int r;

        r = read_own(plan, root_fd, path, &before);
        if (r < 0 || r == TREE_E_SPECIAL)
                return r < 0 ? r : 0;
        r = tree_file_copy(&before, &after);
        if (r < 0)
                return r;
        free(after.data);
        after.data = strdup(content);
        after.n = strlen(content);
        after.mode = mode;
        after.mtime = (struct timespec){ .tv_nsec = UTIME_OMIT };
        if (!after.data)
                return -ENOMEM;
        if (tree_file_equal(&before, &after) && before.mode == mode)
                return 0;
        r = add_dirs(plan, root_fd, path);
        return r < 0 ? r : push_file(plan, PLAN_FILE_OURS, path, &before, &after, why);
}

/* Likewise to remove one, if it is there. */
int setup_plan_remove(SetupPlan *plan, int root_fd, const char *path, const char *why) {
        _cleanup_(tree_file_deinit) TreeFile before = TREE_FILE_NULL, after = TREE_FILE_NULL;
        int r;

        r = read_own(plan, root_fd, path, &before);
        if (r)
                return r < 0 ? r : 0;
        return push_file(plan, PLAN_FILE_REMOVED, path, &before, &after, why);
}

/**
 * setup_plan_edit() - plan another content of a file of others
 * @place:      as tree_find() has it
 * @before:     as it was read; all but the content and the time stays
 *
 * Return: 0, or a negative error code.
 */
int setup_plan_edit(SetupPlan *plan,
                const char *place,
                const TreeFile *before,
                const char *data,
                size_t n,
                const char *why) {
        _cleanup_(tree_file_deinit) TreeFile old = TREE_FILE_NULL, after = TREE_FILE_NULL;
        int r;

        r = tree_file_copy(before, &old);
        if (r >= 0)
                r = tree_file_copy(before, &after);
        if (r < 0)
                return r;
        free(after.data);
        after.data = malloc(n + 1);
        if (!after.data)
                return -ENOMEM;
        memcpy(after.data, data, n);
        after.data[n] = '\0';
        after.n = n;
        after.mtime = (struct timespec){ .tv_nsec = UTIME_OMIT };
        return push_file(plan, PLAN_FILE_EDITED, place, &old, &after, why);
}

/* the rest */

/* @argv: name of the program, arguments, NULL; copied. Return: 0, or a negative error code. */
int setup_plan_command(
                SetupPlan *plan, bool makes_images, const char *why, const char *const *argv) {
        PlanCommand *more = reallocarray(plan->commands, plan->n_commands + 1, sizeof(*more));
        PlanCommand *command;
        size_t n = 0;
        int r = 0;

        if (!more)
                return -ENOMEM;
        plan->commands = more;
        command = &more[plan->n_commands++];
        *command = (PlanCommand){ .makes_images = makes_images, .why = strdup(why) };
        for (; r >= 0 && *argv; ++argv)
                r = strv_push(&command->argv, &n, *argv);
        return r < 0 ? r : command->why ? 0 : -ENOMEM;
}

/* An empty one, for the caller to fill in; or NULL when memory is short. */
PlanCheck *setup_plan_check(SetupPlan *plan) {
        PlanCheck *more = reallocarray(plan->checks, plan->n_checks + 1, sizeof(*more));

        if (!more)
                return NULL;
        plan->checks = more;
        more[plan->n_checks] = (PlanCheck){};
        return &more[plan->n_checks++];
}

/* @where: may be NULL. All are copied. Return: 0, or a negative error code. */
int setup_plan_refuse(SetupPlan *plan, const char *where, const char *problem, const char *remedy) {
        PlanRefusal *more = reallocarray(plan->refusals, plan->n_refusals + 1, sizeof(*more));
        PlanRefusal *refusal;

        if (!more)
                return -ENOMEM;
        plan->refusals = more;
        refusal = &more[plan->n_refusals++];
        *refusal = (PlanRefusal){ .problem = strdup(problem), .remedy = strdup(remedy) };
        if (!refusal->problem || !refusal->remedy)
                return -ENOMEM;
        return text_copy(where, &refusal->where);
}

int setup_plan_warn(SetupPlan *plan, const char *format, ...) {
        _cleanup_(freep) char *warning = NULL;
        va_list args;

        va_start(args, format);
        warning = text_vformat(format, args);
        va_end(args);
        return warning ? strv_push(&plan->warnings, &plan->n_warnings, warning) : -ENOMEM;
}

/* differences */

typedef struct Lines {
        const char *data;
        size_t n;
} Lines;

static size_t line_length(const Lines *lines) {
        const char *end = memchr(lines->data, '\n', lines->n);

        return end ? (size_t) (end - lines->data) + 1 : lines->n;
}

/* Skip the lines that both begin with. Return: how many these are. */
static unsigned int skip_common(Lines *a, Lines *b) {
        unsigned int n_lines = 0;

        while (a->n > 0 && b->n > 0) {
                size_t n = line_length(a);

                if (n != line_length(b) || memcmp(a->data, b->data, n) != 0)
                        break;
                a->data += n;
                b->data += n;
                a->n -= n;
                b->n -= n;
                ++n_lines;
        }
        return n_lines;
}

/* Where the last line starts. */
static size_t last_line(const Lines *lines) {
        size_t i = lines->n - 1;

        while (i > 0 && lines->data[i - 1] != '\n')
                --i;
        return i;
}

static void cut_common(Lines *a, Lines *b) {
        while (a->n > 0 && b->n > 0) {
                size_t i = last_line(a), k = last_line(b);

                if (a->n - i != b->n - k || memcmp(a->data + i, b->data + k, a->n - i) != 0)
                        break;
                a->n = i;
                b->n = k;
        }
}

static unsigned int count_lines(Lines lines) {
        unsigned int n_lines = 0;

        for (; lines.n > 0; ++n_lines) {
                size_t n = line_length(&lines);

                lines.data += n;
                lines.n -= n;
        }
        return n_lines;
}

/* What is not printable becomes a question mark, but for tabs: it goes to a terminal. */
static int append_lines(Text *out, char sign, Lines lines) {
        int r = 0;

        while (r >= 0 && lines.n > 0) {
                size_t n = line_length(&lines), n_text = n - (lines.data[n - 1] == '\n');

                r = text_append(out, "%c", sign);
                for (size_t i = 0; r >= 0 && i < n_text; ++i) {
                        char c = lines.data[i];

                        r = text_append(out, "%c", c == '\t' || (c >= ' ' && c <= '~') ? c : '?');
                }
                if (r >= 0)
                        r = text_append(out, "\n%s",
                                        n_text == n ? "\\ No newline at end of file\n" : "");
                lines.data += n;
                lines.n -= n;
        }
        return r;
}

static int append_range(Text *out, char sign, unsigned int first, unsigned int n) {
        /* As diff(1) has it: where there is nothing, the line before it. */
        return text_append(out, "%c%u,%u", sign, n > 0 ? first + 1 : first, n);
}

/**
 * setup_plan_diff() - what is changed in a file, as a unified difference without context
 * @ret:        lines; "" where only its permissions are; free() it
 *
 * Return: 0, or a negative error code.
 */
int setup_plan_diff(const PlanFile *file, char **ret) {
        Lines a = { file->before.data ?: "", file->before.n };
        Lines b = { file->after.data ?: "", file->after.n };
        _cleanup_(text_deinit) Text out = TEXT_NULL;
        unsigned int first = skip_common(&a, &b);
        int r;

        cut_common(&a, &b);
        r = text_append(&out, "--- %s%s\n+++ %s%s\n", file->before.data ? "/" : "/dev/null",
                        file->before.data ? file->path : "", file->after.data ? "/" : "/dev/null",
                        file->after.data ? file->path : "");
        if (r >= 0)
                r = text_append(&out, "@@ ");
        if (r >= 0)
                r = append_range(&out, '-', first, count_lines(a));
        if (r >= 0)
                r = text_append(&out, " ");
        if (r >= 0)
                r = append_range(&out, '+', first, count_lines(b));
        if (r >= 0)
                r = text_append(&out, " @@\n");
        if (r >= 0)
                r = append_lines(&out, '-', a);
        if (r >= 0)
                r = append_lines(&out, '+', b);
        if (r < 0)
                return r;
        *ret = text_take(&out);
        return 0;
}
