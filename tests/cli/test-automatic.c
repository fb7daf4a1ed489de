/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Automatic Switches
 *
 * What a job does that finds out itself where each GPU goes: the whole verb, from its
 * arguments to the drivers, on a machine made of files.
 */

#include <unistd.h>

#include "lib/test.h"

#include "cli/switch-ways.h"
#include "record/audit.h"

#define GPU_A "0000:01:00.0"
#define GPU_B "0000:02:00.0"
#define GPU_C "0000:03:00.0"

/* Tests are not root's, and what they do is for nobody's journal. */

uid_t __wrap_geteuid(void);
int __wrap_audit_send(const Event *event, const AuditSource *source);

uid_t __wrap_geteuid(void) {
        return 0;
}

int __wrap_audit_send(const Event *event _unused_, const AuditSource *source _unused_) {
        return 0;
}

/* In main.c. */
bool cli_has(const Cli *cli, unsigned int option) {
        return cli->options & option;
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

/* As `vfioptctl switch --direct WORD`. Return: its exit code. */
static int switch_to(FakeTree *tree, const char *word) {
        char *args[] = { (char *) word, NULL };
        Cli cli = {
                .roots = &tree->roots,
                .prefix = tree->root,
                .trigger = TRIGGER_BOOT,
                .options = OPTION_DIRECT,
                .args = args,
                .n_args = 1,
        };
        Selection selection;
        Outcomes outcomes;
        int exit_code;

        assert_int_equal(selection_init(&selection, &cli), 0);
        assert_int_equal(outcomes_init(&outcomes, &selection), 0);
        exit_code = switch_direct(&cli, &selection, &outcomes);
        outcomes_deinit(&outcomes);
        selection_deinit(&selection);
        return exit_code;
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

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(who_is_refused_keeps_nobody_else_from_where_it_belongs),
                tree_test(what_a_person_asks_for_is_all_or_nothing),
        };

        return cmocka_run_group_tests_name("cli/automatic", tests, NULL, NULL);
}
