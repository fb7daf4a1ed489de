/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Rollback
 *
 * Files that are still what the set-up wrote become what they were. From those that were changed since,
 * only our lines and words go; a script is taken back whole, and its changed version kept. What is not
 * understood is left and told.
 */

#include <limits.h>
#include <string.h>

#include "base/text.h"
#include "os/tool.h"
#include "setup/apply.h"
#include "setup/names.h"
#include "setup/words.h"

static size_t line_length(const TreeFile *file, size_t i) {
        const char *end = memchr(file->data + i, '\n', file->n - i);

        return end ? (size_t) (end - file->data) + 1 - i : file->n - i;
}

static bool has_line(const TreeFile *file, const char *line, size_t n) {
        return file->data && text_has_line(file->data, file->n, line, n);
}

/* The lines of @from that neither of two others has, behind what @out has. */
static void append_lines(char *out,
                size_t *n_out,
                const TreeFile *from,
                const TreeFile *other,
                const TreeFile *another) {
        for (size_t i = 0; i < from->n;) {
                size_t n = line_length(from, i);

                if (!has_line(other, from->data + i, n) && !has_line(another, from->data + i, n)) {
                        memcpy(out + *n_out, from->data + i, n);
                        *n_out += n;
                }
                i += n;
        }
}

/*
 * The lines of a file of ours, taken out of what somebody made of it. In place of the first come those that the
 * set-up took away, which an earlier one had written.
 */
static int take_lines_out(const BackupFile *file, const TreeFile *now, char **ret, size_t *ret_n) {
        char *out = malloc(now->n + file->before.n + 1);
        bool is_first = true;
        size_t n_out = 0;

        if (!out)
                return -ENOMEM;
        for (size_t i = 0; i < now->n;) {
                const char *line = now->data + i;
                size_t n = line_length(now, i);

                if (!has_line(&file->after, line, n) || has_line(&file->before, line, n)) {
                        memcpy(out + n_out, line, n);
                        n_out += n;
                } else if (is_first) {
                        append_lines(out, &n_out, &file->before, &file->after, now);
                        is_first = false;
                }
                i += n;
        }
        out[n_out] = '\0';
        *ret = out;
        *ret_n = n_out;
        return 0;
}

/* Words that a file had before are not ours there. Return: 0, or a negative error code. */
static int take_words_out(const Backup *backup,
                const BackupFile *file,
                const TreeFile *now,
                char **ret,
                size_t *ret_n) {
        _cleanup_(freep) char **ours = NULL;
        size_t n_ours = 0;
        int r;

        r = words_missing(file->before.data, file->before.n, backup->words, backup->n_words, &ours,
                        &n_ours);
        if (r < 0)
                return r;
        return words_take_out(now->data, now->n, file->before.data, file->before.n, ours, n_ours,
                        ret, ret_n);
}

/* Each line of a file of settings stands for itself, which the lines of a script do not. */
static bool is_by_lines(const char *path) {
        return text_ends_with(path, ".conf");
}

static int take_back_whole(const SetupTarget *target,
                const Backup *backup,
                const BackupFile *file,
                const TreeFile *now,
                SetupReport *report) {
        size_t i = (size_t) (file - backup->files);
        int r;

        r = backup_keep(backup, target->root_fd, i, now);
        if (r >= 0)
                r = setup_restore_file(target, file);
        if (r)
                return r < 0 ? r : -EIO;
        return setup_note(report,
                        "/%s was changed since: it is as before the set-up, and the changed one is "
                        "kept in /" BACKUPS_DIR "/%s/changed/%zu",
                        file->path, backup->name, i);
}

/* Of a file that is neither as it was nor as it was written. Return: 0, or a negative error code. */
static int take_out(const SetupTarget *target,
                const Backup *backup,
                const BackupFile *file,
                TreeFile *now,
                SetupReport *report) {
        _cleanup_(freep) char *data = NULL;
        size_t n = 0;
        int r;

        if (!now->data || !file->after.data)
                return setup_note(report, "/%s was %s since, and is left like that", file->path,
                                now->data ? "made again" : "removed");
        if (file->kind == PLAN_FILE_OURS && !is_by_lines(file->path))
                return take_back_whole(target, backup, file, now, report);
        r = file->kind == PLAN_FILE_OURS ? take_lines_out(file, now, &data, &n)
                                         : take_words_out(backup, file, now, &data, &n);
        if (r < 0)
                return r;
        if (file->kind == PLAN_FILE_OURS && !file->before.data && strspn(data, " \t\n") == n)
                r = tree_remove(target->root_fd, file->path);
        else if (n != now->n || memcmp(data, now->data, n) != 0) {
                free(now->data);
                now->data = TAKE_PTR(data);
                now->n = n;
                now->mtime.tv_nsec = UTIME_OMIT;
                r = tree_write(target->root_fd, file->path, now);
        }
        if (r)
                return r < 0 ? r : -EIO;
        return setup_note(report, "/%s was changed since: what is ours was taken out of it",
                        file->path);
}

static int restore(const SetupTarget *target,
                const Backup *backup,
                const BackupFile *file,
                SetupReport *report) {
        _cleanup_(tree_file_deinit) TreeFile now = TREE_FILE_NULL;
        int r;

        r = tree_clean(target->root_fd, file->path);
        if (r >= 0)
                r = tree_read(target->root_fd, file->path, &now);
        if (r < 0)
                return r;
        if (r == TREE_E_SPECIAL)
                return setup_note(report, "/%s is no regular file any more, and is left like that",
                                file->path);
        if (tree_file_equal(&now, &file->before) || tree_file_equal(&now, &file->after)) {
                r = setup_restore_file(target, file);
                return r > 0 ? -EIO : r;
        }
        return take_out(target, backup, file, &now, report);
}

/* boot entries of later kernels */

static const BackupFile *find_file(const Backup *backup, const char *path) {
        for (size_t i = 0; i < backup->n_files; ++i)
                if (!strcmp(backup->files[i].path, path))
                        return &backup->files[i];
        return NULL;
}

/*
 * The words that entries have by the set-up: those that the file which they are made from did not have.
 * Return: 0, or a negative error code. @ret: of @backup, free() the array
 */
static int find_entry_words(
                const SetupTarget *target, const Backup *backup, char ***ret, size_t *ret_n) {
        static const char *const sources[] = { "etc/kernel/cmdline", "etc/default/grub" };
        _cleanup_(tree_file_deinit) TreeFile source = TREE_FILE_NULL;
        const BackupFile *file = NULL;
        const TreeFile *before;

        for (size_t i = 0; !file && !source.data && i < ARRAY_SIZE(sources); ++i) {
                _cleanup_(freep) char *place = NULL;
                int r;

                r = tree_find(target->root_fd, sources[i], &place);
                if (r == 0) {
                        file = find_file(backup, place);
                        r = tree_read(target->root_fd, place, &source);
                }
                if (r < 0)
                        return r;
        }
        before = file ? &file->before : &source;
        return words_missing(before->data, before->n, backup->words, backup->n_words, ret, ret_n);
}

static int clean_entry(const SetupTarget *target,
                char *const *words,
                size_t n_words,
                const char *path,
                SetupReport *report) {
        _cleanup_(tree_file_deinit) TreeFile entry = TREE_FILE_NULL;
        _cleanup_(freep) char *data = NULL;
        size_t n;
        int r;

        r = tree_read(target->root_fd, path, &entry);
        if (r)
                return r < 0 ? r : 0;
        r = words_take_out(entry.data, entry.n, NULL, 0, words, n_words, &data, &n);
        if (r < 0 || n == entry.n)
                return r;
        free(entry.data);
        entry.data = TAKE_PTR(data);
        entry.n = n;
        entry.mtime.tv_nsec = UTIME_OMIT;
        r = tree_write(target->root_fd, path, &entry);
        if (r)
                return r < 0 ? r : -EIO;
        return setup_note(report, "/%s was made since: our words were taken out of it", path);
}

static int clean_entries(const SetupTarget *target, const Backup *backup, SetupReport *report) {
        _cleanup_(freep) char **words = NULL;
        size_t n_words = 0;
        int r;

        r = find_entry_words(target, backup, &words, &n_words);
        for (size_t i = 0; r >= 0 && i < backup->n_entry_dirs; ++i) {
                _cleanup_(strv_freep) char **names = NULL;
                size_t n = 0;

                r = tree_list(target->root_fd, backup->entry_dirs[i], &names, &n);
                for (size_t k = 0; r >= 0 && k < n; ++k) {
                        _cleanup_(freep) char *path = NULL, *place = NULL;

                        if (!text_ends_with(names[k], ".conf"))
                                continue;
                        path = text_format("%s/%s", backup->entry_dirs[i], names[k]);
                        if (!path)
                                return -ENOMEM;
                        r = tree_find(target->root_fd, path, &place);
                        if (r == 0 && !find_file(backup, place))
                                r = clean_entry(target, words, n_words, place, report);
                }
        }
        return r < 0 ? r : 0;
}

/* programs */

static bool is_same(char *const *a, char *const *b) {
        while (*a && *b && !strcmp(*a, *b)) {
                ++a;
                ++b;
        }
        return !*a && !*b;
}

/*
 * Whether something has the name of a kernel in it that was removed since: its images and entries went with it.
 * The longest name counts, as one may be the start of another.
 */
static bool is_of_gone_kernel(const SetupTarget *target, const Backup *backup, const char *what) {
        const char *kernel = NULL;
        char path[PATH_MAX];

        for (size_t i = 0; i < backup->n_kernels; ++i)
                if (strstr(what, backup->kernels[i]) &&
                                (!kernel || strlen(backup->kernels[i]) > strlen(kernel)))
                        kernel = backup->kernels[i];
        if (!kernel)
                return false;
        /* Packages may leave the directory, but not this. */
        snprintf(path, sizeof(path), "lib/modules/%s/modules.dep", kernel);
        return !tree_has(target->root_fd, path);
}

static int
run_command(const SetupTarget *target, char *const *argv, bool *ret_failed, SetupReport *report) {
        int r;

        r = setup_run_command(target, argv, report);
        if (r <= 0)
                return r;
        *ret_failed = true;
        return setup_note(report, "%s; it is to be run yet", report->problem);
}

/* One of the set-up's, of which the kernel may be gone, or the program where another is in its place. */
static int run_recorded(const SetupTarget *target,
                const Backup *backup,
                const SetupPlan *plan,
                char *const *argv,
                bool *ret_failed,
                SetupReport *report) {
        _cleanup_(freep) char *path = NULL;
        int r;

        for (char *const *word = argv; *word; ++word)
                if (is_of_gone_kernel(target, backup, *word))
                        return 0;
        r = plan->n_commands > 0 ? tool_find(target->root_fd, argv[0], &path) : 0;
        if (r < 0)
                return r;
        if (r == TOOL_E_MISSING)
                return setup_note(report, "%s is not there any more, and is not run", argv[0]);
        return run_command(target, argv, ret_failed, report);
}

/* Those of the set-up, and those that the machine has now. */
static int run_commands(const SetupTarget *target,
                const Backup *backup,
                const SetupPlan *plan,
                bool *ret_failed,
                SetupReport *report) {
        int r = 0;

        if (backup->n_commands + plan->n_commands + backup->n_words + plan->n_words == 0)
                r = setup_note(report,
                                "no boot loader and no generator of an initramfs is known here: make "
                                "boot files anew by hand");
        for (size_t i = 0; r >= 0 && i < backup->n_commands; ++i)
                r = run_recorded(
                                target, backup, plan, backup->commands[i].argv, ret_failed, report);
        for (size_t i = 0; r >= 0 && i < plan->n_commands; ++i) {
                bool has_run = false;

                for (size_t k = 0; k < backup->n_commands; ++k)
                        has_run = has_run ||
                                        is_same(plan->commands[i].argv, backup->commands[k].argv);
                if (!has_run)
                        r = run_command(target, plan->commands[i].argv, ret_failed, report);
        }
        return r < 0 ? r : 0;
}

/* verifying */

/* Whether a boot file has a word that it got by the set-up. Return: 0, or a negative error code. */
static int has_our_words(const Backup *backup, const BackupFile *file, bool *ret) {
        _cleanup_(freep) char **ours = NULL, *without = NULL;
        size_t n_ours = 0, n = 0;
        int r;

        r = words_missing(file->before.data, file->before.n, backup->words, backup->n_words, &ours,
                        &n_ours);
        if (r >= 0 && file->after.data)
                r = words_take_out(file->after.data, file->after.n, NULL, 0, ours, n_ours, &without,
                                &n);
        if (r < 0)
                return r;
        *ret = n != file->after.n;
        return 0;
}

/*
 * Boot files that nothing has written anew become what they were. Where a program has failed, this is all that
 * they get.
 */
static int restore_outputs(const SetupTarget *target,
                const Backup *backup,
                bool has_failed,
                SetupReport *report) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < backup->n_files; ++i) {
                _cleanup_(tree_file_deinit) TreeFile now = TREE_FILE_NULL;
                const BackupFile *file = &backup->files[i];
                bool is_ours = false;

                if (!file->is_output)
                        continue;
                r = tree_read(target->root_fd, file->path, &now);
                if (r >= 0)
                        r = has_our_words(backup, file, &is_ours);
                if (r < 0)
                        return r;
                if (has_failed ? backup->state == BACKUP_BEGUN ||
                                                                tree_file_equal(&now, &file->after)
                               : is_ours && tree_file_equal(&now, &file->after))
                        r = setup_restore_file(target, file);
                else if (has_failed && !tree_file_equal(&now, &file->before))
                        r = setup_note(report, "/%s was written anew since, and is left like that",
                                        file->path);
        }
        return r < 0 ? r : 0;
}

/* Images are there, and none has our file of modprobe.d any more, if the machine does not. */
static int check_images(const SetupTarget *target,
                const Backup *backup,
                bool *ret_failed,
                SetupReport *report) {
        bool is_kept = tree_has(target->root_fd, SETUP_MODPROBE_FILE);
        int r = 0;

        for (size_t i = 0; r >= 0 && i < backup->n_images; ++i) {
                if (tree_has(target->root_fd, backup->images[i]) ||
                                is_of_gone_kernel(target, backup, backup->images[i]))
                        continue;
                *ret_failed = true;
                r = setup_note(report,
                                "/%s is missing: make it anew before this machine is started again",
                                backup->images[i]);
        }
        for (size_t i = 0; !is_kept && r >= 0 && i < backup->n_listers; ++i) {
                _cleanup_(text_deinit) Text output = TEXT_NULL;
                char *const *argv = backup->listers[i].argv;
                const char *image = "";
                int status;

                for (char *const *word = argv; *word; ++word)
                        image = *word;
                if (!*image || !tree_has(target->root_fd, image + strspn(image, "/")))
                        continue;
                r = tool_run(target->root_fd, target->is_here, argv, &output, &status);
                if (r < 0)
                        return r;
                if (r != 0 || !strstr(text(&output), SETUP_MODPROBE_NAME))
                        continue;
                *ret_failed = true;
                r = setup_note(report, "%s still has " SETUP_MODPROBE_NAME ": make it anew", image);
        }
        return r < 0 ? r : 0;
}

static int
roll_back(const SetupTarget *target, Backup *backup, const SetupPlan *plan, SetupReport *report) {
        bool has_failed = false;
        int r = 0;

        for (size_t i = backup->n_files; r >= 0 && i > 0; --i)
                if (!backup->files[i - 1].is_output)
                        r = restore(target, backup, &backup->files[i - 1], report);
        for (size_t i = backup->n_dirs; r >= 0 && i > 0; --i)
                r = tree_remove_dir(target->root_fd, backup->dirs[i - 1]);
        if (r >= 0)
                r = run_commands(target, backup, plan, &has_failed, report);
        if (r >= 0)
                r = restore_outputs(target, backup, has_failed, report);
        if (r >= 0)
                r = check_images(target, backup, &has_failed, report);
        if (r >= 0)
                r = clean_entries(target, backup, report);
        if (r < 0)
                return r;
        /* Not over: the next rollback runs the programs again. */
        if (has_failed)
                return SETUP_E_LEFT;
        return backup_set_state(backup, target->root_fd, BACKUP_RESTORED);
}

static int refuse_missing_dir(
                const SetupTarget *target, const char *path, size_t n, SetupReport *report) {
        _cleanup_(freep) char *dir = strndup(path, n);

        if (!dir)
                return -ENOMEM;
        if (n == 0 || tree_has(target->root_fd, dir))
                return 0;
        free(report->problem);
        report->problem = text_format("/%s is not there", dir);
        return report->problem ? SETUP_E_UNMOUNTED : -ENOMEM;
}

/* Boot files of a file system that is not mounted would keep our words. */
static int refuse_unmounted(const SetupTarget *target, const Backup *backup, SetupReport *report) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < backup->n_entry_dirs; ++i)
                r = refuse_missing_dir(target, backup->entry_dirs[i], strlen(backup->entry_dirs[i]),
                                report);
        for (size_t i = 0; r == 0 && i < backup->n_files; ++i) {
                const char *path = backup->files[i].path, *slash = strrchr(path, '/');

                if (backup->files[i].is_output && backup->files[i].before.data)
                        r = refuse_missing_dir(
                                        target, path, slash ? (size_t) (slash - path) : 0, report);
        }
        for (size_t i = 0; r == 0 && i < backup->n_images; ++i) {
                const char *path = backup->images[i], *slash = strrchr(path, '/');

                r = refuse_missing_dir(target, path, slash ? (size_t) (slash - path) : 0, report);
        }
        return r;
}

/*
 * The last set-up, and no other: of an earlier one it could not be told what is as it was written. Return: 0,
 * one of SETUP_E_..., or a negative error code.
 */
static int find(int root_fd, const char *name, Backup *ret) {
        _cleanup_(backup_deinit) Backup named = BACKUP_NULL;
        int r;

        if (name) {
                r = backup_load(&named, root_fd, name);
                if (r)
                        return r < 0                            ? r
                                        : r == BACKUP_E_MISSING ? SETUP_E_MISSING
                                                                : SETUP_E_INVALID;
                if (named.state == BACKUP_RESTORED)
                        return SETUP_E_OVER;
        }
        r = backup_find_last(ret, root_fd);
        if (r)
                return r < 0 ? r : r == BACKUP_E_MISSING ? SETUP_E_MISSING : SETUP_E_INVALID;
        return name && strcmp(name, ret->name) != 0 ? SETUP_E_LATER : 0;
}

/**
 * setup_roll_back() - take a set-up back
 * @name:       of its backup; NULL: the last that is in force or was interrupted
 * @plan:       its commands make boot files anew from what is there, beside those of the set-up
 * @report:     setup_report_deinit() it, whatever is returned
 *
 * It may be run again where it failed.
 *
 * Return: 0 on success; SETUP_E_LEFT: files are back, and boot files are not: it is to be run again; another of
 *         SETUP_E_...: nothing was touched; or a negative error code.
 */
int setup_roll_back(const SetupTarget *target,
                const char *name,
                const SetupPlan *plan,
                SetupReport *report) {
        _cleanup_(backup_deinit) Backup backup = BACKUP_NULL;
        _cleanup_(closep) int lock_fd = -1;
        int r;

        if (!tree_has(target->root_fd, BACKUPS_DIR))
                return SETUP_E_MISSING;
        r = backup_lock(target->root_fd, &lock_fd);
        if (r)
                return r < 0 ? r : SETUP_E_BUSY;
        r = find(target->root_fd, name, &backup);
        if (r == 0)
                r = refuse_unmounted(target, &backup, report);
        if (r)
                return r;
        r = text_copy(backup.name, &report->backup);
        return r < 0 ? r : roll_back(target, &backup, plan, report);
}
