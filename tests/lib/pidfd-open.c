/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * pidfd_open(), also under Valgrind
 *
 * Valgrind of Debian 12 does not know the system call, and fails it. But it knows
 * all that can be done with the result, so under Valgrind (where the environment
 * names the helper) a program that it does not run opens the pidfd, and hands it
 * over. This definition takes the place of libc's in every test.
 */

#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/macro.h"

static _noreturn_ void run_helper(const char *helper, int socket, pid_t pid) {
        char number[16];

        snprintf(number, sizeof(number), "%d", pid);
        if (dup2(socket, STDIN_FILENO) == STDIN_FILENO)
                execl(helper, helper, number, NULL);
        _exit(127);
}

static int receive(int socket, int *ret_fd) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = {};
        int error = EIO;
        struct iovec iov = { .iov_base = &error, .iov_len = sizeof(error) };
        struct msghdr message = { .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control) };

        if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != sizeof(error))
                return EIO;
        if (error == 0)
                memcpy(ret_fd, CMSG_DATA(&control.header), sizeof(*ret_fd));
        return error;
}

static int ask_helper(const char *helper, pid_t pid) {
        int sockets[2], fd = -1, error;
        pid_t child;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
                return -1;

        child = fork();
        if (child == 0)
                run_helper(helper, sockets[1], pid);
        error = child < 0 ? errno : 0;
        close(sockets[1]);
        if (!error)
                error = receive(sockets[0], &fd);
        close(sockets[0]);
        if (child > 0)
                (void) waitpid(child, NULL, 0);
        errno = error;
        return error ? -1 : fd;
}

int pidfd_open(pid_t pid, unsigned int flags) {
        const char *helper = getenv("VFIOPT_TEST_PIDFD_HELPER");

        if (helper)
                return ask_helper(helper, pid);
        return (int) syscall(SYS_pidfd_open, pid, flags);
}
