/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vfioptctl forget
 *
 * Removes GPUs from the state file: for a remembered address where another card sits now,
 * which only a person can know to be intended. The card may be gone or have got another address, so
 * it is named by the one that it had or has. No driver is touched; udev's pins are removed.
 */

#include <string.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/message.h"
#include "record/gpu-record.h"
#include "record/lock.h"
#include "record/pin.h"
#include "record/state.h"

/* A card as it is named: by an address, or where that may mean another one by its location. */
typedef struct Name {
        const char *word;
        Address address;
        Location location; /* .n_hops is 0: by the address, or as an old entry */
        bool is_old;
        Address gone[2]; /* what /run has for these addresses goes, too */
        size_t n_gone;
} Name;

static const char *mode_and_place(const StateEntry *entry, char *buffer, size_t n) {
        char now[ADDRESS_STRING_MAX];

        snprintf(buffer, n, "remembered in %s, %s%s", mode_to_string(entry->mode),
                        entry->place == PLACE_FOUND ? "now " : "not there",
                        entry->place == PLACE_FOUND ? address_format(entry->now, now) : "");
        return buffer;
}

static int refuse_ambiguous(
                const State *state, const Name *name, const StateEntry *a, const StateEntry *b) {
        char first[LOCATION_STRING_MAX], second[LOCATION_STRING_MAX], address[ADDRESS_STRING_MAX];
        char what[2][64];

        message_error("%s may mean two cards: %s (%s) or %s (%s); forget one by that name",
                        address_format(name->address, address), state_entry_name(state, a, first),
                        mode_and_place(a, what[0], sizeof(what[0])),
                        state_entry_name(state, b, second),
                        mode_and_place(b, what[1], sizeof(what[1])));
        return VFIOPT_EXIT_PRECONDITION;
}

/* Return: 0, an exit code after having told what is wrong, or a negative error code. */
static int find_entry(const State *state, const Name *name, const StateEntry **ret) {
        char address[ADDRESS_STRING_MAX];
        const StateEntry *other = NULL;

        *ret = name->location.n_hops > 0 ? state_find_location(state, &name->location)
                        : name->is_old   ? state_find_old(state, name->address)
                                         : state_find_address(state, name->address);
        if (*ret && name->location.n_hops == 0 && !name->is_old)
                other = state_find_other(state, name->address, *ret);
        if (other)
                return refuse_ambiguous(state, name, *ret, other);
        if (*ret)
                return 0;
        message_error("nothing is remembered of %s",
                        name->location.n_hops > 0 || name->is_old
                                        ? name->word
                                        : address_format(name->address, address));
        return VFIOPT_EXIT_PRECONDITION;
}

/* Return: as above. */
static int forget_one(State *state, Sysfs *sysfs, Name *name) {
        _cleanup_(gpu_deinit) Gpu there = {};
        const StateEntry *entry;
        int r;

        r = find_entry(state, name, &entry);
        if (r)
                return r;
        r = gpu_init(&there, sysfs, entry->address);
        if (r < 0)
                return r;
        if (state_entry_has_address(state, entry, r == 0 ? &there : NULL))
                name->gone[name->n_gone++] = entry->address;
        if (entry->place == PLACE_FOUND && address_compare(entry->now, entry->address) != 0)
                name->gone[name->n_gone++] = entry->now;
        state_forget(state, entry);
        return 0;
}

/*
 * Nor counts where it was moved in this boot; and a pin that stays is no reason to fail, as the GPU is
 * forgotten. Its lock is not waited for, since a move takes the one of the state file while it has its
 * own; what that leaves, pins included, is of the move. Return: 0, or negative.
 */
static int forget_in_run(const Roots *roots, Address address, int *unpinned) {
        _cleanup_(lock_release) Lock lock = LOCK_NULL;
        char name[ADDRESS_STRING_MAX];
        int r;

        r = lock_take(&lock, roots->run_fd, address, false);
        if (r == LOCK_E_BUSY)
                message_error("%s is being switched; the mode that it ends in is remembered",
                                address_format(address, name));
        if (r)
                return r < 0 ? r : 0;
        r = gpu_record_forget_mode(roots->run_fd, address);
        if (r < 0)
                return r;
        error_gather(unpinned, pins_clear_slot(roots->run_fd, address));
        return 0;
}

/* Under the lock. Return: an exit code after having told what is wrong, or a negative error code. */
static int forget(const Roots *roots, Name *names, size_t n) {
        _cleanup_(state_deinit) State state = STATE_NULL;
        int exit_code = VFIOPT_EXIT_DONE, unpinned = 0, r;

        r = state_load(&state, roots->etc_fd);
        if (r < 0)
                return r;
        if (r == STATE_E_INVALID) {
                message_error("the state file cannot be understood, so nothing is remembered; the next "
                              "switch sets it aside");
                return VFIOPT_EXIT_PRECONDITION;
        }
        r = state_place(&state, roots);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; ++i) {
                r = forget_one(&state, roots->sysfs, &names[i]);
                if (r < 0)
                        return r;
                if (r > 0)
                        exit_code = r;
        }
        if (exit_code != VFIOPT_EXIT_DONE)
                return exit_code;

        r = state_save(&state, roots->etc_fd);
        for (size_t i = 0; i < n; ++i)
                for (size_t k = 0; k < names[i].n_gone && r >= 0; ++k)
                        r = forget_in_run(roots, names[i].gone[k], &unpinned);
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
        const char *word;
        int r;

        if (!names)
                return -ENOMEM;
        for (size_t i = 0; i < cli->n_args; ++i) {
                names[i].word = word = cli->args[i];
                if (location_parse(word, &names[i].location) == 0)
                        continue;
                names[i].is_old = text_starts_with(word, STATE_OLD, &word);
                if (address_parse_loose(word, &names[i].address, &has_function) < 0) {
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
        return forget(cli->roots, names, cli->n_args);
}

const Verb verb_forget = {
        .name = "forget",
        .args = "ADDRESS...",
        .summary = "forget the card that was at an address",
        .n_min = 1,
        .run = forget_run,
};
