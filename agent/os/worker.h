/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Workers
 *
 * A disposable child (see child.h) that is asked for one thing after the other.
 * To start a process costs more than most writes to sysfs; a switch asks for about
 * fifteen. One that does not reply in time is abandoned like any other child.
 */

#include "os/child.h"

/* The longest request. */
#define WORKER_REQUEST_MAX 8192

/*
 * The work, in the child. @request is a copy, aligned for any type. Return: 0 or a
 * negative errno, which come out as ChildResult.answer.
 */
typedef int (*WorkerFn)(void *userdata, const void *request, size_t n_request);

typedef struct Worker {
        Child child;
        int socket_fd;
        bool busy; /* was asked, and has not replied (yet) */
} Worker;

#define WORKER_NULL \
        { .child = CHILD_NULL, .socket_fd = -1 }

static inline bool worker_is_started(const Worker *worker) {
        return worker->socket_fd >= 0;
}

static inline bool worker_is_busy(const Worker *worker) {
        return worker->busy;
}

int worker_start(Worker *worker, const ChildOptions *options, WorkerFn fn, void *userdata)
                _warn_unused_result_;
int worker_ask(Worker *worker,
                const ChildOptions *options,
                const void *request,
                size_t n_request,
                ChildResult *ret) _warn_unused_result_;
void worker_stop(Worker *worker);
