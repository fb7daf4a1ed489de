/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/text.h"
#include "setup/apply.h"

/* steps: 0, SETUP_E_UNDONE after having said what has failed, or -ENOMEM */

static int write_file(const SetupTarget *target, const BackupFile *file, SetupReport *report) {
        int r;

        r = file->after.data ? tree_write(target->root_fd, file->path, &file->after)
                             : tree_remove(target->root_fd, file->path);
        if (r == 0 || (r == TREE_E_MISSING && !file->after.data))
                return 0;
        return setup_fail(report, "cannot write /%s: %s", file->path,
                        r < 0 ? strerror(-r)
                              : "it is no regular file, or its directory is missing");
}

/* images */

static int take_stamps(const SetupTarget *target, const SetupPlan *plan, struct stat *stamps) {
        for (size_t i = 0; i < plan->n_image_files; ++i) {
                int r;

                r = tree_stat(target->root_fd, plan->image_files[i], &stamps[i]);
                if (r < 0)
                        return r;
                if (r == TREE_E_MISSING)
                        stamps[i] = (struct stat){};
        }
        return 0;
}

/* Whether a program may have made an image: all are known, and none is another file or has another time. */
static bool has_new_image(
                const SetupTarget *target, const SetupPlan *plan, const struct stat *stamps) {
        for (size_t i = 0; i < plan->n_image_files; ++i) {
                struct stat now = {};

                if (tree_stat(target->root_fd, plan->image_files[i], &now) < 0 ||
                                now.st_ino != stamps[i].st_ino ||
                                now.st_size != stamps[i].st_size ||
                                now.st_mtim.tv_sec != stamps[i].st_mtim.tv_sec ||
                                now.st_mtim.tv_nsec != stamps[i].st_mtim.tv_nsec)
                        return true;
        }
        return plan->n_image_files == 0;
}

static int change(const SetupTarget *target,
                const SetupPlan *plan,
                const Backup *backup,
                SetupReport *report,
                bool *ret_has_run) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < backup->n_dirs; ++i) {
                r = tree_make_dir(target->root_fd, backup->dirs[i], 0755);
                if (r)
                        r = setup_fail(report, "cannot make /%s: %s", backup->dirs[i],
                                        r < 0 ? strerror(-r) : "its directory is missing");
        }
        for (size_t i = 0; r == 0 && i < backup->n_files; ++i)
                if (!backup->files[i].is_output)
                        r = write_file(target, &backup->files[i], report);
        for (size_t i = 0; r == 0 && i < plan->n_commands; ++i) {
                *ret_has_run = true;
                r = setup_run_command(target, plan->commands[i].argv, report);
        }
        return r == 0 ? setup_check(target, plan, report) : r;
}

/* back */

/* Make a file what it was, whatever it is now. Return: 0, TREE_E_SPECIAL, TREE_E_MISSING, or negative. */
int setup_restore_file(const SetupTarget *target, const BackupFile *file) {
        _cleanup_(tree_file_deinit) TreeFile now = TREE_FILE_NULL;
        int r;

        if (!file->before.data) {
                r = tree_remove(target->root_fd, file->path);
                return r == TREE_E_MISSING ? 0 : r;
        }
        r = tree_read(target->root_fd, file->path, &now);
        if (r < 0)
                return r;
        if (r == 0 && tree_file_equal(&now, &file->before) && now.mode == file->before.mode)
                return 0;
        return tree_write(target->root_fd, file->path, &file->before);
}

/*
 * Images are not in the backup: where one may have been replaced, be it by a program that failed, they are made
 * again from what is there now. Outputs are put back last, as a program may write them.
 */
static int undo(const SetupTarget *target,
                const SetupPlan *plan,
                const Backup *backup,
                bool has_images,
                SetupReport *report) {
        _cleanup_(setup_report_deinit) SetupReport again = SETUP_REPORT_NULL;
        int left = 0, r = 0;

        for (unsigned int outputs = 0; outputs < 2; ++outputs) {
                for (size_t i = backup->n_files; r >= 0 && i > 0; --i) {
                        const BackupFile *file = &backup->files[i - 1];

                        if (file->is_output != outputs)
                                continue;
                        r = setup_restore_file(target, file);
                        if (r == 0)
                                continue;
                        ++left;
                        r = setup_note(report, "cannot put /%s back: %s", file->path,
                                        r < 0 ? strerror(-r) : "it is no regular file any more");
                }
                for (size_t i = 0; has_images && !outputs && r >= 0 && i < plan->n_commands; ++i) {
                        if (!plan->commands[i].makes_images)
                                continue;
                        r = setup_run_command(target, plan->commands[i].argv, &again);
                        if (r != SETUP_E_UNDONE)
                                continue;
                        ++left;
                        r = setup_note(report, "%s, while it was undone", again.problem);
                }
        }
        for (size_t i = backup->n_dirs; r >= 0 && i > 0; --i)
                if (tree_remove_dir(target->root_fd, backup->dirs[i - 1]) != 0)
                        r = setup_note(report, "cannot remove /%s", backup->dirs[i - 1]);
        return r < 0 ? r : left > 0 ? SETUP_E_LEFT : 0;
}

/* whole */

static int refuse_begun(const SetupTarget *target) {
        _cleanup_(backup_deinit) Backup last = BACKUP_NULL;
        int r;

        r = backup_find_last(&last, target->root_fd);
        if (r == BACKUP_E_INVALID)
                return SETUP_E_INVALID;
        if (r)
                return r < 0 ? r : 0;
        return last.state == BACKUP_BEGUN ? SETUP_E_BEGUN : 0;
}

static int fail(const SetupTarget *target,
                const SetupPlan *plan,
                Backup *backup,
                bool has_images,
                SetupReport *report) {
        int r;

        r = undo(target, plan, backup, has_images, report);
        if (r != 0)
                return r < 0 ? r : SETUP_E_LEFT;
        r = backup_remove(backup->name, target->root_fd);
        if (r < 0)
                return setup_note(report, "cannot remove the backup %s: %s", backup->name,
                                       strerror(-r)) < 0
                                ? -ENOMEM
                                : SETUP_E_UNDONE;
        free(report->backup);
        report->backup = NULL;
        return SETUP_E_UNDONE;
}

/**
 * setup_apply() - carry out a plan, or nothing of it
 * @plan:       without refusals
 * @report:     setup_report_deinit() it, whatever is returned
 *
 * Requests to end are to be held up meanwhile; a program that one of them ends has failed.
 *
 * Return: 0 on success, one of SETUP_E_…, or a negative error code of what comes before the first change.
 */
int setup_apply(const SetupTarget *target, const SetupPlan *plan, SetupReport *report) {
        _cleanup_(backup_deinit) Backup backup = BACKUP_NULL;
        _cleanup_(closep) int lock_fd = -1;
        _cleanup_(freep) struct stat *stamps = calloc(plan->n_image_files + 1, sizeof(*stamps));
        bool has_run = false;
        int r;

        if (!stamps)
                return -ENOMEM;
        if (plan->n_refusals > 0)
                return -EINVAL;
        r = backup_lock(target->root_fd, &lock_fd);
        if (r)
                return r < 0 ? r : SETUP_E_BUSY;
        r = refuse_begun(target);
        if (r)
                return r;
        r = take_stamps(target, plan, stamps);
        if (r >= 0)
                r = backup_init(&backup, target->root_fd, plan);
        if (r < 0)
                return r == -ESTALE ? SETUP_E_CHANGED : r;
        r = backup_create(&backup, target->root_fd, plan);
        if (r >= 0)
                r = text_copy(backup.name, &report->backup);
        if (r < 0) {
                if (backup.name)
                        backup_remove(backup.name, target->root_fd);
                return r;
        }

        r = change(target, plan, &backup, report, &has_run);
        if (r == 0) {
                r = backup_finish(&backup, target->root_fd);
                if (r == 0)
                        return 0;
                r = setup_fail(report, "cannot finish the backup: %s", strerror(-r));
        }
        return fail(target, plan, &backup, has_run && has_new_image(target, plan, stamps), report);
}
