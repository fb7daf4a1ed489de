/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Ask for a Job
 *
 * Stands for an agent that somebody has taken over: it sends whatever it is given, as one packet,
 * down the agent's channel, and prints the number and the words of the answer.
 */

#include <fcntl.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "util.h"

static const char usage[] =
                "ask [OPTION…] TEXT\n\n"
                "  --bytes=N   TEXT again and again, N bytes of it in all\n"
                "  --times=N   N connections, one after the other; prints the last answer\n"
                "  --silent=N  N connections that say nothing and stay until stdin ends\n"
                "  --twice     a second packet behind the first\n"
                "  --gone      close without reading the answer\n";

static int channel(void) {
        struct sockaddr_un address = { AF_UNIX, "/run/vfiopt-ask" };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                die("connect: %m");
        return fd;
}

static void ask(const char *bytes, size_t n, int twice, int gone, int last) {
        struct {
                int32_t outcome;
                uint32_t job;
                char why[256];
        } answer = { 0, 0, "" };
        int fd = channel();
        ssize_t r;

        for (int i = 0; i <= twice; ++i)
                if (send(fd, bytes, n, MSG_NOSIGNAL) < 0 && !gone)
                        die("send: %m");
        r = gone ? 0 : recv(fd, &answer, sizeof(answer), 0);
        if (r < 0)
                die("recv: %m");
        if (!gone && last && r == 0)
                say("nothing");
        else if (!gone && last)
                say("%d %s", answer.outcome, answer.why);
        close(fd);
}

int main(int argc, char **argv) {
        static const struct option longs[] = {
                { "bytes", required_argument, NULL, 'b' },
                { "times", required_argument, NULL, 't' },
                { "silent", required_argument, NULL, 's' },
                { "twice", no_argument, NULL, '2' },
                { "gone", no_argument, NULL, 'g' },
                { "help", no_argument, NULL, 'h' },
                {},
        };
        int c, twice = 0, gone = 0, silent = 0;
        size_t n_bytes = 0, n_times = 1, n;
        char *bytes;

        while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0)
                switch (c) {
                case 'b':
                        n_bytes = strtoul(optarg, NULL, 10);
                        break;
                case 't':
                        n_times = strtoul(optarg, NULL, 10);
                        break;
                case 's':
                        silent = atoi(optarg);
                        break;
                case '2':
                        twice = 1;
                        break;
                case 'g':
                        gone = 1;
                        break;
                case 'h':
                        fputs(usage, stdout);
                        return EXIT_SUCCESS;
                default:
                        return 2;
                }
        if (optind + 1 != argc)
                die("one text is needed");

        if (silent > 0) {
                for (int i = 0; i < silent; ++i)
                        (void) channel();
                say("held %d", getpid());
                wait_for_end();
                return EXIT_SUCCESS;
        }
        n = strlen(argv[optind]);
        if (n_bytes == 0)
                n_bytes = n;
        bytes = malloc(n_bytes + 1);
        if (!bytes)
                die("malloc: %m");
        for (size_t i = 0; i < n_bytes; ++i)
                bytes[i] = argv[optind][n > 0 ? i % n : 0];
        for (size_t i = 0; i < n_times; ++i)
                ask(bytes, n_bytes, twice, gone, i + 1 == n_times);
        return EXIT_SUCCESS;
}
