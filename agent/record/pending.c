/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Pending Wishes
 *
 * A person has moved a GPU, and the root file system is full, or the kernel's command line
 * says otherwise. For the next boot that counts; but for as long as this one lasts nobody
 * shall undo what the person has done.
 *
 * Read, change and replace under lock_take_state(), as the state file.
 */

#include "record/pending.h"
#include "base/file.h"

#define FOLDER "pending"

/**
 * pending_load() - read all pending wishes
 * @pending:    to initialise; state_deinit() it
 * @run_fd:     our directory in /run, or -1 if there is none (yet)
 *
 * Return: 0 on success, also if there are none; PENDING_E_INVALID if they cannot be understood,
 *         negative error code on failure.
 */
int pending_load(State *pending, int run_fd) {
        _cleanup_(closep) int dir_fd = -1;
        int r;

        *pending = (State) STATE_NULL;
        r = run_fd < 0 ? FILE_E_MISSING : file_open_dir(run_fd, FOLDER, &dir_fd);
        if (r)
                return r == FILE_E_MISSING ? 0 : r;

        r = state_load(pending, dir_fd);
        if (r == STATE_E_INVALID)
                return PENDING_E_INVALID;
        return r == STATE_E_MISSING ? 0 : r;
}

/*
 * Have a GPU stay where it was moved. What cannot be understood makes way for that.
 * Return: 0 on success, negative error code on failure.
 */
int pending_set(int run_fd, Address gpu, Identity identity, Mode mode) {
        _cleanup_(closep) int dir_fd = -1;
        State pending;
        int r;

        r = file_make_dir(run_fd, FOLDER, 0755, &dir_fd);
        if (r < 0)
                return r;
        r = pending_load(&pending, run_fd);
        if (r < 0)
                return r;
        if (r == PENDING_E_INVALID)
                pending = (State) STATE_NULL;

        r = state_set(&pending, gpu, identity, mode);
        if (r >= 0)
                r = state_save(&pending, dir_fd);
        state_deinit(&pending);
        return r;
}

/* Have other words count again. Return: 0 on success, also if there was none; or a negative error code. */
int pending_clear(int run_fd, Address gpu) {
        _cleanup_(closep) int dir_fd = -1;
        State pending;
        int r;

        r = file_open_dir(run_fd, FOLDER, &dir_fd);
        if (r)
                return r == FILE_E_MISSING ? 0 : r;
        r = pending_load(&pending, run_fd);
        if (r)
                return r == PENDING_E_INVALID ? 0 : r;

        if (state_forget(&pending, gpu))
                r = pending.n_entries > 0 ? state_save(&pending, dir_fd) : state_remove(dir_fd);
        state_deinit(&pending);
        return r;
}
