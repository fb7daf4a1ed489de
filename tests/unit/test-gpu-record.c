/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Records of GPUs
 *
 * A record that is written comes back; one that is damaged, foreign or of another version is
 * told apart from one that is absent, and never taken for something it is not.
 */

#include "lib/test.h"

#include "base/text.h"
#include "record/gpu-record.h"

#define GPU  "0000:01:00.0"
#define NAME GPU "-10de-2d04-1043-5678.json"
#define PATH "run/vfiopt/gpu/" NAME

static const Address address = { .bus = 1 };

typedef struct Fixture {
        FakeTree *tree;
        Gpu gpu;
        int run_fd;
} Fixture;

static int fixture_new(void **state) {
        static Fixture fixture;

        fixture = (Fixture){ .tree = fake_tree_new() };
        fake_standard_drivers(fixture.tree);
        fake_gpu_add(fixture.tree, GPU, .group = 12, .driver = "nvidia");
        assert_int_equal(gpu_init(&fixture.gpu, fake_sysfs(fixture.tree), address), 0);
        fixture.run_fd = fixture.tree->roots.run_fd;
        *state = &fixture;
        return 0;
}

static int fixture_free(void **state) {
        Fixture *fixture = *state;

        gpu_deinit(&fixture->gpu);
        fake_tree_free(fixture->tree);
        return 0;
}

static bool has_file(const Fixture *fixture) {
        return fake_exists(fixture->tree->root, PATH);
}

/* An empty one, of the card. */
static GpuRecord record_new(const Fixture *fixture) {
        return (GpuRecord){ .address = address, .identity = fixture->gpu.functions[0].identity };
}

static void save(const Fixture *fixture, const GpuRecord *record) {
        assert_int_equal(gpu_record_save(record, fixture->run_fd), 0);
}

static void load(const Fixture *fixture, GpuRecord *record) {
        assert_int_equal(gpu_record_load(record, fixture->run_fd, &fixture->gpu), 0);
}

static void assert_nothing(const Fixture *fixture, const GpuRecord *record) {
        const GpuRecord nothing = record_new(fixture);

        /* An address and an identity have bytes that are no part of them, and so may be anything. */
        assert_int_equal(address_compare(record->address, nothing.address), 0);
        assert_true(identity_equal(record->identity, nothing.identity));
        assert_memory_equal(
                        &record->mode, &nothing.mode, sizeof(nothing) - offsetof(GpuRecord, mode));
}

static void one_that_says_nothing_is_no_file(void **state) {
        const Fixture *fixture = *state;
        GpuRecord record;

        load(fixture, &record);
        assert_nothing(fixture, &record);
        save(fixture, &record);
        assert_false(has_file(fixture));

        record.mode = MODE_HOST;
        save(fixture, &record);
        assert_true(has_file(fixture));
        record.mode = MODE_UNSET;
        save(fixture, &record);
        assert_false(has_file(fixture));
        save(fixture, &record);

        /* Without our directory in /run there is none. */
        assert_int_equal(gpu_record_load(&record, -1, &fixture->gpu), 0);
        assert_nothing(fixture, &record);
}

static void every_part_comes_back(void **state) {
        const Fixture *fixture = *state;
        GpuRecord record = record_new(fixture), back;

        record.mode = MODE_PASSTHROUGH;
        record.n_host = 1;
        record.host[0] = (HostFunction){ .number = 7, .driver = (char *) "nvidia-gpu" };
        record.has_move = record.move.is_late = true;
        record.move.from = MODE_MIXED;
        record.move.to = MODE_PASSTHROUGH;
        record.move.trigger = TRIGGER_RECOVERY;
        record.move.moved = 6;
        record.move.mover = (ProcessId){ 812, 7 };
        record.move.late = (LateWrite){
                .function = address_of_function(address, 2),
                .action = (char *) "unbind",
                .driver = (char *) "xhci_hcd",
                .writer = { 4711, 99 },
                .since_usec = 7,
        };
        record.has_refusal = true;
        record.refusal = (Refusal){
                .when_usec = 8, .holders = { { 3, 0 }, { 4, 5 } }, .n_holders = 2
        };
        save(fixture, &record);

        load(fixture, &back);
        assert_int_equal(address_compare(back.address, address), 0);
        assert_true(identity_equal(back.identity, record.identity));
        assert_int_equal(back.mode, MODE_PASSTHROUGH);
        assert_int_equal(back.n_host, 1);
        assert_int_equal(back.host[0].number, 7);
        assert_string_equal(back.host[0].driver, "nvidia-gpu");
        assert_null(back.host[0].override);
        assert_null(back.host[0].power_control);
        assert_null(back.host[0].d3cold_allowed);
        assert_true(back.has_move);
        assert_int_equal(back.move.from, MODE_MIXED);
        assert_int_equal(back.move.to, MODE_PASSTHROUGH);
        assert_int_equal(back.move.trigger, TRIGGER_RECOVERY);
        assert_int_equal(back.move.moved, 6);
        assert_true(back.move.is_late);
        assert_int_equal(back.move.late.function.function, 2);
        assert_string_equal(back.move.late.action, "unbind");
        assert_string_equal(back.move.late.driver, "xhci_hcd");
        assert_int_equal(back.move.late.writer.pid, 4711);
        assert_int_equal(back.move.late.writer.start, 99);
        assert_int_equal(back.move.mover.pid, 812);
        assert_int_equal(back.move.mover.start, 7);
        assert_int_equal(back.move.late.since_usec, 7);
        assert_true(back.has_refusal);
        assert_int_equal(back.refusal.when_usec, 8);
        assert_int_equal(back.refusal.n_holders, 2);
        assert_int_equal(back.refusal.holders[1].pid, 4);
        assert_int_equal(back.refusal.holders[1].start, 5);

        /* Its parts go one by one. */
        gpu_record_forget_move(&back);
        assert_false(back.has_move);
        assert_false(back.move.is_late);
        assert_null(back.move.late.action);
        assert_int_equal(back.n_host, 1);
        assert_true(back.has_refusal);
        gpu_record_deinit(&back);
        assert_false(back.has_refusal);
        assert_int_equal(back.n_host, 0);
}

/* Moves as they may be asked for, and a record with each of them. */
static void moves_are_told_apart(void **state) {
        const Fixture *fixture = *state;

        for (Trigger trigger = 0; trigger < _TRIGGER_MAX; ++trigger) {
                GpuRecord record = record_new(fixture), back;
                Trigger same;

                assert_int_equal(trigger_from_string(trigger_to_string(trigger), &same), 0);
                assert_int_equal(same, trigger);
                record.has_move = true;
                record.move = (MoveRecord){
                        .from = trigger % 2 ? MODE_PASSTHROUGH : MODE_HOST,
                        .to = trigger % 2 ? MODE_HOST : MODE_PASSTHROUGH,
                        .trigger = trigger,
                };
                save(fixture, &record);
                load(fixture, &back);
                assert_memory_equal(&back.move, &record.move, sizeof(back.move));
                gpu_record_deinit(&back);
        }
        assert_int_equal(trigger_from_string("moon", &(Trigger){ 0 }), -EINVAL);
}

#define CARD \
        "\"version\":1,\"address\":\"0000:01:00.0\",\"id\":\"10de:2d04\",\"subsystem\":\"1043:5678\""
#define MOVE(from, to, rest) \
        "{" CARD ",\"move\":{\"from\":" from ",\"to\":" to ",\"trigger\":\"command\"," rest "}}"
#define ALL "\"moved\":0"
#define LATE(rest) \
        MOVE("\"host\"", "\"host\"", ALL ",\"late\":{\"function\":\"0000:01:00.0\"" rest "}")

static const char *const good[] = {
        "{" CARD "}",
        "{" CARD ",\"mode\":\"host\",\"later\":{\"more\":[1]}}",
        MOVE("\"mixed\"", "\"passthrough\"", ALL),
        LATE(",\"pid\":1,\"since\":2"),
        "{" CARD ",\"refused\":{\"when\":1,\"holders\":[]}}",
        "{" CARD ",\"refused\":{\"when\":1,\"holders\":[{\"pid\":3}]}}",
        "{" CARD ",\"host\":[{\"function\":7}]}",
};

static const char *const damaged[] = {
        "",
        "{",
        "[]",
        "{}",
        "{" CARD "} tail",
        "{" CARD ",\"version\":2}",
        "{" CARD ",\"version\":\"1\"}",
        "{\"version\":1,\"mode\":\"host\"}",
        "{" CARD ",\"mode\":\"mixed\"}",
        "{" CARD ",\"mode\":\"\"}",
        "{" CARD ",\"mode\":7}",

        /* another card's, under its name */
        "{" CARD ",\"address\":\"0000:02:00.0\"}",
        "{" CARD ",\"address\":\"../../0000:01:00.0\"}",
        "{" CARD ",\"id\":\"10de:2d05\"}",
        "{" CARD ",\"id\":\"10de\"}",
        "{" CARD ",\"subsystem\":\"1043:5679\"}",

        MOVE("\"host\"", "\"mixed\"", ALL),
        MOVE("\"host\"", "7", ALL),
        MOVE("\"moon\"", "\"host\"", ALL),
        MOVE("null", "\"host\"", ALL),
        MOVE("\"host\"", "\"host\"", ""),
        MOVE("\"host\"", "\"host\"", "\"moved\":256"),
        MOVE("\"host\"", "\"host\"", "\"trigger\":\"moon\"," ALL),
        MOVE("\"host\"", "\"host\"", ALL ",\"late\":[]"),
        LATE(",\"pid\":1"),
        LATE(",\"pid\":-1,\"since\":2"),
        LATE(",\"pid\":1,\"since\":2,\"function\":\"moon\""),
        LATE(",\"pid\":1,\"since\":2,\"action\":7"),
        "{" CARD ",\"move\":7}",

        "{" CARD ",\"refused\":{\"when\":1}}",
        "{" CARD ",\"refused\":{\"holders\":[]}}",
        "{" CARD ",\"refused\":{\"when\":1,\"holders\":{}}}",
        "{" CARD ",\"refused\":{\"when\":1,\"holders\":[1]}}",
        "{" CARD ",\"refused\":{\"when\":1,\"holders\":[{}]}}",
        "{" CARD ",\"refused\":{\"when\":1,\"holders\":[{\"pid\":-1}]}}",
        "{" CARD ",\"refused\":{\"when\":1,\"holders\":[{\"pid\":\"1\"}]}}",

        "{" CARD ",\"host\":[]}",
        "{" CARD ",\"host\":[{}]}",
        "{" CARD ",\"host\":[{\"function\":8}]}",
        "{" CARD ",\"host\":[{\"function\":0,\"driver\":7}]}",
};

static void a_damaged_one_is_neither_good_nor_absent(void **state) {
        const Fixture *fixture = *state;
        GpuRecord record;

        for (size_t i = 0; i < ARRAY_SIZE(good); ++i) {
                fake_write(fixture->tree->root, PATH, "%s", good[i]);
                load(fixture, &record);
                gpu_record_deinit(&record);
        }
        for (size_t i = 0; i < ARRAY_SIZE(damaged); ++i) {
                int r;

                fake_write(fixture->tree->root, PATH, "%s", damaged[i]);
                r = gpu_record_load(&record, fixture->run_fd, &fixture->gpu);
                if (r != GPU_RECORD_E_INVALID)
                        fail_msg("%s: %d", damaged[i], r);
                assert_nothing(fixture, &record);
                assert_true(has_file(fixture));
        }

        /* A new one takes its place. */
        record.mode = MODE_HOST;
        save(fixture, &record);
        load(fixture, &record);
        assert_int_equal(record.mode, MODE_HOST);

        fake_remove(fixture->tree->root, PATH);
        fake_make_dir(fixture->tree->root, PATH);
        assert_int_equal(gpu_record_load(&record, fixture->run_fd, &fixture->gpu), -EISDIR);
        assert_nothing(fixture, &record);
}

static void the_host_comes_back_with_what_was_there_and_what_was_not(void **state) {
        char *overrides[] = { NULL, (char *) "snd_hda_intel", NULL, NULL };
        Fixture *fixture = *state;
        GpuRecord record = record_new(fixture), back;
        Sysfs *sysfs = fake_sysfs(fixture->tree);
        const HostFunction *function;

        fake_device_write(fixture->tree, "0000:01:00.2", "power/control", "auto");
        fake_device_write(fixture->tree, "0000:01:00.2", "d3cold_allowed", "0");
        assert_int_equal(gpu_record_note_host(&record, sysfs, &fixture->gpu, overrides), 0);
        save(fixture, &record);
        gpu_record_deinit(&record);

        load(fixture, &back);
        assert_int_equal(back.n_host, 4);
        function = gpu_record_find_host(&back, address);
        assert_non_null(function);
        assert_string_equal(function->driver, "nvidia");
        assert_null(function->override);
        assert_string_equal(function->power_control, "on");
        assert_string_equal(function->d3cold_allowed, "1");
        function = gpu_record_find_host(&back, address_of_function(address, 1));
        assert_non_null(function);
        assert_string_equal(function->driver, "snd_hda_intel");
        assert_string_equal(function->override, "snd_hda_intel");
        function = gpu_record_find_host(&back, address_of_function(address, 2));
        assert_non_null(function);
        assert_string_equal(function->power_control, "auto");
        assert_string_equal(function->d3cold_allowed, "0");
        assert_null(gpu_record_find_host(&back, address_of_function(address, 7)));

        /* What was known before is noted anew. */
        overrides[1] = NULL;
        assert_int_equal(gpu_record_note_host(&back, sysfs, &fixture->gpu, overrides), 0);
        assert_int_equal(back.n_host, 4);
        assert_null(gpu_record_find_host(&back, address_of_function(address, 1))->override);
        gpu_record_deinit(&back);
}

static void another_card_has_a_record_of_its_own(void **state) {
        Fixture *fixture = *state;
        GpuRecord record = record_new(fixture);
        uint16_t *const different[] = {
                &fixture->gpu.functions[0].identity.device,
                &fixture->gpu.functions[0].identity.subsystem_vendor,
                &fixture->gpu.functions[0].identity.subsystem_device,
        };

        record.mode = MODE_PASSTHROUGH;
        save(fixture, &record);
        for (size_t i = 0; i < ARRAY_SIZE(different); ++i) {
                *different[i] ^= 1;
                load(fixture, &record);
                assert_nothing(fixture, &record);
                *different[i] ^= 1;
        }
        load(fixture, &record);
        assert_int_equal(record.mode, MODE_PASSTHROUGH);
}

static void a_function_on_vfio_has_no_settings_of_the_host(void **state) {
        char *overrides[] = { (char *) "vfio-pci", (char *) "vfio-pci", NULL, NULL };
        Fixture *fixture = *state;
        GpuRecord record = record_new(fixture);
        FakeTree *tree = fixture->tree;
        const HostFunction *audio;

        fake_module_load(tree, "vfio_pci");
        fake_device_write(tree, GPU, "driver_override", "vfio-pci");
        assert_int_equal(sysfs_write(fake_sysfs(tree), "bus/pci/drivers/nvidia/unbind", GPU), 0);
        assert_int_equal(sysfs_write(fake_sysfs(tree), "bus/pci/drivers/vfio-pci/bind", GPU), 0);
        assert_int_equal(gpu_refresh(&fixture->gpu, fake_sysfs(tree)), 0);
        assert_int_equal(fixture->gpu.mode, MODE_MIXED);

        assert_int_equal(gpu_record_note_host(&record, fake_sysfs(tree), &fixture->gpu, overrides),
                        0);
        assert_int_equal(record.n_host, 3);
        assert_null(gpu_record_find_host(&record, address));
        audio = gpu_record_find_host(&record, address_of_function(address, 1));
        assert_non_null(audio);
        assert_string_equal(audio->driver, "snd_hda_intel");
        /* Nor is an override for vfio one. */
        assert_null(audio->override);

        /* It keeps a function from the host's drivers: that it has none is no setting either. */
        assert_int_equal(sysfs_write(fake_sysfs(tree), "bus/pci/drivers/snd_hda_intel/unbind",
                                         "0000:01:00.1"),
                        0);
        assert_int_equal(gpu_refresh(&fixture->gpu, fake_sysfs(tree)), 0);
        assert_int_equal(gpu_record_note_host(&record, fake_sysfs(tree), &fixture->gpu, overrides),
                        0);
        assert_int_equal(record.n_host, 2);
        assert_null(gpu_record_find_host(&record, address_of_function(address, 1)));
        gpu_record_deinit(&record);
}

static void idle_functions_are_forgotten(void **state) {
        char *overrides[] = { NULL, NULL, NULL, NULL };
        const Fixture *fixture = *state;
        GpuRecord record = record_new(fixture);
        Sysfs *sysfs = fake_sysfs(fixture->tree);

        assert_int_equal(gpu_record_note_host(&record, sysfs, &fixture->gpu, overrides), 0);
        save(fixture, &record);
        assert_true(has_file(fixture));
        gpu_record_deinit(&record);
        load(fixture, &record);
        gpu_record_forget_host(&record);
        assert_nothing(fixture, &record);
}

static void holders_are_noted_once_and_not_without_end(void **state) {
        const Fixture *fixture = *state;
        GpuRecord record = record_new(fixture), back;

        for (pid_t pid = -1; pid <= (pid_t) REFUSAL_PIDS_MAX + 1; ++pid) {
                refusal_add(&record.refusal, (ProcessId){ .pid = pid });
                refusal_add(&record.refusal, (ProcessId){ .pid = pid });
        }
        assert_int_equal(record.refusal.n_holders, REFUSAL_PIDS_MAX);
        record.has_refusal = true;
        record.refusal.when_usec = 7;
        save(fixture, &record);

        load(fixture, &back);
        assert_true(back.has_refusal);
        assert_int_equal(back.refusal.when_usec, 7);
        assert_int_equal(back.refusal.n_holders, REFUSAL_PIDS_MAX);
        for (size_t i = 0; i < REFUSAL_PIDS_MAX; ++i)
                assert_int_equal(back.refusal.holders[i].pid, (pid_t) i + 1);

        back.has_refusal = false;
        save(fixture, &back);
        assert_false(has_file(fixture));
}

static void where_the_cards_of_a_slot_were_moved_is_forgotten(void **state) {
        Fixture *fixture = *state;
        GpuRecord record = record_new(fixture), other = record, elsewhere = record;
        const Address slot = address_of_function(address, 1);
        FakeTree *tree = fixture->tree;

        assert_int_equal(gpu_record_forget_mode(fixture->run_fd, slot), 0);
        record.mode = other.mode = elsewhere.mode = MODE_PASSTHROUGH;
        other.identity.device ^= 1;
        other.n_host = 1;
        elsewhere.address = (Address){ .domain = 0x10000, .bus = 1 };
        save(fixture, &record);
        save(fixture, &other);
        save(fixture, &elsewhere);
        fake_write(tree->root, "run/vfiopt/gpu/" GPU "-10de-0000-0000-0000.json", "damaged");

        assert_int_equal(gpu_record_forget_mode(fixture->run_fd, slot), 0);
        assert_false(has_file(fixture));
        assert_true(fake_exists(tree->root, "run/vfiopt/gpu/" GPU "-10de-0000-0000-0000.json"));
        assert_true(fake_exists(
                        tree->root, "run/vfiopt/gpu/10000:01:00.0-10de-2d04-1043-5678.json"));
        /* The rest of a record stays. */
        fixture->gpu.functions[0].identity.device ^= 1;
        load(fixture, &other);
        fixture->gpu.functions[0].identity.device ^= 1;
        assert_int_equal(other.mode, MODE_UNSET);
        assert_int_equal(other.n_host, 1);
        gpu_record_deinit(&other);
}

static void records_of_an_older_version_are_noticed(void **state) {
        static const char *const folders[] = { "intent", "pending", "stuck" };
        const Fixture *fixture = *state;
        GpuRecord record = record_new(fixture);
        const char *root = fixture->tree->root;
        char path[FAKE_PATH_MAX];

        record.mode = MODE_HOST;
        save(fixture, &record);
        assert_false(gpu_record_is_outdated(-1));
        assert_false(gpu_record_is_outdated(fixture->run_fd));
        /* They say nothing that counts after an update. */
        fake_write(root, "run/vfiopt/busy/" GPU ".json", "{}");
        fake_write(root, "run/vfiopt/origin/" GPU ".json", "{}");
        assert_false(gpu_record_is_outdated(fixture->run_fd));
        for (size_t i = 0; i < ARRAY_SIZE(folders); ++i) {
                fake_make_dir(root, fake_path(path, "run/vfiopt/%s", folders[i]));
                assert_false(gpu_record_is_outdated(fixture->run_fd));
                fake_path(path, "run/vfiopt/%s/" GPU ".json", folders[i]);
                fake_write(root, path, "{}");
                assert_true(gpu_record_is_outdated(fixture->run_fd));
                fake_remove(root, path);
                assert_false(gpu_record_is_outdated(fixture->run_fd));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define test(name) cmocka_unit_test_setup_teardown(name, fixture_new, fixture_free)
                test(one_that_says_nothing_is_no_file),
                test(every_part_comes_back),
                test(moves_are_told_apart),
                test(a_damaged_one_is_neither_good_nor_absent),
                test(the_host_comes_back_with_what_was_there_and_what_was_not),
                test(another_card_has_a_record_of_its_own),
                test(a_function_on_vfio_has_no_settings_of_the_host),
                test(idle_functions_are_forgotten),
                test(holders_are_noted_once_and_not_without_end),
                test(where_the_cards_of_a_slot_were_moved_is_forgotten),
                test(records_of_an_older_version_are_noticed),
#undef test
        };

        return cmocka_run_group_tests_name("record/gpu-record", tests, NULL, NULL);
}
