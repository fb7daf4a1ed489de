/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Watched File Descriptor
 *
 * Owns a file descriptor which an epoll set may or may not watch. It is taken
 * out of the set explicitly before it is closed: a child that was forked but
 * has not reached execve() yet still holds a copy, and for as long the kernel
 * would go on to report a source that is long freed.
 *
 * Off means out of the set, not watched for nothing: epoll reports hang-ups
 * and errors no matter what it was asked for.
 */

#include <errno.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <unistd.h>

typedef enum SourceKind {
        SOURCE_IN,
        SOURCE_OUT,
        SOURCE_ERR,
        SOURCE_END,
        _SOURCE_MAX,
} SourceKind;

typedef struct Source {
        struct Job *job;
        SourceKind kind;
        int fd;
        bool watched;
} Source;

static inline int source_watch(Source *source, int epoll_fd, bool watched) {
        struct epoll_event event = {
                .events = source->kind == SOURCE_IN ? EPOLLOUT : EPOLLIN,
                .data.ptr = source,
        };

        if (source->fd < 0 || source->watched == watched)
                return 0;
        if (epoll_ctl(epoll_fd, watched ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, source->fd, &event) < 0)
                return -errno;

        source->watched = watched;
        return 0;
}

static inline void source_close(Source *source, int epoll_fd) {
        (void) source_watch(source, epoll_fd, false);
        if (source->fd >= 0)
                close(source->fd);
        source->fd = -1;
}
