/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Disposable Children
 *
 * Processes for what may block in the kernel, to be abandoned where it does. A worker is
 * a child that is asked for one thing after the other, as starting a process costs more
 * than most writes to sysfs. A guard tells whether a child is at work.
 */

#include "base/macro.h"

/*
 * The child's work. What it returns (0 or a negative errno) comes out as
 * ChildResult.answer; what it writes to @reply_fd as ChildResult.reply. It must
 * not write to any other file descriptor that it was not given by `keep`, and
 * has no standard streams.
 */
typedef int (*ChildFn)(void *userdata, int reply_fd);

/*
 * Called when `watch_fd` is readable while the child runs; may move the deadline
 * (CLOCK_MONOTONIC, microseconds), never later than it was.
 */
typedef int (*ChildWatchFn)(void *userdata, uint64_t *deadline_usec);

/* Called once when the child has not come back after `warn_usec`. */
typedef void (*ChildWarnFn)(void *userdata);

/* The most file descriptors that a child can keep. */
#define CHILD_KEEP_MAX 14

typedef struct ChildOptions {
        uint64_t limit_usec; /* how long to wait for it, from now */
        const int *keep;     /* file descriptors that it keeps; all others are closed in it */
        size_t n_keep;       /* up to CHILD_KEEP_MAX */
        int guard_fd;        /* file that it has a record lock on to its end; -1 for none */
        uint8_t guard_byte;  /* which byte of it: one for each child at a time */
        bool reads_only; /* killed when its time is up, and when its parent ends: it writes nothing */
        int watch_fd;    /* -1 for none */
        ChildWatchFn watch;
        void *watch_userdata;
        uint64_t warn_usec; /* from now */
        ChildWarnFn warn;   /* may be NULL */
        void *warn_userdata;
} ChildOptions;

#define CHILD_OPTIONS_NULL \
        { .guard_fd = -1, .watch_fd = -1 }

typedef struct ChildResult {
        int answer;  /* 0 or the negative errno that the work ended with */
        char *reply; /* what it wrote, zero-terminated, or NULL; free() it */
        size_t n_reply;
        pid_t pid;
        uint64_t usec; /* how long it took */
} ChildResult;

enum {
        _CHILD_E_SUCCESS,

        CHILD_E_LATE, /* still at work when the time was up; abandoned, or killed if it only reads */
        CHILD_E_DIED, /* ended without an answer: killed, or crashed */
};

int child_run(const ChildOptions *options, ChildFn fn, void *userdata, ChildResult *ret)
                _warn_unused_result_;

/* guards */

enum {
        _CHILD_GUARD_E_SUCCESS,

        CHILD_GUARD_E_HELD, /* a child is at work under this guard */
};

int child_guard_test(int guard_fd, pid_t *ret_pid) _warn_unused_result_;
int child_guard_wait(int guard_fd, uint64_t limit_usec, pid_t *ret_pid) _warn_unused_result_;

/* workers */

/* The longest request. */
#define WORKER_REQUEST_MAX 8192

/* The work, in the child. @request is a copy, aligned for any type. Return: as ChildFn. */
typedef int (*WorkerFn)(void *userdata, const void *request, size_t n_request);

typedef struct Child {
        pid_t pid;
        int pidfd;
} Child;

typedef struct Worker {
        Child child;
        int socket_fd;
        bool busy;           /* was asked, and has not replied (yet) */
        uint64_t asked_usec; /* when; CLOCK_MONOTONIC */
} Worker;

#define WORKER_NULL \
        { .child = { .pidfd = -1 }, .socket_fd = -1 }

static inline bool worker_is_started(const Worker *worker) {
        return worker->socket_fd >= 0;
}

static inline bool worker_is_busy(const Worker *worker) {
        return worker->busy;
}

int worker_start(Worker *worker, const ChildOptions *options, WorkerFn fn, void *userdata)
                _warn_unused_result_;
int worker_send(Worker *worker, const void *request, size_t n_request) _warn_unused_result_;
int worker_receive(Worker *worker, const ChildOptions *options, ChildResult *ret)
                _warn_unused_result_;
void worker_stop(Worker *worker);
