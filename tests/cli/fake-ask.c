/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "ask/serve.h"
#include "fake-ask.h"
#include "vfiopt/names.h"

/* The socket, as the socket unit makes it; close() it. */
int fake_ask_listen(FakeTree *tree) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd, n;

        n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/run/%s", tree->root,
                        VFIOPT_RUN_ASK);
        assert_true(n > 0 && (size_t) n < sizeof(address.sun_path));
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (const struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 16), 0);
        return fd;
}

/* Return: the process. It ends by itself when nobody asks for @linger_usec, or is killed. */
pid_t fake_ask_start(FakeTree *tree, uint64_t linger_usec) {
        int fd = fake_ask_listen(tree);
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                _exit(serve(fd, &tree->roots, linger_usec) == 0 ? 0 : 1);
        }
        close(fd);
        return pid;
}

/* Ask, and wait for the answer. Return: its length; 0: there is none. */
ssize_t fake_ask(FakeTree *tree, const void *request, size_t n, void *answer, size_t n_answer) {
        ssize_t length;
        int fd;

        assert_int_equal(roots_connect(&tree->roots, VFIOPT_RUN_ASK, SOCK_SEQPACKET, &fd), 0);
        assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
        assert_int_equal(send(fd, request, n, MSG_NOSIGNAL), n);
        length = recv(fd, answer, n_answer, 0);
        close(fd);
        return length;
}
