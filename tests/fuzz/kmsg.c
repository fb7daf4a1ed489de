/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Records of the kernel's log. A socket that keeps their bounds stands in for it.
 */

#include "fuzz.h"

#include <sys/socket.h>

#include "os/kmsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        static int fds[2] = { -1, -1 };
        FuzzInput input = { data, n };
        const uint8_t *part;
        size_t n_part;

        if (fds[0] < 0)
                fuzz_check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                                           fds) == 0);

        while ((part = fuzz_next(&input, &n_part))) {
                _cleanup_(freep) char *buffer = malloc(8192);
                KernelMessage message = {};
                int r;

                fuzz_check(buffer && n_part < 8192);
                fuzz_check(write(fds[1], part, n_part) == (ssize_t) n_part);
                r = kmsg_next(fds[0], buffer, 8192, &message);
                fuzz_check(r <= 0 || r == KMSG_E_NONE);
                if (r == 0) {
                        fuzz_check(strlen(message.text) < n_part && !strchr(message.text, '\n'));
                        fuzz_check(!message.device || !strchr(message.device, '\n'));
                }
                fuzz_check(kmsg_next(fds[0], buffer, 8192, &message) == KMSG_E_NONE);
        }
        return 0;
}
