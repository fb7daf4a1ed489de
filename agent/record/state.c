/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "record/state.h"
#include "vfiopt/names.h"

#define STATE_NAME    VFIOPT_ETC_STATE
#define STATE_ASIDE   STATE_NAME ".damaged"
#define STATE_VERSION 2U

/* Entries had no location; no other member has changed its meaning. */
#define STATE_VERSION_OLD 1U

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
        { "location", CODEC_WORD, ENTRY(location), .word = &location_word, .optional = true },
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

/* One entry is known by its location, another by its address: they are two, whatever that one is now. */
static bool is_same_place(const StateEntry *a, const StateEntry *b) {
        if (a->location.n_hops > 0 || b->location.n_hops > 0)
                return location_equal(&a->location, &b->location);
        return !address_compare(a->address, b->address);
}

/* Each GPU is there once. Its function 0 comes first and is the card itself; each number is there once. */
static bool is_sane(const State *state) {
        for (size_t i = 0; i < state->n_entries; ++i) {
                const StateEntry *entry = &state->entries[i];

                for (size_t k = 0; k < i; ++k)
                        if (is_same_place(entry, &state->entries[k]))
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
        if (r == CODEC_E_INVALID)
                r = codec_load(&state_codec, etc_fd, STATE_NAME, STATE_VERSION_OLD, state);
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

/* Whether an entry is about what is plugged in here, whatever that is. */
static bool is_there(const StateEntry *entry, Address address, const Location *location) {
        if (entry->location.n_hops > 0 && location->n_hops > 0)
                return location_equal(&entry->location, location);
        return !address_compare(entry->place == PLACE_FOUND ? entry->now : entry->address, address);
}

/*
 * Of a card that is known by its address alone, and has others of its model beside it, one of which is
 * gone: that one may be here now. It makes no difference where no card is left over that this one could
 * be instead, and both belong to one mode. One that is gone itself is asked for as it will be when it is
 * back.
 */
static bool may_be_another(const State *state, const StateEntry *entry) {
        if (entry->location.n_hops > 0 || entry->place != PLACE_FOUND)
                return false;
        for (size_t i = 0; i < state->n_entries; ++i) {
                const StateEntry *other = &state->entries[i];

                if (other != entry && other->location.n_hops == 0 && other->place > PLACE_FOUND &&
                                identity_equal(other->identity, entry->identity) &&
                                (other->place == PLACE_SIMILAR || other->mode != entry->mode))
                        return true;
        }
        return false;
}

/* Among what is plugged in where a card was, the ids tell whether it is that card. */
static StateMatch match_there(const State *state, const StateEntry *entry, Identity identity) {
        if (!identity_equal(entry->identity, identity))
                return MATCH_OTHER;
        return may_be_another(state, entry) ? MATCH_SIMILAR : MATCH_THIS;
}

/* What may have to do with a GPU. */
typedef struct Candidates {
        const StateEntry *there;   /* about what is plugged in where it is */
        const StateEntry *similar; /* of its model, and not where it was */
        const StateEntry *same_address;
} Candidates;

static Candidates find_candidates(const State *state, const Gpu *gpu) {
        Candidates found = {};

        for (size_t i = 0; i < state->n_entries; ++i) {
                const StateEntry *entry = &state->entries[i];

                if (location_equal(&entry->location, &gpu->location))
                        return (Candidates){ .there = entry };
                if (is_there(entry, gpu->address, &gpu->location))
                        found.there = entry;
                else if (!address_compare(entry->address, gpu->address) &&
                                (entry->place == PLACE_FOUND || !found.same_address))
                        found.same_address = entry;
                if (found.there != entry && entry->place > PLACE_FOUND &&
                                identity_equal(entry->identity, gpu->functions[0].identity))
                        found.similar = entry;
        }
        return found;
}

/**
 * state_find() - find what is remembered of a GPU
 * @state:      state; without state_place(), a card that has no entry is like nothing
 * @gpu:        the GPU
 * @ret:        what the entry has to do with it
 *
 * The location decides. Where nothing is remembered of it, a card that had its address and is
 * elsewhere now says that whatever names the address is about that one; and a card of the same model
 * that is not where it was may be this one.
 *
 * Return: an entry, or NULL for MATCH_NOTHING.
 */
const StateEntry *state_find(const State *state, const Gpu *gpu, StateMatch *ret) {
        const Candidates found = find_candidates(state, gpu);

        if (found.there) {
                *ret = match_there(state, found.there, gpu->functions[0].identity);
                return found.there;
        }
        if (found.same_address && (found.same_address->place == PLACE_FOUND || !found.similar)) {
                *ret = MATCH_OTHER;
                return found.same_address;
        }
        *ret = found.similar ? MATCH_SIMILAR : MATCH_NOTHING;
        return found.similar;
}

static bool is_now_at(const StateEntry *entry, Address address) {
        return entry->place == PLACE_FOUND && !address_compare(entry->now, address);
}

/*
 * What is remembered of the card at an address: the one that is there now, else the one that was
 * there; or NULL.
 */
const StateEntry *state_find_address(const State *state, Address address) {
        const StateEntry *before = NULL;

        for (size_t i = 0; i < state->n_entries; ++i) {
                const StateEntry *entry = &state->entries[i];

                if (is_now_at(entry, address))
                        return entry;
                if (!address_compare(entry->address, address))
                        before = entry;
        }
        return before;
}

/* Another one than @entry that is or was at the address, or NULL. */
const StateEntry *state_find_other(const State *state, Address address, const StateEntry *entry) {
        for (size_t i = 0; i < state->n_entries; ++i) {
                const StateEntry *other = &state->entries[i];

                if (other != entry &&
                                (is_now_at(other, address) ||
                                                !address_compare(other->address, address)))
                        return other;
        }
        return NULL;
}

/* The one without a location that was at the address, or NULL. */
const StateEntry *state_find_old(const State *state, Address address) {
        for (size_t i = 0; i < state->n_entries; ++i)
                if (state->entries[i].location.n_hops == 0 &&
                                !address_compare(state->entries[i].address, address))
                        return &state->entries[i];
        return NULL;
}

/* What is remembered of the card that was plugged in there, or NULL. */
const StateEntry *state_find_location(const State *state, const Location *location) {
        for (size_t i = 0; i < state->n_entries; ++i)
                if (location_equal(&state->entries[i].location, location))
                        return &state->entries[i];
        return NULL;
}

/*
 * Write what stands for an entry alone into @buffer, and return that: its address, if that may mean
 * another one its location, and without that its address as one of an old entry.
 */
const char *state_entry_name(const State *state,
                const StateEntry *entry,
                char buffer[static LOCATION_STRING_MAX]) {
        char address[ADDRESS_STRING_MAX];

        if (!state_find_other(state, entry->address, entry))
                return address_format(entry->address, buffer);
        if (entry->location.n_hops > 0)
                return location_format(&entry->location, buffer);
        snprintf(buffer, LOCATION_STRING_MAX, STATE_OLD "%s",
                        address_format(entry->address, address));
        return buffer;
}

/*
 * Whether what /run has for the address that an entry was remembered with may go with it: unless another
 * card is there that may have been moved itself. @there: the GPU at the address, or NULL
 */
bool state_entry_has_address(const State *state, const StateEntry *entry, const Gpu *there) {
        StateMatch match;

        if (!there || is_now_at(entry, there->address))
                return true;
        (void) state_find(state, there, &match);
        return match == MATCH_OTHER || match == MATCH_NOTHING;
}

/* places */

/* A card that is known by its location is nothing that is known by its address alone. */
static bool is_this(const State *state, const StateEntry *entry, const Gpu *gpu) {
        for (size_t i = 0; entry->location.n_hops == 0 && i < state->n_entries; ++i)
                if (location_equal(&state->entries[i].location, &gpu->location))
                        return false;
        return is_there(entry, gpu->address, &gpu->location) &&
                        identity_equal(entry->identity, gpu->functions[0].identity);
}

/* Most cards are where they were, which one look tells. */
static int place_here(const State *state, StateEntry *entry, Sysfs *sysfs) {
        _cleanup_(gpu_deinit) Gpu gpu = {};
        int r;

        r = gpu_init(&gpu, sysfs, entry->address);
        if (r < 0)
                return r;
        entry->now = entry->address;
        entry->place = r == 0 && is_this(state, entry, &gpu) ? PLACE_FOUND : PLACE_MISSING;
        return 0;
}

static void place_among(const State *state, StateEntry *entry, const Inventory *present) {
        for (size_t i = 0; i < present->n_gpus && entry->place == PLACE_MISSING; ++i)
                if (is_this(state, entry, &present->gpus[i])) {
                        entry->place = PLACE_FOUND;
                        entry->now = present->gpus[i].address;
                }
}

/* One of the model that has no entry of its own. */
static void find_similar(const State *state, StateEntry *entry, const Inventory *present) {
        for (size_t i = 0; i < present->n_gpus && entry->place == PLACE_MISSING; ++i) {
                const Gpu *gpu = &present->gpus[i];

                if (!identity_equal(entry->identity, gpu->functions[0].identity) ||
                                find_candidates(state, gpu).there)
                        continue;
                entry->place = PLACE_SIMILAR;
                entry->now = gpu->address;
        }
}

/*
 * Whether there is one of a model only, among the remembered and among those that are there. The display
 * that a person may sit at is not taken for a card that was given away; nor is any card where another
 * device has not taken the address, which tells that the bus was renumbered: the one that was given away
 * may be unplugged, and this one its twin.
 */
static bool
is_only_one(const State *state, const StateEntry *entry, const Inventory *present, Sysfs *sysfs) {
        char path[DEVICE_PATH_MAX];
        size_t n_present = 0;

        if (!sysfs_exists(sysfs, device_path(entry->address, "vendor", path)))
                return false;

        for (size_t i = 0; i < state->n_entries; ++i)
                if (&state->entries[i] != entry &&
                                identity_equal(state->entries[i].identity, entry->identity))
                        return false;
        for (size_t i = 0; i < present->n_gpus; ++i) {
                const Gpu *gpu = &present->gpus[i];

                if (!identity_equal(gpu->functions[0].identity, entry->identity))
                        continue;
                n_present += gpu->boots_machine ? 2 : 1;
        }
        return n_present == 1;
}

/**
 * state_place() - find out where the remembered cards are now
 * @state:      each entry gets .place, and .now
 *
 * A card that an older version has remembered, without its location, is the only one of its model.
 *
 * Return: 0 on success, negative error code on failure.
 */
int state_place(State *state, const Roots *roots) {
        _cleanup_(inventory_deinit) Inventory present = {};
        bool all_here = true;
        int r = 0;

        for (size_t i = 0; i < state->n_entries && r >= 0; ++i) {
                r = place_here(state, &state->entries[i], roots->sysfs);
                all_here = all_here && state->entries[i].place == PLACE_FOUND;
        }
        if (r >= 0 && !all_here)
                r = inventory_init(&present, roots);
        if (r < 0 || all_here)
                return r;

        for (size_t i = 0; i < state->n_entries; ++i)
                place_among(state, &state->entries[i], &present);
        /* One that is found leaves its address to another one. */
        for (bool changed = true; changed;) {
                changed = false;
                for (size_t i = 0; i < state->n_entries; ++i) {
                        StateEntry *entry = &state->entries[i];

                        find_similar(state, entry, &present);
                        if (entry->place != PLACE_SIMILAR || entry->location.n_hops > 0 ||
                                        !is_only_one(state, entry, &present, roots->sysfs))
                                continue;
                        entry->place = PLACE_FOUND;
                        changed = true;
                }
        }
        return 0;
}

/* changes */

static StateEntry entry_of_gpu(const Gpu *gpu, Mode mode) {
        StateEntry entry = {
                .address = gpu->address,
                .location = gpu->location,
                .identity = gpu->functions[0].identity,
                .mode = mode,
                .place = PLACE_FOUND,
                .now = gpu->address,
        };

        for (size_t i = 0; i < gpu->n_functions && i < STATE_FUNCTIONS_MAX; ++i)
                entry.functions[entry.n_functions++] = (StateFunction){
                        .number = gpu->functions[i].address.function,
                        .identity = gpu->functions[i].identity,
                        .class = gpu->functions[i].class,
                };
        return entry;
}

/* The entry that a GPU takes the place of, or NULL. */
static StateEntry *find_place(State *state, const Gpu *gpu) {
        StateEntry *place = NULL;

        for (size_t i = 0; i < state->n_entries; ++i) {
                StateEntry *entry = &state->entries[i];

                if (location_equal(&entry->location, &gpu->location))
                        return entry;
                if (is_there(entry, gpu->address, &gpu->location))
                        place = entry;
        }
        return place;
}

/* Remember where a GPU is, in place of what was plugged in there. Return: 0, or -ENOMEM. */
int state_set(State *state, const Gpu *gpu, Mode mode) {
        StateEntry *place = find_place(state, gpu), *more;

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

/* Forget a GPU. @entry: one of @state, and of no use afterwards */
void state_forget(State *state, const StateEntry *entry) {
        state->entries[entry - state->entries] = state->entries[--state->n_entries];
}

/**
 * state_entry_is() - does an entry say that this GPU is in a mode?
 * @entry:      entry of this GPU, or NULL
 * @gpu:        the GPU
 * @mode:       the mode
 * @ret_whole:  whether the rest is as the entry says, too: its functions, and where it is
 */
bool state_entry_is(const StateEntry *entry, const Gpu *gpu, Mode mode, bool *ret_whole) {
        const StateEntry now = entry_of_gpu(gpu, mode);

        if (!entry || entry->mode != mode || !identity_equal(entry->identity, now.identity))
                return false;

        *ret_whole = entry->n_functions == now.n_functions && !state_entry_has_moved(entry, gpu) &&
                        entry->location.n_hops == now.location.n_hops;
        for (size_t i = 0; *ret_whole && i < now.n_functions; ++i) {
                const StateFunction *a = &entry->functions[i], *b = &now.functions[i];

                *ret_whole = a->number == b->number && a->class == b->class &&
                                identity_equal(a->identity, b->identity);
        }
        return true;
}

/* Whether the card of an entry has another address now. */
bool state_entry_has_moved(const StateEntry *entry, const Gpu *gpu) {
        return address_compare(entry->address, gpu->address) != 0;
}

/*
 * Write the id of the card of an entry into @buffer, or its subsystem where only that differs from the
 * one of a GPU, and return that; NULL if both are of one model.
 */
const char *state_entry_differs(
                const StateEntry *entry, const Gpu *gpu, char buffer[static IDENTITY_STRING_MAX]) {
        const Identity identity = gpu->functions[0].identity;

        if (identity_equal(entry->identity, identity))
                return NULL;
        return entry->identity.device == identity.device
                        ? identity_format_subsystem(entry->identity, buffer)
                        : identity_format_id(entry->identity, buffer);
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
                .location = entry->location,
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
