/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Open a Device at the Worst Moment
 *
 * The holder that appears between somebody's check and what he does next. It
 * watches a file that the switch is about to touch, and at that event opens
 * another one and keeps it:
 *
 *     race-hold /sys/bus/pci/devices/0000:01:00.0/driver_override /dev/nvidia0
 *     race-hold --event=open /sys/bus/pci/drivers/nvidia/unbind /dev/nvidia0
 *
 * inotify works in sysfs for what user space does there, so nothing is polled.
 * It prints "watching", then at the event "held PID" or "missed: REASON", and
 * stays until stdin ends. Whether it comes in time is a race indeed; where a
 * test needs it to be won, pcifault's hold-unbind makes the room for it.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "util.h"

static const char usage[] = "race-hold [OPTION…] WATCHED OPENED\n\n"
                            "  --event=modify  when WATCHED has been written to (default)\n"
                            "  --event=open    when it has been opened\n"
                            "  --event=close   when it has been closed after writing\n";

static uint32_t event_mask(const char *name) {
        if (strcmp(name, "modify") == 0)
                return IN_MODIFY;
        if (strcmp(name, "open") == 0)
                return IN_OPEN;
        if (strcmp(name, "close") == 0)
                return IN_CLOSE_WRITE;
        die("unknown event %s", name);
}

int main(int argc, char **argv) {
        static const struct option longs[] = {
                { "event", required_argument, NULL, 'e' },
                { "help", no_argument, NULL, 'h' },
                {},
        };
        char buffer[sizeof(struct inotify_event) + 256]
                        __attribute__((__aligned__(__alignof__(struct inotify_event))));
        uint32_t mask = IN_MODIFY;
        int c, fd;

        while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
                switch (c) {
                case 'e':
                        mask = event_mask(optarg);
                        break;
                case 'h':
                        fputs(usage, stdout);
                        return EXIT_SUCCESS;
                default:
                        return 2;
                }
        }
        if (optind + 2 != argc)
                die("two paths are needed");

        fd = inotify_init1(IN_CLOEXEC);
        if (fd < 0 || inotify_add_watch(fd, argv[optind], mask) < 0)
                die("watch %s: %m", argv[optind]);
        say("watching");

        if (read(fd, buffer, sizeof(buffer)) < 0)
                die("inotify: %m");

        if (open(argv[optind + 1], O_RDWR) < 0) {
                say("missed: %s", strerror(errno));
                return EXIT_FAILURE;
        }

        say("held %d", getpid());
        wait_for_end();
        return EXIT_SUCCESS;
}
