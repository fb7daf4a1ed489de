/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <string.h>

#include "os/kmsg.h"

/**
 * kmsg_open() - open the kernel's log
 * @from_start: whether to start with what is there, or only with what comes
 * @ret_fd:     becomes readable with each record; close() it
 *
 * Return: 0 on success, KMSG_E_MISSING, or a negative error code.
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
 * @buffer:     where to put it; 8192 bytes hold any record
 * @ret_text:   the message without prefix, in @buffer
 *
 * Return: 0 on success, KMSG_E_NONE if there is none now, or a negative error code.
 */
int kmsg_next(int fd, char *buffer, size_t n, const char **ret_text) {
        char *text;
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
        text[strcspn(text, "\n")] = 0;

        *ret_text = text + 1;
        return 0;
}
