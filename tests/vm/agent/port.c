/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Virtio-Serial Port
 *
 * Frames in, frames out, never blocking.
 *
 * The port reports a hang-up for as long as nobody listens on the host, which
 * is normal between saving and restoring the machine. A level-triggered poll
 * would spin on that. So the file descriptor is meant for an edge-triggered
 * epoll: after any event the caller runs port_read() and port_flush(), both of
 * which go on until the kernel has no more to give or to take.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "buffer.h"
#include "port.h"

#define PORT_CLASS "/sys/class/virtio-ports"

struct Port {
        int fd;
        Buffer in;
        Buffer out;
};

static bool port_name_matches(const char *device) {
        char path[PATH_MAX], name[64] = "";
        ssize_t n;
        int fd;

        snprintf(path, sizeof(path), PORT_CLASS "/%s/name", device);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return false;

        n = read(fd, name, sizeof(name) - 1);
        close(fd);
        return n > 0 && strcmp(name, CHANNEL_PORT_NAME "\n") == 0;
}

/**
 * port_find() - open the port of the test machine
 *
 * Looks in sysfs, not for udev's link: the agent serves before udev runs.
 *
 * Return: a file descriptor, -ENXIO if the machine has no such port, negative
 *         error code on other failures.
 */
int port_find(void) {
        struct dirent *entry;
        char path[PATH_MAX];
        int fd = -ENXIO;
        DIR *dir;

        dir = opendir(PORT_CLASS);
        if (!dir)
                return -errno;

        while ((entry = readdir(dir))) {
                if (entry->d_name[0] == '.' || !port_name_matches(entry->d_name))
                        continue;

                snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
                fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
                if (fd < 0)
                        fd = -errno;
                break;
        }

        closedir(dir);
        return fd;
}

/**
 * port_new() - speak over a port
 * @fd:         the port, not blocking; consumed on success
 * @ret_port:   the new object
 *
 * Return: 0 on success, negative error code on failure.
 */
int port_new(int fd, Port **ret_port) {
        Port *port;

        port = malloc(sizeof(*port));
        if (!port)
                return -ENOMEM;

        *port = (Port){ .fd = fd };

        *ret_port = port;
        return 0;
}

Port *port_free(Port *port) {
        if (!port)
                return NULL;

        close(port->fd);
        buffer_deinit(&port->in);
        buffer_deinit(&port->out);
        free(port);
        return NULL;
}

int port_get_fd(const Port *port) {
        return port->fd;
}

/* How much is waiting for the host, so that sources of output can be paused. */
size_t port_get_queued(const Port *port) {
        return buffer_get_size(&port->out);
}

static int port_dispatch(Port *port, PortFrameFn fn, void *userdata) {
        FrameHeader header;
        int r;

        while (buffer_get_size(&port->in) >= sizeof(header)) {
                memcpy(&header, buffer_get_data(&port->in), sizeof(header));
                if (header.size > CHANNEL_FRAME_MAX)
                        return -EPROTO;
                if (buffer_get_size(&port->in) < sizeof(header) + header.size)
                        return 0;

                r = fn(userdata, &header, buffer_get_data(&port->in) + sizeof(header));
                if (r < 0)
                        return r;

                buffer_consume(&port->in, sizeof(header) + header.size);
        }

        return 0;
}

/**
 * port_read() - take in everything that has arrived
 * @port:       port to read from
 * @fn:         called for each whole frame
 * @userdata:   passed to @fn
 *
 * Return: 0 on success, negative error code on failure or from @fn.
 */
int port_read(Port *port, PortFrameFn fn, void *userdata) {
        ssize_t n;
        int r;

        for (;;) {
                r = buffer_reserve(&port->in, 32U << 10);
                if (r < 0)
                        return r;

                n = read(port->fd, port->in.data + port->in.end, 32U << 10);
                if (n == 0 || (n < 0 && errno == EAGAIN))
                        return 0; /* drained; 0 means that nobody listens on the host */
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;

                port->in.end += n;
                r = port_dispatch(port, fn, userdata);
                if (r < 0)
                        return r;
        }
}

/**
 * port_send() - queue one frame for the host
 *
 * Return: 0 on success, negative error code on failure.
 */
int port_send(Port *port, uint32_t type, uint32_t job, const void *payload, size_t size) {
        FrameHeader header = { .size = size, .job = job, .type = type };
        int r;

        r = buffer_append(&port->out, &header, sizeof(header));
        if (r < 0)
                return r;

        return buffer_append(&port->out, payload, size);
}

/**
 * port_flush() - send what is queued, as far as the host takes it
 *
 * Return: 0 on success, negative error code on failure.
 */
int port_flush(Port *port) {
        ssize_t n;

        while (buffer_get_size(&port->out) > 0) {
                n = write(port->fd, buffer_get_data(&port->out), buffer_get_size(&port->out));
                if (n < 0 && errno == EAGAIN)
                        return 0;
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;

                buffer_consume(&port->out, n);
        }

        return 0;
}
