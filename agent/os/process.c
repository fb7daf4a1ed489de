/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Processes
 *
 * Everything here is for the eyes of a person: what cannot be found out is left
 * out, and only a process that is not there at all is an answer of its own.
 *
 * The one file that knows sd-login, which insists on the real procfs. On another
 * root it would tell of unrelated processes with the same numbers, so it is not
 * asked there.
 */

#include <fcntl.h>
#include <string.h>
#include <systemd/sd-login.h>

#include "base/file.h"
#include "base/text.h"
#include "os/process.h"
#include "os/procfs.h"

static int read_file(int proc_fd, pid_t pid, const char *name, char **ret) {
        char path[PROCFS_PATH_MAX];
        int r;

        snprintf(path, sizeof(path), "%d/%s", pid, name);
        r = file_read(proc_fd, path, 16384, ret, NULL);
        return r == FILE_E_MISSING || r == -ESRCH ? PROCESS_E_GONE : r;
}

static int read_command(int proc_fd, pid_t pid, char **ret) {
        char *command;
        int r;

        r = read_file(proc_fd, pid, "comm", &command);
        if (r)
                return r;

        command[strcspn(command, "\n")] = 0;
        *ret = command;
        return 0;
}

static int read_uid(int proc_fd, pid_t pid, uid_t *ret) {
        _cleanup_(freep) char *status = NULL;
        unsigned int uid;
        const char *line;
        int r;

        r = read_file(proc_fd, pid, "status", &status);
        if (r)
                return r;

        line = strstr(status, "\nUid:");
        if (!line || sscanf(line, "\nUid: %u", &uid) != 1)
                return -EBADMSG;

        *ret = uid;
        return 0;
}

static bool is_gone(int proc_fd, pid_t pid) {
        char path[PROCFS_PATH_MAX];

        snprintf(path, sizeof(path), "%d", pid);
        return faccessat(proc_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0;
}

static void ask_login(Process *process, pid_t pid) {
        char *text;

        if (sd_pid_get_user_unit(pid, &text) >= 0) {
                process->unit = text;
                process->user_unit = true;
        } else if (sd_pid_get_unit(pid, &text) >= 0) {
                process->unit = text;
        }
        if (sd_pid_get_session(pid, &text) >= 0)
                process->session = text;
}

/**
 * process_init() - learn who a process is
 * @process:    to initialise; process_deinit() it
 * @proc_fd:    root of procfs
 * @pid:        process
 *
 * Return: 0 on success, PROCESS_E_GONE if it has gone, negative error code on
 *         failure.
 */
int process_init(Process *process, int proc_fd, pid_t pid) {
        int r;

        *process = (Process){ .uid = (uid_t) -1 };

        r = read_command(proc_fd, pid, &process->command);
        if (r >= 0)
                r = read_uid(proc_fd, pid, &process->uid);
        if (r == PROCESS_E_GONE && !is_gone(proc_fd, pid))
                r = 0;
        if (r) {
                process_deinit(process);
                return r;
        }
        if (procfs_is_real(proc_fd))
                ask_login(process, pid);
        return 0;
}

void process_deinit(Process *process) {
        free(process->command);
        free(process->unit);
        free(process->session);
        *process = (Process){ .uid = (uid_t) -1 };
}

/**
 * process_login_uid() - who logged in to start a process?
 * @proc_fd:    root of procfs
 * @pid:        process
 * @ret:        user, also after sudo or su
 *
 * Return: 0 on success, PROCESS_E_NONE if it does not come from a login, or has
 *         gone, or this kernel keeps no such account; negative error code on failure.
 */
int process_login_uid(int proc_fd, pid_t pid, uid_t *ret) {
        _cleanup_(freep) char *text = NULL;
        uint64_t uid;
        int r;

        r = read_file(proc_fd, pid, "loginuid", &text);
        if (r)
                return r == PROCESS_E_GONE ? PROCESS_E_NONE : r;

        text[strcspn(text, "\n")] = 0;
        if (text_to_uint(text, 10, UINT32_MAX, &uid) < 0)
                return -EBADMSG;
        if (uid == UINT32_MAX)
                return PROCESS_E_NONE;

        *ret = (uid_t) uid;
        return 0;
}
