/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Agent of the Test Machine
 *
 * Runs inside the guest and does what the test runner asks for over a
 * virtio-serial port: start programs, feed them, report what they say and how
 * they end. It decides nothing and knows nothing of GPUs.
 *
 * Single-threaded, one epoll. An error is fatal: it would be a bug of ours or
 * a runner of another version, and both are better seen than survived.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "job.h"
#include "port.h"

static int on_frame(void *userdata, const FrameHeader *header, const uint8_t *payload) {
        return jobs_handle_frame(userdata, header, payload);
}

/*
 * One event at a time: handling one may free the job that a second one in the
 * same batch belongs to.
 */
static int loop(int epoll_fd, Port *port, Jobs *jobs) {
        struct epoll_event event;
        int r;

        for (;;) {
                if (epoll_wait(epoll_fd, &event, 1, -1) < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }

                if (event.data.ptr == port)
                        r = port_read(port, on_frame, jobs);
                else
                        r = jobs_handle_event(jobs, event.data.ptr);
                if (r < 0)
                        return r;

                r = port_flush(port);
                if (r < 0)
                        return r;

                r = jobs_resume(jobs);
                if (r < 0)
                        return r;
        }
}

static int run(int port_fd) {
        struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
        Port *port = NULL;
        Jobs *jobs = NULL;
        int epoll_fd, r;

        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (epoll_fd < 0)
                return -errno;

        r = port_new(port_fd, &port);
        if (r < 0)
                goto out;

        r = jobs_new(port, epoll_fd, &jobs);
        if (r < 0)
                goto out;

        event.data.ptr = port;
        r = epoll_ctl(epoll_fd, EPOLL_CTL_ADD, port_get_fd(port), &event);
        r = r < 0 ? -errno : loop(epoll_fd, port, jobs);

out:
        jobs_free(jobs);
        port_free(port);
        close(epoll_fd);
        return r;
}

/* In the guest it finds its port; the self-test hands it a socket. */
static int get_port(int argc, char **argv) {
        int fd;

        if (argc < 2)
                return port_find();

        fd = atoi(argv[1]);
        if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
                return -errno;
        return fd;
}

int main(int argc, char **argv) {
        int r;

        signal(SIGPIPE, SIG_IGN);
        setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", 1);
        setenv("LC_ALL", "C.UTF-8", 1);

        r = get_port(argc, argv);
        if (r >= 0)
                r = run(r);
        fprintf(stderr, "vm-agent: %s\n", strerror(-r));
        return EXIT_FAILURE;
}
