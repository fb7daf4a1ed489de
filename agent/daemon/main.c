/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vfioptd
 *
 * Starts and ends the agent, which does all of the work (agent.h).
 */

#include <signal.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "daemon/agent.h"
#include "daemon/log.h"
#include "vfiopt/exit.h"

static int on_reload(sd_event_source *source _unused_,
                const struct signalfd_siginfo *info _unused_,
                void *userdata) {
        agent_reload(userdata);
        return 0;
}

/* Return: an exit code, or a negative error code. */
static int run(sd_event *event, Roots *roots) {
        /* A signal without a handler ends the loop, with its userdata as the exit code. */
        static const struct {
                int signal;
                sd_event_signal_handler_t handler;
        } signals[] = { { SIGTERM, NULL }, { SIGINT, NULL }, { SIGHUP, on_reload } };
        _cleanup_(agent_freep) Agent *agent = NULL;
        int r;

        r = agent_new(event, roots, &agent);
        for (size_t i = 0; i < ARRAY_SIZE(signals) && r >= 0; ++i)
                r = sd_event_add_signal(event, NULL, signals[i].signal | SD_EVENT_SIGNAL_PROCMASK,
                                signals[i].handler, signals[i].handler ? agent : NULL);
        if (r < 0)
                return r;
        r = sd_event_set_watchdog(event, true);
        if (r < 0)
                return r;

        (void) sd_notify(0, "READY=1");
        r = sd_event_loop(event);
        (void) sd_notify(0, "STOPPING=1");
        return r;
}

int main(int argc, char **argv) {
        _cleanup_(roots_deinit) Roots roots = ROOTS_NULL;
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        int r;

        if (argc > 1 && !strcmp(argv[1], "--version")) {
                printf("vfioptd %s\n", VFIOPT_VERSION);
                return VFIOPT_EXIT_DONE;
        }
        if (argc > 1 && !strcmp(argv[1], "--help")) {
                printf("vfioptd takes no options and is started by udev; see vfioptd(8).\n");
                return VFIOPT_EXIT_DONE;
        }
        if (argc > 1) {
                log_error("vfioptd takes no options");
                return VFIOPT_EXIT_USAGE;
        }

        r = sd_event_default(&event);
        if (r >= 0)
                r = roots_init(&roots, "");
        if (r >= 0)
                r = run(event, &roots);
        if (r < 0) {
                log_error("cannot go on: %s", strerror(-r));
                return VFIOPT_EXIT_ERROR;
        }
        return r;
}
