/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Look at all Processes
 *
 * The part of the scan for holders that asks about other users' processes, who can make it
 * wait. So it is the work of a child (os/child.h) that only reads, and its reply is numbers.
 */

#include "os/roots.h"
#include "probe/devnodes.h"

/* The whole look takes no longer than this, nor an answer about one process than its share. */
#define LOOK_LIMIT_USEC (2 * USEC_PER_SEC)

/* So many hits are told; a reply of that size is still one that os/child.h takes. */
#define LOOK_HITS_MAX 24576U

typedef struct LookInput {
        const Roots *roots;
        const DevNodes *sets;
        size_t n_sets;
        bool deep;  /* look for private mappings, too */
        pid_t self; /* the process that asks, left out */
} LookInput;

typedef struct Hit {
        int32_t pid;
        uint32_t set;
        int32_t node;  /* of the set; or -1: the process could not be looked into, by none */
        int32_t error; /* positive errno, where .node is -1: ETIMEDOUT if it is ending, ETIME if the
                        * kernel gave no answer about it in time, EAGAIN if it moves on too fast */
        uint32_t mapped;  /* no open file, a mapping only */
        uint32_t uid;     /* as in Process, when it was looked at */
        char command[16]; /* likewise; "" where it could not be read */
} Hit;

typedef struct LookReply {
        uint32_t n_hits;
        uint32_t n_left; /* processes that were not come to, or whose hits were too many; where that
                          * is all that is known of them */
        Hit hits[];      /* by process, set and node */
} LookReply;

int holder_look(void *userdata, int reply_fd) _warn_unused_result_;
int look_reply_check(const LookInput *input, const char *reply, size_t n) _warn_unused_result_;
