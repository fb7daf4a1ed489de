/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "setup/manifest.h"

#define MANIFEST_VERSION 1U

static const char *const states[_BACKUP_MAX] = {
        [BACKUP_BEGUN] = "begun",
        [BACKUP_DONE] = "done",
        [BACKUP_RESTORED] = "restored",
};

static const char *const kinds[] = {
        [PLAN_FILE_OURS] = "ours",
        [PLAN_FILE_EDITED] = "edited",
        [PLAN_FILE_REMOVED] = "removed",
};

const char *backup_state_to_string(BackupState state) {
        return states[state];
}

/* @argv: copied. Return: 0, or a negative error code. */
int manifest_add_command(BackupCommand **commands, size_t *n, char *const *argv) {
        BackupCommand *more = reallocarray(*commands, *n + 1, sizeof(*more));
        size_t n_argv = 0;
        int r = 0;

        if (!more)
                return -ENOMEM;
        *commands = more;
        more[*n] = (BackupCommand){};
        for (; r >= 0 && *argv; ++argv)
                r = strv_push(&more[*n].argv, &n_argv, *argv);
        ++*n;
        return r < 0 ? r : 0;
}

/* writing */

static int add_words(Json *json, const char *key, char *const *words, size_t n) {
        Json *array = json_new_array();
        int r = 0;

        for (size_t i = 0; i < n; ++i)
                error_gather(&r, json_push_string(array, words[i]));
        error_gather(&r, json_add(json, key, array));
        return r;
}

static int add_side(Json *json, const char *key, const TreeFile *file) {
        Json *side;
        size_t n = 0;
        int r = 0;

        if (!file->data)
                return json_add_null(json, key);
        side = json_new_object();
        while (file->attributes && file->attributes[n])
                ++n;
        error_gather(&r, json_add_uint(side, "mode", file->mode));
        error_gather(&r, json_add_uint(side, "uid", file->uid));
        error_gather(&r, json_add_uint(side, "gid", file->gid));
        error_gather(&r, json_add_uint(side, "size", file->n));
        error_gather(&r, add_words(side, "xattrs", file->attributes, n));
        error_gather(&r, json_add(json, key, side));
        return r;
}

static int add_file(Json *array, const BackupFile *file) {
        Json *json = json_new_object();
        int r = 0;

        error_gather(&r, json_add_string(json, "path", file->path));
        error_gather(&r, json_add_string(json, "kind", kinds[file->kind]));
        error_gather(&r, json_add_uint(json, "output", file->is_output));
        error_gather(&r, add_side(json, "before", &file->before));
        error_gather(&r, add_side(json, "after", &file->after));
        error_gather(&r, json_push(array, json));
        return r;
}

static int add_commands(Json *json, const char *key, const BackupCommand *commands, size_t n) {
        Json *array = json_new_array();
        int r = 0;

        for (size_t i = 0; i < n; ++i) {
                Json *command = json_new_object();
                size_t n_argv = 0;

                while (commands[i].argv[n_argv])
                        ++n_argv;
                error_gather(&r, add_words(command, "argv", commands[i].argv, n_argv));
                error_gather(&r, json_push(array, command));
        }
        error_gather(&r, json_add(json, key, array));
        return r;
}

/* @ret: free() it. Return: 0, or a negative error code. */
int manifest_format(const Backup *backup, char **ret) {
        _cleanup_(json_freep) Json *json = json_new_object();
        Json *files = json_new_array();
        int r = 0;

        error_gather(&r, json_add_uint(json, "version", MANIFEST_VERSION));
        error_gather(&r, json_add_string(json, "state", states[backup->state]));
        error_gather(&r, add_words(json, "dirs", backup->dirs, backup->n_dirs));
        error_gather(&r, add_words(json, "entry_dirs", backup->entry_dirs, backup->n_entry_dirs));
        error_gather(&r, add_words(json, "words", backup->words, backup->n_words));
        error_gather(&r, add_commands(json, "commands", backup->commands, backup->n_commands));
        error_gather(&r, add_commands(json, "listers", backup->listers, backup->n_listers));
        error_gather(&r, add_words(json, "images", backup->images, backup->n_images));
        error_gather(&r, add_words(json, "kernels", backup->kernels, backup->n_kernels));
        for (size_t i = 0; i < backup->n_files; ++i)
                error_gather(&r, add_file(files, &backup->files[i]));
        error_gather(&r, json_add(json, "files", files));
        return r < 0 ? r : json_format(json, true, ret);
}

/* reading: 0, BACKUP_E_INVALID, or a negative error code */

static int invalid(int r) {
        return r > 0 ? BACKUP_E_INVALID : r;
}

static int get_words(const Json *json, const char *key, char ***ret, size_t *ret_n) {
        Json *array;
        int r;

        r = json_get_array(json, key, &array);
        for (size_t i = 0; r == 0 && i < json_length(array); ++i) {
                Json *item = json_at(array, i);
                const char *word = json_as_string(item);

                r = word ? strv_push(ret, ret_n, word) : BACKUP_E_INVALID;
        }
        return invalid(r);
}

/* Manifests of earlier versions do not have these. */
static int get_added_words(const Json *json, const char *key, char ***ret, size_t *ret_n) {
        Json *array;

        return json_get_array(json, key, &array) == JSON_E_MISSING
                        ? 0
                        : get_words(json, key, ret, ret_n);
}

static int get_commands(const Json *json, const char *key, BackupCommand **ret, size_t *ret_n) {
        Json *array;
        int r;

        r = json_get_array(json, key, &array);
        if (r)
                return r == JSON_E_MISSING ? 0 : invalid(r);
        for (size_t i = 0; r == 0 && i < json_length(array); ++i) {
                _cleanup_(strv_freep) char **argv = NULL;
                size_t n = 0;

                r = get_words(json_at(array, i), "argv", &argv, &n);
                if (r == 0)
                        r = n > 0 ? manifest_add_command(ret, ret_n, argv) : BACKUP_E_INVALID;
        }
        return r;
}

static int
get_word(const Json *json, const char *key, const char *const *words, size_t n, unsigned int *ret) {
        const char *word;
        int r;

        r = json_get_string(json, key, &word);
        if (r)
                return invalid(r);
        for (size_t i = 0; i < n; ++i)
                if (!strcmp(words[i], word)) {
                        *ret = (unsigned int) i;
                        return 0;
                }
        return BACKUP_E_INVALID;
}

static int get_side(const Json *json, const char *key, TreeFile *ret) {
        uint64_t mode, uid, gid;
        size_t n = 0;
        Json *side;
        int r;

        r = json_get_object(json, key, &side);
        if (r)
                return r == JSON_E_MISSING ? 0 : invalid(r);
        r = json_get_uint(side, "mode", 07777, &mode);
        if (r == 0)
                r = json_get_uint(side, "uid", UINT32_MAX, &uid);
        if (r == 0)
                r = json_get_uint(side, "gid", UINT32_MAX, &gid);
        if (r == 0)
                r = get_words(side, "xattrs", &ret->attributes, &n);
        if (r)
                return invalid(r);
        ret->mode = (mode_t) mode;
        ret->uid = (uid_t) uid;
        ret->gid = (gid_t) gid;
        ret->data = strdup("");
        return ret->data ? 0 : -ENOMEM;
}

/* A path of the manifest is written to by root: below the machine's root, and no other. */
static bool is_path(const char *path) {
        return path[0] && path[0] != '/' && !strstr(path, "//");
}

static int get_file(const Json *json, BackupFile *ret) {
        unsigned int kind;
        const char *path;
        uint64_t is_output;
        int r;

        r = json_get_string(json, "path", &path);
        if (r == 0)
                r = is_path(path) ? text_copy(path, &ret->path) : BACKUP_E_INVALID;
        if (r == 0)
                r = get_word(json, "kind", kinds, ARRAY_SIZE(kinds), &kind);
        if (r == 0)
                r = json_get_uint(json, "output", 1, &is_output);
        if (r == 0)
                r = get_side(json, "before", &ret->before);
        if (r == 0)
                r = get_side(json, "after", &ret->after);
        if (r)
                return invalid(r);
        ret->kind = (PlanFileKind) kind;
        ret->is_output = is_output;
        return 0;
}

static int get_files(const Json *json, Backup *ret) {
        Json *array;
        size_t n;
        int r;

        r = json_get_array(json, "files", &array);
        if (r)
                return invalid(r);
        n = json_length(array);
        ret->files = calloc(n ?: 1, sizeof(*ret->files));
        if (!ret->files)
                return -ENOMEM;
        for (size_t i = 0; r == 0 && i < n; ++i) {
                ret->files[i] = (BackupFile){ .before = TREE_FILE_NULL, .after = TREE_FILE_NULL };
                ++ret->n_files;
                r = get_file(json_at(array, i), &ret->files[i]);
        }
        return r;
}

/*
 * The side of a file that was there has "" for its content. Return: as above. @ret: backup_deinit() it,
 * whatever is returned
 */
int manifest_parse(const char *data, Backup *ret) {
        _cleanup_(json_freep) Json *json = NULL;
        unsigned int state = 0;
        uint64_t version;
        int r;

        r = json_parse(data, &json);
        if (r == 0)
                r = json_get_uint(json, "version", UINT32_MAX, &version);
        if (r == 0 && version != MANIFEST_VERSION)
                r = BACKUP_E_INVALID;
        if (r == 0)
                r = get_word(json, "state", states, ARRAY_SIZE(states), &state);
        if (r == 0)
                r = get_words(json, "dirs", &ret->dirs, &ret->n_dirs);
        if (r == 0)
                r = get_words(json, "entry_dirs", &ret->entry_dirs, &ret->n_entry_dirs);
        if (r == 0)
                r = get_words(json, "words", &ret->words, &ret->n_words);
        if (r == 0)
                r = get_commands(json, "commands", &ret->commands, &ret->n_commands);
        if (r == 0)
                r = get_commands(json, "listers", &ret->listers, &ret->n_listers);
        if (r == 0)
                r = get_added_words(json, "images", &ret->images, &ret->n_images);
        if (r == 0)
                r = get_added_words(json, "kernels", &ret->kernels, &ret->n_kernels);
        if (r == 0)
                r = get_files(json, ret);
        ret->state = (BackupState) state;
        return invalid(r);
}
