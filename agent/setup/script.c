/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * restore.sh
 *
 * Takes a set-up back from a rescue shell, with the few programs that busybox has. It has all paths in
 * itself, and of the manifest it reads the state alone. It puts back what the backup has, boot entries
 * included; from boot files that were written anew since, for kernels that came later, it takes our words.
 * Programs that make images are only named, as a rescue system is no place to run them.
 */

#include <string.h>

#include "base/text.h"
#include "setup/backup.h"
#include "setup/words.h"

static const char script_head[] =
                "#!/bin/sh\n"
                "# Puts files back as they were before `vfioptctl setup`. From a rescue shell:\n"
                "#     sh /mnt/" BACKUPS_DIR "/NAME/restore.sh\n"
                "# The machine is the one that this backup lies on; from a copy elsewhere, ROOT=/mnt says which.\n"
                "# It may be run again. `vfioptctl rollback` does the same, and more.\n"
                "case $0 in\n"
                "*/*) here=${0%/*} ;;\n"
                "*) here=. ;;\n"
                "esac\n"
                "here=$(CDPATH='' cd -- \"$here/\" && pwd) || exit 1\n"
                "if [ -n \"${ROOT-}\" ]; then\n"
                "\tROOT=${ROOT%/}\n"
                "else\n"
                "\tcase $here in\n"
                "\t*/" BACKUPS_DIR "/*) ROOT=${here%/" BACKUPS_DIR "/*} ;;\n"
                "\t*)\n"
                "\t\techo \"restore.sh: $here is not below a machine's /" BACKUPS_DIR
                ": set ROOT=\" >&2\n"
                "\t\texit 1\n"
                "\t\t;;\n"
                "\tesac\n"
                "fi\n"
                "status=0\n"
                "\n"
                "fail() {\n"
                "\techo \"restore.sh: $*\" >&2\n"
                "\tstatus=1\n"
                "}\n"
                "\n"
                "# From a rescue system, an absolute link on the way would lead out of the machine.\n"
                "way() { # PATH\n"
                "\tdir=$ROOT\n"
                "\trest=$1\n"
                "\twhile [ \"${rest#*/}\" != \"$rest\" ]; do\n"
                "\t\tdir=$dir/${rest%%/*}\n"
                "\t\trest=${rest#*/}\n"
                "\t\t[ ! -L \"$dir\" ] || { fail \"$dir has become a link, /$1 is left as it is\"; return 1; }\n"
                "\tdone\n"
                "}\n"
                "\n"
                "# A file that somebody changed since is kept beside the backup.\n"
                "keep() { # NUMBER PATH\n"
                "\t[ -e \"$ROOT/$2\" ] || return 0\n"
                "\tcmp -s \"$ROOT/$2\" \"$here/after/$1\" && return 0\n"
                "\tmkdir -p \"$here/changed\" && cp -p \"$ROOT/$2\" \"$here/changed/$1\" && return 0\n"
                "\tfail \"cannot keep a copy of /$2, left as it is\"\n"
                "\treturn 1\n"
                "}\n"
                "\n"
                "put() { # NUMBER PATH\n"
                "\tway \"$2\" || return\n"
                "\tnew=$ROOT/${2%/*}/.${2##*/}.vfiopt-new\n"
                "\trm -f \"$new\"\n"
                "\tcmp -s \"$ROOT/$2\" \"$here/before/$1\" && return 0\n"
                "\t[ ! -L \"$ROOT/$2\" ] || { fail \"/$2 has become a link, left as it is\"; return; }\n"
                "\tkeep \"$1\" \"$2\" || return\n"
                "\tcp -a \"$here/before/$1\" \"$new\" && mv -f \"$new\" \"$ROOT/$2\" || fail \"cannot put /$2 back\"\n"
                "}\n"
                "\n"
                "drop() { # NUMBER PATH\n"
                "\tway \"$2\" || return\n"
                "\trm -f \"$ROOT/${2%/*}/.${2##*/}.vfiopt-new\"\n"
                "\t[ -e \"$ROOT/$2\" ] || [ -L \"$ROOT/$2\" ] || return 0\n"
                "\tkeep \"$1\" \"$2\" || return\n"
                "\trm -f \"$ROOT/$2\" || fail \"cannot remove /$2\"\n"
                "}\n"
                "\n"
                "# Lines of comments stay.\n"
                "cut_words() { # NUMBER PATH WORD..., as sed takes them\n"
                "\tnumber=$1\n"
                "\tpath=$2\n"
                "\tway \"$path\" || return\n"
                "\tshift 2\n"
                "\t[ ! -L \"$ROOT/$path\" ] || { fail \"/$path has become a link, left as it is\"; return; }\n"
                "\tnew=$ROOT/${path%/*}/.${path##*/}.vfiopt-new\n"
                "\tscript=/^#/b\n"
                "\tfor word; do\n"
                "\t\tscript=\"$script\n"
                "s/[[:blank:]]$word\\([[:blank:]\\\"']\\)/\\1/g\n"
                "s/[[:blank:]]$word\\([[:blank:]\\\"']\\)/\\1/g\n"
                "s/[[:blank:]]$word\\$//\"\n"
                "\tdone\n"
                "\trm -f \"$new\"\n"
                "\tcp -a \"$ROOT/$path\" \"$new\" && sed \"$script\" \"$ROOT/$path\" >\"$new\" ||\n"
                "\t\t{ rm -f \"$new\"; fail \"cannot take our words out of /$path\"; return; }\n"
                "\techo \"restore.sh: /$path was written anew since: only words of the set-up are taken out\" >&2\n"
                "\tcmp -s \"$ROOT/$path\" \"$new\" && { rm -f \"$new\"; return 0; }\n"
                "\tkeep \"$number\" \"$path\" && mv -f \"$new\" \"$ROOT/$path\" || fail \"cannot write /$path\"\n"
                "}\n"
                "\n"
                "# What a program writes: whole only as the set-up left it, or where a power cut left it.\n"
                "output() { # NUMBER PATH WORD...\n"
                "\tif [ -s \"$ROOT/$2\" ] && ! cmp -s \"$ROOT/$2\" \"$here/after/$1\" &&\n"
                "\t\t! cmp -s \"$ROOT/$2\" \"$here/before/$1\" &&\n"
                "\t\t! grep -q '\"state\": *\"begun\"' \"$here/manifest\"; then\n"
                "\t\tcut_words \"$@\"\n"
                "\telif [ -e \"$here/before/$1\" ]; then\n"
                "\t\tput \"$1\" \"$2\"\n"
                "\telse\n"
                "\t\tdrop \"$1\" \"$2\"\n"
                "\tfi\n"
                "}\n"
                "\n"
                "# That of a kernel which was removed since is not made again.\n"
                "entry() { # put|drop|output NUMBER PATH...\n"
                "\t[ ! -e \"$ROOT/$3\" ] || \"$@\"\n"
                "}\n"
                "\n";

/* In single quotes. */
static int append_quoted(Text *out, const char *word) {
        int r;

        r = text_append(out, "'");
        for (const char *s = word; r >= 0 && *s; ++s)
                r = *s == '\'' ? text_append(out, "'\\''") : text_append(out, "%c", *s);
        return r < 0 ? r : text_append(out, "'");
}

/* The words that a boot file did not have, in single quotes, each as a regular expression of sed. */
static int append_words(Text *out, const Backup *backup, const BackupFile *file) {
        _cleanup_(freep) char **words = NULL;
        size_t n = 0;
        int r;

        r = words_missing(file->before.data, file->before.n, backup->words, backup->n_words, &words,
                        &n);
        for (size_t i = 0; r >= 0 && i < n; ++i) {
                _cleanup_(text_deinit) Text escaped = TEXT_NULL;

                for (const char *s = words[i]; r >= 0 && *s; ++s)
                        r = text_append(&escaped, strchr("\\/.[]*^$", *s) ? "\\%c" : "%c", *s);
                if (r >= 0)
                        r = text_append(out, " ");
                if (r >= 0)
                        r = append_quoted(out, text(&escaped));
        }
        return r < 0 ? r : 0;
}

static bool is_entry(const Backup *backup, const char *path) {
        const char *rest;

        for (size_t i = 0; i < backup->n_entry_dirs; ++i)
                if (text_starts_with(path, backup->entry_dirs[i], &rest) && rest[0] == '/')
                        return true;
        return false;
}

static int append_file(Text *out, const Backup *backup, size_t number) {
        const BackupFile *file = &backup->files[number];
        int r;

        r = text_append(out, "%s%s %zu ", is_entry(backup, file->path) ? "entry " : "",
                        file->is_output                     ? "output"
                                        : file->before.data ? "put"
                                                            : "drop",
                        number);
        if (r >= 0)
                r = append_quoted(out, file->path);
        if (r >= 0 && file->is_output)
                r = append_words(out, backup, file);
        return r < 0 ? r : text_append(out, "\n");
}

static int append_commands(Text *out, const SetupPlan *plan) {
        int r;

        if (plan->n_commands == 0)
                return 0;
        r = text_append(out,
                        "echo 'Files and boot entries are as before. When this machine runs again, or chrooted "
                        "into it:'\n");
        for (size_t i = 0; r >= 0 && i < plan->n_commands; ++i) {
                r = text_append(out, "echo '   '");
                for (char **word = plan->commands[i].argv; r >= 0 && word && *word; ++word) {
                        r = text_append(out, " ");
                        if (r >= 0)
                                r = append_quoted(out, *word);
                }
                if (r >= 0)
                        r = text_append(out, "\n");
        }
        return r;
}

/* @ret: free() it. Return: 0, or a negative error code. */
int backup_script(const Backup *backup, const SetupPlan *plan, char **ret) {
        _cleanup_(text_deinit) Text out = TEXT_NULL;
        int r;

        r = text_append(&out, "%s", script_head);
        for (size_t i = backup->n_files; r >= 0 && i > 0; --i)
                r = append_file(&out, backup, i - 1);
        for (size_t i = backup->n_dirs; r >= 0 && i > 0; --i) {
                r = text_append(&out, "way ");
                if (r >= 0)
                        r = append_quoted(&out, backup->dirs[i - 1]);
                if (r >= 0)
                        r = text_append(&out, " && rmdir \"$ROOT/\"");
                if (r >= 0)
                        r = append_quoted(&out, backup->dirs[i - 1]);
                if (r >= 0)
                        r = text_append(&out, " 2>/dev/null\n");
        }
        if (r >= 0)
                r = text_append(&out, "sync\n[ $status -eq 0 ] || exit 1\n");
        if (r >= 0)
                r = append_commands(&out, plan);
        if (r < 0)
                return r;
        *ret = text_take(&out);
        return 0;
}
