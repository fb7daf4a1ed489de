/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Disposable Children
 *
 * A write to sysfs can block for ever, and nothing can be done about it then: a
 * signal makes NVIDIA's wait loop spin (nv_sleep_ms() does not look at signals),
 * and turns vfio's wait into an uninterruptible one. So the writer is a child
 * which can be left behind, and which nobody needs:
 *
 *  * it keeps no file descriptor that it was not given: an inherited GPU node
 *    would be a holder, an inherited lock would be held for ever;
 *
 *  * it is in a session of its own with all signals blocked, so neither ^C nor
 *    a stopping unit reaches it;
 *
 *  * it holds a *guard*, a POSIX record lock which the kernel drops when it
 *    ends, however it ends. Whoever comes later (after a crash of the parent,
 *    after an abandoned write) learns from the guard whether a write is still
 *    under way, and by whom. The child takes the guard before it closes what it
 *    inherited; so a parent's flock(2) is never seen free while a child of it is
 *    about to write. A child whose parent died before the guard was taken ends
 *    without doing anything.
 */

#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "os/child.h"

/* errno values are below 134 on all architectures; what is above means "no answer". */
#define CHILD_ANSWER_MAX 199

#define CHILD_REPLY_MAX (1024U * 1024U)

static int compare_fds(const void *a, const void *b) {
        return *(const int *) a - *(const int *) b;
}

/* Close everything but the sorted @keep. Standard streams count as everything. */
static int close_others(int *keep, size_t n_keep) {
        unsigned int first = 0;

        qsort(keep, n_keep, sizeof(*keep), compare_fds);
        for (size_t i = 0; i < n_keep; ++i) {
                unsigned int fd = keep[i];

                if (fd > first && close_range(first, fd - 1, 0) < 0)
                        return -errno;
                first = fd + 1;
        }
        return close_range(first, UINT_MAX, 0) < 0 ? -errno : 0;
}

static int child_take_guard(int guard_fd, pid_t parent) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

        if (guard_fd < 0)
                return 0;
        if (fcntl(guard_fd, F_SETLK, &lock) < 0)
                return -errno;
        return getppid() == parent ? 0 : -ECANCELED;
}

static _noreturn_ void
child_main(const ChildOptions *options, pid_t parent, int reply_fd, ChildFn fn, void *userdata) {
        int keep[16], r;
        size_t n_keep = 0;

        r = child_take_guard(options->guard_fd, parent);
        if (r < 0)
                _exit(-r);

        for (size_t i = 0; i < options->n_keep && n_keep < ARRAY_SIZE(keep) - 2; ++i)
                keep[n_keep++] = options->keep[i];
        if (reply_fd >= 0)
                keep[n_keep++] = reply_fd;
        if (options->guard_fd >= 0)
                keep[n_keep++] = options->guard_fd;

        (void) setsid();
        r = close_others(keep, n_keep);
        if (r >= 0)
                r = fn(userdata, reply_fd);
        /* A driver's probe() may give errnos of the kernel's own (ENOTSUPP is 524). */
        _exit(r >= 0 ? 0 : -r > CHILD_ANSWER_MAX ? EIO : -r);
}

/* Take what is there. Return: 0 at its end, 1 while there may be more. */
static int child_read_reply(int fd, ChildResult *result) {
        ssize_t k;
        char *more;

        if (result->n_reply >= CHILD_REPLY_MAX)
                return -E2BIG;

        more = realloc(result->reply, result->n_reply + 4097);
        if (!more)
                return -ENOMEM;
        result->reply = more;

        k = read(fd, result->reply + result->n_reply, 4096);
        /* A socket whose other end died with something unread in it: unix(7). */
        if (k < 0 && errno == ECONNRESET)
                k = 0;
        if (k < 0)
                return -errno;
        result->n_reply += k;
        result->reply[result->n_reply] = 0;
        return k > 0;
}

/**
 * child_wait() - wait until a child ended, or replied
 * @options:    how long, and what else to watch
 * @child:      which
 * @reply_fd:   where it replies
 * @until:      what to wait for
 * @result:     what it replies is appended here
 *
 * Return: 0 if it came to that, CHILD_E_LATE if it had not when the time was up,
 *         CHILD_E_DIED if it ended instead, negative error code on failure.
 */
int child_wait(const ChildOptions *options,
                const Child *child,
                int reply_fd,
                ChildUntil until,
                ChildResult *result) {
        uint64_t start = monotonic_usec(), deadline = start + options->limit_usec;
        uint64_t warning = options->warn ? start + options->warn_usec : UINT64_MAX;
        struct pollfd fds[] = {
                { .fd = child->pidfd, .events = POLLIN },
                { .fd = reply_fd, .events = POLLIN },
                { .fd = options->watch_fd, .events = POLLIN },
        };
        int r;

        for (;;) {
                uint64_t moved = deadline;

                r = poll_until(fds, ARRAY_SIZE(fds), warning < deadline ? warning : deadline);
                if (r < 0 && r != -EINTR)
                        return r;

                if (r > 0 && fds[1].revents) {
                        r = child_read_reply(reply_fd, result);
                        if (r < 0)
                                return r;
                        if (r == 0)
                                fds[1].fd = -1;
                        else if (until == CHILD_UNTIL_REPLY)
                                return 0;
                        continue;
                }
                if (r > 0 && fds[0].revents)
                        return until == CHILD_UNTIL_REPLY ? CHILD_E_DIED : 0;
                if (r > 0 && fds[2].revents) {
                        r = fds[2].revents & POLLIN
                                        ? options->watch(options->watch_userdata, &moved)
                                        : -EPIPE;
                        if (r < 0)
                                fds[2].fd = -1; /* a broken watch only costs time */
                        else if (moved < deadline)
                                deadline = moved;
                }
                if (monotonic_usec() >= deadline)
                        return CHILD_E_LATE;
                if (monotonic_usec() >= warning) {
                        options->warn(options->warn_userdata);
                        warning = UINT64_MAX;
                }
        }
}

/**
 * child_reap() - take in how a child ended
 * @child:      one that has ended
 * @result:     gets the answer
 *
 * Return: 0 on success, CHILD_E_DIED if it ended without an answer, negative error
 *         code on failure.
 */
int child_reap(const Child *child, ChildResult *result) {
        siginfo_t info = {};

        if (waitid(P_PIDFD, child->pidfd, &info, WEXITED) < 0)
                return -errno;
        if (info.si_code != CLD_EXITED || info.si_status > CHILD_ANSWER_MAX)
                return CHILD_E_DIED;

        result->answer = -info.si_status;
        return 0;
}

static int
child_fork(const ChildOptions *options, int reply_fd, ChildFn fn, void *userdata, pid_t *ret_pid) {
        sigset_t all, old;
        pid_t parent = getpid(), pid;

        sigfillset(&all);
        if (sigprocmask(SIG_SETMASK, &all, &old) < 0)
                return -errno;

        pid = fork();
        if (pid == 0)
                child_main(options, parent, reply_fd, fn, userdata);
        if (pid < 0) {
                int e = errno;

                (void) sigprocmask(SIG_SETMASK, &old, NULL);
                return -e;
        }

        (void) sigprocmask(SIG_SETMASK, &old, NULL);
        *ret_pid = pid;
        return 0;
}

/**
 * child_start() - begin with something that may block, in a child
 * @ret:        the child; child_deinit() it
 * @options:    file descriptors and guard; see child_run()
 * @reply_fd:   where it replies; the child's copy
 * @fn:         the work
 * @userdata:   its argument
 *
 * Return: 0 on success, negative error code on failure; with @ret->pid, the child
 *         was started nevertheless, and cannot be waited for.
 */
int child_start(Child *ret, const ChildOptions *options, int reply_fd, ChildFn fn, void *userdata) {
        int r;

        *ret = (Child) CHILD_NULL;
        r = child_fork(options, reply_fd, fn, userdata, &ret->pid);
        if (r < 0)
                return r;

        ret->pidfd = pidfd_open(ret->pid, 0);
        return ret->pidfd < 0 ? -errno : 0;
}

/* Let go of a child, whether it lives or not. */
void child_deinit(Child *child) {
        closep(&child->pidfd);
        *child = (Child) CHILD_NULL;
}

/**
 * child_run() - do something that may block, in a child
 * @options:    limits and file descriptors. With a `guard_fd` (a file of its own,
 *              open for writing), the child holds a record lock on it until its end.
 * @fn:         the work
 * @userdata:   its argument
 * @ret:        how it went; filled in part also for CHILD_E_LATE and _DIED
 *
 * Return: 0 if it came to an end (see ChildResult.answer for which),
 *         CHILD_E_LATE if it had not when the time was up, CHILD_E_DIED if it
 *         ended without an answer, negative error code if it could not be
 *         started or watched.
 */
int child_run(const ChildOptions *options, ChildFn fn, void *userdata, ChildResult *ret) {
        _cleanup_(closep) int reply = -1, reply_child = -1;
        _cleanup_(child_deinit) Child child = CHILD_NULL;
        ChildResult result = {};
        uint64_t start = monotonic_usec();
        int r, pipe_fds[2];

        if (pipe2(pipe_fds, O_CLOEXEC) < 0)
                return -errno;
        reply = pipe_fds[0];
        reply_child = pipe_fds[1];

        r = child_start(&child, options, reply_child, fn, userdata);
        if (r < 0)
                return r;
        result.pid = child.pid;
        closep(&reply_child);
        reply_child = -1;

        r = child_wait(options, &child, reply, CHILD_UNTIL_END, &result);
        if (r == 0)
                r = child_reap(&child, &result);
        if (r < 0) {
                free(result.reply);
                return r;
        }

        result.usec = monotonic_usec() - start;
        *ret = result;
        return r;
}
