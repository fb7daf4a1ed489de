/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "ask/serve.h"
#include "base/clock.h"
#include "base/text.h"
#include "model/gpu.h"
#include "os/ask.h"
#include "os/systemd.h"
#include "vfiopt/names.h"

#define WINDOW_USEC (60 * USEC_PER_SEC)

/* The agent sends its request as it connects. */
#define LIMIT_REQUEST_USEC (1 * USEC_PER_SEC)

/* The jobs that were started for a GPU since the window began. */
typedef struct Count {
        Address gpu;
        unsigned int n;
} Count;

typedef struct Server {
        const Roots *roots;
        uint64_t since_usec; /* the beginning of the window */
        Count *counts;       /* of GPUs that exist, so they are few */
        size_t n_counts;
} Server;

static void server_deinit(Server *server) {
        free(server->counts);
}

static int refuse(AskAnswer *answer, const char *why) {
        answer->outcome = SYSTEMD_E_REFUSED;
        snprintf(answer->why, sizeof(answer->why), "%s", why);
        return 0;
}

/* Return: 0, -E2BIG if there were too many jobs for the GPU, or another negative error code. */
static int count_job(Server *server, Address gpu) {
        uint64_t now_usec = monotonic_usec();
        size_t i = 0;
        Count *more;

        if (now_usec - server->since_usec >= WINDOW_USEC) {
                server->since_usec = now_usec;
                server->n_counts = 0;
        }
        while (i < server->n_counts && address_compare(server->counts[i].gpu, gpu))
                ++i;
        if (i == server->n_counts) {
                more = reallocarray(server->counts, i + 1, sizeof(*more));
                if (!more)
                        return -ENOMEM;
                server->counts = more;
                server->counts[server->n_counts++] = (Count){ .gpu = gpu };
        }
        return server->counts[i].n++ < SERVE_JOBS_MAX ? 0 : -E2BIG;
}

/* @request: zero-terminated. Return: 0 with an answer, or a negative error code. */
static int start_job(Server *server, const char *request, AskAnswer *answer) {
        _cleanup_(gpu_deinit) Gpu gpu = {};
        _cleanup_(freep) char *unit = NULL, *why = NULL;
        char name[ADDRESS_STRING_MAX];
        Address address;
        int r;

        /* One spelling of each address: that of sysfs, and of the names of units. */
        if (address_parse(request, &address) < 0 || strcmp(address_format(address, name), request))
                return refuse(answer, "not the address of a PCI device");
        if (address.function == 0)
                r = gpu_init(&gpu, server->roots->sysfs, address);
        else
                r = GPU_E_NONE;
        if (r)
                return r < 0 ? r : refuse(answer, "there is no NVIDIA GPU at this address");
        r = count_job(server, address);
        if (r < 0)
                return r != -E2BIG ? r : refuse(answer, "too many jobs for this GPU in a minute");

        unit = text_format(VFIOPT_UNIT_AUTO ":%s" VFIOPT_UNIT_SUFFIX, name);
        if (!unit)
                return -ENOMEM;
        r = systemd_start_once(unit, &answer->job_id, &why);
        if (r < 0)
                return r;
        answer->outcome = r;
        snprintf(answer->why, sizeof(answer->why), "%s", why ?: "");
        return 0;
}

/* Return: positive when there is something, 0 when time is up, negative error code on failure. */
static int wait_for(int fd, uint64_t usec) {
        struct pollfd waited = { .fd = fd, .events = POLLIN };

        return poll_until(&waited, 1, monotonic_usec() + usec);
}

static int serve_one(Server *server, int fd) {
        char request[ADDRESS_STRING_MAX];
        AskAnswer answer = {};
        ssize_t n;
        int r;

        r = wait_for(fd, LIMIT_REQUEST_USEC);
        if (r <= 0)
                return r;
        /* The length is that of the packet, however much of it has found room. */
        n = recv(fd, request, sizeof(request) - 1, MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0)
                return -errno;
        if (n == 0)
                return 0;

        if ((size_t) n >= sizeof(request) || memchr(request, 0, (size_t) n))
                r = refuse(&answer, "not the address of a PCI device");
        else {
                request[n] = 0;
                r = start_job(server, request, &answer);
        }
        if (r < 0)
                answer = (AskAnswer){ .outcome = r };
        return send(fd, &answer, sizeof(answer), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/**
 * serve() - answer requests until none has come for a while
 * @listen_fd:  of the socket unit; only the agent's user can connect to it
 * @roots:      whose sysfs has the GPUs
 * @linger_usec: for that long; at least a minute keeps the count of jobs
 *
 * Whatever a client does ends its own connection only.
 *
 * Return: 0 on success, negative error code on failure.
 */
int serve(int listen_fd, const Roots *roots, uint64_t linger_usec) {
        _cleanup_(server_deinit) Server server = { .roots = roots };
        int r;

        for (;;) {
                _cleanup_(closep) int fd = -1;

                r = wait_for(listen_fd, linger_usec);
                if (r <= 0)
                        return r;
                fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                if (fd < 0)
                        return -errno;
                (void) serve_one(&server, fd);
        }
}
