/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vfioptctl forget
 *
 * Removes GPUs from the state file: for a remembered address where another card sits now,
 * which only a person can know to be intended. The card may be gone, so it is named by
 * its address. No driver is touched; udev's pins are removed.
 */

#include <string.h>

#include "cli/cli.h"
#include "cli/message.h"
#include "record/gpu-record.h"
#include "record/lock.h"
#include "record/pin.h"
#include "record/state.h"

/* Under the lock. Return: an exit code after having told what is wrong, or a negative error code. */
static int forget(const Roots *roots, const Address *addresses, size_t n) {
        _cleanup_(state_deinit) State state = STATE_NULL;
        int exit_code = VFIOPT_EXIT_DONE, unpinned = 0, r;
        char name[ADDRESS_STRING_MAX];

        r = state_load(&state, roots->etc_fd);
        if (r < 0)
                return r;
        if (r == STATE_E_INVALID) {
                message_error("the state file cannot be understood, so nothing is remembered; the next "
                              "switch sets it aside");
                return VFIOPT_EXIT_PRECONDITION;
        }
        for (size_t i = 0; i < n; ++i)
                if (!state_forget(&state, addresses[i])) {
                        message_error("nothing is remembered of %s",
                                        address_format(addresses[i], name));
                        exit_code = VFIOPT_EXIT_PRECONDITION;
                }
        if (exit_code != VFIOPT_EXIT_DONE)
                return exit_code;

        r = state_save(&state, roots->etc_fd);
        /* Nor counts where they were moved in this boot. */
        for (size_t i = 0; i < n && r >= 0; ++i) {
                r = gpu_record_forget_mode(roots->run_fd, addresses[i]);
                if (r == GPU_RECORD_E_BUSY)
                        message_error("%s is being switched; the mode that it ends in is remembered",
                                        address_format(addresses[i], name));
        }
        if (r < 0)
                return r;
        /* A pin that stays is no reason to fail: the GPU is forgotten. */
        for (size_t i = 0; i < n; ++i)
                error_gather(&unpinned, pins_clear_slot(roots->run_fd, addresses[i]));
        if (unpinned < 0)
                message_error("cannot remove udev pins: %s, ignoring", strerror(-unpinned));
        return VFIOPT_EXIT_DONE;
}

static int forget_run(Cli *cli) {
        _cleanup_(freep) Address *addresses = calloc(cli->n_args, sizeof(*addresses));
        _cleanup_(lock_release) Lock lock = LOCK_NULL;
        char quote[QUOTE_MAX];
        bool has_function;
        int r;

        if (!addresses)
                return -ENOMEM;
        for (size_t i = 0; i < cli->n_args; ++i) {
                if (address_parse_loose(cli->args[i], &addresses[i], &has_function) < 0) {
                        message_error("%s is not an address, like 0000:01:00.0",
                                        message_quote(cli->args[i], quote));
                        return VFIOPT_EXIT_USAGE;
                }
                addresses[i] = address_of_function(addresses[i], 0);
        }
        if (geteuid() != 0) {
                message_error("only root can change the state file");
                return VFIOPT_EXIT_PRECONDITION;
        }

        r = cli_open_own(cli, true);
        if (r < 0)
                return r;
        r = lock_take_state(&lock, cli->roots->run_fd);
        if (r)
                return error_fold(r);
        return forget(cli->roots, addresses, cli->n_args);
}

const Verb verb_forget = {
        .name = "forget",
        .args = "ADDRESS...",
        .summary = "forget the card that was at an address",
        .n_min = 1,
        .run = forget_run,
};
