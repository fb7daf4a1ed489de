/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Disposable Children
 *
 * A write to sysfs can block for ever, and nothing can be done about it then: a
 * signal makes NVIDIA's wait loop spin (nv_sleep_ms() does not look at signals),
 * and turns vfio's wait into an uninterruptible one. So the writer is a child
 * which can be left behind, and which nothing depends on:
 *
 *  * it keeps no file descriptor that it was not given: an inherited GPU node
 *    would be a holder, an inherited lock would be held for ever;
 *
 *  * it is in a session of its own with all signals blocked, so neither ^C nor
 *    a stopping unit reaches it;
 *
 *  * it holds a *guard*, a POSIX record lock which the kernel drops when it
 *    ends, however it ends. After a crash of the parent or an abandoned write, the
 *    guard tells whether a write is still under way, and by which process. The
 *    child takes the guard before it closes what it inherited; so a parent's
 *    flock(2) is never seen free while a child of it is about to write. A child
 *    whose parent died before the guard was taken ends without doing anything.
 *
 * A child that only reads is the exception: no write hangs on it, so it is killed when its time
 * is up, and ends with its parent. It is abandoned only where SIGKILL does not end it.
 *
 * A worker's requests and replies are datagrams of a socket pair. Closing the socket
 * ends the worker. If the parent dies, the worker finishes the request in progress and
 * starts no further one.
 */

#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "os/child.h"

/* errno values are below 134 on all architectures; what is above means "no answer". */
#define ANSWER_MAX 199

#define REPLY_MAX (1024U * 1024U)

/* How long a worker that has nothing to do may take to end. */
#define LIMIT_END_USEC (1 * USEC_PER_SEC)

/* How long a child that was killed may take to end: not even this, unless it waits in a driver. */
#define LIMIT_KILL_USEC (100 * USEC_PER_MSEC)

#define CHILD_NULL \
        { .pidfd = -1 }

/* in the child */

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

static int take_guard(const ChildOptions *options, pid_t parent) {
        struct flock lock = {
                .l_type = F_WRLCK,
                .l_whence = SEEK_SET,
                .l_start = options->guard_byte,
                .l_len = 1,
        };

        if (options->guard_fd < 0)
                return 0;
        if (fcntl(options->guard_fd, F_SETLK, &lock) < 0)
                return -errno;
        return getppid() == parent ? 0 : -ECANCELED;
}

/* A driver's probe() may give errnos of the kernel's own (ENOTSUPP is 524). */
static int answer_of(int r) {
        return r >= 0 ? 0 : r < -ANSWER_MAX ? -EIO : r;
}

static _noreturn_ void
child_main(const ChildOptions *options, pid_t parent, int reply_fd, ChildFn fn, void *userdata) {
        int keep[CHILD_KEEP_MAX + 2], r;
        size_t n_keep = 0;

        r = take_guard(options, parent);
        if (r < 0)
                _exit(-r);
        if (options->reads_only && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
                _exit(ECANCELED);

        for (size_t i = 0; i < options->n_keep; ++i)
                keep[n_keep++] = options->keep[i];
        keep[n_keep++] = reply_fd;
        if (options->guard_fd >= 0)
                keep[n_keep++] = options->guard_fd;

        (void) setsid();
        r = close_others(keep, n_keep);
        if (r >= 0)
                r = fn(userdata, reply_fd);
        _exit(-answer_of(r));
}

/* in the parent */

static void child_deinit(Child *child) {
        closep(&child->pidfd);
        *child = (Child) CHILD_NULL;
}

/* On failure with @ret->pid, the child was started nevertheless, and cannot be waited for. */
static int child_start(
                Child *ret, const ChildOptions *options, int reply_fd, ChildFn fn, void *userdata) {
        pid_t parent = getpid();
        sigset_t all, old;
        int r = 0;

        *ret = (Child) CHILD_NULL;
        if (options->n_keep > CHILD_KEEP_MAX)
                return -E2BIG;

        sigfillset(&all);
        if (sigprocmask(SIG_SETMASK, &all, &old) < 0)
                return -errno;
        ret->pid = fork();
        if (ret->pid == 0)
                child_main(options, parent, reply_fd, fn, userdata);
        if (ret->pid < 0)
                r = -errno;
        (void) sigprocmask(SIG_SETMASK, &old, NULL);
        if (r < 0)
                return r;

        ret->pidfd = pidfd_open(ret->pid, 0);
        return ret->pidfd < 0 ? -errno : 0;
}

/* Take what is there. Return: 0 at its end, 1 while there may be more. */
static int read_reply(int fd, ChildResult *result) {
        ssize_t k;
        char *more;

        if (result->n_reply >= REPLY_MAX)
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

/*
 * Wait until a child ended, or, where that is wanted, replied. Its time began at @start.
 *
 * Return: 0 if it came to that, CHILD_E_LATE if it had not when the time was up,
 *         CHILD_E_DIED if it ended instead of replying, negative error code on failure.
 */
static int child_wait(const ChildOptions *options,
                const Child *child,
                int reply_fd,
                bool for_reply,
                uint64_t start,
                ChildResult *result) {
        uint64_t deadline = start + options->limit_usec;
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
                        r = read_reply(reply_fd, result);
                        if (r < 0)
                                return r;
                        if (r == 0)
                                fds[1].fd = -1;
                        else if (for_reply)
                                return 0;
                        continue;
                }
                if (r > 0 && fds[0].revents)
                        return for_reply ? CHILD_E_DIED : 0;
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

/* Take in how a child ended. Return: 0, CHILD_E_DIED, or a negative error code. */
static int child_reap(const Child *child, ChildResult *result) {
        siginfo_t info = {};

        if (waitid(P_PIDFD, child->pidfd, &info, WEXITED) < 0)
                return -errno;
        if (info.si_code != CLD_EXITED || info.si_status > ANSWER_MAX)
                return CHILD_E_DIED;

        result->answer = -info.si_status;
        return 0;
}

/* End a child that only reads. Its number is free again then, unless it hangs in the kernel. */
static void child_kill(const Child *child) {
        uint64_t deadline = monotonic_usec() + LIMIT_KILL_USEC;
        struct pollfd fds = { .fd = child->pidfd, .events = POLLIN };
        siginfo_t info;
        int r;

        /* Its number is its own until it is reaped. */
        if (kill(child->pid, SIGKILL) < 0)
                return;
        do
                r = poll_until(&fds, 1, deadline);
        while (r == -EINTR);
        if (r > 0)
                (void) waitid(P_PIDFD, child->pidfd, &info, WEXITED);
}

/**
 * child_run() - do something that may block, in a child
 * @options:    limits, file descriptors and guard
 * @fn:         the work
 * @userdata:   its argument
 * @ret:        how it went; filled in part also for CHILD_E_LATE and _DIED
 *
 * Return: 0 if it came to an end (see ChildResult.answer for which), CHILD_E_LATE,
 *         CHILD_E_DIED, or a negative error code if it could not be started or watched.
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

        r = child_wait(options, &child, reply, false, start, &result);
        if (r == 0)
                r = child_reap(&child, &result);
        else if (options->reads_only)
                child_kill(&child);
        if (r < 0) {
                free(result.reply);
                return r;
        }

        result.usec = monotonic_usec() - start;
        *ret = result;
        return r;
}

/* guards */

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

/* Likewise, and wait for its end as long as the limit (in microseconds) allows. */
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

/* workers */

typedef struct Reply {
        int answer;
        uint64_t usec;
} Reply;

typedef struct Server {
        WorkerFn fn;
        void *userdata;
        pid_t parent;
} Server;

/* In the child. */
static int serve(void *userdata, int socket_fd) {
        _Alignas(max_align_t) char request[WORKER_REQUEST_MAX];
        Server *server = userdata;
        ssize_t k;

        while ((k = read(socket_fd, request, sizeof(request))) > 0) {
                uint64_t start = monotonic_usec();
                Reply reply = {};

                if (getppid() != server->parent)
                        return -ECANCELED;
                reply.answer = answer_of(server->fn(server->userdata, request, k));
                reply.usec = monotonic_usec() - start;
                if (write(socket_fd, &reply, sizeof(reply)) != sizeof(reply))
                        return -EPIPE;
        }
        return k < 0 ? -errno : 0;
}

/**
 * worker_start() - start a worker
 * @worker:     to initialise; worker_stop() it
 * @options:    file descriptors that it keeps, and its guard, which it holds to its end
 * @fn:         the work
 * @userdata:   its argument, as it is now: what changes later is not seen by it
 *
 * Return: 0 on success, negative error code on failure.
 */
int worker_start(Worker *worker, const ChildOptions *options, WorkerFn fn, void *userdata) {
        Server server = { .fn = fn, .userdata = userdata, .parent = getpid() };
        int sockets[2], r;

        *worker = (Worker) WORKER_NULL;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
                return -errno;

        r = child_start(&worker->child, options, sockets[1], serve, &server);
        close(sockets[1]);
        worker->socket_fd = sockets[0];
        if (r < 0)
                worker_stop(worker);
        return r;
}

/* A worker ended over a request. Return: 0 if it says why, CHILD_E_DIED if not. */
static int worker_end(Worker *worker, ChildResult *result) {
        int r;

        r = child_reap(&worker->child, result);
        if (r == 0 && result->answer == 0)
                r = CHILD_E_DIED;
        child_deinit(&worker->child);
        worker->busy = false;
        worker_stop(worker);
        return r;
}

/**
 * worker_send() - ask for something that may block
 * @worker:     by whom; it must have replied to what it was asked before
 * @request:    what to do
 * @n_request:  its size, up to WORKER_REQUEST_MAX
 *
 * Return: 0 on success, negative error code on failure.
 */
int worker_send(Worker *worker, const void *request, size_t n_request) {
        if (worker->busy)
                return -EBUSY;
        if (n_request > WORKER_REQUEST_MAX)
                return -EMSGSIZE;
        if (send(worker->socket_fd, request, n_request, MSG_NOSIGNAL) < 0 && errno != EPIPE)
                return -errno;

        worker->busy = true;
        worker->asked_usec = monotonic_usec();
        return 0;
}

/**
 * worker_receive() - wait until it is done
 * @worker:     that was asked
 * @options:    limit, from when it was asked, and what else to watch
 * @ret:        how it went; its reply is always NULL
 *
 * Return: 0 if it is done or could not be begun (see ChildResult.answer), CHILD_E_LATE
 *         if it was not when the time was up, CHILD_E_DIED if the worker died over it
 *         (then it is stopped), negative error code if it could not be watched.
 *         worker_is_busy() tells whether it may still be at it.
 */
int worker_receive(Worker *worker, const ChildOptions *options, ChildResult *ret) {
        uint64_t start = worker->asked_usec;
        Reply reply = {};
        ChildResult result = { .pid = worker->child.pid };
        int r;

        r = child_wait(options, &worker->child, worker->socket_fd, true, start, &result);
        if (r == 0 && result.n_reply != sizeof(reply))
                r = -EBADMSG;
        if (r == 0) {
                memcpy(&reply, result.reply, sizeof(reply));
                result.answer = reply.answer;
                worker->busy = false;
        }
        free(result.reply);
        result.reply = NULL;
        result.n_reply = 0;
        if (r == CHILD_E_DIED)
                r = worker_end(worker, &result);
        if (r < 0)
                return r;

        /* How long it was at it, and not how long the reply was in the socket. */
        result.usec = r == 0 ? reply.usec : monotonic_usec() - start;
        *ret = result;
        return r;
}

/*
 * Let go of a worker, and wait for the end of one that has nothing to do. (A stopped
 * one, as SIGSTOP cannot be blocked, ends when it is continued.)
 */
void worker_stop(Worker *worker) {
        uint64_t deadline = monotonic_usec() + LIMIT_END_USEC;
        struct pollfd fds = { .fd = worker->child.pidfd, .events = POLLIN };
        ChildResult result;
        int r;

        closep(&worker->socket_fd);
        if (worker->child.pidfd >= 0 && !worker->busy) {
                do
                        r = poll_until(&fds, 1, deadline);
                while (r == -EINTR);
                /* How it ended is of no interest: it had answered everything. */
                r = r > 0 ? child_reap(&worker->child, &result) : r;
        }
        child_deinit(&worker->child);
        *worker = (Worker) WORKER_NULL;
}
