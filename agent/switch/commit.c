/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Committing
 *
 * The state file is what the next boot goes by. Whether it is also what the agent goes by
 * until then is asked of the policy itself, once the file is written or could not be: if that
 * would have the GPU elsewhere, the record of the GPU says so besides.
 */

#include "switch/commit.h"
#include "policy/policy.h"

/* Errors that say nothing about the state file. */
static bool is_ours(int error) {
        return error == -ENOMEM || error == -EMFILE || error == -ENFILE || error == -EINTR;
}

/*
 * A card that has got another address keeps the old one in the state file for as long as a section of
 * the configuration names that: else nothing would tell any more that the section was written for this
 * card, and it would be obeyed for whatever is there now. A person who moves the card has named it by its
 * new address; then only a section that would move something is reason to keep the old one, and not if
 * there is one for the new address, too. Return: 1, 0, or a negative error code.
 */
static int keeps_address(const StateEntry *entry, int etc_fd, const Gpu *gpu, bool by_person) {
        _cleanup_(config_deinit) Config config = CONFIG_NULL;
        bool names_old = false, names_new = false;
        int r;

        if (!entry || !state_entry_has_moved(entry, gpu))
                return 0;
        r = config_load(&config, etc_fd);
        if (r < 0)
                return r;
        for (size_t i = 0; i < config.n_gpus; ++i) {
                const ConfigGpu *section = &config.gpus[i];

                if (section->by_id)
                        continue;
                if (address_same_slot(section->address, entry->address))
                        names_old |= !by_person || config_section_moves(section);
                names_new |= address_same_slot(section->address, gpu->address);
        }
        return config.incomplete || (names_old && !(by_person && names_new));
}

/*
 * A person has said where a card belongs that may have been one whose location is not known. If
 * there is just one of those in its model, it is that, or nothing is known of it any more.
 */
static void settle(State *state, const Gpu *gpu) {
        const StateEntry *old = NULL;
        size_t n = 0;

        for (size_t i = 0; i < state->n_entries; ++i) {
                const StateEntry *entry = &state->entries[i];

                if (entry->location.n_hops > 0 ||
                                !identity_equal(entry->identity, gpu->functions[0].identity))
                        continue;
                old = entry;
                ++n;
        }
        if (n == 1 && old->place != PLACE_FOUND)
                state_forget(state, old);
}

/* Where nothing is new but functions or address, the mode is remembered whether they are or not. */
static int change_state(
                State *state, const Roots *roots, const Gpu *gpu, Mode mode, bool by_person) {
        const StateEntry *entry;
        Gpu remembered = *gpu;
        bool whole, known;
        StateMatch match;
        int r, keeps;

        r = state_place(state, roots);
        if (r < 0)
                return r;
        entry = state_find(state, gpu, &match);
        if (match != MATCH_THIS)
                entry = NULL;
        known = state_entry_is(entry, gpu, mode, &whole);
        if (known && whole)
                return 0;

        keeps = keeps_address(entry, roots->etc_fd, gpu, by_person);
        if (keeps > 0)
                remembered.address = entry->address;
        if (match == MATCH_SIMILAR)
                settle(state, gpu);
        r = keeps < 0 ? keeps : state_set(state, &remembered, mode);
        if (r >= 0)
                r = state_save(state, roots->etc_fd);
        return known ? 0 : r;
}

/*
 * One that cannot be read or understood makes way for a new one, with just this GPU, if a person
 * moves it; nobody else touches it.
 */
static int
remember(const Roots *roots, const Gpu *gpu, Mode mode, bool by_person, const char **ret_aside) {
        _cleanup_(state_deinit) State state = STATE_NULL;
        int r;

        r = state_load(&state, roots->etc_fd);
        if (by_person && (r == STATE_E_INVALID || (r < 0 && !is_ours(r))))
                r = state_set_aside(roots->etc_fd, ret_aside);
        else if (r == STATE_E_INVALID)
                r = -EBADMSG;
        return r < 0 ? r : change_state(&state, roots, gpu, mode, by_person);
}

/* Whether the policy wants it there for as long as this boot lasts, with no word in the record. */
static int is_wanted(const Roots *roots, const Gpu *gpu, Mode mode, bool *ret) {
        _cleanup_(policy_deinit) Policy policy = POLICY_NULL;
        const Runtime nothing = RUNTIME_NULL;
        int r;

        r = policy_load(&policy, roots);
        if (r < 0)
                return r;
        *ret = policy_wish(&policy, gpu, &nothing, false).mode == mode;
        return 0;
}

/**
 * commit() - remember where a GPU is
 * @roots:      with run_fd; without etc_fd nothing is remembered across reboots
 * @mode:       where it was verified to be
 * @transient:  it is there for this boot only: the state file is left as it is
 * @by_person:  whether a person has asked for it
 * @record:     of the GPU; its mode is set, and is for the caller to save
 * @ret:        what has to be told
 *
 * The state file is durable on return, before the record of the move goes: a job that is
 * killed in between leaves a move that is finished by nothing but a look.
 *
 * Return: 0 on success, also if the state file could not be written; negative error code if
 *         it is not remembered at all.
 */
int commit(const Roots *roots,
                const Gpu *gpu,
                Mode mode,
                bool transient,
                bool by_person,
                GpuRecord *record,
                CommitNotes *ret) {
        _cleanup_(lock_release) Lock lock = LOCK_NULL;
        bool wanted;
        int r;

        *ret = (CommitNotes){};
        r = error_fold(lock_take_state(&lock, roots->run_fd));
        /* A word in the record is heard before the state file: it must not be an old one. */
        if (r >= 0 && record->mode != MODE_UNSET && record->mode != mode) {
                record->mode = mode;
                r = gpu_record_save(record, roots->run_fd);
        }
        if (r < 0)
                return r;

        if (!transient && roots->etc_fd >= 0) {
                r = remember(roots, gpu, mode, by_person, &ret->aside);
                ret->error = r < 0 ? r : 0;
        }
        r = is_wanted(roots, gpu, mode, &wanted);
        if (r < 0)
                return r;
        record->mode = wanted ? MODE_UNSET : mode;
        return 0;
}
