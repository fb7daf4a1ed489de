/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The State File
 *
 * Written only after a switch was verified, replaced atomically and durably, and
 * never touched when it is not understood: a newer version's state, or one that
 * an administrator broke while editing, is worth more than ours.
 *
 * Read, change and replace under lock_take_state().
 */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "record/state.h"
#include "record/store.h"

#define STATE_NAME     "state"
#define STATE_VERSION  1U
#define STATE_SIZE_MAX (1024U * 1024U)

/* Who has set so many aside without looking at one has another problem. */
#define STATE_ASIDE_MAX 1000U

void state_deinit(State *state) {
        free(state->entries);
        *state = (State) STATE_NULL;
}

/* In place of what is remembered of the same address. */
static int state_put(State *state, const StateEntry *entry) {
        StateEntry *place = (StateEntry *) state_find(state, entry->address), *more;

        if (!place) {
                more = realloc(state->entries, (state->n_entries + 1) * sizeof(*more));
                if (!more)
                        return -ENOMEM;
                state->entries = more;
                place = &more[state->n_entries++];
        }

        *place = *entry;
        return 0;
}

static int state_parse_entry(State *state, const Json *object) {
        StateEntry entry = {};
        const char *mode;

        if (store_get_card(object, &entry.address, &entry.identity) ||
                        json_get_string(object, "mode", &mode) ||
                        mode_from_string(mode, &entry.mode) < 0 ||
                        card_get(object, entry.identity, &entry.card) ||
                        state_find(state, entry.address))
                return STATE_E_INVALID;

        return state_put(state, &entry);
}

static int state_parse(State *state, const char *data) {
        _cleanup_(json_freep) Json *json = NULL;
        uint64_t version;
        Json *gpus;
        int r;

        r = json_parse(data, &json);
        if (r)
                return r < 0 ? r : STATE_E_INVALID;
        if (json_get_uint(json, "version", UINT32_MAX, &version) || version != STATE_VERSION ||
                        json_get_array(json, "gpus", &gpus))
                return STATE_E_INVALID;

        for (size_t i = 0; i < json_length(gpus); ++i) {
                r = state_parse_entry(state, json_at(gpus, i));
                if (r)
                        return r;
        }
        return 0;
}

/**
 * state_load() - read the state file
 * @state:      to initialise; state_deinit() it. Empty but for a result of 0.
 * @etc_fd:     our directory in /etc, or -1 if there is none
 *
 * Return: 0 on success, STATE_E_MISSING if there is none, STATE_E_INVALID if it
 *         cannot be understood whole, negative error code on failure.
 */
int state_load(State *state, int etc_fd) {
        _cleanup_(freep) char *data = NULL;
        State parsed = STATE_NULL;
        size_t n;
        int r;

        *state = (State) STATE_NULL;
        if (etc_fd < 0)
                return STATE_E_MISSING;

        r = file_read(etc_fd, STATE_NAME, STATE_SIZE_MAX, &data, &n);
        if (r == -E2BIG)
                return STATE_E_INVALID;
        if (r)
                return r == FILE_E_MISSING ? STATE_E_MISSING : r;
        if (strlen(data) != n)
                return STATE_E_INVALID;

        r = state_parse(&parsed, data);
        if (r) {
                state_deinit(&parsed);
                return r;
        }

        *state = parsed;
        return 0;
}

/*
 * Whoever has put a link there wants the state elsewhere. That is outside of our directory,
 * where we write nothing; but in its place a file of ours would be forgotten with the next boot.
 */
static bool is_link(int etc_fd) {
        struct stat st;

        return fstatat(etc_fd, STATE_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

/**
 * state_save() - replace the state file, durably
 * @state:      what to remember
 * @etc_fd:     our directory in /etc
 *
 * Return: 0 on success, -ELOOP if it is a link, negative error code on failure; the old one is
 *         then unchanged.
 */
int state_save(const State *state, int etc_fd) {
        _cleanup_(json_freep) Json *json = json_new_object(), *gpus = json_new_array();
        _cleanup_(freep) char *data = NULL;
        int r;

        if (!json || !gpus)
                return -ENOMEM;
        if (is_link(etc_fd))
                return -ELOOP;

        for (size_t i = 0; i < state->n_entries; ++i) {
                const StateEntry *entry = &state->entries[i];
                _cleanup_(json_freep) Json *object = json_new_object();

                if (!object)
                        return -ENOMEM;
                r = store_add_card(object, entry->address, entry->identity);
                if (r >= 0)
                        r = json_add_string(object, "mode", mode_to_string(entry->mode));
                if (r >= 0)
                        r = card_add(object, &entry->card);
                if (r >= 0)
                        r = json_push(gpus, TAKE_PTR(object));
                if (r < 0)
                        return r;
        }

        r = json_add_uint(json, "version", STATE_VERSION);
        if (r >= 0)
                r = json_add(json, "gpus", TAKE_PTR(gpus));
        if (r >= 0)
                r = json_format(json, true, &data);
        if (r >= 0)
                r = file_replace(etc_fd, STATE_NAME, 0644, data, true);
        return r;
}

/* Have none, durably or not. Return: 0 on success, also if there was none; or a negative error code. */
int state_remove(int etc_fd) {
        int r;

        r = file_remove(etc_fd, STATE_NAME);
        return r == FILE_E_MISSING ? 0 : r;
}

/*
 * Never onto an existing file. Not every file system can promise that for a rename
 * (ZFS before 2.2); for a second name all can, and a crash between the two calls
 * leaves the file under both names.
 */
static int rename_to_free(int dir_fd, const char *from, const char *to) {
        if (renameat2(dir_fd, from, dir_fd, to, RENAME_NOREPLACE) == 0)
                return 0;
        if (errno != EINVAL && errno != ENOSYS)
                return -errno;
        if (linkat(dir_fd, from, dir_fd, to, 0) < 0 || unlinkat(dir_fd, from, 0) < 0)
                return -errno;
        return 0;
}

/**
 * state_set_aside() - give the state file another name, durably
 * @etc_fd:     our directory in /etc
 * @ret_name:   its new name in there, "state.damaged-N"; free() it
 *
 * For one that is not understood: it stays for who wants to know what was in it,
 * and is in the way of nobody. N is the first from 1 that is free.
 *
 * Return: 0 on success, STATE_E_MISSING if there is no state file, negative error
 *         code on failure.
 */
int state_set_aside(int etc_fd, char **ret_name) {
        for (unsigned int i = 1; i <= STATE_ASIDE_MAX; ++i) {
                _cleanup_(freep) char *name = text_format(STATE_NAME ".damaged-%u", i);
                int r;

                if (!name)
                        return -ENOMEM;

                r = rename_to_free(etc_fd, STATE_NAME, name);
                if (r == -EEXIST)
                        continue;
                if (r < 0)
                        return r == -ENOENT ? STATE_E_MISSING : r;
                if (fsync(etc_fd) < 0)
                        return -errno;

                *ret_name = TAKE_PTR(name);
                return 0;
        }
        return -EEXIST;
}

/* What is remembered of the GPU at an address, or NULL. */
const StateEntry *state_find(const State *state, Address gpu) {
        for (size_t i = 0; i < state->n_entries; ++i)
                if (!address_compare(state->entries[i].address, gpu))
                        return &state->entries[i];
        return NULL;
}

/* Remember where a GPU is. Return: 0 on success, negative error code on failure. */
int state_set(State *state, Address gpu, Identity identity, Mode mode) {
        return state_put(
                        state, &(StateEntry){ .address = gpu, .identity = identity, .mode = mode });
}

/* Likewise, and what it is made of. */
int state_set_gpu(State *state, const Gpu *gpu, Mode mode) {
        return state_put(state,
                        &(StateEntry){
                                        .address = gpu->address,
                                        .identity = gpu->functions[0].identity,
                                        .mode = mode,
                                        .card = card_of_gpu(gpu),
                        });
}

/* Forget a GPU. Return: whether it was remembered. */
bool state_forget(State *state, Address gpu) {
        StateEntry *entry = (StateEntry *) state_find(state, gpu);

        if (!entry)
                return false;

        *entry = state->entries[--state->n_entries];
        return true;
}
