/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Have Many Files Open
 *
 * A busy desktop, for whoever searches every process for holders of a device:
 * N open files, spread evenly over processes, none of which holds a GPU. Prints
 * "held N files in M processes" when all of them are open.
 */

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "util.h"

static const char usage[] = "many-files [OPTION…] N\n\n"
                            "  --processes=M  how many processes have them (default 300)\n"
                            "  --path=PATH    what to open (default /dev/null)\n";

/* Opens its share, tells the parent by one byte, and stays as long as it. */
_noreturn_ static void run_child(const char *path, unsigned long n_files, int ready_fd) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                die("prctl: %m");

        for (unsigned long i = 0; i < n_files; i++)
                if (open(path, O_RDONLY) < 0)
                        die("open %s: %m", path);

        if (write(ready_fd, "", 1) != 1)
                die("write: %m");
        close(ready_fd);

        for (;;)
                pause();
}

static void raise_limit(unsigned long n_files) {
        const struct rlimit limit = { .rlim_cur = n_files, .rlim_max = n_files };
        struct rlimit current;

        if (getrlimit(RLIMIT_NOFILE, &current) < 0)
                die("getrlimit: %m");
        if (current.rlim_cur < n_files && setrlimit(RLIMIT_NOFILE, &limit) < 0)
                die("setrlimit: %m");
}

/* The end of the pipe before each child has written means that one failed. */
static void wait_ready(int fd, unsigned long n_children) {
        char byte;

        for (unsigned long i = 0; i < n_children; i++)
                if (read(fd, &byte, 1) != 1)
                        die("a child failed");
}

int main(int argc, char **argv) {
        static const struct option longs[] = {
                { "processes", required_argument, NULL, 'm' },
                { "path", required_argument, NULL, 'p' },
                { "help", no_argument, NULL, 'h' },
                {},
        };
        unsigned long n_files, n_children = 300;
        const char *path = "/dev/null";
        int c, fds[2];

        while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
                switch (c) {
                case 'm':
                        n_children = strtoul(optarg, NULL, 10);
                        break;
                case 'p':
                        path = optarg;
                        break;
                case 'h':
                        fputs(usage, stdout);
                        return EXIT_SUCCESS;
                default:
                        return 2;
                }
        }
        if (optind + 1 != argc || n_children == 0)
                die("a number of files is needed");
        n_files = strtoul(argv[optind], NULL, 10);
        raise_limit(n_files / n_children + 64);

        if (pipe(fds) < 0)
                die("pipe: %m");

        for (unsigned long i = 0; i < n_children; i++) {
                const unsigned long share =
                                n_files / n_children + (i < n_files % n_children ? 1 : 0);
                const pid_t pid = fork();

                if (pid < 0)
                        die("fork: %m");
                if (pid == 0) {
                        close(fds[0]);
                        run_child(path, share, fds[1]);
                }
        }
        close(fds[1]);
        wait_ready(fds[0], n_children);

        say("held %lu files in %lu processes", n_files, n_children);
        wait_for_end();
        return EXIT_SUCCESS;
}
