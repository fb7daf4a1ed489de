/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "os/tool.h"
#include "os/tree.h"

/* What a tool says beyond this is read, so that it goes on, and dropped. */
#define OUTPUT_MAX (8U * 1024 * 1024)

/* A pipe holds this much, see pipe(7). */
#define PIPE_SIZE (64U * 1024)

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

/* Return: how much was read, 0 at the end, or a negative error code. */
static ssize_t read_piece(int fd, Text *output) {
        char buffer[4096];
        ssize_t n;
        int r = 0;

        do
                n = read(fd, buffer, sizeof(buffer));
        while (n < 0 && errno == EINTR);
        if (n <= 0)
                return n < 0 ? -errno : 0;
        if (output->n < OUTPUT_MAX)
                r = text_append(output, "%.*s", (int) n, buffer);
        return r < 0 ? r : n;
}

/* What lies in the pipe; something that the program has left behind may write to it for ever. */
static int drain_rest(int fd, Text *output) {
        ssize_t n = 1;

        if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
                return -errno;
        for (size_t sum = 0; n > 0 && sum < PIPE_SIZE; sum += (size_t) n) {
                n = read_piece(fd, output);
                if (n < 0)
                        return n == -EAGAIN ? 0 : (int) n;
        }
        return 0;
}

/* Up to the end of the output, or of the program. */
static int drain(int fd, int pid_fd, Text *output) {
        struct pollfd fds[] = { { .fd = fd, .events = POLLIN },
                { .fd = pid_fd, .events = POLLIN } };
        ssize_t n = 1;

        while (n > 0) {
                if (poll(fds, ARRAY_SIZE(fds), -1) < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                if (fds[1].revents)
                        return drain_rest(fd, output);
                n = read_piece(fd, output);
        }
        return (int) n;
}

/**
 * tool_run() - run a program of a machine to its end
 * @is_here:    it is this machine: no chroot(2), which needs privileges
 * @argv:       name, arguments and a NULL
 * @output:     what it said on both streams is appended, up to its end: what it leaves behind is not waited for
 * @ret_status: with TOOL_E_FAILED: its exit status, or minus the signal that ended it
 *
 * Return: 0 where it has ended with 0, TOOL_E_MISSING, TOOL_E_FAILED, or a negative error code.
 */
int tool_run(int root_fd, bool is_here, char *const *argv, Text *output, int *ret_status) {
        _cleanup_(closep) int null_fd = -1, in_fd = -1, out_fd = -1, pid_fd = -1;
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
        /* Without one the output's end is waited for. */
        pid_fd = pidfd_open(pid, 0);
        r = drain(in_fd, pid_fd, output);
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
