/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <string.h>

#include "base/text.h"
#include "os/kmsg.h"

/* Above them is the facility, which is zero for the kernel's own, and never for what users write. */
#define PRIORITY_BITS 3

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

/* What is behind the text, " SUBSYSTEM=pci\n DEVICE=+pci:0000:01:00.0\n", is the kernel's alone. */
static const char *find_device(char *rest) {
        const char *value;
        char *line;

        while ((line = strsep(&rest, "\n")))
                if (text_starts_with(line, " DEVICE=", &value))
                        return value;
        return NULL;
}

/*
 * Take a record apart. Whether it is marked as the rest of another one says nothing: NVIDIA's driver marks
 * all of its messages so (KERNEL.md 12.1). Return: 0, KMSG_E_NONE if it is not the kernel's own; or a
 * negative error code.
 */
static int read_record(char *record, KernelMessage *ret) {
        char *text = strchr(record, ';'), *rest;
        unsigned int priority;

        if (!text || sscanf(record, "%u,", &priority) != 1)
                return -EBADMSG;
        if (priority >> PRIORITY_BITS != 0)
                return KMSG_E_NONE;

        rest = ++text;
        (void) strsep(&rest, "\n");
        *ret = (KernelMessage){ .text = text, .device = rest ? find_device(rest) : NULL };
        return 0;
}

/**
 * kmsg_next() - the next message of the kernel's own
 * @buffer:     where to put it; 8192 bytes hold any record
 * @ret:        the message, in @buffer
 *
 * Return: 0 on success, KMSG_E_NONE if there is none now, or a negative error code.
 */
int kmsg_next(int fd, char *buffer, size_t n, KernelMessage *ret) {
        ssize_t k;
        int r;

        do {
                k = read(fd, buffer, n - 1);
                if (k == 0 || (k < 0 && errno == EAGAIN))
                        return KMSG_E_NONE;
                if (k < 0 && errno != EPIPE && errno != EINTR)
                        return -errno;
                buffer[k > 0 ? k : 0] = 0;
                r = k > 0 ? read_record(buffer, ret) : KMSG_E_NONE;
        } while (r == KMSG_E_NONE);
        return r;
}
