/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Configuration: vfiopt.conf and a drop-in, up to what is decided for a GPU.
 */

#include "fuzz.h"

#include "policy/policy.h"

#define GPU   "0000:01:00.0"
#define FILE_ "etc/vfiopt/vfiopt.conf"

static Gpu gpu;

static FakeTree *machine(void) {
        FakeTree *tree;

        if (fuzz_machine(&tree)) {
                fake_gpu_add(tree, GPU, .group = 12, .driver = "nvidia");
                fuzz_check(gpu_init(&gpu, fake_sysfs(tree), (Address){ .bus = 1 }) == 0);
        }
        return tree;
}

static void complain(void *userdata _unused_, bool is_warning _unused_, const char *complaint) {
        fuzz_check(text_is_printable(complaint));
}

static void check_policy(FakeTree *tree) {
        _cleanup_(policy_deinit) Policy policy = POLICY_NULL;
        _cleanup_(runtime_deinit) Runtime runtime = RUNTIME_NULL;
        _cleanup_(freep) char *card = NULL;
        Decision decision;

        fuzz_check(policy_load(&policy, &tree->roots) == 0);
        fuzz_check(runtime_init(&runtime, &tree->roots, &gpu) == 0);
        policy_complain(&policy, tree->roots.sysfs, complain, NULL);
        decision = policy_wish(&policy, &gpu, &runtime, true);
        fuzz_check(decision.mode < MODE_MIXED && decision.source < _POLICY_MAX);
        (void) policy_manages(&policy, &gpu);
        fuzz_check(!policy.config.incomplete || !policy_allows_display(&policy, &gpu));
        fuzz_check(policy_describe_card(&policy, &gpu, &card) == 0);
}

static void check_same(const Config *a, const Config *b) {
        Mode mode_a = MODE_UNSET, mode_b = MODE_UNSET;

        fuzz_check(a->n_complaints == b->n_complaints && a->n_gpus == b->n_gpus);
        for (size_t i = 0; i < a->n_complaints; ++i)
                fuzz_check(!strcmp(a->complaints[i].text, b->complaints[i].text));
        fuzz_check(config_default(a) == config_default(b));
        fuzz_check(config_managed(a, &gpu) == config_managed(b, &gpu));
        fuzz_check(config_allows_display(a, &gpu) == config_allows_display(b, &gpu));
        fuzz_check(config_boot(a, &gpu, &mode_a) == config_boot(b, &gpu, &mode_b));
        fuzz_check(mode_a == mode_b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        _cleanup_(config_deinit) Config config = CONFIG_NULL, more = CONFIG_NULL;
        FuzzInput input = { data, n };
        FakeTree *tree = machine();
        _cleanup_(freep) char *text = NULL, *longer = NULL;

        (void) fuzz_write(tree, FILE_, &input);
        (void) fuzz_write(tree, "etc/vfiopt/vfiopt.conf.d/fuzz.conf", &input);
        fuzz_check(config_load(&config, tree->roots.etc_fd) == 0);
        fuzz_check(config.n_complaints <= CONFIG_COMPLAINTS_MAX);
        for (size_t i = 0; i < config.n_complaints; ++i)
                fuzz_check(text_is_printable(config.complaints[i].text) &&
                                strlen(config.complaints[i].text) < 400);
        check_policy(tree);
        if (config.incomplete)
                return 0;

        /* A comment at the end changes nothing, nor does a mark of the byte order at the start. */
        text = fuzz_read(tree->roots.etc_fd, "vfiopt.conf");
        longer = text_format("\xef\xbb\xbf%s\n# x=1\n", text);
        fuzz_check(longer);
        fake_write_bytes(tree->root, FILE_, longer, strlen(longer));
        fuzz_check(config_load(&more, tree->roots.etc_fd) == 0);
        check_same(&config, &more);
        return 0;
}
