/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vfiopt-ask
 *
 * Starts jobs for the agent, which may not start anything itself. systemd has the socket, and
 * starts this with the first request (vfiopt-ask.socket). It stays for a while after the last one:
 * so that it remembers how often it was asked, and that no client can have it started in a loop,
 * which systemd would answer by taking the socket away.
 */

#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "ask/serve.h"
#include "vfiopt/exit.h"
#include "vfiopt/names.h"

#define LINGER_USEC (61 * USEC_PER_SEC)

static int fail(const char *what, int r) {
        fprintf(stderr, SD_ERR "%s: %s\n", what, strerror(-r));
        return VFIOPT_EXIT_ERROR;
}

int main(int argc _unused_, char **argv _unused_) {
        _cleanup_(roots_deinit) Roots roots = ROOTS_NULL;
        int r;

        if (sd_listen_fds(true) != 1 ||
                        sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_SEQPACKET, true, NULL, 0) <=
                                        0) {
                fprintf(stderr, SD_ERR "this is started by " VFIOPT_UNIT_ASK "; see vfioptd(8)\n");
                return VFIOPT_EXIT_USAGE;
        }

        r = roots_init(&roots, "");
        if (r < 0)
                return fail("cannot look at the machine", r);
        r = serve(SD_LISTEN_FDS_START, &roots, LINGER_USEC);
        return r < 0 ? fail("cannot go on", r) : VFIOPT_EXIT_DONE;
}
