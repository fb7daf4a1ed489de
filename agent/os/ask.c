/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>

#include "os/ask.h"
#include "vfiopt/names.h"

/* Longer than vfiopt-ask waits for systemd. */
#define LIMIT_USEC (60 * USEC_PER_SEC)

struct Ask {
        sd_event_source *answered; /* owns the connection */
        sd_event_source *limit;
        AskFn fn;
        void *userdata;
        char gpu[]; /* zero-terminated */
};

/* Takes and returns NULL. No answer comes any more; a job that was started goes on. */
Ask *ask_free(Ask *ask) {
        if (!ask)
                return NULL;

        sd_event_source_disable_unref(ask->answered);
        sd_event_source_disable_unref(ask->limit);
        free(ask);
        return NULL;
}

static void tell(Ask *ask, const AskAnswer *answer) {
        (void) sd_event_source_set_enabled(ask->answered, SD_EVENT_OFF);
        (void) sd_event_source_set_enabled(ask->limit, SD_EVENT_OFF);
        ask->fn(ask->userdata, ask->gpu, answer);
}

static int
on_answer(sd_event_source *source _unused_, int fd, uint32_t events _unused_, void *userdata) {
        AskAnswer received = {};
        ssize_t n;

        n = recv(fd, &received, sizeof(received), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n < 0)
                received = (AskAnswer){ .outcome = -errno };
        else if (n == 0)
                received = (AskAnswer){ .outcome = -ECONNRESET };
        else if (n != sizeof(received))
                received = (AskAnswer){ .outcome = -EBADMSG };
        received.why[ASK_WHY_MAX - 1] = 0;
        tell(userdata, &received);
        return 0;
}

static int on_limit(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        tell(userdata, &(AskAnswer){ .outcome = -ETIMEDOUT });
        return 0;
}

/**
 * ask_new() - ask for the job that moves a GPU to where it belongs, and go on
 * @roots:      whose /run has the socket
 * @gpu:        address
 * @fn:         called with the answer. The end of the job may be announced before that, as systemd
 *              does so on another connection
 * @ret:        request, under way; ask_free() it, answered or not
 *
 * Return: 0 on success, negative error code on failure: nobody listens.
 */
int ask_new(sd_event *event,
                const Roots *roots,
                const char *gpu,
                AskFn fn,
                void *userdata,
                Ask **ret) {
        _cleanup_(ask_freep) Ask *ask = NULL;
        _cleanup_(closep) int fd = -1;
        size_t n = strlen(gpu);
        int r;

        r = roots_connect(roots, VFIOPT_RUN_ASK, SOCK_SEQPACKET, &fd);
        if (r < 0)
                return r;
        if (send(fd, gpu, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                return -errno;

        ask = calloc(1, sizeof(*ask) + n + 1);
        if (!ask)
                return -ENOMEM;
        ask->fn = fn;
        ask->userdata = userdata;
        memcpy(ask->gpu, gpu, n + 1);
        r = sd_event_add_io(event, &ask->answered, fd, EPOLLIN, on_answer, ask);
        if (r < 0)
                return r;
        (void) sd_event_source_set_io_fd_own(ask->answered, true);
        fd = -1;
        r = sd_event_add_time_relative(
                        event, &ask->limit, CLOCK_MONOTONIC, LIMIT_USEC, 0, on_limit, ask);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(ask);
        return 0;
}
