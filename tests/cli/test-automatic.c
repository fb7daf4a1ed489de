/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Automatic Switches
 *
 * What a job does that finds out itself where each GPU goes: the whole verb, from its
 * arguments to the drivers, on a machine made of files. And the names of jobs, from which
 * theirs learn the same.
 */

#include <unistd.h>

#include "lib/test.h"

#include "base/text.h"
#include "cli/request.h"
#include "journal/write.h"
#include "record/pin.h"
#include "switch/switch.h"

#define GPU_A "0000:01:00.0"
#define GPU_B "0000:02:00.0"
#define GPU_C "0000:03:00.0"

/* Tests are not root's, and what they do is for nobody's journal. */

uid_t __wrap_geteuid(void);
int __wrap_journal_send(const Event *event, JournalSource *source);

uid_t __wrap_geteuid(void) {
        return 0;
}

static unsigned int n_warnings;

int __wrap_journal_send(const Event *event, JournalSource *source _unused_) {
        n_warnings += event->kind == EVENT_WARNING;
        return 0;
}

/* In main.c. */
bool cli_has(const Cli *cli, unsigned int option) {
        return cli->options & option;
}

int cli_open_own(Cli *cli _unused_, bool make _unused_) {
        return -ENOTSUP;
}

static void remember(FakeTree *tree, const char *addresses, const char *mode) {
        _cleanup_(freep) char *words = strdup(addresses);
        char *rest = words, *word, data[1024];
        int n;

        n = snprintf(data, sizeof(data), "{\"version\":1,\"gpus\":[");
        while ((word = strsep(&rest, " ")))
                n += snprintf(data + n, sizeof(data) - n,
                                "{\"address\":\"%s\",\"id\":\"10de:2d04\",\"subsystem\":\"1043:5678\","
                                "\"mode\":\"%s\"}%s",
                                word, mode, rest ? "," : "");
        fake_write(tree->root, "etc/vfiopt/state", "%s]}\n", data);
}

/* As in `vfioptctl switch --direct WORD`. */
static Cli cli_of(FakeTree *tree, char *args[static 2]) {
        return (Cli){
                .roots = &tree->roots,
                .trigger = TRIGGER_BOOT,
                .options = OPTION_DIRECT,
                .args = args,
                .n_args = 1,
        };
}

/* Return: the exit code. */
static int switch_to(FakeTree *tree, const char *word) {
        char *args[] = { (char *) word, NULL };
        Cli cli = cli_of(tree, args);

        return verb_switch.run(&cli);
}

/* Three GPUs; the first one shares its group with a device that stays, and is refused. */
static void add_refused_and_two_more(FakeTree *tree) {
        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU_A, .functions = 2, .group = 12, .driver = "nvidia");
        fake_device_add(tree, "0000:01:08.0", .vendor = 0x10de, .class = 0x040300, .group = 12,
                        .driver = "snd_hda_intel");
        fake_gpu_add(tree, GPU_B, .functions = 2, .group = 13, .driver = "nvidia");
        fake_gpu_add(tree, GPU_C, .functions = 2, .group = 14, .driver = "nvidia");
}

static void who_is_refused_keeps_nobody_else_from_where_it_belongs(void **state) {
        FakeTree *tree = *state;

        add_refused_and_two_more(tree);
        remember(tree, GPU_A " " GPU_B " " GPU_C, "passthrough");
        assert_int_equal(switch_to(tree, "auto"), VFIOPT_EXIT_PRECONDITION);
        assert_driver(tree, GPU_A, "nvidia");
        assert_driver(tree, GPU_B, "vfio-pci");
        assert_driver(tree, GPU_C, "vfio-pci");
}

static void what_a_person_asks_for_is_all_or_nothing(void **state) {
        static const char *const words[] = { "passthrough",
                "passthrough:" GPU_A "_" GPU_B "_" GPU_C };
        FakeTree *tree = *state;

        add_refused_and_two_more(tree);
        for (size_t i = 0; i < ARRAY_SIZE(words); ++i) {
                assert_int_equal(switch_to(tree, words[i]), VFIOPT_EXIT_PRECONDITION);
                assert_driver(tree, GPU_A, "nvidia");
                assert_driver(tree, GPU_B, "nvidia");
                assert_driver(tree, GPU_C, "nvidia");
        }
}

static void add_two_in_one_group(FakeTree *tree) {
        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU_A, .functions = 2, .group = 12, .driver = "nvidia");
        fake_gpu_add(tree, GPU_B, .functions = 2, .group = 12, .driver = "nvidia");
        fake_gpu_add(tree, GPU_C, .functions = 2, .group = 13, .driver = "nvidia");
}

static void who_shares_the_group_and_the_wish_comes_along(void **state) {
        static const char *const words[] = { "auto:" GPU_A, "auto:" GPU_B };
        FakeTree *tree = *state;

        add_two_in_one_group(tree);
        remember(tree, GPU_A " " GPU_B " " GPU_C, "passthrough");
        for (size_t i = 0; i < ARRAY_SIZE(words); ++i) {
                assert_int_equal(switch_to(tree, words[i]), VFIOPT_EXIT_DONE);
                assert_driver(tree, GPU_A, "vfio-pci");
                assert_driver(tree, GPU_B, "vfio-pci");
                assert_driver(tree, GPU_C, "nvidia");
                /* Whose job comes second finds nothing to do. */
                assert_int_equal(switch_to(tree, words[1 - i]), VFIOPT_EXIT_DONE);
                assert_int_equal(switch_to(tree, "host"), VFIOPT_EXIT_DONE);
                remember(tree, GPU_A " " GPU_B " " GPU_C, "passthrough");
        }
}

/* Locks are taken in the order of the targets. */
static void companions_are_in_order(void **state) {
        char *args[] = { (char *) "auto:" GPU_B, NULL };
        FakeTree *tree = *state;
        Cli cli = cli_of(tree, args);
        Request request;

        add_two_in_one_group(tree);
        remember(tree, GPU_A " " GPU_B, "passthrough");
        assert_int_equal(request_init(&request, &cli), 0);
        assert_int_equal(request.targets.n, 2);
        assert_int_equal(request.targets.items[0].gpu->address.bus, 1);
        assert_int_equal(request.targets.items[1].gpu->address.bus, 2);
        assert_int_equal(request.targets.items[0].set, request.targets.items[1].set);
        request_deinit(&request);
}

static void who_is_not_managed_or_wishes_for_something_else_does_not_come_along(void **state) {
        FakeTree *tree = *state;

        add_two_in_one_group(tree);
        remember(tree, GPU_A, "passthrough");
        assert_int_equal(switch_to(tree, "auto:" GPU_A), VFIOPT_EXIT_PRECONDITION);
        remember(tree, GPU_A " " GPU_B, "passthrough");
        fake_write(tree->root, "etc/vfiopt/vfiopt.conf", "[GPU 02:00]\nManaged=no\n");
        assert_int_equal(switch_to(tree, "auto:" GPU_A), VFIOPT_EXIT_PRECONDITION);
        assert_driver(tree, GPU_A, "nvidia");
        assert_driver(tree, GPU_B, "nvidia");
}

/* A switch that found out where it goes before it had the lock. */
static void arrive_late(FakeTree *tree, Gpu *gpu, Mode to) {
        _cleanup_(modules_freep) Modules *modules = NULL;
        SwitchContext context = { .roots = &tree->roots };
        const SwitchRequest request = {
                .to = to,
                .gpus = &gpu,
                .n_gpus = 1,
                .trigger = TRIGGER_AGENT,
                .automatic = true,
        };
        SwitchResult result = SWITCH_STUCK;

        assert_int_equal(modules_new(&modules), 0);
        context.modules = modules;
        assert_int_equal(switch_run(&context, &request, &result), 0);
        assert_int_equal(result, SWITCH_DONE);
}

/* Whether it moves where it belongs now that it is locked. */
static bool moves(FakeTree *tree, Gpu *gpu, Mode to) {
        bool moved;

        assert_int_not_equal(gpu->mode, to);
        arrive_late(tree, gpu, to);
        assert_int_equal(gpu_refresh(gpu, fake_sysfs(tree)), 0);
        moved = gpu->mode == to;
        if (moved && to == MODE_PASSTHROUGH)
                assert_int_equal(switch_to(tree, "host"), VFIOPT_EXIT_DONE);
        remember(tree, GPU_A, "passthrough");
        assert_int_equal(gpu_refresh(gpu, fake_sysfs(tree)), 0);
        return moved;
}

static void who_is_not_managed_any_more_is_left_alone(void **state) {
        FakeTree *tree = *state;
        Gpu gpu;

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU_A, .functions = 2, .group = 12, .driver = "nvidia");
        remember(tree, GPU_A, "passthrough");
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), (Address){ .bus = 1 }), 0);
        gpu.is_boot_display = false;
        assert_true(moves(tree, &gpu, MODE_PASSTHROUGH));
        assert_driver(tree, GPU_A, "nvidia");

        fake_write(tree->root, "etc/vfiopt/vfiopt.conf", "[GPU 01:00]\nManaged=no\n");
        assert_false(moves(tree, &gpu, MODE_PASSTHROUGH));
        fake_write(tree->root, "etc/vfiopt/vfiopt.conf", "[GPU 01:00]\nManaged=auto\n");
        /* That it is the boot display by now does not silence what is remembered of it. */
        gpu.is_boot_display = true;
        assert_true(moves(tree, &gpu, MODE_PASSTHROUGH));
        gpu_deinit(&gpu);
}

/* A person was faster, and has said where it belongs; or has let the agent do that. */
static void who_belongs_elsewhere_by_now_is_left_alone(void **state) {
        FakeTree *tree = *state;
        GpuRecord record;
        Gpu gpu;

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU_A, .functions = 2, .group = 12, .driver = "nvidia");
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), (Address){ .bus = 1 }), 0);
        gpu.is_boot_display = false;
        remember(tree, GPU_A, "passthrough");
        assert_int_equal(gpu_record_load(&record, tree->roots.run_fd, &gpu), 0);
        record.mode = MODE_HOST;
        assert_int_equal(gpu_record_save(&record, tree->roots.run_fd), 0);
        assert_false(moves(tree, &gpu, MODE_PASSTHROUGH));

        record.mode = MODE_PASSTHROUGH;
        assert_int_equal(gpu_record_save(&record, tree->roots.run_fd), 0);
        arrive_late(tree, &gpu, MODE_PASSTHROUGH);
        assert_driver(tree, GPU_A, "vfio-pci");
        arrive_late(tree, &gpu, MODE_HOST);
        assert_driver(tree, GPU_A, "vfio-pci");
        gpu_deinit(&gpu);
}

static void a_configuration_that_does_not_count_moves_nothing(void **state) {
        FakeTree *tree = *state;

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU_A, .functions = 2, .group = 12, .driver = "nvidia");
        remember(tree, GPU_A, "passthrough");
        fake_make_dir(tree->root, "etc/vfiopt/vfiopt.conf");
        assert_int_equal(switch_to(tree, "auto"), VFIOPT_EXIT_DONE);
        assert_driver(tree, GPU_A, "nvidia");
        /* A person may, all the same. */
        assert_int_equal(switch_to(tree, "passthrough"), VFIOPT_EXIT_DONE);
        assert_driver(tree, GPU_A, "vfio-pci");
}

static void another_card_is_told_of_once_however_often_it_is_named(void **state) {
        char *args[] = { (char *) "auto:" GPU_A "_" GPU_A "_" GPU_A, NULL };
        FakeTree *tree = *state;
        Cli cli = cli_of(tree, args);
        Request request;

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU_A, .device = 0x1e04, .functions = 2, .group = 12);
        remember(tree, GPU_A, "passthrough");
        assert_int_equal(request_init(&request, &cli), 0);
        assert_int_equal(request.targets.n, 1);
        assert_int_equal(request.targets.items[0].to, MODE_UNSET);
        assert_int_equal(request.n_parts, 0);
        request_deinit(&request);
}

static void options_of_an_instance_count(void **state) {
        FakeTree *tree = *state;

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU_A, .functions = 2, .group = 12, .driver = "nvidia", .boot_vga = "1");
        assert_int_equal(switch_to(tree, "passthrough:" GPU_A), VFIOPT_EXIT_PRECONDITION);
        assert_driver(tree, GPU_A, "nvidia");
        assert_int_equal(switch_to(tree, "passthrough_allow-display:" GPU_A), VFIOPT_EXIT_DONE);
        assert_driver(tree, GPU_A, "vfio-pci");
}

/* The only display, and the boot display beside another one: by a job, and at boot. */
static void consent_for_good_counts_wherever_a_switch_comes_from(void **state) {
        static const struct {
                bool other;
                const char *section, *word;
                int expected;
        } cases[] = {
                { false, "", "passthrough", VFIOPT_EXIT_PRECONDITION },
                { false, "AllowDisplay=yes", "passthrough", VFIOPT_EXIT_DONE },
                { false, "BootMode=passthrough", "auto", VFIOPT_EXIT_PRECONDITION },
                { false, "BootMode=passthrough\nAllowDisplay=yes", "auto", VFIOPT_EXIT_DONE },
                { true, "BootMode=passthrough", "auto", VFIOPT_EXIT_PRECONDITION },
                { true, "BootMode=passthrough\nAllowDisplay=yes", "auto", VFIOPT_EXIT_DONE },
                { true, "AllowDisplay=yes", "passthrough:" GPU_A, VFIOPT_EXIT_DONE },
        };
        (void) state;

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                bool done = cases[i].expected == VFIOPT_EXIT_DONE;
                FakeTree *tree = fake_tree_new();

                fake_standard_drivers(tree);
                fake_gpu_add(tree, GPU_A, .functions = 2, .group = 12, .driver = "nvidia",
                                .boot_vga = "1");
                if (cases[i].other)
                        fake_device_add(tree, "0000:00:02.0", .vendor = 0x8086, .class = 0x030000,
                                        .boot_vga = "0");
                fake_write(tree->root, "etc/vfiopt/vfiopt.conf", "[GPU 01:00]\n%s\n",
                                cases[i].section);
                assert_int_equal(switch_to(tree, cases[i].word), cases[i].expected);
                assert_driver(tree, GPU_A, done ? "vfio-pci" : "nvidia");
                fake_tree_free(tree);
        }
}

/* The firmware has made it primary, but the picture is elsewhere; nothing has taken it yet. */
static void a_card_that_nobody_looks_at_moves_at_boot(void **state) {
        static const char panel[] = "0000:00:02.0", drm[] = "drm/card0/card0-eDP-1";
        FakeTree *tree = *state;
        char path[FAKE_PATH_MAX];

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU_A, .functions = 2, .group = 12, .boot_vga = "1");
        fake_device_add(tree, panel, .vendor = 0x8086, .class = 0x030000, .boot_vga = "0");
        remember(tree, GPU_A, "passthrough");
        assert_int_equal(switch_to(tree, "auto"), VFIOPT_EXIT_DONE);
        assert_driver(tree, GPU_A, "-");

        fake_drm_add(tree, panel, 0, "eDP-1");
        fake_device_write(tree, panel, fake_path(path, "%s/enabled", drm), "enabled");
        fake_device_write(tree, panel, fake_path(path, "%s/dpms", drm), "On");
        assert_int_equal(switch_to(tree, "auto"), VFIOPT_EXIT_DONE);
        assert_driver(tree, GPU_A, "vfio-pci");
}

/* It stays, which is told and is no failure, unless a person asks or somebody consents. */
static void a_remembered_boot_display_fails_no_boot(void **state) {
        char *by_person[] = { (char *) "auto:" GPU_A, NULL };
        FakeTree *tree = *state;
        Cli cli;

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU_A, .functions = 2, .group = 12, .driver = "nvidia", .boot_vga = "1");
        remember(tree, GPU_A, "passthrough");
        n_warnings = 0;
        assert_int_equal(switch_to(tree, "auto"), VFIOPT_EXIT_DONE);
        assert_int_equal(n_warnings, 1);
        assert_driver(tree, GPU_A, "nvidia");

        assert_int_equal(switch_to(tree, "passthrough"), VFIOPT_EXIT_PRECONDITION);
        cli = cli_of(tree, by_person);
        cli.trigger = TRIGGER_COMMAND;
        assert_int_equal(verb_switch.run(&cli), VFIOPT_EXIT_PRECONDITION);
        assert_int_equal(n_warnings, 1);
        assert_driver(tree, GPU_A, "nvidia");

        fake_write(tree->root, "etc/vfiopt/vfiopt.conf", "[GPU 01:00]\nAllowDisplay=yes\n");
        assert_int_equal(switch_to(tree, "auto"), VFIOPT_EXIT_DONE);
        assert_driver(tree, GPU_A, "vfio-pci");
}

/* As in `vfioptctl switch WORD [GPU]`. */
static void check_units(FakeTree *tree,
                unsigned int options,
                const char *word,
                const char *gpu,
                const char *units) {
        _cleanup_(request_deinit) Request request = REQUEST_NULL;
        _cleanup_(text_deinit) Text started = TEXT_NULL;
        _cleanup_(strv_freep) char **names = NULL;
        char *args[] = { (char *) word, (char *) gpu, NULL };
        Cli cli = cli_of(tree, args);
        size_t n;

        cli.options = options;
        cli.n_args = gpu ? 2 : 1;
        cli.trigger = TRIGGER_COMMAND;
        assert_int_equal(request_init(&request, &cli), 0);
        assert_int_equal(request_units(&request, cli.options, &names, &n), 0);
        for (size_t i = 0; i < n; ++i)
                assert_int_equal(text_append(&started, "%s ", names[i]), 0);
        assert_string_equal(text(&started), units);
}

static void the_name_of_a_job_tells_what_was_understood(void **state) {
        static const struct {
                unsigned int options;
                const char *word;
                const char *gpu;
                const char *units;
        } cases[] = {
                { 0, "passthrough", NULL, "vfiopt@passthrough.service " },
                { 0, "host", "02:00.1", "vfiopt@host:" GPU_B ".service " },
                { 0, "host:" GPU_C "_01:00", GPU_A, "vfiopt@host:" GPU_A "_" GPU_C ".service " },
                { OPTION_JSON | OPTION_VERBOSE, "auto", NULL, "vfiopt@auto.service " },
                { OPTION_ALLOW_DISPLAY, "passthrough", NULL,
                                "vfiopt@passthrough_allow-display.service " },
                { OPTION_ALLOW_DISPLAY, "passthrough", "01:00",
                                "vfiopt@passthrough_allow-display:" GPU_A ".service " },
                { 0, "passthrough_allow-display:01:00", "02:00",
                                "vfiopt@passthrough_allow-display:" GPU_A "_" GPU_B ".service " },
                { OPTION_ALLOW_DISPLAY, "toggle", NULL,
                                "vfiopt@host_allow-display:" GPU_C ".service "
                                "vfiopt@passthrough_allow-display:" GPU_A "_" GPU_B ".service " },
                { OPTION_ALLOW_DISPLAY, "auto", "01:00",
                                "vfiopt@auto_allow-display:" GPU_A ".service " },
        };
        FakeTree *tree = *state;

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU_A, .functions = 2, .group = 12, .driver = "nvidia");
        fake_gpu_add(tree, GPU_B, .functions = 2, .group = 13, .driver = "nvidia");
        fake_gpu_add(tree, GPU_C, .functions = 2, .group = 14, .driver = "vfio-pci");
        remember(tree, GPU_A, "passthrough");
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i)
                check_units(tree, cases[i].options, cases[i].word, cases[i].gpu, cases[i].units);
}

/* Units as in `vfioptctl switch WORD` for @n GPUs, of which those of the first and the last share a group. */
static char **name_units_of(FakeTree *tree, unsigned int n, const char *word, size_t *ret_n) {
        _cleanup_(request_deinit) Request request = REQUEST_NULL;
        char *args[] = { (char *) word, NULL }, address[ADDRESS_STRING_MAX];
        Cli cli = cli_of(tree, args);
        char **units = NULL;

        fake_standard_drivers(tree);
        for (unsigned int i = 0; i < n; ++i) {
                snprintf(address, sizeof(address), "0000:%02x:00.0", 0x10 + i);
                fake_gpu_add(tree, address, .functions = 1, .group = i == n - 1 ? 12 : 12 + (int) i,
                                .driver = i == 1 ? "vfio-pci" : "nvidia");
        }
        cli.n_args = 1;
        cli.trigger = TRIGGER_COMMAND;
        assert_int_equal(request_init(&request, &cli), 0);
        assert_int_equal(request_units(&request, cli.options, &units, ret_n), 0);
        return units;
}

static void more_than_a_name_has_room_for_are_several_jobs(void **state) {
        char first[32], last[32], seen[64][16];
        _cleanup_(strv_freep) char **units = NULL;
        const unsigned int n_gpus = 30;
        size_t n, n_seen = 0;

        units = name_units_of(*state, n_gpus, "toggle", &n);
        assert_int_equal(n, 4);
        assert_string_equal(units[0], "vfiopt@host:0000:11:00.0.service");
        snprintf(first, sizeof(first), "0000:10:00.0");
        snprintf(last, sizeof(last), "0000:%02x:00.0", 0x10 + n_gpus - 1);
        for (size_t i = 1; i < n; ++i) {
                const char *rest;

                assert_true(strlen(units[i]) <= 199);
                assert_true(text_starts_with(units[i], "vfiopt@passthrough:", &rest));
                assert_int_equal(!strstr(units[i], first), !strstr(units[i], last));
                for (; text_starts_with(rest, "0000:", NULL); rest += 13)
                        snprintf(seen[n_seen++], sizeof(*seen), "%.12s", rest);
        }
        /* Each of them once. */
        assert_int_equal(n_seen, n_gpus - 1);
        for (size_t i = 0; i < n_seen; ++i)
                for (size_t k = 0; k < i; ++k)
                        assert_string_not_equal(seen[i], seen[k]);
}

static void all_of_them_are_one_job_without_a_name(void **state) {
        char word[512] = "passthrough", gpu[32];
        _cleanup_(strv_freep) char **units = NULL;
        size_t n;

        for (unsigned int i = 0; i < 20; ++i) {
                snprintf(gpu, sizeof(gpu), "%c0000:%02x:00.0", i > 0 ? '_' : ':', 0x10 + i);
                strcat(word, gpu);
        }
        units = name_units_of(*state, 20, word, &n);
        assert_int_equal(n, 1);
        assert_string_equal(units[0], "vfiopt@passthrough.service");
}

/* The look that comes before the sandbox at boot agrees with what is run in it. */
static void a_boot_that_is_not_due_would_change_nothing(void **state) {
        _cleanup_(freep) char *before = NULL, *after = NULL;
        FakeTree *tree = *state;

        fake_standard_drivers(tree);
        fake_write(tree->root, "proc/cmdline", "quiet\n");
        fake_gpu_add(tree, GPU_A, .functions = 2, .group = 12, .driver = "nvidia");
        fake_gpu_add(tree, GPU_B, .functions = 2, .group = 13);
        fake_gpu_add(tree, GPU_C, .functions = 2, .group = 14, .driver = "nvidia");
        fake_write(tree->root, "etc/vfiopt/vfiopt.conf", "[GPU 03:00]\nManaged=no\n");
        /* An entry without functions gets them, and that is all there is to do. */
        remember(tree, GPU_A " " GPU_B, "host");
        assert_int_equal(policy_boot_is_due(&tree->roots), 1);
        assert_int_equal(switch_to(tree, "auto"), VFIOPT_EXIT_DONE);
        fake_remove(tree->root, "run/vfiopt");

        assert_int_equal(roots_open_run(&tree->roots, true), 0);
        before = fake_snapshot(tree);
        assert_int_equal(policy_boot_is_due(&tree->roots), 0);
        assert_int_equal(switch_to(tree, "auto"), VFIOPT_EXIT_DONE);
        after = fake_snapshot(tree);
        assert_string_equal(before, after);
        assert_int_equal(writes_count(tree->machine, ACT_ANY), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(more_than_a_name_has_room_for_are_several_jobs),
                tree_test(all_of_them_are_one_job_without_a_name),
                tree_test(a_boot_that_is_not_due_would_change_nothing),
                tree_test(who_is_refused_keeps_nobody_else_from_where_it_belongs),
                tree_test(what_a_person_asks_for_is_all_or_nothing),
                tree_test(who_shares_the_group_and_the_wish_comes_along),
                tree_test(companions_are_in_order),
                tree_test(who_is_not_managed_or_wishes_for_something_else_does_not_come_along),
                tree_test(who_is_not_managed_any_more_is_left_alone),
                tree_test(who_belongs_elsewhere_by_now_is_left_alone),
                tree_test(a_configuration_that_does_not_count_moves_nothing),
                tree_test(another_card_is_told_of_once_however_often_it_is_named),
                tree_test(options_of_an_instance_count),
                tree_test(a_card_that_nobody_looks_at_moves_at_boot),
                tree_test(a_remembered_boot_display_fails_no_boot),
                cmocka_unit_test(consent_for_good_counts_wherever_a_switch_comes_from),
                tree_test(the_name_of_a_job_tells_what_was_understood),
        };

        return cmocka_run_group_tests_name("cli/automatic", tests, NULL, NULL);
}
