/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "record/state.h"
#include "vfiopt/names.h"

#define STATE_NAME    VFIOPT_ETC_STATE
#define STATE_ASIDE   STATE_NAME ".damaged"
#define STATE_VERSION 1U

/* the file, row by row */

#define FUNCTION(member) CODEC_MEMBER(StateFunction, member)
#define ENTRY(member)    CODEC_MEMBER(StateEntry, member)

/* "030000": class, subclass and interface. */
static int parse_class(const char *s, void *ret) {
        uint64_t class;

        if (strlen(s) != 6 || text_to_uint(s, 16, 0xffffff, &class) < 0)
                return -EINVAL;
        *(uint32_t *) ret = (uint32_t) class;
        return 0;
}

static void format_class(const void *value, char *buffer, size_t n) {
        snprintf(buffer, n, "%06x", *(const uint32_t *) value & 0xffffff);
}

static const CodecWord class_word = { .parse = parse_class, .format = format_class };

static const CodecRow function_rows[] = {
        { "function", CODEC_UINT, FUNCTION(number), .max = STATE_FUNCTIONS_MAX - 1 },
        { "id", CODEC_WORD, FUNCTION(identity.vendor), .word = &identity_word },
        { "subsystem", CODEC_WORD, FUNCTION(identity.subsystem_vendor), .word = &identity_word },
        { "class", CODEC_WORD, FUNCTION(class), .word = &class_word },
};
static const Codec function_codec = CODEC(StateFunction, function_rows);

static const CodecRow entry_rows[] = {
        { "address", CODEC_WORD, ENTRY(address), .word = &address_word },
        { "id", CODEC_WORD, ENTRY(identity.vendor), .word = &identity_word },
        { "subsystem", CODEC_WORD, ENTRY(identity.subsystem_vendor), .word = &identity_word },
        { "mode", CODEC_WORD, ENTRY(mode), .word = &mode_word },
        { "functions", CODEC_ARRAY, ENTRY(functions), .members = &function_codec,
                        .max = STATE_FUNCTIONS_MAX, .extra = offsetof(StateEntry, n_functions),
                        .optional = true },
};
static const Codec entry_codec = CODEC(StateEntry, entry_rows);

static const CodecRow state_rows[] = {
        { "gpus", CODEC_ARRAY, CODEC_MEMBER(State, entries), .members = &entry_codec,
                        .extra = offsetof(State, n_entries) },
};
static const Codec state_codec = CODEC(State, state_rows);

void state_deinit(State *state) {
        codec_deinit(&state_codec, state);
}

/* Each GPU is there once. Its function 0 comes first and is the card itself; each number is there once. */
static bool is_sane(const State *state) {
        for (size_t i = 0; i < state->n_entries; ++i) {
                const StateEntry *entry = &state->entries[i];

                if (state_find(state, entry->address) != entry)
                        return false;
                if (entry->n_functions > 0 &&
                                (entry->functions[0].number != 0 ||
                                                !identity_equal(entry->functions[0].identity,
                                                                entry->identity)))
                        return false;
                for (size_t k = 1; k < entry->n_functions; ++k)
                        if (entry->functions[k].number <= entry->functions[k - 1].number)
                                return false;
        }
        return true;
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
        int r;

        *state = (State) STATE_NULL;
        if (etc_fd < 0)
                return STATE_E_MISSING;

        r = codec_load(&state_codec, etc_fd, STATE_NAME, STATE_VERSION, state);
        if (r)
                return r < 0 ? r : r == CODEC_E_MISSING ? STATE_E_MISSING : STATE_E_INVALID;
        if (!is_sane(state)) {
                state_deinit(state);
                return STATE_E_INVALID;
        }
        return 0;
}

/**
 * state_save() - replace the state file, durably
 * @state:      what to remember
 *
 * An administrator who made it a link wants the state elsewhere. That is outside of our
 * directory, where nothing is written; and a file in place of the link would be forgotten with
 * the next boot.
 *
 * Return: 0 on success, -ELOOP if it is a link, negative error code on failure; the old one is
 *         then unchanged.
 */
int state_save(const State *state, int etc_fd) {
        struct stat st;

        if (fstatat(etc_fd, STATE_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
                return -ELOOP;
        return codec_save(&state_codec, etc_fd, STATE_NAME, STATE_VERSION, state, true);
}

/**
 * state_set_aside() - give a state file that is not understood another name, durably
 * @ret_name:   its new name in there; an older file of that name is replaced
 *
 * Return: 0 on success, STATE_E_MISSING if there is no state file, negative error
 *         code on failure.
 */
int state_set_aside(int etc_fd, const char **ret_name) {
        if (renameat(etc_fd, STATE_NAME, etc_fd, STATE_ASIDE) < 0)
                return errno == ENOENT ? STATE_E_MISSING : -errno;
        if (fsync(etc_fd) < 0)
                return -errno;

        *ret_name = STATE_ASIDE;
        return 0;
}

/* What is remembered of the GPU at an address, or NULL. */
const StateEntry *state_find(const State *state, Address gpu) {
        for (size_t i = 0; i < state->n_entries; ++i)
                if (!address_compare(state->entries[i].address, gpu))
                        return &state->entries[i];
        return NULL;
}

static StateEntry entry_of_gpu(const Gpu *gpu, Mode mode) {
        StateEntry entry = {
                .address = gpu->address,
                .identity = gpu->functions[0].identity,
                .mode = mode,
        };

        for (size_t i = 0; i < gpu->n_functions && i < STATE_FUNCTIONS_MAX; ++i)
                entry.functions[entry.n_functions++] = (StateFunction){
                        .number = gpu->functions[i].address.function,
                        .identity = gpu->functions[i].identity,
                        .class = gpu->functions[i].class,
                };
        return entry;
}

/* Remember where a GPU is, in place of what is remembered of its address. Return: 0, or -ENOMEM. */
int state_set(State *state, const Gpu *gpu, Mode mode) {
        StateEntry *place = (StateEntry *) state_find(state, gpu->address), *more;

        if (!place) {
                more = realloc(state->entries, (state->n_entries + 1) * sizeof(*more));
                if (!more)
                        return -ENOMEM;
                state->entries = more;
                place = &more[state->n_entries++];
        }

        *place = entry_of_gpu(gpu, mode);
        return 0;
}

/* Forget a GPU. Return: whether it was remembered. */
bool state_forget(State *state, Address gpu) {
        StateEntry *entry = (StateEntry *) state_find(state, gpu);

        if (!entry)
                return false;

        *entry = state->entries[--state->n_entries];
        return true;
}

/**
 * state_entry_is() - does an entry say that this GPU is in a mode?
 * @entry:      entry, or NULL
 * @gpu:        the GPU
 * @mode:       the mode
 * @ret_functions: whether its functions are as the entry says, too
 */
bool state_entry_is(const StateEntry *entry, const Gpu *gpu, Mode mode, bool *ret_functions) {
        const StateEntry now = entry_of_gpu(gpu, mode);

        if (!entry || entry->mode != mode || !identity_equal(entry->identity, now.identity))
                return false;

        *ret_functions = entry->n_functions == now.n_functions;
        for (size_t i = 0; *ret_functions && i < now.n_functions; ++i) {
                const StateFunction *a = &entry->functions[i], *b = &now.functions[i];

                *ret_functions = a->number == b->number && a->class == b->class &&
                                identity_equal(a->identity, b->identity);
        }
        return true;
}

/**
 * state_has_other_card() - is this another card than the one that is remembered?
 * @state:      what is remembered
 * @ret_id:     if so, the id of the remembered one; its subsystem where only that differs
 */
bool state_has_other_card(
                const State *state, const Gpu *gpu, char ret_id[static IDENTITY_STRING_MAX]) {
        const StateEntry *entry = state_find(state, gpu->address);
        const Identity identity = gpu->functions[0].identity;

        if (!entry || identity_equal(entry->identity, identity))
                return false;
        if (entry->identity.device == identity.device)
                identity_format_subsystem(entry->identity, ret_id);
        else
                identity_format_id(entry->identity, ret_id);
        return true;
}

/**
 * state_describe_other_card() - say that this is another card, and what would help
 * @state:      what is remembered
 * @ret:        a sentence without a full stop, or NULL if it is the same card; free() it
 *
 * Return: 0 on success, -ENOMEM.
 */
int state_describe_other_card(const State *state, const Gpu *gpu, char **ret) {
        char id[IDENTITY_STRING_MAX], address[ADDRESS_STRING_MAX];

        *ret = NULL;
        if (!state_has_other_card(state, gpu, id))
                return 0;
        *ret = text_format(
                        "this is not the card that was here before (%s); if it is meant to be here: vfioptctl forget %s",
                        id, address_format(gpu->address, address));
        return *ret ? 0 : -ENOMEM;
}

/*
 * Make a GPU that is not there as it would be when it is plugged in, without drivers and groups;
 * gpu_deinit() it. @entry has known functions. No machine boots on a card that it does not have.
 * The modalias is put together as the kernel does (drivers/pci/pci-sysfs.c: modalias_show()).
 *
 * Return: 0 on success, negative error code on failure.
 */
int state_entry_to_gpu(const StateEntry *entry, Gpu *ret) {
        _cleanup_(gpu_deinit) Gpu gpu = { .address = address_of_function(entry->address, 0),
                .mode = MODE_HOST };

        gpu.functions = calloc(entry->n_functions ?: 1, sizeof(*gpu.functions));
        if (!gpu.functions)
                return -ENOMEM;

        for (size_t i = 0; i < entry->n_functions; ++i) {
                const Identity identity = entry->functions[i].identity;
                const uint32_t class = entry->functions[i].class;
                Device *device = &gpu.functions[gpu.n_functions++];

                *device = (Device) DEVICE_NULL;
                device->address = address_of_function(entry->address, entry->functions[i].number);
                device->identity = identity;
                device->class = class;
                device->modalias = text_format("pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X",
                                identity.vendor, identity.device, identity.subsystem_vendor,
                                identity.subsystem_device, class >> 16, class >> 8 & 0xff,
                                class & 0xff);
                if (!device->modalias)
                        return -ENOMEM;
        }

        *ret = gpu;
        gpu = (Gpu){};
        return 0;
}
