/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Disposable Children
 *
 * Whatever may block in the kernel runs in a child of its own, which can be
 * abandoned. It is never signalled, neither by us nor (all its signals are
 * blocked) by somebody else short of SIGKILL.
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

typedef struct ChildOptions {
        uint64_t limit_usec; /* how long to wait for it, from now */
        const int *keep;     /* file descriptors that it keeps; all others are closed in it */
        size_t n_keep;
        int guard_fd; /* see child_run(); -1 for none */
        int watch_fd; /* -1 for none */
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

        CHILD_E_LATE, /* still at work when the time was up; abandoned */
        CHILD_E_DIED, /* ended without an answer: killed, or crashed */
};

/* A child that was started. */
typedef struct Child {
        pid_t pid;
        int pidfd;
} Child;

#define CHILD_NULL \
        { .pidfd = -1 }

/* What to wait for. */
typedef enum ChildUntil {
        CHILD_UNTIL_END,
        CHILD_UNTIL_REPLY,
} ChildUntil;

int child_run(const ChildOptions *options, ChildFn fn, void *userdata, ChildResult *ret)
                _warn_unused_result_;

int child_start(Child *ret, const ChildOptions *options, int reply_fd, ChildFn fn, void *userdata)
                _warn_unused_result_;
int child_wait(const ChildOptions *options,
                const Child *child,
                int reply_fd,
                ChildUntil until,
                ChildResult *result) _warn_unused_result_;
int child_reap(const Child *child, ChildResult *result) _warn_unused_result_;
void child_deinit(Child *child);

/* guards */

enum {
        _CHILD_GUARD_E_SUCCESS,

        CHILD_GUARD_E_HELD, /* a child is at work under this guard */
};

int child_guard_test(int guard_fd, pid_t *ret_pid) _warn_unused_result_;
int child_guard_wait(int guard_fd, uint64_t limit_usec, pid_t *ret_pid) _warn_unused_result_;
