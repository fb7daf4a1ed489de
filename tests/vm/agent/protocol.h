/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Command Channel
 *
 * What the test runner and its agent in the guest say to each other over one
 * virtio-serial port. The other half is lib/channel.py.
 *
 * Everything is a frame: a header, then `size` bytes. Numbers are little
 * endian. A job is one running program; the runner chooses its number, and any
 * number of jobs run at a time. Output comes as it is made. Input is sent
 * against credit: the runner keeps at most CHANNEL_WINDOW bytes per job under
 * way and learns from FRAME_TOOK how many the program has taken, hence a
 * program that reads nothing never stops the channel for the others.
 */

#include <stdint.h>

#define CHANNEL_PORT_NAME "org.vfiopt.test"
#define CHANNEL_FRAME_MAX (1U << 20)
#define CHANNEL_WINDOW    (256U << 10)

enum {
        FRAME_HELLO = 1, /* both ways: answered with the same job number and payload */
        FRAME_RUN,       /* to the guest: argv, each string with its NUL */
        FRAME_INPUT,     /* to the guest: bytes for stdin; no bytes: close it */
        FRAME_SIGNAL,    /* to the guest: uint32 signal, for the job's process group */
        FRAME_STARTED,   /* to the host: uint32 pid */
        FRAME_OUT,       /* to the host: bytes from stdout */
        FRAME_ERR,       /* to the host: bytes from stderr */
        FRAME_TOOK,      /* to the host: uint32, that many bytes of input are gone */
        FRAME_EXIT,      /* to the host: FrameExit; the job number is free again */
};

typedef struct FrameHeader {
        uint32_t size;
        uint32_t job;
        uint32_t type;
} FrameHeader;

typedef struct FrameExit {
        int32_t code;        /* exit code, or negative signal number */
        uint32_t reserved;   /* zero */
        uint64_t start_usec; /* CLOCK_MONOTONIC of the guest, right before fork */
        uint64_t end_usec;   /* and right after the wait */
} FrameExit;
