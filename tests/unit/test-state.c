/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test the State File
 *
 * What is written comes back; a file that is not understood whole says nothing, and is left
 * alone. A card that is not there is known by what the file says of it: down to the alias that
 * its kernel would make, and never by half.
 */

#include "lib/test.h"

#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/text.h"
#include "record/state.h"

#define GPU      "0000:01:00.0"
#define CARD     "\"address\":\"0000:01:00.0\",\"id\":\"10de:2204\",\"subsystem\":\"1043:89e5\""
#define LOCATED  ",\"location\":\"0000:00/01.0/00.0\""
#define FUNCTION "{\"function\":%s,\"id\":\"%s\",\"subsystem\":\"1043:5678\",\"class\":\"%s\"}"

static const Address address = { .bus = 1 };

/* In front of libc's, for json-c as well: of which copy on there is no memory; 0: there always is. */
static unsigned int copies_fail_at, n_copies;

char *strdup(const char *text_) {
        size_t n = strlen(text_) + 1;
        char *copy;

        if (++n_copies == copies_fail_at) {
                errno = ENOMEM;
                return NULL;
        }
        copy = malloc(n);
        return copy ? memcpy(copy, text_, n) : NULL;
}

/* A card that is made of function 0. */
static Gpu card_at(Address where) {
        static Device function = { .identity = { 0x10de, 0x2204, 0x1043, 0x89e5 },
                .class = 0x030000 };

        return (Gpu){ .address = where, .functions = &function, .n_functions = 1 };
}

static void set(State *state, Address where, Mode mode) {
        const Gpu gpu = card_at(where);

        assert_int_equal(state_set(state, &gpu, mode), 0);
}

static void write_state(FakeTree *tree, const char *rest) {
        fake_write(tree->root, "etc/vfiopt/state",
                        "{\"version\":1,\"gpus\":[{\"address\":\"" GPU "\",\"id\":\"10de:2d04\","
                        "\"subsystem\":\"1043:5678\",\"mode\":\"passthrough\"%s}]}\n",
                        rest);
}

static void assert_content(FakeTree *tree, const char *name, const char *expected) {
        _cleanup_(freep) char *data = NULL;

        assert_int_equal(file_read(tree->roots.etc_fd, name, 4096, &data, NULL), 0);
        assert_string_equal(data, expected);
}

static void a_state_comes_back_sorted_out_by_address(void **state) {
        FakeTree *tree = *state;
        const Address second = { .domain = 0x10000, .bus = 0x41 };
        State before = STATE_NULL, after;

        assert_int_equal(state_load(&after, tree->roots.etc_fd), STATE_E_MISSING);
        assert_int_equal(state_load(&after, -1), STATE_E_MISSING);

        set(&before, address, MODE_PASSTHROUGH);
        set(&before, second, MODE_PASSTHROUGH);
        set(&before, second, MODE_HOST);
        assert_int_equal(state_save(&before, tree->roots.etc_fd), 0);
        state_deinit(&before);

        assert_int_equal(state_load(&after, tree->roots.etc_fd), 0);
        assert_int_equal(after.n_entries, 2);
        assert_int_equal(state_find_address(&after, address)->mode, MODE_PASSTHROUGH);
        assert_int_equal(state_find_address(&after, second)->mode, MODE_HOST);
        assert_null(state_find_address(&after, (Address){ .bus = 9 }));
        state_forget(&after, state_find_address(&after, address));
        assert_null(state_find_address(&after, address));
        assert_int_equal(after.n_entries, 1);
        state_deinit(&after);
        assert_int_equal(after.n_entries, 0);
}

static void a_state_that_is_not_understood_is_left_alone(void **state) {
        static const char *const foreign[] = {
                "",
                "# edited by hand\n",
                "{\"version\":0,\"gpus\":[]}",
                "{\"version\":3,\"gpus\":[]}",
                "{\"version\":2,\"gpus\":[{" CARD
                ",\"location\":\"0000:00/01\",\"mode\":\"host\"}]}",
                ("{\"version\":2,\"gpus\":[{" CARD LOCATED ",\"mode\":\"host\"},{" CARD LOCATED
                 ",\"mode\":\"passthrough\"}]}"),
                "{\"version\":1}",
                "{\"version\":1,\"gpus\":[{}]}",
                "{\"version\":1,\"gpus\":[{" CARD ",\"mode\":\"mixed\"}]}",
                ("{\"version\":1,\"gpus\":[{" CARD ",\"mode\":\"host\"},{" CARD
                 ",\"mode\":\"passthrough\"}]}"),
                ("{\"version\":1,\"gpus\":[{\"address\":\"../../0000:01:00.0\",\"id\":\"10de:2204\","
                 "\"subsystem\":\"1043:89e5\",\"mode\":\"host\"}]}"),
        };
        FakeTree *tree = *state;
        State loaded;

        for (size_t i = 0; i < ARRAY_SIZE(foreign); ++i) {
                fake_write(tree->root, "etc/vfiopt/state", "%s", foreign[i]);
                assert_int_equal(state_load(&loaded, tree->roots.etc_fd), STATE_E_INVALID);
                assert_int_equal(loaded.n_entries, 0);
                assert_null(loaded.entries);
                assert_content(tree, "state", foreign[i]);
        }
        fake_remove(tree->root, "etc/vfiopt/state");
        fake_make_dir(tree->root, "etc/vfiopt/state");
        assert_int_equal(state_load(&loaded, tree->roots.etc_fd), -EISDIR);
        assert_int_equal(loaded.n_entries, 0);
}

static void a_state_file_is_replaced_whole(void **state) {
        FakeTree *tree = *state;
        State before = STATE_NULL;
        struct stat old, new;

        set(&before, address, MODE_HOST);
        assert_int_equal(state_save(&before, tree->roots.etc_fd), 0);
        assert_int_equal(fstatat(tree->roots.etc_fd, "state", &old, 0), 0);
        assert_int_equal(old.st_mode & 07777, 0644);
        assert_int_equal(state_save(&before, tree->roots.etc_fd), 0);
        assert_int_equal(fstatat(tree->roots.etc_fd, "state", &new, 0), 0);
        assert_true(old.st_ino != new.st_ino);
        state_deinit(&before);
}

static void a_state_file_that_is_a_link_is_left_alone(void **state) {
        FakeTree *tree = *state;
        int etc_fd = tree->roots.etc_fd;
        State loaded = STATE_NULL;
        struct stat st;

        set(&loaded, address, MODE_HOST);
        assert_int_equal(state_save(&loaded, etc_fd), 0);
        state_deinit(&loaded);
        assert_int_equal(renameat(etc_fd, "state", etc_fd, "elsewhere"), 0);
        assert_int_equal(symlinkat("elsewhere", etc_fd, "state"), 0);

        assert_int_equal(state_load(&loaded, etc_fd), 0);
        set(&loaded, address, MODE_PASSTHROUGH);
        assert_int_equal(state_save(&loaded, etc_fd), -ELOOP);
        state_deinit(&loaded);
        assert_int_equal(fstatat(etc_fd, "state", &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_true(S_ISLNK(st.st_mode));
        assert_int_equal(state_load(&loaded, etc_fd), 0);
        assert_int_equal(state_find_address(&loaded, address)->mode, MODE_HOST);
        state_deinit(&loaded);
}

static void a_state_file_is_set_aside(void **state) {
        FakeTree *tree = *state;
        int etc_fd = tree->roots.etc_fd;
        const char *name = NULL;
        State loaded;

        assert_int_equal(state_set_aside(etc_fd, &name), STATE_E_MISSING);
        assert_null(name);

        fake_write(tree->root, "etc/vfiopt/state", "damaged");
        assert_int_equal(state_set_aside(etc_fd, &name), 0);
        assert_string_equal(name, "state.damaged");
        assert_int_equal(state_load(&loaded, etc_fd), STATE_E_MISSING);
        assert_content(tree, "state.damaged", "damaged");

        /* The last one is kept. */
        fake_write(tree->root, "etc/vfiopt/state", "{\"version\":2,\"gpus\":[]}");
        assert_int_equal(state_set_aside(etc_fd, &name), 0);
        assert_string_equal(name, "state.damaged");
        assert_content(tree, "state.damaged", "{\"version\":2,\"gpus\":[]}");
        assert_int_equal(state_set_aside(etc_fd, &name), STATE_E_MISSING);

        /* A link of that name is replaced, and not followed. */
        fake_write(tree->root, "etc/vfiopt/precious", "precious");
        fake_remove(tree->root, "etc/vfiopt/state.damaged");
        assert_int_equal(symlinkat("precious", etc_fd, "state.damaged"), 0);
        fake_write(tree->root, "etc/vfiopt/state", "damaged");
        assert_int_equal(state_set_aside(etc_fd, &name), 0);
        assert_content(tree, "precious", "precious");
        assert_content(tree, "state.damaged", "damaged");
}

static void a_state_file_that_cannot_be_set_aside_stays(void **state) {
        FakeTree *tree = *state;
        const char *none = NULL;

        fake_write(tree->root, "etc/vfiopt/state", "damaged");
        fake_write(tree->root, "etc/vfiopt/state.damaged/x", "in the way");
        assert_true(state_set_aside(tree->roots.etc_fd, &none) < 0);
        assert_null(none);
        assert_content(tree, "state", "damaged");
}

static void a_card_comes_back_as_it_was_there(void **state) {
        FakeTree *tree = *state;
        State before = STATE_NULL, after;
        const StateEntry *entry;
        Gpu gpu, unplugged;

        /* With a hole, and with a class that has an interface. */
        fake_gpu_add(tree, GPU, .functions = 3, .group = 12);
        fake_device_remove(tree, "0000:01:00.1");
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        assert_int_equal(gpu.n_functions, 2);
        assert_int_equal(state_set(&before, &gpu, MODE_PASSTHROUGH), 0);
        assert_int_equal(state_save(&before, tree->roots.etc_fd), 0);
        state_deinit(&before);

        assert_int_equal(state_load(&after, tree->roots.etc_fd), 0);
        entry = state_find_address(&after, address);
        assert_non_null(entry);
        assert_int_equal(entry->mode, MODE_PASSTHROUGH);
        assert_int_equal(state_entry_to_gpu(entry, &unplugged), 0);
        assert_int_equal(unplugged.n_functions, gpu.n_functions);
        assert_int_equal(address_compare(unplugged.address, gpu.address), 0);
        assert_true(device_is_gpu(&unplugged.functions[0]));
        for (size_t i = 0; i < gpu.n_functions; ++i) {
                const Device *is = &unplugged.functions[i], *was = &gpu.functions[i];

                assert_int_equal(address_compare(is->address, was->address), 0);
                assert_true(identity_equal(is->identity, was->identity));
                assert_int_equal(is->class, was->class);
                assert_string_equal(is->modalias, was->modalias);
        }
        gpu_deinit(&unplugged);
        gpu_deinit(&gpu);
        state_deinit(&after);
}

static void the_file_is_for_people_to_read(void **state) {
        FakeTree *tree = *state;
        State before = STATE_NULL;
        char line[128];
        FILE *file;
        bool found = false;
        Gpu gpu;

        fake_gpu_add(tree, GPU, .functions = 2, .group = 12);
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        assert_int_equal(state_set(&before, &gpu, MODE_HOST), 0);
        assert_int_equal(state_save(&before, tree->roots.etc_fd), 0);
        state_deinit(&before);
        gpu_deinit(&gpu);

        snprintf(line, sizeof(line), "%s/etc/vfiopt/state", tree->root);
        file = fopen(line, "re");
        assert_non_null(file);
        while (fgets(line, sizeof(line), file))
                found = found || strstr(line, "\"class\": \"040300\"");
        fclose(file);
        assert_true(found);
}

static void a_function_more_is_another_card(void **state) {
        FakeTree *tree = *state;
        const StateEntry *entry;
        State remembered = STATE_NULL;
        bool same = false;
        Gpu gpu;

        fake_gpu_add(tree, GPU, .group = 12);
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        assert_false(state_entry_is(NULL, &gpu, MODE_HOST, &same));
        assert_int_equal(state_set(&remembered, &gpu, MODE_HOST), 0);
        entry = state_find_address(&remembered, address);
        assert_non_null(entry);
        assert_true(state_entry_is(entry, &gpu, MODE_HOST, &same));
        assert_true(same);

        /* not there, */
        assert_false(state_entry_is(entry, &gpu, MODE_PASSTHROUGH, &same));
        gpu.functions[0].identity.device ^= 1;
        assert_false(state_entry_is(entry, &gpu, MODE_HOST, &same));
        gpu.functions[0].identity.device ^= 1;

        /* or there with other functions */
        --gpu.n_functions;
        assert_true(state_entry_is(entry, &gpu, MODE_HOST, &same));
        assert_false(same);
        ++gpu.n_functions;
        gpu.functions[3].class ^= 1;
        assert_true(state_entry_is(entry, &gpu, MODE_HOST, &same));
        assert_false(same);
        gpu.functions[3].class ^= 1;
        gpu.functions[3].address.function = 5;
        assert_true(state_entry_is(entry, &gpu, MODE_HOST, &same));
        assert_false(same);
        gpu.functions[3].address.function = 3;
        gpu.functions[1].identity.device ^= 1;
        assert_true(state_entry_is(entry, &gpu, MODE_HOST, &same));
        assert_false(same);
        gpu.functions[1].identity.device ^= 1;

        /* or at another address */
        ++gpu.address.bus;
        assert_true(state_entry_is(entry, &gpu, MODE_HOST, &same));
        assert_false(same);
        --gpu.address.bus;
        assert_true(state_entry_is(entry, &gpu, MODE_HOST, &same));
        assert_true(same);
        gpu_deinit(&gpu);
        state_deinit(&remembered);
}

static void another_card_is_told_by_what_differs(void **state) {
        char id[IDENTITY_STRING_MAX] = "";
        FakeTree *tree = *state;
        State remembered = STATE_NULL;
        const StateEntry *entry;
        StateMatch match;
        Gpu gpu;

        fake_gpu_add(tree, GPU, .group = 12);
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        assert_null(state_find(&remembered, &gpu, &match));
        assert_int_equal(match, MATCH_NOTHING);
        assert_int_equal(state_set(&remembered, &gpu, MODE_HOST), 0);
        entry = state_find(&remembered, &gpu, &match);
        assert_int_equal(match, MATCH_THIS);
        assert_null(state_entry_differs(entry, &gpu, id));

        gpu.functions[0].identity.device ^= 1;
        assert_ptr_equal(state_find(&remembered, &gpu, &match), entry);
        assert_int_equal(match, MATCH_OTHER);
        assert_string_equal(state_entry_differs(entry, &gpu, id), "10de:2d04");
        gpu.functions[0].identity.device ^= 1;
        /* The same model of another maker. */
        gpu.functions[0].identity.subsystem_vendor ^= 1;
        assert_ptr_equal(state_find(&remembered, &gpu, &match), entry);
        assert_int_equal(match, MATCH_OTHER);
        assert_string_equal(state_entry_differs(entry, &gpu, id), "1043:5678");
        gpu_deinit(&gpu);
        state_deinit(&remembered);
}

/* A machine as a row of cards: the location of each is a letter, and so is its model. */
typedef struct Slot {
        unsigned int bus; /* 0: the end */
        char location;    /* in the state file: 0 is not known */
        char model;       /* a small letter: remembered in host, and not in passthrough */
} Slot;

#define SLOTS_MAX 4

static FakeDevice device_of(char model) {
        return (FakeDevice){ .vendor = PCI_VENDOR_NVIDIA,
                .device = (uint16_t) (0x2200 + toupper(model)),
                .subsystem_vendor = 0x1043,
                .subsystem_device = 0x89e5,
                .class = 0x030000 };
}

static Location location_of(char letter) {
        return (Location){ .n_hops = letter ? 2 : 0, .hops = { (uint8_t) letter, 0 } };
}

static State remember_slots(const Slot *slots) {
        State remembered = STATE_NULL;

        for (; slots->bus > 0; ++slots) {
                const FakeDevice device = device_of(slots->model);
                Device function = { .identity = { device.vendor, device.device,
                                                    device.subsystem_vendor,
                                                    device.subsystem_device } };
                const Gpu gpu = { .address = { .bus = (uint8_t) slots->bus },
                        .location = location_of(slots->location),
                        .functions = &function,
                        .n_functions = 1 };

                assert_int_equal(state_set(&remembered, &gpu,
                                                 islower(slots->model) ? MODE_HOST
                                                                       : MODE_PASSTHROUGH),
                                0);
        }
        for (size_t i = 0; i < remembered.n_entries; ++i)
                remembered.entries[i].place = PLACE_UNKNOWN;
        return remembered;
}

static void plug_slots(FakeTree *tree, const Slot *slots) {
        for (; slots->bus > 0; ++slots) {
                const FakeDevice device = device_of(slots->model);
                char name[ADDRESS_STRING_MAX], port[64];

                address_format((Address){ .bus = (uint8_t) slots->bus }, name);
                snprintf(port, sizeof(port), "pci0000:00/0000:00:%02x.%x", slots->location >> 3,
                                slots->location & 7);
                fake_device_push(tree, name, &device);
                fake_device_plug_below(tree, name, port);
        }
}

/*
 * What is said of each card that is there: the index of the entry and in what way, as "0=" (this card),
 * "0!" (another one), "0?" (not known) or "-".
 */
static void assert_matches(
                const char *what, const Slot *before, const Slot *now, const char *expected) {
        FakeTree *tree = fake_tree_new();
        State remembered = remember_slots(before);
        char said[64] = "";

        plug_slots(tree, now);
        assert_int_equal(state_place(&remembered, &tree->roots), 0);
        for (; now->bus > 0; ++now) {
                const StateEntry *entry;
                StateMatch match;
                size_t n = strlen(said);
                Gpu gpu;

                assert_int_equal(gpu_init(&gpu, fake_sysfs(tree),
                                                 (Address){ .bus = (uint8_t) now->bus }),
                                0);
                entry = state_find(&remembered, &gpu, &match);
                if (entry)
                        snprintf(said + n, sizeof(said) - n, "%s%d%c", n > 0 ? " " : "",
                                        (int) (entry - remembered.entries), "-=!?"[match]);
                else
                        snprintf(said + n, sizeof(said) - n, "%s-", n > 0 ? " " : "");
                if (match == MATCH_THIS) {
                        assert_int_equal(entry->place, PLACE_FOUND);
                        assert_int_equal(address_compare(entry->now, gpu.address), 0);
                }
                gpu_deinit(&gpu);
        }
        if (strcmp(said, expected) != 0)
                fail_msg("%s: %s, not %s", what, said, expected);
        state_deinit(&remembered);
        fake_tree_free(tree);
}

static void a_card_is_known_by_where_it_is_plugged_in(void **state _unused_) {
        static const struct {
                const char *what;
                Slot before[SLOTS_MAX], now[SLOTS_MAX];
                const char *expected;
        } cases[] = {
                { "in place", { { 1, 'P', 'A' } }, { { 1, 'P', 'A' } }, "0=" },
                { "a disk before it", { { 1, 'P', 'A' } }, { { 2, 'P', 'A' } }, "0=" },
                { "another in its slot", { { 1, 'P', 'A' } }, { { 1, 'P', 'B' } }, "0!" },
                { "another in its slot, and a disk", { { 1, 'P', 'A' } }, { { 2, 'P', 'B' } },
                                "0!" },
                { "two of a model, and a disk", { { 1, 'P', 'A' }, { 2, 'Q', 'A' } },
                                { { 2, 'P', 'A' }, { 3, 'Q', 'A' } }, "0= 1=" },
                { "one of two, and a disk", { { 2, 'Q', 'A' } },
                                { { 2, 'P', 'A' }, { 3, 'Q', 'A' } }, "0! 0=" },
                { "the first of two is gone", { { 1, 'P', 'A' }, { 2, 'Q', 'A' } },
                                { { 1, 'Q', 'A' } }, "1=" },
                { "in another slot", { { 1, 'P', 'A' } }, { { 2, 'Q', 'A' } }, "0?" },
                { "in another slot, same address", { { 1, 'P', 'A' } }, { { 1, 'Q', 'A' } }, "0?" },
                { "in one of two other slots", { { 1, 'P', 'A' } },
                                { { 2, 'Q', 'A' }, { 3, 'R', 'A' } }, "0? 0?" },
                /* What had its address is known to be elsewhere. */
                { "in another slot, before the second of two", { { 1, 'P', 'A' }, { 2, 'Q', 'A' } },
                                { { 1, 'Q', 'A' }, { 2, 'R', 'A' } }, "1= 1!" },
                { "swapped", { { 1, 'P', 'A' }, { 2, 'Q', 'B' } },
                                { { 1, 'P', 'B' }, { 2, 'Q', 'A' } }, "0! 1!" },
                { "gone, and another model elsewhere", { { 1, 'P', 'A' } }, { { 2, 'Q', 'B' } },
                                "-" },
                { "gone, and another model has its address", { { 1, 'P', 'A' } },
                                { { 1, 'Q', 'B' } }, "0!" },
                { "an unknown one has its address", { { 1, 'P', 'A' } },
                                { { 1, 'Q', 'B' }, { 2, 'P', 'A' } }, "0! 0=" },
                { "a known one has its address", { { 1, 'P', 'A' }, { 5, 'Q', 'B' } },
                                { { 1, 'Q', 'B' }, { 2, 'P', 'A' } }, "1= 0=" },

                /* An older version has written these. */
                { "old, in place", { { 1, 0, 'A' } }, { { 1, 'P', 'A' } }, "0=" },
                { "old, another there", { { 1, 0, 'A' } }, { { 1, 'P', 'B' } }, "0!" },
                { "old, elsewhere, and the machine boots on it", { { 1, 0, 'A' } },
                                { { 2, 'P', 'A' } }, "0?" },
                { "old, elsewhere, beside one of its model", { { 1, 0, 'A' } },
                                { { 2, 'P', 'A' }, { 3, 'Q', 'A' } }, "0? 0?" },
                { "old, two models, and another card before them", { { 1, 0, 'A' }, { 2, 0, 'B' } },
                                { { 1, 'X', 'D' }, { 2, 'P', 'A' }, { 3, 'Q', 'B' } }, "0! 0= 1=" },
                { "old, elsewhere, and another model has its address", { { 1, 0, 'A' } },
                                { { 1, 'Q', 'B' }, { 2, 'P', 'A' } }, "0! 0=" },
                { "old, two of a model, and a disk", { { 1, 0, 'A' }, { 2, 0, 'A' } },
                                { { 2, 'P', 'A' }, { 3, 'Q', 'A' } }, "1? 0?" },
                { "old, one of two models gone", { { 1, 0, 'A' }, { 2, 0, 'B' } },
                                { { 2, 'Q', 'B' } }, "1=" },
                { "old, one of two gone", { { 1, 0, 'A' }, { 2, 0, 'A' } }, { { 2, 'Q', 'A' } },
                                "1=" },
                { "old, one of two in another mode gone", { { 1, 0, 'a' }, { 2, 0, 'A' } },
                                { { 2, 'Q', 'A' } }, "1?" },
                { "old, one of two gone, another known",
                                { { 1, 0, 'A' }, { 2, 0, 'A' }, { 3, 'R', 'A' } },
                                { { 2, 'Q', 'A' }, { 3, 'R', 'A' } }, "1= 2=" },
                { "old, one of two gone, another not known", { { 1, 0, 'A' }, { 2, 0, 'A' } },
                                { { 2, 'Q', 'A' }, { 3, 'R', 'A' } }, "1? 0?" },
                { "old and new, and a disk", { { 1, 'P', 'A' }, { 2, 0, 'A' } },
                                { { 2, 'P', 'A' }, { 3, 'Q', 'A' } }, "0= 1?" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i)
                assert_matches(cases[i].what, cases[i].before, cases[i].now, cases[i].expected);
}

static void a_card_takes_the_place_of_what_was_there(void **state _unused_) {
        State remembered = remember_slots((Slot[SLOTS_MAX]){ { 1, 'P', 'A' }, { 2, 0, 'A' } });
        char name[LOCATION_STRING_MAX];
        Gpu gpu = card_at((Address){ .bus = 2 });

        /* Not of the one that had its address. */
        gpu.location = location_of('P');
        assert_int_equal(state_set(&remembered, &gpu, MODE_HOST), 0);
        assert_int_equal(remembered.n_entries, 2);
        assert_int_equal(remembered.entries[0].mode, MODE_HOST);
        assert_int_equal(remembered.entries[0].address.bus, 2);
        assert_int_equal(remembered.entries[1].location.n_hops, 0);
        assert_string_equal(state_entry_name(&remembered, &remembered.entries[0], name),
                        "0000:00/0a.0/00.0");

        /* An old entry gets its location. */
        gpu.address.bus = 2;
        gpu.location = location_of('Q');
        assert_int_equal(state_set(&remembered, &gpu, MODE_HOST), 0);
        assert_int_equal(remembered.n_entries, 2);
        assert_true(location_equal(&remembered.entries[1].location, &gpu.location));
        state_deinit(&remembered);
}

static void a_card_is_named_by_its_address_of_now_or_then(void **state) {
        State remembered = remember_slots((Slot[SLOTS_MAX]){ { 1, 'P', 'A' }, { 2, 'Q', 'B' } });
        const Location location = location_of('Q');
        char name[LOCATION_STRING_MAX];
        FakeTree *tree = *state;

        plug_slots(tree, (Slot[SLOTS_MAX]){ { 2, 'P', 'A' } });
        assert_int_equal(state_place(&remembered, &tree->roots), 0);
        assert_ptr_equal(state_find_address(&remembered, (Address){ .bus = 1 }),
                        &remembered.entries[0]);
        assert_ptr_equal(state_find_address(&remembered, (Address){ .bus = 2 }),
                        &remembered.entries[0]);
        assert_string_equal(state_entry_name(&remembered, &remembered.entries[0], name), GPU);
        /* That address means another card now. */
        assert_string_equal(state_entry_name(&remembered, &remembered.entries[1], name),
                        "0000:00/0a.1/00.0");
        assert_ptr_equal(state_find_location(&remembered, &location), &remembered.entries[1]);
        state_deinit(&remembered);
}

/* An old one was where the first of two is remembered to have been, which is elsewhere now. */
static void a_name_means_one_card(void **state) {
        State remembered = remember_slots((Slot[SLOTS_MAX]){ { 2, 'P', 'A' }, { 1, 0, 'A' } });
        char name[LOCATION_STRING_MAX];
        FakeTree *tree = *state;
        const StateEntry *first = &remembered.entries[0], *old = &remembered.entries[1];

        plug_slots(tree, (Slot[SLOTS_MAX]){ { 1, 'P', 'A' }, { 3, 'R', 'A' } });
        assert_int_equal(state_place(&remembered, &tree->roots), 0);
        assert_ptr_equal(state_find_address(&remembered, address), first);
        assert_ptr_equal(state_find_other(&remembered, address, first), old);
        assert_null(state_find_other(&remembered, (Address){ .bus = 2 }, first));
        assert_ptr_equal(state_find_old(&remembered, address), old);
        assert_null(state_find_old(&remembered, (Address){ .bus = 2 }));
        assert_string_equal(state_entry_name(&remembered, first, name), "0000:02:00.0");
        assert_string_equal(state_entry_name(&remembered, old, name), "old:" GPU);
        state_deinit(&remembered);
}

/* What /run has for the address of an entry is not about another card that may have been moved. */
static void an_address_goes_with_its_card(void **state _unused_) {
        static const struct {
                Slot before[SLOTS_MAX], now[SLOTS_MAX];
                bool expected; /* of the first one that is remembered */
        } cases[] = {
                { { { 1, 'P', 'A' } }, { { 0, 0, 0 } }, true },
                { { { 1, 'P', 'A' } }, { { 1, 'P', 'A' } }, true },
                { { { 1, 'P', 'A' } }, { { 1, 'P', 'B' } }, true },
                { { { 1, 'P', 'A' } }, { { 2, 'P', 'A' }, { 1, 'Q', 'A' } }, true },
                { { { 1, 'P', 'A' } }, { { 1, 'Q', 'A' } }, false },
                { { { 1, 'P', 'A' }, { 2, 'Q', 'B' } }, { { 1, 'Q', 'B' } }, false },
                { { { 1, 'P', 'A' }, { 1, 'Q', 'B' } }, { { 2, 'P', 'A' }, { 1, 'Q', 'B' } },
                                false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                State remembered = remember_slots(cases[i].before);
                FakeTree *tree = fake_tree_new();
                Gpu there = {};
                int r;

                plug_slots(tree, cases[i].now);
                assert_int_equal(state_place(&remembered, &tree->roots), 0);
                r = gpu_init(&there, fake_sysfs(tree), address);
                assert_true(r >= 0);
                if (state_entry_has_address(&remembered, &remembered.entries[0],
                                    r == 0 ? &there : NULL) != cases[i].expected)
                        fail_msg("case %zu", i);
                gpu_deinit(&there);
                state_deinit(&remembered);
                fake_tree_free(tree);
        }
}

static void a_location_is_kept(void **state) {
        FakeTree *tree = *state;
        const Location location = location_of('P');
        State before = remember_slots((Slot[SLOTS_MAX]){ { 1, 'P', 'A' }, { 2, 0, 'A' } }), after;

        assert_int_equal(state_save(&before, tree->roots.etc_fd), 0);
        assert_int_equal(state_load(&after, tree->roots.etc_fd), 0);
        assert_int_equal(after.n_entries, 2);
        assert_true(location_equal(&after.entries[0].location, &location));
        assert_int_equal(after.entries[1].location.n_hops, 0);
        state_deinit(&after);
        state_deinit(&before);
}

static void a_file_of_an_older_version_is_good(void **state) {
        FakeTree *tree = *state;
        State loaded;

        write_state(tree, "");
        assert_int_equal(state_load(&loaded, tree->roots.etc_fd), 0);
        assert_int_equal(loaded.n_entries, 1);
        assert_int_equal(loaded.entries[0].n_functions, 0);

        /* As it was written, it goes back. */
        assert_int_equal(state_save(&loaded, tree->roots.etc_fd), 0);
        state_deinit(&loaded);
        assert_int_equal(state_load(&loaded, tree->roots.etc_fd), 0);
        assert_int_equal(loaded.entries[0].n_functions, 0);
        state_deinit(&loaded);
}

static void expect(FakeTree *tree, int expected, const char *functions) {
        _cleanup_(freep) char *rest = text_format(",\"functions\":%s", functions);
        State loaded;
        int r;

        assert_non_null(rest);
        write_state(tree, rest);
        r = state_load(&loaded, tree->roots.etc_fd);
        if (r != expected)
                fail_msg("%s: %d, not %d", functions, r, expected);
        state_deinit(&loaded);
}

static void
expect_one(FakeTree *tree, int expected, const char *number, const char *id, const char *class) {
        _cleanup_(freep) char *list = text_format("[" FUNCTION "]", number, id, class);

        assert_non_null(list);
        expect(tree, expected, list);
}

static void expect_two(FakeTree *tree, int expected, const char *first, const char *second) {
        _cleanup_(freep) char *list = text_format("[" FUNCTION "," FUNCTION "]", first, "10de:2d04",
                        "030000", second, "10de:22eb", "040300");

        assert_non_null(list);
        expect(tree, expected, list);
}

static void a_wrong_list_makes_the_file_wrong(void **state) {
        static const char *const wrong[] = { "[]", "{}", "7", "\"0\"", "[7]", "[null]", "[{}]",
                "[[]]" };
        FakeTree *tree = *state;

        for (size_t i = 0; i < ARRAY_SIZE(wrong); ++i)
                expect(tree, STATE_E_INVALID, wrong[i]);

        expect_one(tree, 0, "0", "10de:2d04", "030000");
        expect_one(tree, STATE_E_INVALID, "1", "10de:2d04", "030000");
        expect_one(tree, STATE_E_INVALID, "\"0\"", "10de:2d04", "030000");
        expect_one(tree, STATE_E_INVALID, "-1", "10de:2d04", "030000");
        /* not that of the card */
        expect_one(tree, STATE_E_INVALID, "0", "10de:2d05", "030000");
        expect_one(tree, STATE_E_INVALID, "0", "10de:2d04", "03000");
        expect_one(tree, STATE_E_INVALID, "0", "10de:2d04", "0x0300");
        expect_one(tree, STATE_E_INVALID, "0", "10de:2d04", "0300000");
        expect_one(tree, STATE_E_INVALID, "0", "10de:2d04", "");

        expect_two(tree, 0, "0", "1");
        expect_two(tree, 0, "0", "7");
        expect_two(tree, STATE_E_INVALID, "0", "8");
        expect_two(tree, STATE_E_INVALID, "0", "0");
        expect_two(tree, STATE_E_INVALID, "1", "0");
}

static void there_are_eight_functions_and_no_more(void **state) {
        FakeTree *tree = *state;
        Text list = TEXT_NULL;

        for (unsigned int i = 0; i < 9; ++i) {
                char number[4];

                snprintf(number, sizeof(number), "%u", i);
                assert_int_equal(text_append(&list, "%s" FUNCTION, i ? "," : "[", number,
                                                 i ? "10de:22eb" : "10de:2d04", "030000"),
                                0);
                if (i >= 7) {
                        _cleanup_(freep) char *whole = text_format("%s]", text(&list));

                        assert_non_null(whole);
                        expect(tree, i == 7 ? 0 : STATE_E_INVALID, whole);
                }
        }
        text_deinit(&list);
}

/* Return: how many copies there are to fail before it is loaded; or 0 if a failure was taken for damage. */
static unsigned int load_with_short_memory(int etc_fd) {
        unsigned int n_failed = 0;
        State loaded;
        int r;

        do {
                n_copies = 0;
                copies_fail_at = ++n_failed;
                r = state_load(&loaded, etc_fd);
                copies_fail_at = 0;
                if (r == -ENOMEM && loaded.n_entries > 0)
                        return 0;
        } while (r == -ENOMEM);
        return r == 0 && n_copies == n_failed - 1 && loaded.n_entries == 1 ? n_copies : 0;
}

/*
 * A state file that is damaged is set aside. One that there was no memory for is not. json-c loses some
 * of what it has then, so this is done in a process that nobody looks for leaks in.
 */
static void short_memory_is_no_damage(void **state) {
        FakeTree *tree = *state;
        unsigned int *n;
        pid_t pid;

        n = mmap(NULL, sizeof(*n), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(n, MAP_FAILED);
        write_state(tree, LOCATED);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                *n = load_with_short_memory(tree->roots.etc_fd);
                (void) kill(getpid(), SIGKILL);
        }
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_true(*n > 10);
        assert_int_equal(munmap(n, sizeof(*n)), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(a_state_comes_back_sorted_out_by_address),
                tree_test(short_memory_is_no_damage),
                tree_test(a_state_that_is_not_understood_is_left_alone),
                tree_test(a_state_file_is_replaced_whole),
                tree_test(a_state_file_that_is_a_link_is_left_alone),
                tree_test(a_state_file_is_set_aside),
                tree_test(a_state_file_that_cannot_be_set_aside_stays),
                tree_test(a_card_comes_back_as_it_was_there),
                tree_test(the_file_is_for_people_to_read),
                tree_test(a_function_more_is_another_card),
                tree_test(another_card_is_told_by_what_differs),
                cmocka_unit_test(a_card_is_known_by_where_it_is_plugged_in),
                cmocka_unit_test(a_card_takes_the_place_of_what_was_there),
                tree_test(a_card_is_named_by_its_address_of_now_or_then),
                tree_test(a_name_means_one_card),
                cmocka_unit_test(an_address_goes_with_its_card),
                tree_test(a_location_is_kept),
                tree_test(a_file_of_an_older_version_is_good),
                tree_test(a_wrong_list_makes_the_file_wrong),
                tree_test(there_are_eight_functions_and_no_more),
        };

        return cmocka_run_group_tests_name("record/state", tests, NULL, NULL);
}
