/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Workers
 *
 * Requests and replies are datagrams of a socket pair. The worker ends when its
 * socket does; so it needs no word of farewell, and outlives its parent by the one
 * thing that it is at. What a dead parent still had asked for is not begun.
 */

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "os/worker.h"

/* errnos of the kernel's own (ENOTSUPP is 524) mean nothing to anybody here. */
#define ERRNO_MAX 199

/* How long one that has nothing to do may take to end. */
#define LIMIT_END_USEC (1 * USEC_PER_SEC)

typedef struct Server {
        WorkerFn fn;
        void *userdata;
        pid_t parent;
} Server;

/* in the child */

static int serve(void *userdata, int socket_fd) {
        _Alignas(max_align_t) char request[WORKER_REQUEST_MAX];
        Server *server = userdata;
        ssize_t k;
        int answer;

        while ((k = read(socket_fd, request, sizeof(request))) > 0) {
                if (getppid() != server->parent)
                        return -ECANCELED;
                answer = server->fn(server->userdata, request, k);
                if (answer < -ERRNO_MAX)
                        answer = -EIO;
                if (write(socket_fd, &answer, sizeof(answer)) != sizeof(answer))
                        return -EPIPE;
        }
        return k < 0 ? -errno : 0;
}

/* in the parent */

/* It ended over a request. Return: 0 if it says why, CHILD_E_DIED if not. */
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

/**
 * worker_ask() - have something done that may block
 * @worker:     by whom
 * @options:    limit, and what else to watch
 * @request:    what to do
 * @n_request:  its size, up to WORKER_REQUEST_MAX
 * @ret:        how it went; its reply is always NULL
 *
 * Return: 0 if it is done or could not be begun (see ChildResult.answer), CHILD_E_LATE
 *         if it was not when the time was up, CHILD_E_DIED if the worker died over it
 *         (then it is stopped), negative error code if it could not be asked or
 *         watched. Whether it may still be at it, worker_is_busy() tells.
 */
int worker_ask(Worker *worker,
                const ChildOptions *options,
                const void *request,
                size_t n_request,
                ChildResult *ret) {
        uint64_t start = monotonic_usec();
        ChildResult result = { .pid = worker->child.pid };
        int r;

        if (worker->busy)
                return -EBUSY;
        if (n_request > WORKER_REQUEST_MAX)
                return -EMSGSIZE;
        if (send(worker->socket_fd, request, n_request, MSG_NOSIGNAL) < 0 && errno != EPIPE)
                return -errno;

        worker->busy = true;
        r = child_wait(options, &worker->child, worker->socket_fd, CHILD_UNTIL_REPLY, &result);
        if (r == 0 && result.n_reply != sizeof(result.answer))
                r = -EBADMSG;
        if (r == 0) {
                memcpy(&result.answer, result.reply, sizeof(result.answer));
                worker->busy = false;
        }
        free(result.reply);
        result.reply = NULL;
        result.n_reply = 0;
        if (r == CHILD_E_DIED)
                r = worker_end(worker, &result);
        if (r < 0)
                return r;

        result.usec = monotonic_usec() - start;
        *ret = result;
        return r;
}

/*
 * Let go of a worker, and wait for the end of one that has nothing to do. (Somebody
 * may have stopped it, which no mask holds off: then it ends when it is continued.)
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
