/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Committing
 *
 * Whatever becomes of the state file: where a person has moved a GPU is where the policy wants
 * it, until the next boot at least.
 */

#include "lib/test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "policy/policy.h"
#include "switch/commit.h"

typedef struct Fixture {
        FakeTree *tree;
        Gpu gpu;
        GpuRecord record;
} Fixture;

static const Address address = { .bus = 1 };

static int fixture_new(void **state) {
        static Fixture fixture;

        fixture = (Fixture){ .tree = fake_tree_new() };
        fake_gpu_add(fixture.tree, "0000:01:00.0", .group = 12);
        fake_write(fixture.tree->root, "proc/cmdline", "quiet\n");
        assert_int_equal(gpu_init(&fixture.gpu, fake_sysfs(fixture.tree), address), 0);
        fixture.record = (GpuRecord){
                .address = address,
                .identity = fixture.gpu.functions[0].identity,
        };
        *state = &fixture;
        return 0;
}

static int fixture_free(void **state) {
        Fixture *fixture = *state;

        gpu_deinit(&fixture->gpu);
        fake_tree_free(fixture->tree);
        return 0;
}

static void commit_noting(Fixture *fixture, Mode mode, bool transient, CommitNotes *notes) {
        assert_int_equal(commit(&fixture->tree->roots, &fixture->gpu, mode, transient, true,
                                         &fixture->record, notes),
                        0);
        /* That is the caller's to do, with the end of the move. */
        assert_int_equal(gpu_record_save(&fixture->record, fixture->tree->roots.run_fd), 0);
}

static void commit_to(Fixture *fixture, Mode mode, bool transient) {
        CommitNotes notes;

        commit_noting(fixture, mode, transient, &notes);
        assert_null(notes.aside);
        assert_int_equal(notes.error, 0);
}

/* What the policy makes of it. @recorded: whether the record has a word, too */
static void expect(Fixture *fixture, bool at_boot, Mode mode, PolicySource source, bool recorded) {
        const Roots *roots = &fixture->tree->roots;
        Policy policy = POLICY_NULL;
        Decision decision;
        Runtime runtime;

        assert_int_equal(policy_load(&policy, roots), 0);
        assert_int_equal(runtime_init(&runtime, roots, &fixture->gpu), 0);
        decision = policy_wish(&policy, &fixture->gpu, &runtime, at_boot);
        assert_int_equal(decision.mode, mode);
        assert_int_equal(decision.source, source);
        assert_int_equal(runtime.record.mode != MODE_UNSET, recorded);
        runtime_deinit(&runtime);
        policy_deinit(&policy);
}

/* Return: where the state file has the GPU, or MODE_UNSET. */
static Mode remembered(const Fixture *fixture) {
        const StateEntry *entry;
        Mode mode = MODE_UNSET;
        State state;

        if (state_load(&state, fixture->tree->roots.etc_fd) == 0) {
                entry = state_find_address(&state, address);
                mode = entry ? entry->mode : MODE_UNSET;
        }
        state_deinit(&state);
        return mode;
}

static bool has_record(const Fixture *fixture) {
        return fake_exists(fixture->tree->root,
                        "run/vfiopt/gpu/0000:01:00.0-10de-2d04-1043-5678.json");
}

static void what_is_written_needs_nothing_else(void **state) {
        Fixture *fixture = *state;

        commit_to(fixture, MODE_PASSTHROUGH, false);
        assert_int_equal(remembered(fixture), MODE_PASSTHROUGH);
        expect(fixture, false, MODE_PASSTHROUGH, POLICY_STATE, false);
        commit_to(fixture, MODE_HOST, false);
        assert_int_equal(remembered(fixture), MODE_HOST);
        expect(fixture, false, MODE_HOST, POLICY_STATE, false);
        assert_false(has_record(fixture));
        assert_false(fake_is_locked(fixture->tree->root, "run/vfiopt/lock/state"));
}

/* It is complete, functions included, before anything else is told to be over. */
static void the_state_file_is_there_on_return(void **state) {
        Fixture *fixture = *state;
        CommitNotes notes;
        struct stat before, after;
        State loaded;

        assert_int_equal(commit(&fixture->tree->roots, &fixture->gpu, MODE_PASSTHROUGH, false, true,
                                         &fixture->record, &notes),
                        0);
        assert_false(has_record(fixture));
        assert_int_equal(state_load(&loaded, fixture->tree->roots.etc_fd), 0);
        assert_int_equal(loaded.n_entries, 1);
        assert_int_equal(loaded.entries[0].n_functions, 4);
        state_deinit(&loaded);

        /* Where nothing is new, nothing is written; a function more is new. */
        assert_int_equal(fstatat(fixture->tree->roots.etc_fd, "state", &before, 0), 0);
        commit_to(fixture, MODE_PASSTHROUGH, false);
        assert_int_equal(fstatat(fixture->tree->roots.etc_fd, "state", &after, 0), 0);
        assert_int_equal(before.st_ino, after.st_ino);
        fixture->gpu.functions[3].class ^= 1;
        commit_to(fixture, MODE_PASSTHROUGH, false);
        assert_int_equal(fstatat(fixture->tree->roots.etc_fd, "state", &after, 0), 0);
        assert_true(before.st_ino != after.st_ino);
}

static void what_cannot_be_written_is_kept_until_the_next_boot(void **state) {
        Fixture *fixture = *state;
        CommitNotes notes;
        char path[256];

        /* A directory that was removed while it is open: nothing can be made in there. */
        snprintf(path, sizeof(path), "%s/etc/vfiopt", fixture->tree->root);
        assert_int_equal(rmdir(path), 0);
        commit_noting(fixture, MODE_PASSTHROUGH, false, &notes);
        assert_true(notes.error < 0);
        expect(fixture, false, MODE_PASSTHROUGH, POLICY_PERSON, true);
        expect(fixture, true, MODE_UNSET, POLICY_NOBODY, true);
        commit_noting(fixture, MODE_HOST, false, &notes);
        assert_true(notes.error < 0);
        expect(fixture, false, MODE_HOST, POLICY_PERSON, true);
}

/* Nor where there is no directory at all; that is no error. */
static void without_a_directory_it_is_kept_until_the_next_boot(void **state) {
        Fixture *fixture = *state;

        closep(&fixture->tree->roots.etc_fd);
        fixture->tree->roots.etc_fd = -1;
        commit_to(fixture, MODE_PASSTHROUGH, false);
        expect(fixture, false, MODE_PASSTHROUGH, POLICY_PERSON, true);
}

/* The functions alone are no reason to worry anybody: the mode is remembered. */
static void functions_that_cannot_be_written_are_no_error(void **state) {
        Fixture *fixture = *state;
        CommitNotes notes;

        commit_to(fixture, MODE_PASSTHROUGH, false);
        assert_int_equal(renameat(fixture->tree->roots.etc_fd, "state", fixture->tree->roots.etc_fd,
                                         "real"),
                        0);
        assert_int_equal(symlinkat("real", fixture->tree->roots.etc_fd, "state"), 0);
        fixture->gpu.functions[3].class ^= 1;
        commit_to(fixture, MODE_PASSTHROUGH, false);
        expect(fixture, false, MODE_PASSTHROUGH, POLICY_STATE, false);
        commit_noting(fixture, MODE_HOST, false, &notes);
        assert_int_equal(notes.error, -ELOOP);
        expect(fixture, false, MODE_HOST, POLICY_PERSON, true);
}

static void a_person_comes_after_the_kernels_command_line(void **state) {
        Fixture *fixture = *state;

        fake_write(fixture->tree->root, "proc/cmdline", "vfiopt.mode=host\n");
        expect(fixture, false, MODE_HOST, POLICY_KERNEL_LINE, false);
        commit_to(fixture, MODE_PASSTHROUGH, false);
        expect(fixture, false, MODE_PASSTHROUGH, POLICY_PERSON, true);
        expect(fixture, true, MODE_HOST, POLICY_KERNEL_LINE, true);

        commit_to(fixture, MODE_HOST, false);
        expect(fixture, false, MODE_HOST, POLICY_KERNEL_LINE, false);
        assert_false(has_record(fixture));
}

/* What a kill leaves behind, before the caller saves the record. */
static void an_old_word_is_replaced_before_the_state_file(void **state) {
        Fixture *fixture = *state;
        CommitNotes notes;
        char path[256];

        fake_write(fixture->tree->root, "proc/cmdline", "vfiopt.mode=off\n");
        commit_to(fixture, MODE_PASSTHROUGH, false);
        expect(fixture, false, MODE_PASSTHROUGH, POLICY_PERSON, true);
        fake_write(fixture->tree->root, "proc/cmdline", "quiet\n");
        assert_int_equal(commit(&fixture->tree->roots, &fixture->gpu, MODE_HOST, false, true,
                                         &fixture->record, &notes),
                        0);
        assert_int_equal(fixture->record.mode, MODE_UNSET);
        expect(fixture, false, MODE_HOST, POLICY_PERSON, true);

        /* And so also where the state file could not be written after it. */
        assert_int_equal(gpu_record_save(&fixture->record, fixture->tree->roots.run_fd), 0);
        fixture->record.mode = MODE_PASSTHROUGH;
        assert_int_equal(gpu_record_save(&fixture->record, fixture->tree->roots.run_fd), 0);
        snprintf(path, sizeof(path), "%s/etc/vfiopt/state", fixture->tree->root);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink("/nowhere", path), 0);
        assert_int_equal(commit(&fixture->tree->roots, &fixture->gpu, MODE_HOST, false, true,
                                         &fixture->record, &notes),
                        0);
        assert_true(notes.error < 0);
        expect(fixture, false, MODE_HOST, POLICY_PERSON, true);
}

/* Where even the record cannot be written, nothing else is: its old word would count. */
static void without_the_record_nothing_is_remembered(void **state) {
        Fixture *fixture = *state;
        CommitNotes notes;

        commit_to(fixture, MODE_PASSTHROUGH, false);
        fixture->record.mode = MODE_PASSTHROUGH;
        fake_remove(fixture->tree->root, "run/vfiopt/gpu");
        fake_write(fixture->tree->root, "run/vfiopt/gpu", "in the way");
        assert_true(commit(&fixture->tree->roots, &fixture->gpu, MODE_HOST, false, true,
                                    &fixture->record, &notes) < 0);
        assert_int_equal(remembered(fixture), MODE_PASSTHROUGH);
}

static void off_is_no_ban_for_a_person(void **state) {
        Fixture *fixture = *state;

        fake_write(fixture->tree->root, "proc/cmdline", "vfiopt.mode=off\n");
        commit_to(fixture, MODE_PASSTHROUGH, false);
        expect(fixture, false, MODE_PASSTHROUGH, POLICY_PERSON, true);
        expect(fixture, true, MODE_UNSET, POLICY_KERNEL_LINE, true);
}

static void records_of_an_older_version_are_no_ban_for_a_person(void **state) {
        Fixture *fixture = *state;

        fake_write(fixture->tree->root, "run/vfiopt/pending/state", "hots");
        expect(fixture, false, MODE_UNSET, POLICY_NOBODY, false);
        commit_to(fixture, MODE_PASSTHROUGH, false);
        expect(fixture, false, MODE_PASSTHROUGH, POLICY_PERSON, true);
        assert_int_equal(remembered(fixture), MODE_PASSTHROUGH);
}

static void a_boot_with_another_mode_forgets_nothing(void **state) {
        Fixture *fixture = *state;

        commit_to(fixture, MODE_PASSTHROUGH, false);
        fake_write(fixture->tree->root, "proc/cmdline", "vfiopt.mode=host\n");
        commit_to(fixture, MODE_HOST, true);
        assert_int_equal(remembered(fixture), MODE_PASSTHROUGH);
        expect(fixture, false, MODE_HOST, POLICY_KERNEL_LINE, false);
        fake_write(fixture->tree->root, "proc/cmdline", "quiet\n");
        expect(fixture, true, MODE_PASSTHROUGH, POLICY_STATE, false);
}

/* BootMode=unset leaves a GPU alone until it is moved; then it stays where it was moved. */
static void what_was_left_alone_is_moved_by_a_person(void **state) {
        Fixture *fixture = *state;

        commit_to(fixture, MODE_PASSTHROUGH, false);
        fake_write(fixture->tree->root, "etc/vfiopt/vfiopt.conf", "[GPU 01:00]\nBootMode=unset\n");
        expect(fixture, false, MODE_UNSET, POLICY_CONFIG, false);
        commit_to(fixture, MODE_PASSTHROUGH, false);
        expect(fixture, false, MODE_PASSTHROUGH, POLICY_PERSON, true);
        expect(fixture, true, MODE_UNSET, POLICY_CONFIG, true);
}

static void a_state_that_is_no_use_is_set_aside(void **state) {
        Fixture *fixture = *state;
        CommitNotes notes;

        /* One that cannot be read, */
        fake_make_dir(fixture->tree->root, "etc/vfiopt/state");
        commit_noting(fixture, MODE_HOST, false, &notes);
        assert_int_equal(notes.error, 0);
        assert_string_equal(notes.aside, "state.damaged");
        assert_true(fake_exists(fixture->tree->root, "etc/vfiopt/state.damaged"));
        expect(fixture, false, MODE_HOST, POLICY_STATE, false);

        /* or understood. */
        fake_remove(fixture->tree->root, "etc/vfiopt/state.damaged");
        fake_write(fixture->tree->root, "etc/vfiopt/state", "hots");
        expect(fixture, false, MODE_UNSET, POLICY_NOBODY, false);
        commit_noting(fixture, MODE_PASSTHROUGH, false, &notes);
        assert_int_equal(notes.error, 0);
        assert_string_equal(notes.aside, "state.damaged");
        expect(fixture, false, MODE_PASSTHROUGH, POLICY_STATE, false);
}

static void another_card_has_no_part_in_it(void **state) {
        Fixture *fixture = *state;

        fake_write(fixture->tree->root, "proc/cmdline", "vfiopt.mode=off\n");
        commit_to(fixture, MODE_PASSTHROUGH, false);
        fixture->gpu.functions[0].identity.device ^= 1;
        expect(fixture, false, MODE_UNSET, POLICY_KERNEL_LINE, false);
        fixture->gpu.functions[0].identity.device ^= 1;
}

/* The number of the bus that is remembered of a card that was at 05:00 and is moved. */
static uint8_t commit_moved(Fixture *fixture, const char *section, bool twice, bool by_person) {
        const char *conf = "etc/vfiopt/vfiopt.conf";
        const Address before = { .bus = 5 };
        Gpu old = fixture->gpu;
        State remembered = STATE_NULL;
        CommitNotes notes;
        uint8_t bus;

        old.address = before;
        assert_int_equal(state_set(&remembered, &old, MODE_HOST), 0);
        assert_int_equal(state_save(&remembered, fixture->tree->roots.etc_fd), 0);
        state_deinit(&remembered);
        fake_remove(fixture->tree->root, conf);
        if (section)
                fake_write(fixture->tree->root, conf, "%s", section);

        assert_int_equal(commit(&fixture->tree->roots, &fixture->gpu,
                                         twice ? MODE_HOST : MODE_PASSTHROUGH, false, by_person,
                                         &fixture->record, &notes),
                        0);
        assert_int_equal(state_load(&remembered, fixture->tree->roots.etc_fd), 0);
        assert_int_equal(remembered.n_entries, 1);
        assert_int_equal(remembered.entries[0].mode, twice ? MODE_HOST : MODE_PASSTHROUGH);
        assert_true(location_equal(&remembered.entries[0].location, &fixture->gpu.location));
        bus = remembered.entries[0].address.bus;
        state_deinit(&remembered);
        return bus;
}

static void a_card_that_has_moved_gets_its_new_address(void **state) {
        static const struct {
                const char *section;
                uint8_t bus, by_person;
        } cases[] = {
                { NULL, 1, 1 },
                { "[GPU 01:00]\nBootMode=host\n", 1, 1 },
                { "[GPU 10de:2d04]\nBootMode=host\n", 1, 1 },
                { "[GPU 05:01]\nBootMode=host\n", 1, 1 },
                /* Else another card that comes to 05:00 would be taken for the one that is meant. */
                { "[GPU 05:00]\nBootMode=host\n", 5, 5 },
                { "[GPU 05:00]\nAllowDisplay=yes\n", 5, 5 },
                { "[GPU 0000:05:00.0]\n", 5, 1 },
                /* What has it left alone is not worth that, when a person has named it; */
                { "[GPU 05:00]\nManaged=no\n", 5, 1 },
                { "[GPU 05:00]\nBootMode=unset\n", 5, 1 },
                /* nor if it has a section of its own. */
                { "[GPU 01:00]\nBootMode=host\n[GPU 05:00]\nBootMode=passthrough\n", 5, 1 },
        };
        Fixture *fixture = *state;

        for (size_t i = 0; i < 4 * ARRAY_SIZE(cases); ++i) {
                const bool by_person = i / 2 % 2;

                assert_int_equal(commit_moved(fixture, cases[i / 4].section, i % 2, by_person),
                                by_person ? cases[i / 4].by_person : cases[i / 4].bus);
        }
}

/* The sections are as the warning has said: each card has its own, and one is for a former address. */
static void a_switch_ends_the_doubt_about_corrected_sections(void **state) {
        static const char *const sections[] = {
                "[GPU 01:00]\nBootMode=passthrough\n[GPU 05:00]\nManaged=no\n",
                "[GPU 01:00]\nBootMode=passthrough\n[GPU 05:00]\nBootMode=host\n",
                "[GPU 05:00]\nBootMode=unset\n",
        };
        Fixture *fixture = *state;

        for (size_t i = 0; i < ARRAY_SIZE(sections); ++i) {
                const bool names_new = strstr(sections[i], "[GPU 01:00]") != NULL;

                assert_int_equal(commit_moved(fixture, sections[i], false, false), 5);
                expect(fixture, true, MODE_UNSET, POLICY_UNSURE, false);
                assert_int_equal(commit_moved(fixture, sections[i], false, true), 1);
                expect(fixture, true, MODE_PASSTHROUGH, names_new ? POLICY_CONFIG : POLICY_STATE,
                                false);
        }
}

#define OLD_ENTRY(bus, id)                                           \
        "{\"address\":\"0000:" bus ":00.0\",\"id\":\"10de:" id "\"," \
        "\"subsystem\":\"1043:5678\",\"mode\":\"host\"}"

/* It may have been the one that is not where it was; a person has said where this one belongs. */
static void a_card_that_is_no_longer_in_doubt_takes_the_place_of_what_it_was_like(void **state) {
        static const struct {
                const char *entries;
                size_t left; /* with the one that is moved */
        } cases[] = {
                { OLD_ENTRY("05", "2d04"), 1 },
                { OLD_ENTRY("05", "2d05"), 2 },
                { OLD_ENTRY("05", "2d04") "," OLD_ENTRY("06", "2d05"), 2 },
                { OLD_ENTRY("05", "2d04") "," OLD_ENTRY("06", "2d04"), 3 },
                /* Where the other one is that has an address of theirs, it remains in doubt. */
                { OLD_ENTRY("05", "2d04") "," OLD_ENTRY("02", "2d04"), 3 },
        };
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, "0000:02:00.0", .group = 13);
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                State remembered;

                fake_write(fixture->tree->root, "etc/vfiopt/state",
                                "{\"version\":1,\"gpus\":[%s]}\n", cases[i].entries);
                commit_to(fixture, MODE_PASSTHROUGH, false);
                assert_int_equal(state_load(&remembered, fixture->tree->roots.etc_fd), 0);
                assert_int_equal(remembered.n_entries, cases[i].left);
                assert_non_null(state_find_location(&remembered, &fixture->gpu.location));
                state_deinit(&remembered);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define test(name) cmocka_unit_test_setup_teardown(name, fixture_new, fixture_free)
                test(what_is_written_needs_nothing_else),
                test(what_cannot_be_written_is_kept_until_the_next_boot),
                test(the_state_file_is_there_on_return),
                test(without_a_directory_it_is_kept_until_the_next_boot),
                test(functions_that_cannot_be_written_are_no_error),
                test(an_old_word_is_replaced_before_the_state_file),
                test(without_the_record_nothing_is_remembered),
                test(records_of_an_older_version_are_no_ban_for_a_person),
                test(a_person_comes_after_the_kernels_command_line),
                test(off_is_no_ban_for_a_person),
                test(a_boot_with_another_mode_forgets_nothing),
                test(what_was_left_alone_is_moved_by_a_person),
                test(a_state_that_is_no_use_is_set_aside),
                test(another_card_has_no_part_in_it),
                test(a_card_that_has_moved_gets_its_new_address),
                test(a_switch_ends_the_doubt_about_corrected_sections),
                test(a_card_that_is_no_longer_in_doubt_takes_the_place_of_what_it_was_like),
#undef test
        };

        return cmocka_run_group_tests_name("switch/commit", tests, NULL, NULL);
}
