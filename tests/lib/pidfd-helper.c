/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Opens a pidfd for Another
 *
 * pidfd-helper PID: sends a pidfd of that process through the socket which is its
 * standard input. See pidfd-open.c.
 */

#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>

#include "base/macro.h"

int main(int argc, char **argv) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = {};
        int error = 0, fd;
        struct iovec iov = { .iov_base = &error, .iov_len = sizeof(error) };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (argc != 2)
                return EXIT_FAILURE;

        fd = pidfd_open(atoi(argv[1]), 0);
        if (fd < 0) {
                error = errno;
        } else {
                message.msg_control = &control;
                message.msg_controllen = sizeof(control);
                control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
                        .cmsg_type = SCM_RIGHTS,
                        .cmsg_len = CMSG_LEN(sizeof(int)) };
                memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
        }
        return sendmsg(STDIN_FILENO, &message, 0) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
