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

/*
 * In the mode that was asked for, vfio-pci.ids= must not take an NVIDIA card, and that a person wrote. Return: 0, 1
 * where it was refused, or a negative error code.
 */
static int refuse_ids(SetupPlan *plan,
                const SetupFacts *facts,
                const char *path,
                unsigned int number,
                const char *line,
                size_t n) {
        _cleanup_(freep) char *other = NULL, *printable = NULL, *where = NULL, *problem = NULL;
        int r;

        if (facts->mode != MODE_HOST || !facts->is_asked ||
                        word_judge(line, n, "vfio-pci.ids=-", &other) != WORD_CONTRADICTED)
                return 0;
        if (!other)
                return -ENOMEM;
        if (!strstr(other, "10de:") || text_equal(other, facts->unwanted))
                return 0;
        printable = text_printable(other);
        where = text_format("/%s:%u", path, number);
        problem = printable ? text_format("%s brings a GPU to passthrough", printable) : NULL;
        if (!where || !problem)
                return -ENOMEM;
        r = setup_plan_refuse(
                        plan, where, problem, "take it out there, then run vfioptctl setup again");
        return r < 0 ? r : 1;
}

/* What an earlier set-up has added and is not wanted any more. @ret: tree_file_deinit() it */
static int cut_unwanted(const SetupFacts *facts, const TreeFile *file, TreeFile *ret) {
        return words_take_out(file->data, file->n, NULL, 0, &facts->unwanted,
                        facts->unwanted ? 1 : 0, &ret->data, &ret->n);
}

static int refuse_contradiction(SetupPlan *plan,
                const SetupFacts *facts,
                const char *path,
                unsigned int number,
                const char *line) {
        for (size_t i = 0; i < facts->n_words; ++i) {
                _cleanup_(freep) char *other = NULL, *printable = NULL, *where = NULL,
                                      *problem = NULL;
                int r;

                if (word_judge(line, strlen(line), facts->words[i], &other) != WORD_CONTRADICTED)
                        continue;
                printable = other ? text_printable(other) : NULL;
                where = text_format("/%s:%u", path, number);
                problem = printable ? text_format("%s contradicts %s", printable, facts->words[i])
                                    : NULL;
                if (!where || !problem)
                        return -ENOMEM;
                r = setup_plan_refuse(plan, where, problem,
                                "take it out there, then run vfioptctl setup again");
                return r < 0 ? r : 1;
        }
        return 0;
}

/*
 * What says the opposite in a shell script of settings, which is not understood. @words: whether of those
 * that are to be added, too. Return: how many lines were refused, or a negative error code.
 */
int loader_check_settings(SetupPlan *plan, const SetupFacts *facts, const char *path, bool words) {
        _cleanup_(tree_file_deinit) TreeFile file = TREE_FILE_NULL;
        unsigned int number = 1;
        int n_refused = 0, r;

        r = tree_read(facts->root_fd, path, &file);
        if (r)
                return r < 0 ? r : 0;
        for (char *rest = file.data, *line; (line = strsep(&rest, "\n")); ++number) {
                const char *exported;

                line += strspn(line, " \t");
                if (text_starts_with(line, "export", &exported) && strspn(exported, " \t") > 0)
                        line = (char *) exported + strspn(exported, " \t");
                if (!text_starts_with(line, "GRUB_CMDLINE_LINUX", NULL))
                        continue;
                for (char *s = strchr(line, '='); s; s = strpbrk(s, "\"'"))
                        *s = ' ';
                r = refuse_ids(plan, facts, path, number, line, strlen(line));
                if (r == 0 && words)
                        r = refuse_contradiction(plan, facts, path, number, line);
                if (r < 0)
                        return r;
                n_refused += r;
        }
        return n_refused;
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

/* The menu that is there. */
static const char *menu_of(const SetupFacts *facts) {
        return tree_has(facts->root_fd, "boot/grub2/grub.cfg") ? "boot/grub2/grub.cfg"
                                                               : "boot/grub/grub.cfg";
}

/* Whether its first entry has all words, so that no setting has to be understood. Return: 0, 1, or negative. */
static int menu_has_words(const SetupFacts *facts) {
        _cleanup_(tree_file_deinit) TreeFile file = TREE_FILE_NULL;
        int r;

        r = facts->unwanted ? TREE_E_MISSING : tree_read(facts->root_fd, menu_of(facts), &file);
        if (r)
                return r < 0 ? r : 0;
        for (char *rest = file.data, *line; (line = strsep(&rest, "\n"));) {
                bool has_all = true;

                line += strspn(line, " \t");
                if (!text_starts_with(line, "linux", NULL))
                        continue;
                for (size_t i = 0; i < facts->n_words; ++i) {
                        _cleanup_(freep) char *other = NULL;

                        has_all = has_all &&
                                        word_judge(line, strlen(line), facts->words[i], &other) ==
                                                        WORD_PRESENT;
                }
                return has_all;
        }
        return 0;
}

/* Add the words to a setting of /etc/default/grub; or the plan is refused. Return: 0, or negative. */
int loader_edit_grub(SetupPlan *plan, const SetupFacts *facts, const char *variable) {
        _cleanup_(tree_file_deinit) TreeFile file = TREE_FILE_NULL, now = TREE_FILE_NULL;
        _cleanup_(grub_edit_deinit) GrubEdit edit = GRUB_EDIT_NULL;
        _cleanup_(freep) char *place = NULL;
        int r;

        r = read_file(plan, facts, LOADER_GRUB_SETTINGS, &file, &place);
        if (r < 0 || r == TREE_E_SPECIAL)
                return r < 0 ? r : 0;
        if (r == TREE_E_MISSING)
                return refuse(plan, facts, LOADER_GRUB_SETTINGS, 0, "there is no such file");
        r = loader_check_settings(plan, facts, LOADER_GRUB_SETTINGS, false);
        if (r != 0)
                return r < 0 ? r : 0;
        r = cut_unwanted(facts, &file, &now);
        if (r < 0)
                return r;
        r = grub_file_add(now.data, now.n, variable, facts->words, facts->n_words, &edit);
        if (r == GRUB_FILE_E_REFUSED) {
                r = menu_has_words(facts);
                if (r != 0)
                        return r < 0 ? r : 0;
                return refuse(plan, facts, LOADER_GRUB_SETTINGS, edit.line, edit.problem);
        }
        if (r < 0 || (!edit.data && now.n == file.n))
                return r;
        return setup_plan_edit(plan, place, &file, edit.data ?: now.data,
                        edit.data ? edit.n : now.n, "the kernel's command line");
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
        int r;

        r = refuse_ids(plan, facts, path, number, line, n);
        if (r != 0)
                return r;
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

/* @now: what is left of @before */
static int insert(SetupPlan *plan,
                const char *place,
                const TreeFile *before,
                const TreeFile *now,
                size_t at,
                const char *piece) {
        size_t n_piece = strlen(piece), n = now->n + n_piece;
        _cleanup_(freep) char *data = malloc(n + 1);

        if (!data)
                return -ENOMEM;
        memcpy(data, now->data, at);
        memcpy(data + at, piece, n_piece);
        memcpy(data + at + n_piece, now->data + at, now->n - at);
        data[n] = '\0';
        return setup_plan_edit(plan, place, before, data, n, "the kernel's command line");
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
        _cleanup_(tree_file_deinit) TreeFile file = TREE_FILE_NULL, now = TREE_FILE_NULL;
        _cleanup_(text_deinit) Text missing = TEXT_NULL;
        _cleanup_(freep) char *place = NULL;
        unsigned int number = 0;
        const char *line;
        size_t n, at;
        int r;

        *ret_edited = false;
        r = read_file(plan, facts, path, &file, &place);
        if (r == 0)
                r = cut_unwanted(facts, &file, &now);
        if (r < 0 || r == TREE_E_SPECIAL)
                return r < 0 ? r : 0;
        line = r == 0 ? find_line(&now, key, &n, &number) : NULL;
        if (!line)
                return refuse(plan, facts, path, 0,
                                key[0] ? "it has no line of options" : "it is empty");
        if (line[0] != '#')
                r = find_missing(plan, facts, path, number, line, n, &missing);
        if (r != 0 || (line[0] != '#' && missing.n == 0 && now.n == file.n))
                return r < 0 ? r : 0;
        if (memchr(line, '\0', n) || memchr(line, '\r', n) || memchr(line, '$', n) ||
                        line[0] == '#')
                return refuse(plan, facts, path, number, "the line is more than words");
        at = (size_t) (line - now.data) + n;
        while (at > (size_t) (line - now.data) && strchr(" \t", now.data[at - 1]))
                --at;
        *ret_edited = true;
        return insert(plan, place, &file, &now, missing.n > 0 ? at : now.n,
                        missing.n > 0 ? text(&missing) + (n == 0 ? 1 : 0) : "");
}

/* GRUB's menu */

/* Make it anew, and look whether its first entry has the words. Return: 0, or a negative error code. */
int loader_grub_menu(SetupPlan *plan, const SetupFacts *facts) {
        static const char *const keys[] = { "linux", "linuxefi", "linux16", NULL };
        bool is_grub2 = tree_has(facts->root_fd, "boot/grub2/grub.cfg");
        const char *menu = menu_of(facts);
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
