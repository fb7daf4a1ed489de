/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Records
 *
 * What is written comes back; what is damaged, foreign or newer is told apart from
 * what is absent, and never taken for something it is not.
 */

#include "lib/test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "record/busy.h"
#include "record/intent.h"
#include "record/leave-out.h"
#include "record/origin.h"
#include "record/pin.h"
#include "record/state.h"
#include "record/stuck.h"

#define GPU "0000:01:00.0"

int __real_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned int flags);
int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned int flags);

/* Fail so, as a file system does that cannot rename without replacing; 0: be a good one. */
static int rename_error;

int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned int flags) {
        if (rename_error > 0) {
                errno = rename_error;
                return -1;
        }
        return __real_renameat2(from_fd, from, to_fd, to, flags);
}

static const Address address = { .bus = 1 };
static const Identity identity = { 0x10de, 0x2204, 0x1043, 0x89e5 };

static void write_file(int dir_fd, const char *path, const char *data) {
        size_t n = strlen(data);
        int fd;

        fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, data, n), (ssize_t) n);
        close(fd);
}

static void who_was_in_the_way_comes_back(void **state) {
        FakeTree *tree = *state;
        Busy busy = { .when_usec = 7 }, loaded = {};
        int run_fd = tree->roots.run_fd;

        assert_int_equal(busy_load(&loaded, run_fd, address), BUSY_E_NONE);
        assert_int_equal(busy_clear(run_fd, address), BUSY_E_NONE);
        for (pid_t pid = -1; pid <= (pid_t) BUSY_PIDS_MAX + 1; ++pid) {
                busy_add(&busy, pid);
                busy_add(&busy, pid);
        }
        assert_int_equal(busy.n_pids, BUSY_PIDS_MAX);
        assert_int_equal(busy_save(&busy, run_fd, address), 0);
        assert_int_equal(busy_load(&loaded, run_fd, address), 0);
        assert_int_equal(loaded.when_usec, 7);
        assert_int_equal(loaded.n_pids, BUSY_PIDS_MAX);
        for (size_t i = 0; i < BUSY_PIDS_MAX; ++i)
                assert_int_equal(loaded.pids[i], (pid_t) i + 1);

        assert_int_equal(busy_clear(run_fd, address), 0);
        assert_int_equal(busy_load(&loaded, run_fd, address), BUSY_E_NONE);
        assert_int_equal(busy_load(&loaded, -1, address), BUSY_E_NONE);
}

static void what_is_no_list_of_holders_names_nobody(void **state) {
        static const char *const strange[] = {
                "",
                "{}",
                "{\"version\":1}",
                "{\"version\":2,\"holders\":[],\"when\":1}",
                "{\"version\":1,\"holders\":[]}",
                "{\"version\":1,\"holders\":{},\"when\":1}",
        };
        FakeTree *tree = *state;
        Busy busy = {};

        for (size_t i = 0; i < ARRAY_SIZE(strange); ++i) {
                fake_write(tree->root, "run/vfiopt/busy/" GPU ".json", "%s", strange[i]);
                assert_int_equal(busy_load(&busy, tree->roots.run_fd, address), BUSY_E_NONE);
        }
        fake_write(tree->root, "run/vfiopt/busy/" GPU ".json", "%s",
                        "{\"version\":1,\"when\":1,\"holders\":[1,{},{\"pid\":-1},{\"pid\":\"1\"},{\"pid\":3}]}");
        assert_int_equal(busy_load(&busy, tree->roots.run_fd, address), 0);
        assert_int_equal(busy.n_pids, 1);
        assert_int_equal(busy.pids[0], 3);
}

static void an_intent_comes_back_as_it_was_written(void **state) {
        FakeTree *tree = *state;
        Intent intent = {
                .address = address,
                .identity = identity,
                .from = MODE_HOST,
                .to = MODE_PASSTHROUGH,
                .trigger = TRIGGER_AGENT,
        };
        Intent loaded = {};

        assert_int_equal(intent_load(&loaded, tree->roots.run_fd, address), INTENT_E_MISSING);
        assert_int_equal(intent_save(&intent, tree->roots.run_fd), 0);
        assert_int_equal(intent_load(&loaded, tree->roots.run_fd, address), 0);
        assert_int_equal(address_compare(loaded.address, address), 0);
        assert_true(identity_equal(loaded.identity, identity));
        assert_int_equal(loaded.from, MODE_HOST);
        assert_int_equal(loaded.to, MODE_PASSTHROUGH);
        assert_int_equal(loaded.trigger, TRIGGER_AGENT);
        assert_int_equal(intent_remove(tree->roots.run_fd, address), 0);
        assert_int_equal(intent_remove(tree->roots.run_fd, address), INTENT_E_MISSING);
        assert_int_equal(intent_load(&loaded, tree->roots.run_fd, address), INTENT_E_MISSING);
}

#define CARD "\"address\":\"0000:01:00.0\",\"id\":\"10de:2204\",\"subsystem\":\"1043:89e5\""

static void a_damaged_intent_is_neither_good_nor_absent(void **state) {
        static const char *const damaged[] = {
                "",
                "{",
                "[]",
                "{}",
                "{\"version\":2," CARD
                ",\"from\":\"host\",\"to\":\"passthrough\",\"trigger\":\"command\"}",
                "{\"version\":\"1\"," CARD
                ",\"from\":\"host\",\"to\":\"passthrough\",\"trigger\":\"command\"}",
                "{\"version\":1," CARD
                ",\"from\":\"host\",\"to\":\"mixed\",\"trigger\":\"command\"}",
                "{\"version\":1," CARD ",\"from\":\"host\",\"to\":7,\"trigger\":\"command\"}",
                "{\"version\":1," CARD ",\"from\":\"host\",\"to\":\"host\",\"trigger\":\"moon\"}",
                "{\"version\":1,\"from\":\"host\",\"to\":\"host\",\"trigger\":\"command\"}",
                "{\"version\":1," CARD
                ",\"from\":\"host\",\"to\":\"host\",\"trigger\":\"command\"} tail",
        };
        FakeTree *tree = *state;

        assert_true(mkdirat(tree->roots.run_fd, "intent", 0755) == 0);
        for (size_t i = 0; i < ARRAY_SIZE(damaged); ++i) {
                Intent intent = { .to = MODE_MIXED };

                write_file(tree->roots.run_fd, "intent/" GPU ".json", damaged[i]);
                assert_int_equal(intent_load(&intent, tree->roots.run_fd, address),
                                INTENT_E_INVALID);
                assert_int_equal(intent.to, MODE_MIXED);
        }
}

static void an_origin_comes_back_with_what_was_there_and_what_was_not(void **state) {
        FakeTree *tree = *state;
        char *overrides[] = { NULL, (char *) "snd_hda_intel", NULL, NULL };
        const OriginFunction *function;
        Origin origin, loaded;
        Address audio;
        Gpu gpu;

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU, .group = 12, .driver = "nvidia");
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);

        assert_int_equal(origin_load(&loaded, tree->roots.run_fd, &gpu), ORIGIN_E_MISSING);
        assert_int_equal(origin_init(&origin, fake_sysfs(tree), &gpu, overrides), 0);
        assert_int_equal(origin_save(&origin, tree->roots.run_fd), 0);
        origin_deinit(&origin);

        assert_int_equal(origin_load(&loaded, tree->roots.run_fd, &gpu), 0);
        assert_int_equal(loaded.n_functions, 4);
        function = origin_find(&loaded, address);
        assert_non_null(function);
        assert_string_equal(function->driver, "nvidia");
        assert_null(function->override);
        assert_string_equal(function->power_control, "on");
        assert_string_equal(function->d3cold_allowed, "1");
        audio = address_of_function(address, 1);
        function = origin_find(&loaded, audio);
        assert_non_null(function);
        assert_string_equal(function->override, "snd_hda_intel");
        assert_null(origin_find(&loaded, address_of_function(address, 7)));
        origin_deinit(&loaded);

        /* Another card at the address has nothing to do with it. */
        gpu.functions[0].identity.subsystem_device ^= 1;
        assert_int_equal(origin_load(&loaded, tree->roots.run_fd, &gpu), ORIGIN_E_INVALID);
        gpu_deinit(&gpu);

        assert_int_equal(origin_forget(tree->roots.run_fd, address), 0);
        assert_int_equal(origin_forget(tree->roots.run_fd, address), ORIGIN_E_MISSING);
}

static void who_had_no_driver_at_boot_is_forgotten(void **state) {
        char *overrides[] = { NULL, NULL, NULL, NULL };
        FakeTree *tree = *state;
        Origin origin;
        Gpu gpu;

        fake_gpu_add(tree, GPU, .group = 12);
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        assert_int_equal(origin_init(&origin, fake_sysfs(tree), &gpu, overrides), 0);
        assert_int_equal(origin_save(&origin, tree->roots.run_fd), 0);
        free(origin.functions[1].driver);
        origin.functions[1].driver = strdup("snd_hda_intel");

        /* One is left, */
        assert_int_equal(origin_drop_idle(&origin, tree->roots.run_fd), 0);
        origin_deinit(&origin);
        assert_int_equal(origin_load(&origin, tree->roots.run_fd, &gpu), 0);
        assert_int_equal(origin.n_functions, 1);
        assert_string_equal(origin.functions[0].driver, "snd_hda_intel");

        /* or none. */
        free(origin.functions[0].driver);
        origin.functions[0].driver = NULL;
        assert_int_equal(origin_drop_idle(&origin, tree->roots.run_fd), 0);
        origin_deinit(&origin);
        assert_int_equal(origin_load(&origin, tree->roots.run_fd, &gpu), ORIGIN_E_MISSING);
        gpu_deinit(&gpu);
}

static void a_pin_is_for_one_card_at_one_address(void **state) {
        const char *name = "run/vfiopt/pins/" GPU "-0x10de-0x2d04-0x1043-0x5678";
        FakeTree *tree = *state;
        char line[128];
        Gpu gpu;

        fake_gpu_add(tree, GPU, .group = 12);
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        assert_int_equal(pin_clear(tree->roots.run_fd, &gpu.functions[0]), 0);
        assert_int_equal(pin_set(tree->roots.run_fd, &gpu.functions[0], "vfio-pci"), 0);
        assert_true(fake_read(tree->root, name, line, sizeof(line)));
        assert_string_equal(line, "VFIOPT_DRIVER=vfio-pci");

        gpu.functions[0].identity.device ^= 1;
        assert_int_equal(pin_clear(tree->roots.run_fd, &gpu.functions[0]), 0);
        assert_true(fake_exists(tree->root, name));
        gpu.functions[0].identity.device ^= 1;
        assert_int_equal(pin_clear(tree->roots.run_fd, &gpu.functions[0]), 0);
        assert_false(fake_exists(tree->root, name));
        gpu_deinit(&gpu);
}

static unsigned int count_pins(FakeTree *tree) {
        unsigned int n = 0;
        int fd;
        DIR *dir;

        fd = openat(tree->roots.run_fd, "pins", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        dir = fdopendir(fd);
        assert_non_null(dir);
        for (const struct dirent *entry; (entry = readdir(dir));)
                n += entry->d_name[0] != '.';
        closedir(dir);
        return n;
}

static void all_functions_of_a_card_have_pins(void **state) {
        const char *name = "run/vfiopt/pins/" GPU "-0x10de-0x2d04-0x1043-0x5678";
        const char *audio = "run/vfiopt/pins/0000:01:00.1-0x10de-0x22eb-0x1043-0x5678";
        FakeTree *tree = *state;
        int run_fd = tree->roots.run_fd;
        char line[128];
        Gpu gpu, other;

        fake_gpu_add(tree, GPU, .group = 12);
        fake_gpu_add(tree, "0000:11:00.0", .group = 13);
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        assert_int_equal(gpu_init(&other, fake_sysfs(tree), (Address){ .bus = 0x11 }), 0);
        assert_int_equal(pins_clear(run_fd, &gpu), 0);
        assert_int_equal(pins_clear_slot(run_fd, address), 0);

        assert_int_equal(pins_set(run_fd, &gpu, NULL), 0);
        assert_int_equal(pins_set(run_fd, &other, "a-variant"), 0);
        assert_int_equal(count_pins(tree), 8);
        assert_true(fake_read(tree->root, name, line, sizeof(line)));
        assert_string_equal(line, "VFIOPT_DRIVER=vfio-pci");
        assert_int_equal(pins_set(run_fd, &gpu, "a-variant"), 0);
        assert_true(fake_read(tree->root, name, line, sizeof(line)));
        assert_string_equal(line, "VFIOPT_DRIVER=a-variant");
        assert_true(fake_read(tree->root, audio, line, sizeof(line)));
        assert_string_equal(line, "VFIOPT_DRIVER=vfio-pci");

        assert_int_equal(pins_clear(run_fd, &gpu), 0);
        assert_int_equal(count_pins(tree), 4);

        /* With those of another card that was in the slot. */
        assert_int_equal(pins_set(run_fd, &gpu, NULL), 0);
        gpu.functions[0].identity.device ^= 1;
        assert_int_equal(pins_set(run_fd, &gpu, NULL), 0);
        assert_int_equal(count_pins(tree), 9);
        assert_int_equal(pins_clear_slot(run_fd, address), 0);
        assert_int_equal(count_pins(tree), 4);
        gpu_deinit(&gpu);
        gpu_deinit(&other);
}

static void modules_are_left_out_or_not(void **state) {
        const char *name = "run/vfiopt/modprobe.conf";
        FakeTree *tree = *state;
        int run_fd = tree->roots.run_fd;

        assert_int_equal(leave_out_set(run_fd, false), LEAVE_OUT_E_SAME);
        assert_int_equal(leave_out_set(run_fd, true), 0);
        assert_true(fake_exists(tree->root, name));
        assert_int_equal(leave_out_set(run_fd, true), LEAVE_OUT_E_SAME);
        assert_int_equal(leave_out_set(run_fd, false), 0);
        assert_false(fake_exists(tree->root, name));
}

static void a_function_on_vfio_has_no_origin_there(void **state) {
        FakeTree *tree = *state;
        char *overrides[] = { (char *) "vfio-pci", NULL, NULL, NULL };
        Origin origin;
        Gpu gpu;

        fake_standard_drivers(tree);
        fake_module_load(tree, "vfio_pci");
        fake_gpu_add(tree, GPU, .group = 12, .driver = "nvidia");
        fake_device_write(tree, GPU, "driver_override", "vfio-pci");
        assert_int_equal(sysfs_write(fake_sysfs(tree), "bus/pci/drivers/nvidia/unbind", GPU), 0);
        assert_int_equal(sysfs_write(fake_sysfs(tree), "bus/pci/drivers/vfio-pci/bind", GPU), 0);

        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        assert_int_equal(gpu.mode, MODE_MIXED);
        assert_int_equal(origin_init(&origin, fake_sysfs(tree), &gpu, overrides), 0);
        assert_null(origin_find(&origin, address));
        assert_non_null(origin_find(&origin, address_of_function(address, 1)));
        origin_deinit(&origin);
        gpu_deinit(&gpu);
}

static void a_state_comes_back_sorted_out_by_address(void **state) {
        FakeTree *tree = *state;
        const Address second = { .domain = 0x10000, .bus = 0x41 };
        State before = STATE_NULL, after;

        assert_int_equal(state_load(&after, tree->roots.etc_fd), STATE_E_MISSING);
        assert_int_equal(state_load(&after, -1), STATE_E_MISSING);

        assert_int_equal(state_set(&before, address, identity, MODE_PASSTHROUGH), 0);
        assert_int_equal(state_set(&before, second, identity, MODE_PASSTHROUGH), 0);
        assert_int_equal(state_set(&before, second, identity, MODE_HOST), 0);
        assert_int_equal(state_save(&before, tree->roots.etc_fd), 0);
        state_deinit(&before);

        assert_int_equal(state_load(&after, tree->roots.etc_fd), 0);
        assert_int_equal(after.n_entries, 2);
        assert_int_equal(state_find(&after, address)->mode, MODE_PASSTHROUGH);
        assert_int_equal(state_find(&after, second)->mode, MODE_HOST);
        assert_null(state_find(&after, (Address){ .bus = 9 }));
        assert_true(state_forget(&after, address));
        assert_false(state_forget(&after, address));
        assert_int_equal(after.n_entries, 1);
        state_deinit(&after);
}

static void a_state_that_is_not_understood_is_left_alone(void **state) {
        static const char *const foreign[] = {
                "",
                "# edited by hand\n",
                "{\"version\":2,\"gpus\":[]}",
                "{\"version\":1}",
                "{\"version\":1,\"gpus\":[{}]}",
                "{\"version\":1,\"gpus\":[{" CARD ",\"mode\":\"mixed\"}]}",
                ("{\"version\":1,\"gpus\":[{" CARD ",\"mode\":\"host\"},{" CARD
                 ",\"mode\":\"passthrough\"}]}"),
                ("{\"version\":1,\"gpus\":[{\"address\":\"../../0000:01:00.0\",\"id\":\"10de:2204\","
                 "\"subsystem\":\"1043:89e5\",\"mode\":\"host\"}]}"),
        };
        FakeTree *tree = *state;

        for (size_t i = 0; i < ARRAY_SIZE(foreign); ++i) {
                State loaded;

                write_file(tree->roots.etc_fd, "state", foreign[i]);
                assert_int_equal(state_load(&loaded, tree->roots.etc_fd), STATE_E_INVALID);
                assert_int_equal(loaded.n_entries, 0);
        }
}

static void a_state_file_is_replaced_whole(void **state) {
        FakeTree *tree = *state;
        State before = STATE_NULL;
        struct stat old, new;

        assert_int_equal(state_set(&before, address, identity, MODE_HOST), 0);
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

        assert_int_equal(state_set(&loaded, address, identity, MODE_HOST), 0);
        assert_int_equal(state_save(&loaded, etc_fd), 0);
        state_deinit(&loaded);
        assert_int_equal(renameat(etc_fd, "state", etc_fd, "elsewhere"), 0);
        assert_int_equal(symlinkat("elsewhere", etc_fd, "state"), 0);

        assert_int_equal(state_load(&loaded, etc_fd), 0);
        assert_int_equal(state_set(&loaded, address, identity, MODE_PASSTHROUGH), 0);
        assert_int_equal(state_save(&loaded, etc_fd), -ELOOP);
        state_deinit(&loaded);
        assert_int_equal(fstatat(etc_fd, "state", &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_true(S_ISLNK(st.st_mode));
        assert_int_equal(state_load(&loaded, etc_fd), 0);
        assert_int_equal(state_find(&loaded, address)->mode, MODE_HOST);
        state_deinit(&loaded);
}

static void assert_content(FakeTree *tree, const char *name, const char *expected) {
        _cleanup_(freep) char *data = NULL;

        assert_int_equal(file_read(tree->roots.etc_fd, name, 4096, &data, NULL), 0);
        assert_string_equal(data, expected);
}

static void check_setting_aside(FakeTree *tree) {
        _cleanup_(freep) char *first = NULL, *second = NULL, *none = NULL;
        int etc_fd = tree->roots.etc_fd;
        State loaded;

        assert_int_equal(state_set_aside(etc_fd, &none), STATE_E_MISSING);
        assert_null(none);

        /* What is there already, of whatever kind, stays. */
        write_file(etc_fd, "state.damaged-1", "older");
        assert_int_equal(symlinkat("nowhere", etc_fd, "state.damaged-2"), 0);
        assert_int_equal(mkdirat(etc_fd, "state.damaged-4", 0755), 0);

        write_file(etc_fd, "state", "damaged");
        assert_int_equal(state_set_aside(etc_fd, &first), 0);
        assert_string_equal(first, "state.damaged-3");
        assert_int_equal(state_load(&loaded, etc_fd), STATE_E_MISSING);

        write_file(etc_fd, "state", "{\"version\":2,\"gpus\":[]}");
        assert_int_equal(state_set_aside(etc_fd, &second), 0);
        assert_string_equal(second, "state.damaged-5");
        assert_int_equal(state_set_aside(etc_fd, &none), STATE_E_MISSING);
        assert_null(none);

        assert_content(tree, "state.damaged-1", "older");
        assert_content(tree, "state.damaged-3", "damaged");
        assert_content(tree, "state.damaged-5", "{\"version\":2,\"gpus\":[]}");
}

static void a_state_file_is_set_aside_under_a_free_name(void **state) {
        check_setting_aside(*state);
}

static void nothing_is_overwritten_where_a_rename_cannot_promise_it(void **state) {
        rename_error = EINVAL;
        check_setting_aside(*state);
        rename_error = 0;
}

static void a_state_file_that_cannot_be_set_aside_stays(void **state) {
        FakeTree *tree = *state;
        char *none = NULL, name[32];

        write_file(tree->roots.etc_fd, "state", "damaged");
        rename_error = EROFS;
        assert_int_equal(state_set_aside(tree->roots.etc_fd, &none), -EROFS);
        rename_error = 0;
        assert_content(tree, "state", "damaged");

        for (unsigned int i = 1; i <= 1000; ++i) {
                snprintf(name, sizeof(name), "state.damaged-%u", i);
                write_file(tree->roots.etc_fd, name, "older");
        }
        assert_int_equal(state_set_aside(tree->roots.etc_fd, &none), -EEXIST);
        assert_null(none);
        assert_content(tree, "state", "damaged");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(who_was_in_the_way_comes_back),
                tree_test(what_is_no_list_of_holders_names_nobody),
                tree_test(an_intent_comes_back_as_it_was_written),
                tree_test(a_damaged_intent_is_neither_good_nor_absent),
                tree_test(an_origin_comes_back_with_what_was_there_and_what_was_not),
                tree_test(a_function_on_vfio_has_no_origin_there),
                tree_test(who_had_no_driver_at_boot_is_forgotten),
                tree_test(a_pin_is_for_one_card_at_one_address),
                tree_test(all_functions_of_a_card_have_pins),
                tree_test(modules_are_left_out_or_not),
                tree_test(a_state_comes_back_sorted_out_by_address),
                tree_test(a_state_that_is_not_understood_is_left_alone),
                tree_test(a_state_file_is_replaced_whole),
                tree_test(a_state_file_that_is_a_link_is_left_alone),
                tree_test(a_state_file_is_set_aside_under_a_free_name),
                tree_test(nothing_is_overwritten_where_a_rename_cannot_promise_it),
                tree_test(a_state_file_that_cannot_be_set_aside_stays),
        };

        return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
