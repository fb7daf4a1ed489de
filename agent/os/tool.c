/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "os/tool.h"
#include "os/tree.h"

/* What a tool says beyond this is read, so that it goes on, and dropped. */
#define OUTPUT_MAX (8U * 1024 * 1024)

/**
 * tool_find() - where a machine has a program
 * @name:       without a slash
 * @ret_path:   as it is called inside the machine; free() it
 *
 * Return: 0, TOOL_E_MISSING, or a negative error code.
 */
int tool_find(int root_fd, const char *name, char **ret_path) {
        static const char *const dirs[] = { "usr/sbin", "usr/bin", "sbin", "bin" };

        for (size_t i = 0; i < ARRAY_SIZE(dirs); ++i) {
                _cleanup_(freep) char *path = text_format("/%s/%s", dirs[i], name);

                if (!path)
                        return -ENOMEM;
                if (tree_has(root_fd, path + 1)) {
                        *ret_path = TAKE_PTR(path);
                        return 0;
                }
        }
        return TOOL_E_MISSING;
}

static _noreturn_ void
run_child(int root_fd, bool is_here, const char *path, char *const *argv, int null_fd, int out_fd) {
        static char *const environment[] = {
                (char *) "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                (char *) "LC_ALL=C",
                (char *) "HOME=/",
                (char *) "TERM=dumb",
                NULL,
        };
        sigset_t none;

        /* Requests to end are held up in the parent alone. */
        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        (void) signal(SIGPIPE, SIG_DFL);
        (void) umask(022);
        if (dup2(null_fd, STDIN_FILENO) < 0 || dup2(out_fd, STDOUT_FILENO) < 0 ||
                        dup2(out_fd, STDERR_FILENO) < 0)
                _exit(127);
        if (!is_here && (fchdir(root_fd) < 0 || chroot(".") < 0))
                _exit(127);
        if (chdir("/") < 0)
                _exit(127);
        execve(path, argv, environment);
        _exit(127);
}

static int drain(int fd, Text *output) {
        char buffer[4096];
        ssize_t n;
        int r = 0;

        while ((n = read(fd, buffer, sizeof(buffer))) != 0) {
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (r >= 0 && output->n < OUTPUT_MAX)
                        r = text_append(output, "%.*s", (int) n, buffer);
        }
        return r;
}

/**
 * tool_run() - run a program of a machine to its end
 * @is_here:    it is this machine: no chroot(2), which needs privileges
 * @argv:       name, arguments and a NULL
 * @output:     what it said on both streams is appended
 * @ret_status: with TOOL_E_FAILED: its exit status, or minus the signal that ended it
 *
 * Return: 0 where it has ended with 0, TOOL_E_MISSING, TOOL_E_FAILED, or a negative error code.
 */
int tool_run(int root_fd, bool is_here, char *const *argv, Text *output, int *ret_status) {
        _cleanup_(closep) int null_fd = -1, in_fd = -1, out_fd = -1;
        _cleanup_(freep) char *path = NULL;
        int fds[2], status, r;
        pid_t pid;

        r = tool_find(root_fd, argv[0], &path);
        if (r)
                return r;
        null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (null_fd < 0 || pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        in_fd = fds[0];
        out_fd = fds[1];
        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0)
                run_child(root_fd, is_here, path, argv, null_fd, out_fd);

        closep(&out_fd);
        out_fd = -1;
        r = drain(in_fd, output);
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        if (r < 0)
                return r;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return 0;
        *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
        return TOOL_E_FAILED;
}
