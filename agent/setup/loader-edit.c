/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the ways to a kernel's command line have in common. */

#include <string.h>

#include "base/text.h"
#include "os/tool.h"
#include "setup/grub-file.h"
#include "setup/loader.h"
#include "setup/words.h"

/* All words, with blanks between; free() @ret. */
int loader_words(const SetupFacts *facts, char **ret) {
        _cleanup_(text_deinit) Text out = TEXT_NULL;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < facts->n_words; ++i)
                r = text_append(&out, "%s%s", i > 0 ? " " : "", facts->words[i]);
        if (r < 0)
                return r;
        *ret = text_take(&out);
        return 0;
}

/* A file that a command writes, if it is there. Return: 0, or a negative error code. */
int loader_output(SetupPlan *plan, const SetupFacts *facts, const char *path) {
        _cleanup_(freep) char *place = NULL;
        int r;

        if (!tree_has(facts->root_fd, path))
                return 0;
        r = tree_find(facts->root_fd, path, &place);
        if (r)
                return r < 0 ? r : 0;
        return strv_push(&plan->outputs, &plan->n_outputs, place);
}

/* Lines of a file that start with one of @keys have all words in the end. Return: 0, or negative. */
int loader_check(SetupPlan *plan,
                const SetupFacts *facts,
                const char *path,
                const char *const *keys,
                bool is_first) {
        PlanCheck *check = setup_plan_check(plan);
        size_t n_keys = 0, n_needs = 0;
        int r = 0;

        if (!check)
                return -ENOMEM;
        check->is_first = is_first;
        check->path = strdup(path);
        check->what = text_format("the boot entry of /%s", path);
        if (!check->path || !check->what)
                return -ENOMEM;
        for (; r >= 0 && *keys; ++keys)
                r = strv_push(&check->keys, &n_keys, *keys);
        for (size_t i = 0; r >= 0 && i < facts->n_words; ++i)
                r = strv_push(&check->needs, &n_needs, facts->words[i]);
        return r;
}

static int refuse(SetupPlan *plan,
                const SetupFacts *facts,
                const char *path,
                unsigned int line,
                const char *problem) {
        _cleanup_(freep) char *where =
                        line > 0 ? text_format("/%s:%u", path, line) : text_format("/%s", path);
        _cleanup_(freep) char *words = NULL, *remedy = NULL;
        int r;

        r = loader_words(facts, &words);
        if (r < 0)
                return r;
        remedy = text_format("edit it by hand, so that the kernel's command line has: %s\n"
                             "then run vfioptctl setup again",
                        words);
        return where && remedy ? setup_plan_refuse(plan, where, problem, remedy) : -ENOMEM;
}

static int read_file(SetupPlan *plan,
                const SetupFacts *facts,
                const char *path,
                TreeFile *ret,
                char **ret_place) {
        int r;

        r = tree_read(facts->root_fd, path, ret);
        if (r == 0)
                r = tree_find(facts->root_fd, path, ret_place);
        if (r != TREE_E_SPECIAL)
                return r;
        r = refuse(plan, facts, path, 0, "it is no regular file, or a link to none");
        return r < 0 ? r : TREE_E_SPECIAL;
}

/* Add the words to a setting of /etc/default/grub; or the plan is refused. Return: 0, or negative. */
int loader_edit_grub(SetupPlan *plan, const SetupFacts *facts, const char *variable) {
        _cleanup_(tree_file_deinit) TreeFile file = TREE_FILE_NULL;
        _cleanup_(grub_edit_deinit) GrubEdit edit = GRUB_EDIT_NULL;
        _cleanup_(freep) char *place = NULL;
        int r;

        r = read_file(plan, facts, LOADER_GRUB_SETTINGS, &file, &place);
        if (r < 0 || r == TREE_E_SPECIAL)
                return r < 0 ? r : 0;
        if (r == TREE_E_MISSING)
                return refuse(plan, facts, LOADER_GRUB_SETTINGS, 0, "there is no such file");
        r = grub_file_add(file.data, file.n, variable, facts->words, facts->n_words, &edit);
        if (r == GRUB_FILE_E_REFUSED)
                return refuse(plan, facts, LOADER_GRUB_SETTINGS, edit.line, edit.problem);
        if (r < 0 || !edit.data)
                return r;
        return setup_plan_edit(plan, place, &file, edit.data, edit.n, "the kernel's command line");
}

/* one line */

/* The missing words, or a contradiction. Return: 0, 1 where it was refused, or a negative error code. */
static int find_missing(SetupPlan *plan,
                const SetupFacts *facts,
                const char *path,
                unsigned int number,
                const char *line,
                size_t n,
                Text *missing) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < facts->n_words; ++i) {
                _cleanup_(freep) char *other = NULL, *printable = NULL, *problem = NULL;

                switch (word_judge(line, n, facts->words[i], &other)) {
                case WORD_PRESENT:
                        break;
                case WORD_MISSING:
                        r = text_append(missing, " %s", facts->words[i]);
                        break;
                case WORD_CONTRADICTED:
                        printable = other ? text_printable(other) : NULL;
                        problem = printable ? text_format("%s contradicts %s", printable,
                                                              facts->words[i])
                                            : NULL;
                        r = problem ? refuse(plan, facts, path, number, problem) : -ENOMEM;
                        return r < 0 ? r : 1;
                }
        }
        return r;
}

static const char *find_line(
                const TreeFile *file, const char *key, size_t *ret_n, unsigned int *ret_number) {
        unsigned int number = 1;

        for (size_t i = 0; i < file->n; ++number) {
                const char *line = file->data + i, *end = memchr(line, '\n', file->n - i);
                size_t n = end ? (size_t) (end - line) : file->n - i, k = strlen(key);

                if (!key[0] ||
                                (n > k && memcmp(line, key, k) == 0 &&
                                                (line[k] == ' ' || line[k] == '\t'))) {
                        *ret_n = n;
                        *ret_number = number;
                        return line;
                }
                i += n + 1;
        }
        return NULL;
}

static int
insert(SetupPlan *plan, const char *place, const TreeFile *file, size_t at, const char *piece) {
        size_t n_piece = strlen(piece), n = file->n + n_piece;
        _cleanup_(freep) char *data = malloc(n + 1);

        if (!data)
                return -ENOMEM;
        memcpy(data, file->data, at);
        memcpy(data + at, piece, n_piece);
        memcpy(data + at + n_piece, file->data + at, file->n - at);
        data[n] = '\0';
        return setup_plan_edit(plan, place, file, data, n, "the kernel's command line");
}

/**
 * loader_edit_line() - add the words to the end of one line of a file
 * @key:        first word of that line, the first such one; "" for the first line of all
 * @ret_edited: whether there is something to be added
 *
 * What cannot be edited safely makes the plan a refused one. Return: 0, or a negative error code.
 */
int loader_edit_line(SetupPlan *plan,
                const SetupFacts *facts,
                const char *path,
                const char *key,
                bool *ret_edited) {
        _cleanup_(tree_file_deinit) TreeFile file = TREE_FILE_NULL;
        _cleanup_(text_deinit) Text missing = TEXT_NULL;
        _cleanup_(freep) char *place = NULL;
        unsigned int number = 0;
        const char *line;
        size_t n, at;
        int r;

        *ret_edited = false;
        r = read_file(plan, facts, path, &file, &place);
        if (r < 0 || r == TREE_E_SPECIAL)
                return r < 0 ? r : 0;
        line = r == 0 ? find_line(&file, key, &n, &number) : NULL;
        if (!line)
                return refuse(plan, facts, path, 0,
                                key[0] ? "it has no line of options" : "it is empty");
        if (memchr(line, '\0', n) || memchr(line, '\r', n) || memchr(line, '$', n) ||
                        line[0] == '#')
                return refuse(plan, facts, path, number, "the line is more than words");
        r = find_missing(plan, facts, path, number, line, n, &missing);
        if (r != 0 || missing.n == 0)
                return r < 0 ? r : 0;
        at = (size_t) (line - file.data) + n;
        while (at > (size_t) (line - file.data) && strchr(" \t", file.data[at - 1]))
                --at;
        *ret_edited = true;
        return insert(plan, place, &file, at, text(&missing) + (n == 0 ? 1 : 0));
}

/* GRUB's menu */

/* Make it anew, and look whether its first entry has the words. Return: 0, or a negative error code. */
int loader_grub_menu(SetupPlan *plan, const SetupFacts *facts) {
        static const char *const keys[] = { "linux", "linuxefi", "linux16", NULL };
        bool is_grub2 = tree_has(facts->root_fd, "boot/grub2/grub.cfg");
        const char *menu = is_grub2 ? "boot/grub2/grub.cfg" : "boot/grub/grub.cfg";
        const char *const debian[] = { "update-grub", NULL };
        const char *const others[] = { is_grub2 ? "grub2-mkconfig" : "grub-mkconfig", "-o",
                is_grub2 ? "/boot/grub2/grub.cfg" : "/boot/grub/grub.cfg", NULL };
        _cleanup_(freep) char *path = NULL;
        int r;

        r = is_grub2 ? TOOL_E_MISSING : tool_find(facts->root_fd, debian[0], &path);
        if (r < 0)
                return r;
        r = setup_plan_command(plan, false, "the boot menu", r == 0 ? debian : others);
        if (r >= 0)
                r = loader_output(plan, facts, menu);
        return r < 0 ? r : loader_check(plan, facts, menu, keys, true);
}
