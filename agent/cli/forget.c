/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vfioptctl forget
 *
 * Removes GPUs from the state file: for a remembered address where another card sits now,
 * which only a person can know to be intended. The card may be gone or have got another address, so
 * it is named by the one that it had or has. No driver is touched; udev's pins are removed.
 */

#include <string.h>

#include "cli/cli.h"
#include "cli/message.h"
#include "record/gpu-record.h"
#include "record/lock.h"
#include "record/pin.h"
#include "record/state.h"

/* A card as it is named: by an address, or where that is taken by its location. */
typedef struct Name {
        Address address;
        Location location; /* .n_hops is 0: by the address */
        Address gone[2];   /* where it was when it was remembered, and where it is */
} Name;

static bool forget_one(State *state, Name *name) {
        const StateEntry *entry = name->location.n_hops > 0
                        ? state_find_location(state, &name->location)
                        : state_find_address(state, name->address);

        if (!entry)
                return false;
        name->gone[0] = entry->address;
        name->gone[1] = entry->place == PLACE_FOUND ? entry->now : entry->address;
        state_forget(state, entry);
        return true;
}

/*
 * Nor counts where it was moved in this boot; and a pin that stays is no reason to fail, as the GPU is
 * forgotten. Return: 0, or negative.
 */
static int forget_in_run(const Roots *roots, Address address, int *unpinned) {
        char name[ADDRESS_STRING_MAX];
        int r;

        r = gpu_record_forget_mode(roots->run_fd, address);
        if (r == GPU_RECORD_E_BUSY)
                message_error("%s is being switched; the mode that it ends in is remembered",
                                address_format(address, name));
        if (r < 0)
                return r;
        error_gather(unpinned, pins_clear_slot(roots->run_fd, address));
        return 0;
}

/* Under the lock. Return: an exit code after having told what is wrong, or a negative error code. */
static int forget(const Roots *roots, char *const *args, Name *names, size_t n) {
        _cleanup_(state_deinit) State state = STATE_NULL;
        int exit_code = VFIOPT_EXIT_DONE, unpinned = 0, r;
        char address[ADDRESS_STRING_MAX];

        r = state_load(&state, roots->etc_fd);
        if (r < 0)
                return r;
        if (r == STATE_E_INVALID) {
                message_error("the state file cannot be understood, so nothing is remembered; the next "
                              "switch sets it aside");
                return VFIOPT_EXIT_PRECONDITION;
        }
        r = state_place(&state, roots->sysfs);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; ++i)
                if (!forget_one(&state, &names[i])) {
                        message_error("nothing is remembered of %s",
                                        names[i].location.n_hops > 0
                                                        ? args[i]
                                                        : address_format(names[i].address,
                                                                          address));
                        exit_code = VFIOPT_EXIT_PRECONDITION;
                }
        if (exit_code != VFIOPT_EXIT_DONE)
                return exit_code;

        r = state_save(&state, roots->etc_fd);
        for (size_t i = 0; i < n && r >= 0; ++i) {
                r = forget_in_run(roots, names[i].gone[0], &unpinned);
                if (r >= 0 && address_compare(names[i].gone[0], names[i].gone[1]) != 0)
                        r = forget_in_run(roots, names[i].gone[1], &unpinned);
        }
        if (r < 0)
                return r;
        if (unpinned < 0)
                message_error("cannot remove udev pins: %s, ignoring", strerror(-unpinned));
        return VFIOPT_EXIT_DONE;
}

static int forget_run(Cli *cli) {
        _cleanup_(freep) Name *names = calloc(cli->n_args, sizeof(*names));
        _cleanup_(lock_release) Lock lock = LOCK_NULL;
        char quote[QUOTE_MAX];
        bool has_function;
        int r;

        if (!names)
                return -ENOMEM;
        for (size_t i = 0; i < cli->n_args; ++i) {
                if (location_parse(cli->args[i], &names[i].location) == 0)
                        continue;
                if (address_parse_loose(cli->args[i], &names[i].address, &has_function) < 0) {
                        message_error("%s is not an address, like 0000:01:00.0",
                                        message_quote(cli->args[i], quote));
                        return VFIOPT_EXIT_USAGE;
                }
                names[i].address = address_of_function(names[i].address, 0);
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
        return forget(cli->roots, cli->args, names, cli->n_args);
}

const Verb verb_forget = {
        .name = "forget",
        .args = "ADDRESS...",
        .summary = "forget the card that was at an address",
        .n_min = 1,
        .run = forget_run,
};
