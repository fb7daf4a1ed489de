/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "base/text.h"
#include "setup/backup.h"
#include "setup/manifest.h"
#include "setup/names.h"

#define STAGING_SUFFIX ".incomplete"

static void free_commands(BackupCommand *commands, size_t n) {
        for (size_t i = 0; i < n; ++i)
                strv_free(commands[i].argv);
        free(commands);
}

void backup_deinit(Backup *backup) {
        for (size_t i = 0; i < backup->n_files; ++i) {
                free(backup->files[i].path);
                tree_file_deinit(&backup->files[i].before);
                tree_file_deinit(&backup->files[i].after);
        }
        free(backup->files);
        free(backup->name);
        strv_free(backup->dirs);
        strv_free(backup->entry_dirs);
        strv_free(backup->words);
        free_commands(backup->commands, backup->n_commands);
        free_commands(backup->listers, backup->n_listers);
        strv_free(backup->images);
        strv_free(backup->kernels);
        *backup = (Backup) BACKUP_NULL;
}

/* the directory */

/* Make all directories on the way. */
static int make_dirs(int root_fd, const char *path) {
        for (const char *slash = strchr(path, '/');; slash = strchr(slash + 1, '/')) {
                _cleanup_(freep) char *dir =
                                strndup(path, slash ? (size_t) (slash - path) : strlen(path));
                int r;

                if (!dir)
                        return -ENOMEM;
                r = tree_make_dir(root_fd, dir, slash ? 0755 : 0700);
                if (r)
                        return r < 0 ? r : -ENOTDIR;
                if (!slash)
                        return 0;
        }
}

/*
 * Keep others from the machine's files, for as long as the descriptor is open; makes the directory of
 * backups. Return: 0, BACKUP_E_BUSY, or a negative error code. @ret_fd: close() it
 */
int backup_lock(int root_fd, int *ret_fd) {
        _cleanup_(closep) int fd = -1;
        int r;

        r = make_dirs(root_fd, BACKUPS_DIR);
        if (r >= 0)
                r = tree_open_dir(root_fd, BACKUPS_DIR, &fd);
        if (r)
                return r < 0 ? r : -ENOENT;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? BACKUP_E_BUSY : -errno;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static bool is_backup_name(const char *name) {
        return name[0] >= '0' && name[0] <= '9' && !strpbrk(name, "./");
}

/* The names of all that are whole, oldest first. Return: 0, or negative. strv_free() @ret_names */
int backup_list(int root_fd, char ***ret_names, size_t *ret_n) {
        _cleanup_(strv_freep) char **all = NULL, **names = NULL;
        size_t n_all = 0, n = 0;
        int r;

        r = tree_list(root_fd, BACKUPS_DIR, &all, &n_all);
        if (r < 0)
                return r;
        r = 0;
        for (size_t i = 0; r >= 0 && i < n_all; ++i)
                if (is_backup_name(all[i]))
                        r = strv_push(&names, &n, all[i]);
        if (r < 0)
                return r;
        *ret_names = TAKE_PTR(names);
        *ret_n = n;
        return 0;
}

static int path_of(const char *name, const char *what, char **ret) {
        *ret = text_format(BACKUPS_DIR "/%s%s%s", name, what[0] ? "/" : "", what);
        return *ret ? 0 : -ENOMEM;
}

static int remove_in(int root_fd, const char *path) {
        _cleanup_(strv_freep) char **names = NULL;
        size_t n = 0;
        int r;

        r = tree_list(root_fd, path, &names, &n);
        if (r)
                return r < 0 ? r : 0;
        r = 0;
        for (size_t i = 0; i < n; ++i) {
                _cleanup_(freep) char *file = text_format("%s/%s", path, names[i]);

                if (!file)
                        return -ENOMEM;
                r = tree_remove(root_fd, file);
                if (r == -EISDIR || r == -EPERM)
                        r = remove_in(root_fd, file);
                if (r < 0)
                        return r;
        }
        return error_fold(tree_remove_dir(root_fd, path));
}

/* filling it in */

static BackupFile *add_file(Backup *backup, const char *path) {
        BackupFile *more = reallocarray(backup->files, backup->n_files + 1, sizeof(*more)), *file;

        if (!more)
                return NULL;
        backup->files = more;
        file = &more[backup->n_files];
        *file = (BackupFile){ .before = TREE_FILE_NULL, .after = TREE_FILE_NULL };
        file->path = strdup(path);
        if (!file->path)
                return NULL;
        ++backup->n_files;
        return file;
}

/* What a command writes; its directory may be made by that, too. */
static int add_output(Backup *backup, int root_fd, const char *path) {
        BackupFile *file = add_file(backup, path);
        int r;

        if (!file)
                return -ENOMEM;
        file->kind = PLAN_FILE_EDITED;
        file->is_output = true;
        r = tree_read(root_fd, path, &file->before);
        if (r < 0)
                return r;
        return r == TREE_E_SPECIAL ? -EINVAL : tree_file_copy(&file->before, &file->after);
}

/*
 * A path without links in what there is of it; what is to be made yet follows as it is. Return: 0, or a
 * negative error code. @ret: free() it
 */
static int resolve(int root_fd, const char *path, char **ret) {
        _cleanup_(freep) char *start = strdup(path), *place = NULL;
        int r;

        if (!start)
                return -ENOMEM;
        for (;;) {
                char *slash;

                r = tree_find(root_fd, start, &place);
                if (r < 0)
                        return r;
                slash = strrchr(start, '/');
                if (r == 0 || !slash)
                        break;
                *slash = '\0';
        }
        *ret = text_format("%s%s", r == 0 ? place : start, path + strlen(start));
        return *ret ? 0 : -ENOMEM;
}

static int add_dirs(Backup *backup, int root_fd, const SetupPlan *plan) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < plan->n_dirs; ++i) {
                _cleanup_(freep) char *place = NULL;

                r = resolve(root_fd, plan->dirs[i], &place);
                if (r >= 0)
                        r = strv_push(&backup->dirs, &backup->n_dirs, place);
        }
        return r;
}

static int copy_words(char *const *from, size_t n_from, char ***ret, size_t *ret_n) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < n_from; ++i)
                r = strv_push(ret, ret_n, from[i]);
        return r;
}

/* The programs of a plan, and what a rollback looks at when it has run them. */
static int add_programs(Backup *backup, const SetupPlan *plan) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < plan->n_commands; ++i)
                r = manifest_add_command(
                                &backup->commands, &backup->n_commands, plan->commands[i].argv);
        for (size_t i = 0; r >= 0 && i < plan->n_checks; ++i) {
                bool looks_into_image = false;

                for (char **need = plan->checks[i].needs; need && *need; ++need)
                        looks_into_image = looks_into_image || !strcmp(*need, SETUP_MODPROBE_NAME);
                if (looks_into_image && plan->checks[i].argv)
                        r = manifest_add_command(
                                        &backup->listers, &backup->n_listers, plan->checks[i].argv);
        }
        return r;
}

static int add_images(Backup *backup, int root_fd, const SetupPlan *plan) {
        _cleanup_(strv_freep) char **names = NULL;
        size_t n = 0;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < plan->n_image_files; ++i)
                if (tree_has(root_fd, plan->image_files[i]))
                        r = strv_push(&backup->images, &backup->n_images, plan->image_files[i]);
        if (r >= 0)
                r = tree_list(root_fd, "lib/modules", &names, &n);
        for (size_t i = 0; r >= 0 && i < n; ++i) {
                _cleanup_(freep) char *path = text_format("lib/modules/%s/modules.dep", names[i]);

                if (!path)
                        return -ENOMEM;
                if (tree_has(root_fd, path))
                        r = strv_push(&backup->kernels, &backup->n_kernels, names[i]);
        }
        return r < 0 ? r : 0;
}

/* Without links on the way, as the entries themselves. */
static int add_entry_dirs(Backup *backup, int root_fd, const SetupPlan *plan) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < plan->n_entry_dirs; ++i) {
                _cleanup_(freep) char *place = NULL;

                r = resolve(root_fd, plan->entry_dirs[i], &place);
                if (r >= 0)
                        r = strv_push(&backup->entry_dirs, &backup->n_entry_dirs, place);
        }
        return r;
}

/**
 * backup_init() - what a plan will change, and what it is now
 * @backup:     backup_deinit() it
 *
 * Return: 0, or a negative error code: -ESTALE where a file is not any more as the plan has it.
 */
int backup_init(Backup *backup, int root_fd, const SetupPlan *plan) {
        _cleanup_(backup_deinit) Backup made = BACKUP_NULL;
        int r = 0;

        *backup = made;
        for (size_t i = 0; r >= 0 && i < plan->n_files; ++i) {
                _cleanup_(tree_file_deinit) TreeFile now = TREE_FILE_NULL;
                _cleanup_(freep) char *place = NULL;
                BackupFile *file;

                r = resolve(root_fd, plan->files[i].path, &place);
                if (r < 0)
                        return r;
                file = add_file(&made, place);
                if (!file)
                        return -ENOMEM;
                file->kind = plan->files[i].kind;
                r = tree_read(root_fd, file->path, &now);
                if (r < 0)
                        return r;
                if (r == TREE_E_SPECIAL || !tree_file_equal(&now, &plan->files[i].before))
                        return -ESTALE;
                r = tree_file_copy(&plan->files[i].before, &file->before);
                if (r >= 0)
                        r = tree_file_copy(&plan->files[i].after, &file->after);
        }
        for (size_t i = 0; r >= 0 && i < plan->n_outputs; ++i)
                r = add_output(&made, root_fd, plan->outputs[i]);
        if (r >= 0)
                r = add_dirs(&made, root_fd, plan);
        if (r >= 0)
                r = copy_words(plan->words, plan->n_words, &made.words, &made.n_words);
        if (r >= 0)
                r = add_entry_dirs(&made, root_fd, plan);
        if (r >= 0)
                r = add_programs(&made, plan);
        if (r >= 0)
                r = add_images(&made, root_fd, plan);
        if (r < 0)
                return r;
        *backup = made;
        made = (Backup) BACKUP_NULL;
        return 0;
}

/* writing it */

static int write_plain(int root_fd, const char *path, mode_t mode, const char *data) {
        TreeFile file = {
                .data = (char *) data,
                .n = strlen(data),
                .mode = mode,
                .uid = geteuid(),
                .gid = getegid(),
                .mtime = { .tv_nsec = UTIME_OMIT },
        };

        return error_fold(tree_write(root_fd, path, &file));
}

static int write_copy(
                int root_fd, const char *name, const char *folder, size_t i, const TreeFile *file) {
        _cleanup_(freep) char *number = text_format("%s/%zu", folder, i), *path = NULL;
        int r;

        if (!number)
                return -ENOMEM;
        if (!file->data)
                return 0;
        r = path_of(name, number, &path);
        return r < 0 ? r : error_fold(tree_write(root_fd, path, file));
}

static int write_manifest(const Backup *backup, int root_fd, const char *name) {
        _cleanup_(freep) char *data = NULL, *path = NULL;
        int r;

        r = manifest_format(backup, &data);
        if (r >= 0)
                r = path_of(name, "manifest", &path);
        return r < 0 ? r : write_plain(root_fd, path, 0600, data);
}

static int make_folder(int root_fd, const char *name, const char *folder) {
        _cleanup_(freep) char *path = NULL;
        int r;

        r = path_of(name, folder, &path);
        return r < 0 ? r : error_fold(tree_make_dir(root_fd, path, 0700));
}

static int write_all_of(
                const Backup *backup, int root_fd, const char *name, const SetupPlan *plan) {
        _cleanup_(freep) char *script = NULL, *path = NULL;
        int r;

        r = make_folder(root_fd, name, "");
        if (r >= 0)
                r = make_folder(root_fd, name, "before");
        if (r >= 0)
                r = make_folder(root_fd, name, "after");
        for (size_t i = 0; r >= 0 && i < backup->n_files; ++i) {
                r = write_copy(root_fd, name, "before", i, &backup->files[i].before);
                if (r >= 0)
                        r = write_copy(root_fd, name, "after", i, &backup->files[i].after);
        }
        if (r >= 0)
                r = backup_script(backup, plan, &script);
        if (r >= 0)
                r = path_of(name, "restore.sh", &path);
        if (r >= 0)
                r = write_plain(root_fd, path, 0700, script);
        return r < 0 ? r : write_manifest(backup, root_fd, name);
}

/* What a set-up left that was killed before its backup had its name: nothing was changed then. */
static int remove_staging(int root_fd) {
        _cleanup_(strv_freep) char **names = NULL;
        size_t n = 0;
        int r;

        r = tree_list(root_fd, BACKUPS_DIR, &names, &n);
        for (size_t i = 0; r == 0 && i < n; ++i) {
                _cleanup_(freep) char *path = NULL;

                if (!text_ends_with(names[i], STAGING_SUFFIX))
                        continue;
                r = path_of(names[i], "", &path);
                if (r >= 0)
                        r = remove_in(root_fd, path);
        }
        return error_fold(r);
}

static int give_name(int root_fd, const char *staging, const char *name) {
        _cleanup_(closep) int fd = -1;
        int r;

        r = tree_open_dir(root_fd, BACKUPS_DIR, &fd);
        if (r)
                return r < 0 ? r : -ENOENT;
        if (renameat(fd, staging, fd, name) < 0)
                return -errno;
        return fsync(fd) < 0 ? -errno : 0;
}

/*
 * One behind all that exist, as the last is taken back first: within one second, or where the clock went back, it
 * is the last one's with a number.
 */
static int choose_name(int root_fd, char **ret) {
        _cleanup_(strv_freep) char **names = NULL;
        const char *last, *start;
        time_t now = time(NULL);
        char stamp[32];
        struct tm tm;
        size_t n = 0;
        int r;

        if (!gmtime_r(&now, &tm) || strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm) == 0)
                return -EINVAL;
        r = backup_list(root_fd, &names, &n);
        if (r < 0)
                return r;
        last = n > 0 ? names[n - 1] : "";
        start = strcmp(stamp, last) > 0 ? stamp : last;
        for (unsigned int i = 1; i < 1000; ++i) {
                _cleanup_(freep) char *name = NULL;

                name = start == stamp ? text_format("%s", stamp)
                                      : text_format("%.*s-%03u", (int) strcspn(last, "-"), last, i);
                if (!name)
                        return -ENOMEM;
                if (strcmp(name, last) > 0) {
                        *ret = TAKE_PTR(name);
                        return 0;
                }
        }
        return -EOVERFLOW;
}

/**
 * backup_create() - put it on disk, whole, before any file of the machine is touched
 *
 * Sets .name. The caller holds backup_lock(). Return: 0, or a negative error code; there is then nothing
 * of it, or an incomplete directory that nobody takes for a backup.
 */
int backup_create(Backup *backup, int root_fd, const SetupPlan *plan) {
        _cleanup_(freep) char *staging = NULL;
        int r;

        r = remove_staging(root_fd);
        if (r >= 0)
                r = choose_name(root_fd, &backup->name);
        if (r < 0)
                return r;
        staging = text_format("%s" STAGING_SUFFIX, backup->name);
        if (!staging)
                return -ENOMEM;
        backup->state = BACKUP_BEGUN;
        r = write_all_of(backup, root_fd, staging, plan);
        if (r >= 0)
                r = give_name(root_fd, staging, backup->name);
        if (r < 0)
                backup_remove(staging, root_fd);
        return r;
}

int backup_set_state(Backup *backup, int root_fd, BackupState state) {
        BackupState old = backup->state;
        int r;

        backup->state = state;
        r = write_manifest(backup, root_fd, backup->name);
        if (r < 0)
                backup->state = old;
        return r;
}

/* Keep what commands have written, too, and say that the set-up is in force. Return: 0, or negative. */
int backup_finish(Backup *backup, int root_fd) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < backup->n_files; ++i) {
                BackupFile *file = &backup->files[i];

                if (!file->is_output)
                        continue;
                tree_file_deinit(&file->after);
                r = tree_read(root_fd, file->path, &file->after);
                if (r >= 0)
                        r = r == TREE_E_SPECIAL ? -EINVAL
                                                : write_copy(root_fd, backup->name, "after", i,
                                                                  &file->after);
        }
        return r < 0 ? r : backup_set_state(backup, root_fd, BACKUP_DONE);
}

/*
 * Keep what was made of a file since the set-up, as changed/@i of the backup. Return: 0, or a negative
 * error code.
 */
int backup_keep(const Backup *backup, int root_fd, size_t i, const TreeFile *now) {
        int r;

        r = make_folder(root_fd, backup->name, "changed");
        return r < 0 ? r : write_copy(root_fd, backup->name, "changed", i, now);
}

/* reading it */

static int load_copy(int root_fd, const char *name, const char *folder, size_t i, TreeFile *file) {
        _cleanup_(tree_file_deinit) TreeFile copy = TREE_FILE_NULL;
        _cleanup_(freep) char *number = text_format("%s/%zu", folder, i), *path = NULL;
        int r;

        if (!number)
                return -ENOMEM;
        r = path_of(name, number, &path);
        if (r >= 0)
                r = tree_read(root_fd, path, &copy);
        if (r)
                return r < 0 ? r : BACKUP_E_INVALID;
        /* Permissions, owner and attributes are those of the manifest: a copy of the backup may have lost them. */
        file->data = TAKE_PTR(copy.data);
        file->n = copy.n;
        file->mtime = copy.mtime;
        return 0;
}

/* @backup: backup_deinit() it. Return: 0, BACKUP_E_MISSING, BACKUP_E_INVALID, or negative. */
int backup_load(Backup *backup, int root_fd, const char *name) {
        _cleanup_(tree_file_deinit) TreeFile manifest = TREE_FILE_NULL;
        _cleanup_(backup_deinit) Backup loaded = BACKUP_NULL;
        _cleanup_(freep) char *path = NULL;
        int r;

        *backup = loaded;
        if (!is_backup_name(name))
                return BACKUP_E_MISSING;
        r = path_of(name, "manifest", &path);
        if (r >= 0)
                r = tree_read(root_fd, path, &manifest);
        if (r)
                return r < 0 ? r : r == TREE_E_MISSING ? BACKUP_E_MISSING : BACKUP_E_INVALID;
        r = manifest_parse(manifest.data, &loaded);
        for (size_t i = 0; r == 0 && i < loaded.n_files; ++i) {
                BackupFile *file = &loaded.files[i];

                /* The manifest tells by an empty string which are there. */
                if (file->before.data) {
                        free(TAKE_PTR(file->before.data));
                        r = load_copy(root_fd, name, "before", i, &file->before);
                }
                if (r == 0 && file->after.data) {
                        free(TAKE_PTR(file->after.data));
                        r = load_copy(root_fd, name, "after", i, &file->after);
                        file->after.mtime.tv_nsec = UTIME_OMIT;
                }
        }
        if (r == 0)
                r = text_copy(name, &loaded.name);
        if (r)
                return r;
        *backup = loaded;
        loaded = (Backup) BACKUP_NULL;
        return 0;
}

/*
 * The newest that is in force or was begun; one that cannot be read is in the way. Return: as
 * backup_load(). @backup: backup_deinit() it
 */
int backup_find_last(Backup *backup, int root_fd) {
        _cleanup_(strv_freep) char **names = NULL;
        size_t n;
        int r;

        *backup = (Backup) BACKUP_NULL;
        r = backup_list(root_fd, &names, &n);
        while (r == 0 && n > 0) {
                r = backup_load(backup, root_fd, names[--n]);
                if (r || backup->state != BACKUP_RESTORED)
                        return r;
                backup_deinit(backup);
        }
        return r < 0 ? r : BACKUP_E_MISSING;
}

/* removing it */

/*
 * Remove a backup of a set-up that was undone, the manifest last of all that counts, and the directories
 * above where nothing else is in them. Return: 0, or a negative error code.
 */
int backup_remove(const char *name, int root_fd) {
        _cleanup_(freep) char *path = NULL, *gone = NULL;
        _cleanup_(closep) int fd = -1;
        int r;

        /* First it is no backup any more, by name; then its files go. */
        r = tree_open_dir(root_fd, BACKUPS_DIR, &fd);
        if (r)
                return r < 0 ? r : 0;
        gone = text_ends_with(name, STAGING_SUFFIX) ? text_format("%s", name)
                                                    : text_format("%s" STAGING_SUFFIX, name);
        if (!gone)
                return -ENOMEM;
        if (strcmp(gone, name) && renameat(fd, name, fd, gone) < 0)
                return errno == ENOENT ? 0 : -errno;
        r = path_of(gone, "", &path);
        if (r >= 0)
                r = remove_in(root_fd, path);
        if (r >= 0)
                r = error_fold(tree_remove_dir(root_fd, BACKUPS_DIR));
        if (r >= 0)
                r = error_fold(tree_remove_dir(root_fd, "var/lib/vfiopt"));
        return r;
}
