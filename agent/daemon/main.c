/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vfioptd
 *
 * Set-up and end. All of the work is the agent's (agent.c).
 */

#include <signal.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "daemon/agent.h"
#include "daemon/tell.h"
#include "vfiopt/exit.h"

static int on_reload(sd_event_source *source _unused_,
                const struct signalfd_siginfo *info _unused_,
                void *userdata) {
        agent_reload(userdata);
        return 0;
}

static int catch_signals(sd_event *event, Agent *agent) {
        int r;

        /* Without a handler they end the loop. */
        r = sd_event_add_signal(event, NULL, SIGTERM | SD_EVENT_SIGNAL_PROCMASK, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGINT | SD_EVENT_SIGNAL_PROCMASK, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(
                                event, NULL, SIGHUP | SD_EVENT_SIGNAL_PROCMASK, on_reload, agent);
        return r < 0 ? r : 0;
}

/* Return: an exit code, or a negative error code. */
static int run(sd_event *event, Roots *roots) {
        _cleanup_(agent_freep) Agent *agent = NULL;
        int r;

        r = agent_new(event, roots, &agent);
        if (r >= 0)
                r = catch_signals(event, agent);
        if (r >= 0)
                r = sd_event_set_watchdog(event, true);
        if (r < 0)
                return r;

        (void) sd_notify(0, "READY=1");
        r = sd_event_loop(event);
        (void) sd_notify(0, "STOPPING=1");
        return r;
}

/* There is nothing to be said to it. Return: an exit code. */
static int answer(const char *option) {
        if (!strcmp(option, "--version")) {
                printf("vfioptd %s\n", VFIOPT_VERSION);
                return VFIOPT_EXIT_DONE;
        }
        if (!strcmp(option, "--help")) {
                printf("vfioptd takes no options and is started by udev; see vfioptd(8).\n");
                return VFIOPT_EXIT_DONE;
        }
        log_error("vfioptd takes no options");
        return VFIOPT_EXIT_USAGE;
}

int main(int argc, char **argv) {
        Roots roots = ROOTS_NULL;
        sd_event *event = NULL;
        int r;

        if (argc > 1)
                return answer(argv[1]);

        r = sd_event_default(&event);
        if (r >= 0)
                r = roots_init(&roots, "");
        if (r >= 0)
                r = run(event, &roots);
        roots_deinit(&roots);
        sd_event_unref(event);
        if (r < 0) {
                log_error("cannot go on: %s", strerror(-r));
                return VFIOPT_EXIT_ERROR;
        }
        return r;
}
