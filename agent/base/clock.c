/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <poll.h>
#include <time.h>

#include "base/clock.h"

static uint64_t now_usec(clockid_t clock) {
        struct timespec ts;

        clock_gettime(clock, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + ts.tv_nsec / 1000;
}

uint64_t monotonic_usec(void) {
        return now_usec(CLOCK_MONOTONIC);
}

uint64_t realtime_usec(void) {
        return now_usec(CLOCK_REALTIME);
}

/* ppoll(2) until a time of CLOCK_MONOTONIC. Return: as it does, or a negative error code. */
int poll_until(struct pollfd *fds, size_t n, uint64_t deadline_usec) {
        uint64_t now = monotonic_usec(), left = deadline_usec > now ? deadline_usec - now : 0;
        struct timespec ts = { .tv_sec = left / USEC_PER_SEC,
                .tv_nsec = left % USEC_PER_SEC * 1000 };
        int n_ready;

        n_ready = ppoll(fds, n, &ts, NULL);
        return n_ready < 0 ? -errno : n_ready;
}
