/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * GPU Server
 *
 *     gpusrv DIRECTORY NAME=MODEL[,KEY=VALUE…]…
 *
 * Plays the functions of one graphics card to QEMU, each on a socket of its own,
 * DIRECTORY/NAME.sock, and takes commands on DIRECTORY/CARD.ctl (see control.c),
 * where CARD is what the name of the first function has before its last dot.
 * When all sockets listen, it prints "ready"; when its standard input ends, it
 * exits, so that it can never outlive the test that has started it.
 *
 * Single-threaded: a function that is told to be slow holds up its siblings,
 * too. One connection at a time per function; QEMU may come again after an
 * unplug.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "connection.h"
#include "control.h"
#include "options.h"

#define FUNCTIONS_MAX 8U

typedef struct Server {
        int control_fd;
        size_t n_functions;
        Function *functions[FUNCTIONS_MAX];
        int listen_fds[FUNCTIONS_MAX];
        int connection_fds[FUNCTIONS_MAX]; /* -1: nobody is connected */
} Server;

static int listen_at(const char *directory, const char *name, const char *suffix) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd, n;

        n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s%s", directory, name,
                        suffix);
        if (n < 0 || (size_t) n >= sizeof(address.sun_path))
                return -ENAMETOOLONG;

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        (void) unlink(address.sun_path); /* of a server that this one takes over from */
        if (bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0 || listen(fd, 4) < 0) {
                n = -errno;
                close(fd);
                return n;
        }
        return fd;
}

/* Control is per card: its socket is named after the functions without their numbers. */
static int listen_for_control(const char *directory, const char *function) {
        const char *dot = strrchr(function, '.');
        char card[64];

        snprintf(card, sizeof(card), "%.*s",
                        (int) (dot ? dot - function : (ptrdiff_t) strlen(function)), function);
        return listen_at(directory, card, ".ctl");
}

static int server_add(Server *server, const char *directory, char *description) {
        size_t n = server->n_functions;
        FunctionOptions options;
        const Model *model;
        char *equals;
        int r;

        equals = strchr(description, '=');
        if (!equals || n == FUNCTIONS_MAX)
                return -EINVAL;
        *equals = 0;

        r = options_parse(equals + 1, &model, &options);
        if (r < 0)
                return r;
        r = function_new(description, model, &options, &server->functions[n]);
        if (r < 0)
                return r;
        r = listen_at(directory, description, ".sock");
        if (r < 0)
                return r;

        server->listen_fds[n] = r;
        server->connection_fds[n] = -1;
        ++server->n_functions;
        return 0;
}

static void server_control(Server *server) {
        char command[256], answer[512];
        ssize_t n;
        int fd;

        fd = accept4(server->control_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
                return;

        n = recv(fd, command, sizeof(command) - 1, 0);
        if (n > 0) {
                command[n] = 0;
                control_run(server->functions, server->n_functions, command, answer,
                                sizeof(answer));
                (void) send(fd, answer, strlen(answer), MSG_NOSIGNAL);
        }
        close(fd);
}

static void server_accept(Server *server, size_t i) {
        server->connection_fds[i] = accept4(server->listen_fds[i], NULL, NULL, SOCK_CLOEXEC);
        if (server->connection_fds[i] >= 0)
                ++server->functions[i]->stats.connections;
}

static void server_serve(Server *server, size_t i) {
        Function *f = server->functions[i];
        int r;

        r = connection_serve(f, server->connection_fds[i]);
        if (r >= 0)
                return;
        if (r != -ECONNRESET)
                fprintf(stderr, "%s: %s\n", f->name, strerror(-r));

        close(server->connection_fds[i]);
        server->connection_fds[i] = -1;
        function_disconnect(f);
}

static int server_run(Server *server) {
        struct pollfd fds[2 + FUNCTIONS_MAX] = {};
        size_t n = server->n_functions;

        for (;;) {
                fds[0] = (struct pollfd){ STDIN_FILENO, POLLIN, 0 };
                fds[1] = (struct pollfd){ server->control_fd, POLLIN, 0 };
                for (size_t i = 0; i < n; ++i) {
                        int fd = server->connection_fds[i];

                        fds[2 + i] = (struct pollfd){ fd >= 0 ? fd : server->listen_fds[i], POLLIN,
                                0 };
                }

                if (poll(fds, 2 + n, -1) < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }

                if (fds[0].revents)
                        return 0;
                if (fds[1].revents)
                        server_control(server);
                for (size_t i = 0; i < n; ++i) {
                        if (!fds[2 + i].revents)
                                continue;
                        if (server->connection_fds[i] >= 0)
                                server_serve(server, i);
                        else
                                server_accept(server, i);
                }
        }
}

int main(int argc, char **argv) {
        static Server server;
        int r = 0;

        if (argc < 3) {
                fprintf(stderr, "usage: gpusrv DIRECTORY NAME=MODEL[,KEY=VALUE...]...\n");
                return 2;
        }
        signal(SIGPIPE, SIG_IGN);

        for (int i = 2; i < argc && r >= 0; ++i) {
                r = server_add(&server, argv[1], argv[i]);
                if (r < 0)
                        fprintf(stderr, "gpusrv: %s: %s\n", argv[i], strerror(-r));
        }
        if (r >= 0) {
                r = listen_for_control(argv[1], server.functions[0]->name);
                server.control_fd = r;
        }
        if (r >= 0) {
                printf("ready\n");
                fflush(stdout);
                r = server_run(&server);
        }
        if (r < 0)
                fprintf(stderr, "gpusrv: %s\n", strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
