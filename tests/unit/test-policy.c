/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test the Policy
 *
 * Who says where a GPU shall be, and who is heard first.
 */

#include "lib/test.h"

#include "base/text.h"
#include "policy/policy.h"

#define STATE(mode)                                                                    \
        "{\"version\":1,\"gpus\":[{\"address\":\"0000:01:00.0\",\"id\":\"10de:2d04\"," \
        "\"subsystem\":\"1043:5678\",\"mode\":\"" mode "\"}]}\n"
#define STRANGER                                                                       \
        "{\"version\":1,\"gpus\":[{\"address\":\"0000:01:00.0\",\"id\":\"10de:1e04\"," \
        "\"subsystem\":\"1043:5678\",\"mode\":\"passthrough\"}]}\n"

typedef struct Case {
        const char *line; /* of the kernel */
        const char *boot; /* BootMode= */
        const char *state;
        const char *pending; /* the same, since the machine came up */
        const char *normal;  /* DefaultMode= */
        bool at_boot;
        Mode wish;
        PolicySource source;
} Case;

static const Case cases[] = {
        { .wish = MODE_UNSET, .source = POLICY_NOBODY },
        { .at_boot = true, .wish = MODE_UNSET, .source = POLICY_NOBODY },

        /* the default is heard where nobody else speaks */
        { .normal = "passthrough", .wish = MODE_PASSTHROUGH, .source = POLICY_DEFAULT },
        { .normal = "host", .wish = MODE_HOST, .source = POLICY_DEFAULT },
        { .normal = "passthrough",
                        .state = STATE("host"),
                        .wish = MODE_HOST,
                        .source = POLICY_STATE },
        { .normal = "passthrough", .boot = "unset", .source = POLICY_CONFIG },

        /* what is remembered, against what is said for booting */
        { .state = STATE("passthrough"), .wish = MODE_PASSTHROUGH, .source = POLICY_STATE },
        { .state = STATE("passthrough"),
                        .boot = "host",
                        .wish = MODE_PASSTHROUGH,
                        .source = POLICY_STATE },
        { .state = STATE("passthrough"),
                        .boot = "host",
                        .at_boot = true,
                        .wish = MODE_HOST,
                        .source = POLICY_CONFIG },
        { .state = STATE("passthrough"),
                        .boot = "unset",
                        .at_boot = true,
                        .wish = MODE_UNSET,
                        .source = POLICY_CONFIG },
        { .state = STATE("passthrough"),
                        .boot = "remembered",
                        .at_boot = true,
                        .wish = MODE_PASSTHROUGH,
                        .source = POLICY_STATE },
        { .state = STATE("passthrough"),
                        .boot = "unset",
                        .wish = MODE_UNSET,
                        .source = POLICY_CONFIG },
        { .boot = "passthrough", .wish = MODE_PASSTHROUGH, .source = POLICY_CONFIG },

        /* the kernel's command line beats all of it */
        { .line = "quiet vfiopt.mode=host",
                        .state = STATE("passthrough"),
                        .boot = "passthrough",
                        .at_boot = true,
                        .wish = MODE_HOST,
                        .source = POLICY_KERNEL_LINE },
        { .line = "vfiopt.mode=passthrough",
                        .state = STATE("host"),
                        .wish = MODE_PASSTHROUGH,
                        .source = POLICY_KERNEL_LINE },
        { .line = "vfiopt.mode=off",
                        .state = STATE("passthrough"),
                        .at_boot = true,
                        .source = POLICY_KERNEL_LINE },
        { .line = "vfiopt.mode=hots",
                        .state = STATE("passthrough"),
                        .at_boot = true,
                        .source = POLICY_KERNEL_LINE },

        /* nothing of it is meant for another card */
        { .state = STRANGER, .normal = "host", .source = POLICY_STRANGER },
        { .state = STRANGER, .line = "vfiopt.mode=passthrough", .source = POLICY_STRANGER },

        /* what is not understood moves nothing */
        { .state = "{\"version\":1,\"gpus\":[{\"addr", .source = POLICY_NOBODY },
        { .state = "", .source = POLICY_NOBODY },
        { .state = "", .normal = "passthrough", .source = POLICY_NOBODY },
        { .state = "", .boot = "passthrough", .at_boot = true, .source = POLICY_NOBODY },
        { .state = "{\"version\":2,\"gpus\":[]}",
                        .normal = "passthrough",
                        .source = POLICY_NOBODY },
        { .state = "",
                        .line = "vfiopt.mode=passthrough",
                        .wish = MODE_PASSTHROUGH,
                        .source = POLICY_KERNEL_LINE },
        { .pending = "", .state = STATE("passthrough"), .source = POLICY_NOBODY },
        { .pending = STATE("host"), .state = "", .wish = MODE_HOST, .source = POLICY_PENDING },
};

static void write_case(FakeTree *tree, const Case *c) {
        fake_write(tree->root, "proc/cmdline", "%s\n", c->line ?: "quiet");
        fake_write(tree->root, "etc/vfiopt/vfiopt.conf",
                        "[vfiopt]\nDefaultMode=%s\n[GPU 01:00]\nBootMode=%s\n", c->normal ?: "",
                        c->boot ?: "");
        if (c->state)
                fake_write(tree->root, "etc/vfiopt/state", "%s", c->state);
        if (c->pending)
                fake_write(tree->root, "run/vfiopt/pending/state", "%s", c->pending);
}

static void the_first_who_speaks_is_heard(void **state _unused_) {
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                FakeTree *tree = fake_tree_new();
                Policy policy = POLICY_NULL;
                Verdict verdict;
                Gpu gpu;

                fake_gpu_add(tree, "0000:01:00.0", .group = 12);
                write_case(tree, &cases[i]);
                assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), (Address){ .bus = 1 }), 0);
                assert_int_equal(policy_load(&policy, &tree->roots), 0);
                verdict = policy_judge(&policy, &gpu, cases[i].at_boot);
                if (verdict.wish != cases[i].wish || verdict.source != cases[i].source)
                        fail_msg("case %zu: wish %d of %d, not %d of %d", i, verdict.wish,
                                        verdict.source, cases[i].wish, cases[i].source);
                policy_deinit(&policy);
                gpu_deinit(&gpu);
                fake_tree_free(tree);
        }
}

static void gather(void *userdata, bool is_warning, const char *complaint) {
        assert_int_equal(text_append(userdata, "%s %s\n", is_warning ? "W" : "E", complaint), 0);
}

static void what_is_wrong_is_kept_to_be_told(void **state _unused_) {
        FakeTree *tree = fake_tree_new();
        Text complaints = TEXT_NULL;
        Policy policy = POLICY_NULL;

        fake_write(tree->root, "proc/cmdline", "vfiopt.mode=hots\n");
        fake_write(tree->root, "etc/vfiopt/vfiopt.conf", "[vfiopt]\nDefaultMode=hots\n");
        fake_write(tree->root, "etc/vfiopt/state", "hots");
        fake_write(tree->root, "run/vfiopt/pending/state", "hots");
        assert_int_equal(policy_load(&policy, &tree->roots), 0);
        assert_string_equal(policy.kernel.unknown, "hots");
        assert_int_equal(policy.config.n_complaints, 1);
        assert_int_equal(policy.state_problem, STATE_E_INVALID);
        policy_complain(&policy, gather, &complaints);
        assert_non_null(strstr(text(&complaints), "E vfiopt.mode="));
        assert_non_null(strstr(text(&complaints), "E the state file cannot be understood"));
        assert_non_null(strstr(text(&complaints), "E what was moved since"));
        assert_null(strstr(text(&complaints), "W "));
        text_deinit(&complaints);
        policy_deinit(&policy);
        fake_tree_free(tree);
}

static void a_state_that_cannot_be_read_is_told_with_the_reason(void **state) {
        FakeTree *tree = *state;
        Text complaints = TEXT_NULL;
        Policy policy = POLICY_NULL;

        fake_write(tree->root, "proc/cmdline", "quiet\n");
        fake_make_dir(tree->root, "etc/vfiopt/state");
        assert_int_equal(policy_load(&policy, &tree->roots), 0);
        assert_true(policy.state_problem < 0);
        policy_complain(&policy, gather, &complaints);
        assert_non_null(strstr(
                        text(&complaints), "E the state file cannot be read (Is a directory)"));
        text_deinit(&complaints);
        policy_deinit(&policy);
}

/* It may have said Managed=no of any GPU. */
static void a_file_that_does_not_count_keeps_all_from_being_moved(void **state) {
        FakeTree *tree = *state;
        Text complaints = TEXT_NULL;
        Policy policy = POLICY_NULL;
        Verdict verdict;
        Gpu gpu;

        fake_gpu_add(tree, "0000:01:00.0", .group = 12);
        fake_write(tree->root, "proc/cmdline", "quiet\n");
        fake_write(tree->root, "etc/vfiopt/state", "%s", STATE("passthrough"));
        fake_write(tree->root, "etc/vfiopt/vfiopt.conf.d/a.conf",
                        "[GPU 01:00]\nBootMode=passthrough\n");
        fake_make_dir(tree->root, "etc/vfiopt/vfiopt.conf");
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), (Address){ .bus = 1 }), 0);
        assert_int_equal(policy_load(&policy, &tree->roots), 0);
        for (int at_boot = 0; at_boot <= 1; ++at_boot) {
                verdict = policy_judge(&policy, &gpu, at_boot);
                assert_int_equal(verdict.wish, MODE_UNSET);
                assert_int_equal(verdict.source, POLICY_UNREADABLE);
                assert_false(policy_allows_recovery(&verdict));
        }
        policy_complain(&policy, gather, &complaints);
        assert_non_null(strstr(text(&complaints), "E not all of the configuration counts"));
        text_deinit(&complaints);
        policy_deinit(&policy);

        /* Who edits the kernel's command line knows what he wants. */
        fake_write(tree->root, "proc/cmdline", "vfiopt.mode=host\n");
        assert_int_equal(policy_load(&policy, &tree->roots), 0);
        verdict = policy_judge(&policy, &gpu, true);
        assert_int_equal(verdict.wish, MODE_HOST);
        assert_int_equal(verdict.source, POLICY_KERNEL_LINE);
        policy_deinit(&policy);
        gpu_deinit(&gpu);
}

static void who_is_managed_is_said_or_guessed(void **state _unused_) {
        static const struct {
                const char *said;
                bool guess, expected;
        } all[] = { { "auto", true, true }, { "auto", false, false }, { "yes", false, true },
                { "no", true, false }, { "nope", true, false } };

        for (size_t i = 0; i < ARRAY_SIZE(all); ++i) {
                FakeTree *tree = fake_tree_new();
                Policy policy = POLICY_NULL;
                Gpu gpu;

                fake_gpu_add(tree, "0000:01:00.0", .group = 12);
                fake_write(tree->root, "proc/cmdline", "quiet\n");
                fake_write(tree->root, "etc/vfiopt/vfiopt.conf", "[GPU 10de:2d04]\nManaged=%s\n",
                                all[i].said);
                assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), (Address){ .bus = 1 }), 0);
                assert_int_equal(policy_load(&policy, &tree->roots), 0);
                gpu.managed = all[i].guess;
                assert_int_equal(policy_manages(&policy, &gpu), all[i].expected);
                policy_deinit(&policy);
                gpu_deinit(&gpu);
                fake_tree_free(tree);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_first_who_speaks_is_heard),
                cmocka_unit_test(what_is_wrong_is_kept_to_be_told),
                tree_test(a_state_that_cannot_be_read_is_told_with_the_reason),
                tree_test(a_file_that_does_not_count_keeps_all_from_being_moved),
                cmocka_unit_test(who_is_managed_is_said_or_guessed),
        };

        return cmocka_run_group_tests_name("policy/policy", tests, NULL, NULL);
}
