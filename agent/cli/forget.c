/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vfioptctl forget
 *
 * Removes GPUs from the state file: for when another card sits at an address that
 * we remember, which nothing but a person can know to be intended. The GPU need not
 * be there any more, so it is named by its address only. No driver is touched, but udev
 * reserves it no more when it is plugged in.
 */

#include <string.h>

#include "cli/cli.h"
#include "cli/report.h"
#include "record/gpu-record.h"
#include "record/lock.h"
#include "record/pin.h"
#include "record/state.h"

static int parse(const char *word, Address *ret) {
        bool has_function;
        char quote[QUOTE_MAX];

        if (address_parse_loose(word, ret, &has_function) < 0) {
                report_error("%s is not an address, like 0000:01:00.0", report_quote(word, quote));
                return VFIOPT_EXIT_USAGE;
        }
        *ret = address_of_function(*ret, 0);
        return 0;
}

/* Return: 0, an exit code, or a negative error code. */
static int forget_in(State *state, const Cli *cli) {
        int exit_code = VFIOPT_EXIT_DONE;
        char name[ADDRESS_STRING_MAX];
        Address address;
        int r;

        for (size_t i = 0; i < cli->n_args; ++i) {
                r = parse(cli->args[i], &address);
                if (r)
                        return r;
                if (state_forget(state, address))
                        continue;
                report_error("nothing is remembered of %s", address_format(address, name));
                exit_code = VFIOPT_EXIT_PRECONDITION;
        }
        return exit_code;
}

/* Nor counts where they were moved in this boot. Return: 0, or a negative error code. */
static int forget_mode(const Cli *cli) {
        Address address;
        int r = 0;

        for (size_t i = 0; i < cli->n_args && r >= 0; ++i) {
                r = parse(cli->args[i], &address);
                if (r == 0)
                        r = gpu_record_forget_mode(cli->roots->run_fd, address);
        }
        return r;
}

/* Whatever is plugged in there is nothing to udev any more. That is a help, and no condition. */
static void unpin(const Cli *cli) {
        Address address;
        int r = 0;

        for (size_t i = 0; i < cli->n_args; ++i)
                if (parse(cli->args[i], &address) == 0)
                        error_gather(&r, pins_clear_slot(cli->roots->run_fd, address));
        if (r < 0)
                report_error("cannot have udev forget them: %s, ignoring", strerror(-r));
}

static int forget_locked(Cli *cli) {
        State state = STATE_NULL;
        int r;

        r = state_load(&state, cli->roots->etc_fd);
        if (r == STATE_E_INVALID) {
                report_error("the state file cannot be understood, so nothing is remembered; the next "
                             "switch sets it aside");
                return VFIOPT_EXIT_PRECONDITION;
        }
        if (r >= 0)
                r = forget_in(&state, cli);
        if (r == 0)
                r = state_save(&state, cli->roots->etc_fd);
        if (r == 0)
                r = forget_mode(cli);
        if (r == 0)
                unpin(cli);
        state_deinit(&state);
        return r;
}

static int forget_run(Cli *cli) {
        Lock lock = LOCK_NULL;
        Address address;
        int r;

        for (size_t i = 0; i < cli->n_args; ++i) {
                r = parse(cli->args[i], &address);
                if (r)
                        return r;
        }
        if (geteuid() != 0) {
                report_error("only root can change the state file");
                return VFIOPT_EXIT_PRECONDITION;
        }

        r = cli_open_own(cli, true);
        if (r >= 0)
                r = lock_take_state(&lock, cli->roots->run_fd);
        if (r)
                return error_fold(r);
        r = forget_locked(cli);
        lock_release(&lock);
        return r;
}

const Verb verb_forget = {
        .name = "forget",
        .args = "GPU...",
        .summary = "forget the card that was at an address",
        .n_min = 1,
        .n_max = SIZE_MAX,
        .run = forget_run,
};
