/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Guards of Disposable Children
 *
 * Whether a child is at work, asked by who did not start it: see child.c.
 */

#include <fcntl.h>
#include <poll.h>
#include <sys/pidfd.h>

#include "base/clock.h"
#include "os/child.h"

/**
 * child_guard_test() - is a child at work under a guard?
 * @guard_fd:   the file, open for reading is enough
 * @ret_pid:    which process, or NULL; 0 if it is in another PID namespace
 *
 * Return: 0 if none is, CHILD_GUARD_E_HELD if one is, negative error code on failure.
 */
int child_guard_test(int guard_fd, pid_t *ret_pid) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

        if (fcntl(guard_fd, F_GETLK, &lock) < 0)
                return -errno;
        if (lock.l_type == F_UNLCK)
                return 0;
        if (ret_pid)
                *ret_pid = lock.l_pid > 0 ? lock.l_pid : 0;
        return CHILD_GUARD_E_HELD;
}

/**
 * child_guard_wait() - wait until no child is at work under a guard
 * @guard_fd:   the file
 * @limit_usec: how long to wait at most
 * @ret_pid:    who still is, with CHILD_GUARD_E_HELD; may be NULL
 *
 * Return: 0 if none is at work (any more), CHILD_GUARD_E_HELD if one still is,
 *         negative error code on failure.
 */
int child_guard_wait(int guard_fd, uint64_t limit_usec, pid_t *ret_pid) {
        uint64_t deadline = monotonic_usec() + limit_usec;
        pid_t pid = 0, again = 0;
        int r;

        for (;;) {
                _cleanup_(closep) int pidfd = -1;
                struct pollfd fds = { .events = POLLIN };

                r = child_guard_test(guard_fd, &pid);
                if (r <= 0)
                        return r;
                if (ret_pid)
                        *ret_pid = pid;
                if (pid == 0)
                        return CHILD_GUARD_E_HELD;

                pidfd = pidfd_open(pid, 0);
                if (pidfd < 0 && errno == ESRCH)
                        continue;
                if (pidfd < 0)
                        return -errno;

                /* The number may have been given to another process in between. */
                r = child_guard_test(guard_fd, &again);
                if (r <= 0)
                        return r;
                if (again != pid)
                        continue;

                fds.fd = pidfd;
                r = poll_until(&fds, 1, deadline);
                if (r < 0 && r != -EINTR)
                        return r;
                if (r <= 0 && monotonic_usec() >= deadline)
                        return CHILD_GUARD_E_HELD;
        }
}
