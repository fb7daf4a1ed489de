/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Kernel Messages
 *
 * Each read(2) of /dev/kmsg gives one record, "priority,sequence,time,flags;text"
 * (Documentation/ABI/testing/dev-kmsg). A record that was overwritten before we
 * came to it is EPIPE, and reading goes on behind it.
 */

#include <fcntl.h>
#include <string.h>

#include "os/kmsg.h"

/**
 * kmsg_open() - open the kernel's log
 * @dev_fd:     root of device nodes
 * @from_start: whether to start with what is there, or only with what comes
 * @ret_fd:     becomes readable with each record; close() it
 *
 * Return: 0 on success, KMSG_E_MISSING if it cannot be had here, negative error
 *         code on failure.
 */
int kmsg_open(int dev_fd, bool from_start, int *ret_fd) {
        _cleanup_(closep) int fd = -1;

        fd = openat(dev_fd, "kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return errno == ENOENT || errno == EPERM || errno == EACCES ? KMSG_E_MISSING
                                                                            : -errno;
        /* Containers have a pipe here, which has no past. */
        if (!from_start && lseek(fd, 0, SEEK_END) < 0 && errno != ESPIPE)
                return -errno;

        *ret_fd = TAKE_FD(fd);
        return 0;
}

/**
 * kmsg_next() - the next message
 * @fd:         log
 * @buffer:     where to put it
 * @n:          its size; 8192 bytes hold any record
 * @ret_text:   the message without prefix, in @buffer
 *
 * Return: 0 on success, KMSG_E_NONE if there is none now, negative error code on
 *         failure.
 */
int kmsg_next(int fd, char *buffer, size_t n, const char **ret_text) {
        char *text, *end;
        ssize_t k;

        for (;;) {
                k = read(fd, buffer, n - 1);
                if (k > 0)
                        break;
                if (k == 0 || errno == EAGAIN)
                        return KMSG_E_NONE;
                if (errno != EPIPE && errno != EINTR)
                        return -errno;
        }
        buffer[k] = 0;

        text = strchr(buffer, ';');
        if (!text)
                return -EBADMSG;
        /* Lines behind the first are a dictionary, not message. */
        end = strchr(text, '\n');
        if (end)
                *end = 0;

        *ret_text = text + 1;
        return 0;
}
