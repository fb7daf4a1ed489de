/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Start a Program
 *
 * The child is as clean as one that a login would start: own session, default
 * signals, no file descriptor but its three pipes, none of the agent's
 * protection against the OOM killer.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spawn.h"

/* The program's end of a pipe and ours. */
typedef struct Pipe {
        int theirs;
        int ours;
} Pipe;

static int pipe_new(Pipe *ret_pipe, int theirs) {
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;

        *ret_pipe = (Pipe){ .theirs = fds[theirs], .ours = fds[!theirs] };
        if (fcntl(ret_pipe->ours, F_SETFL, O_NONBLOCK) < 0)
                return -errno;
        return 0;
}

static void pipe_close(Pipe *pipe) {
        if (pipe->theirs >= 0)
                close(pipe->theirs);
        if (pipe->ours >= 0)
                close(pipe->ours);
}

/* Split "a\0b\0" into an argument vector that points into it. */
static int argv_new(const char *text, size_t size, char ***ret_argv) {
        char **argv;
        size_t n = 0;

        if (size == 0 || text[size - 1])
                return -EPROTO;

        argv = calloc(size + 1, sizeof(*argv));
        if (!argv)
                return -ENOMEM;

        for (const char *p = text; p < text + size; p += strlen(p) + 1)
                argv[n++] = (char *) p;

        *ret_argv = argv;
        return 0;
}

static void say(const char *text) {
        (void) !write(STDERR_FILENO, text, strlen(text));
}

static _Noreturn void child(char **argv, const Pipe pipes[3]) {
        sigset_t none;
        int fd;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        signal(SIGPIPE, SIG_DFL);
        setsid();

        for (int i = 0; i < 3; ++i)
                if (dup2(pipes[i].theirs, i) < 0)
                        _exit(127);

        fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
        if (fd >= 0)
                (void) !write(fd, "0", 1);

        execvp(argv[0], argv);
        say(argv[0]);
        say(": ");
        say(strerror(errno));
        say("\n");
        _exit(127);
}

/**
 * spawn() - start a program
 * @argv:       its arguments, each with its NUL
 * @size:       size of @argv
 * @ret_child:  the new process and our ends of its pipes
 *
 * Return: 0 on success, negative error code on failure.
 */
int spawn(const char *argv, size_t size, Spawned *ret_child) {
        Pipe pipes[3] = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
        char **vector = NULL;
        int r, pid_fd;
        pid_t pid;

        r = argv_new(argv, size, &vector);
        for (int i = 0; r >= 0 && i < 3; ++i)
                r = pipe_new(&pipes[i], i == STDIN_FILENO ? 0 : 1);
        if (r < 0)
                goto out;

        pid = fork();
        if (pid == 0)
                child(vector, pipes);
        pid_fd = pid < 0 ? -1 : pidfd_open(pid, 0);
        if (pid_fd < 0) {
                r = -errno;
                goto out;
        }

        *ret_child = (Spawned){
                .pid = pid,
                .pid_fd = pid_fd,
                .stdin_fd = pipes[0].ours,
                .stdout_fd = pipes[1].ours,
                .stderr_fd = pipes[2].ours,
        };
        for (int i = 0; i < 3; ++i)
                pipes[i].ours = -1;
        r = 0;

out:
        for (int i = 0; i < 3; ++i)
                pipe_close(&pipes[i]);
        free(vector);
        return r;
}
