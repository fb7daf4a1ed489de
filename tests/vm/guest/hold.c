/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Hold Files Open
 *
 * Stands for whoever uses a GPU. It opens each path, prints "held PID", where
 * PID is the process that has them open, and keeps them until stdin ends or a
 * signal ends it. Where there is no stdin to hold it, as in a systemd unit, give
 * it /dev/zero.
 *
 * The options are the less obvious ways of holding a device, each of which a
 * careless search for holders overlooks.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

static const char usage[] =
                "hold [OPTION…] PATH…\n\n"
                "  --map         map a page and close the file: only the mapping is left\n"
                "  --path        open with O_PATH, which holds the node but not the device\n"
                "  --nonblock    open with O_NONBLOCK\n"
                "  --write=TEXT  write TEXT after opening (takes a GPU through the stand-in's\n"
                "                nvidia-modeset or nvidia-uvm, when TEXT is its address)\n"
                "  --inherit     a child holds the files that this process has opened\n";

typedef struct Options {
        bool map;
        bool inherit;
        int flags;
        const char *text;
} Options;

static void parse_options(Options *options, int argc, char **argv) {
        static const struct option longs[] = {
                { "map", no_argument, NULL, 'm' },
                { "path", no_argument, NULL, 'p' },
                { "nonblock", no_argument, NULL, 'n' },
                { "write", required_argument, NULL, 'w' },
                { "inherit", no_argument, NULL, 'i' },
                { "help", no_argument, NULL, 'h' },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
                switch (c) {
                case 'm':
                        options->map = true;
                        break;
                case 'p':
                        options->flags |= O_PATH;
                        break;
                case 'n':
                        options->flags |= O_NONBLOCK;
                        break;
                case 'w':
                        options->text = optarg;
                        break;
                case 'i':
                        options->inherit = true;
                        break;
                case 'h':
                        fputs(usage, stdout);
                        exit(EXIT_SUCCESS);
                default:
                        exit(2);
                }
        }

        if (optind == argc)
                die("no path given");
}

static int open_any(const char *path, int flags) {
        int fd;

        if (flags & O_PATH)
                return open(path, flags);

        fd = open(path, O_RDWR | flags);
        if (fd < 0 && (errno == EACCES || errno == EISDIR || errno == EROFS))
                fd = open(path, O_RDONLY | flags);
        return fd;
}

static void hold_path(const Options *options, const char *path) {
        const size_t n_page = sysconf(_SC_PAGESIZE);
        int fd;

        fd = open_any(path, options->flags);
        if (fd < 0)
                die("open %s: %m", path);

        if (options->text && write(fd, options->text, strlen(options->text)) < 0)
                die("write %s: %m", path);

        if (options->map) {
                if (mmap(NULL, n_page, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
                        die("mmap %s: %m", path);
                close(fd);
        }
}

/* The child dies with its parent, so that ending this program ends the hold. */
static void hold_in_child(void) {
        pid_t pid;

        pid = fork();
        if (pid < 0)
                die("fork: %m");

        if (pid == 0) {
                if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                        die("prctl: %m");
                say("held %d", getpid());
                for (;;)
                        pause();
        }

        /* Mappings cannot be handed over like this; --map keeps them in both. */
        close_range(STDERR_FILENO + 1, ~0U, 0);
        wait_for_end();
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}

int main(int argc, char **argv) {
        Options options = {};

        parse_options(&options, argc, argv);

        for (int i = optind; i < argc; i++)
                hold_path(&options, argv[i]);

        if (options.inherit) {
                hold_in_child();
        } else {
                say("held %d", getpid());
                wait_for_end();
        }

        return EXIT_SUCCESS;
}
