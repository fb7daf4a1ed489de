/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test the Policy
 *
 * Who says where a GPU belongs, and who is heard first; and what is made of a move that was
 * interrupted, or of pins that were meant for another card.
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

/* Configuration that cannot be read, and may say Managed=no of any GPU. */
#define INCOMPLETE "\1"

typedef struct Case {
        const char *line;    /* of the kernel */
        const char *boot;    /* BootMode= */
        const char *managed; /* Managed= */
        const char *normal;  /* DefaultMode= */
        const char *state;
        bool outdated;   /* records of an older version are there */
        bool on_vfio;    /* function 0 is */
        Runtime runtime; /* what /run says */
        unsigned int flags;

        /* expected */
        Mode mode;
        PolicySource source;
        bool interrupted;
} Case;

/* Parts of a runtime. */
#define PERSON(word) .record = { .mode = (word) }
#define PINNED       .pinned = true
#define DAMAGED      .damaged = true
#define LOCKED       .lock = { .locked = true }
#define MOVE_FROM(word) \
        .record = { .has_move = true, .move = { .from = (word), .moved = FUNCTION_SET_ALL } }

static const Case wishes[] = {
        { .source = POLICY_NOBODY },
        { .flags = DECISION_AT_BOOT, .source = POLICY_NOBODY },

        /* the default is heard where nobody else speaks */
        { .normal = "passthrough", .mode = MODE_PASSTHROUGH, .source = POLICY_DEFAULT },
        { .normal = "host", .mode = MODE_HOST, .source = POLICY_DEFAULT },
        { .normal = "passthrough",
                        .flags = DECISION_AT_BOOT,
                        .mode = MODE_PASSTHROUGH,
                        .source = POLICY_DEFAULT },
        { .normal = "passthrough",
                        .state = STATE("host"),
                        .mode = MODE_HOST,
                        .source = POLICY_STATE },
        { .normal = "passthrough", .boot = "unset", .source = POLICY_CONFIG },

        /* what is remembered, against what is said for booting */
        { .state = STATE("passthrough"), .mode = MODE_PASSTHROUGH, .source = POLICY_STATE },
        { .state = STATE("passthrough"),
                        .boot = "host",
                        .mode = MODE_PASSTHROUGH,
                        .source = POLICY_STATE },
        { .state = STATE("passthrough"),
                        .boot = "host",
                        .flags = DECISION_AT_BOOT,
                        .mode = MODE_HOST,
                        .source = POLICY_CONFIG },
        { .state = STATE("passthrough"),
                        .boot = "unset",
                        .flags = DECISION_AT_BOOT,
                        .source = POLICY_CONFIG },
        { .state = STATE("passthrough"),
                        .boot = "remembered",
                        .flags = DECISION_AT_BOOT,
                        .mode = MODE_PASSTHROUGH,
                        .source = POLICY_STATE },
        { .state = STATE("passthrough"), .boot = "unset", .source = POLICY_CONFIG },
        { .boot = "passthrough", .mode = MODE_PASSTHROUGH, .source = POLICY_CONFIG },

        /* the kernel's command line beats all of it */
        { .line = "quiet vfiopt.mode=host",
                        .state = STATE("passthrough"),
                        .boot = "passthrough",
                        .flags = DECISION_AT_BOOT,
                        .mode = MODE_HOST,
                        .source = POLICY_KERNEL_LINE },
        { .line = "vfiopt.mode=passthrough",
                        .state = STATE("host"),
                        .mode = MODE_PASSTHROUGH,
                        .source = POLICY_KERNEL_LINE },
        { .line = "vfiopt.mode=off",
                        .state = STATE("passthrough"),
                        .flags = DECISION_AT_BOOT,
                        .source = POLICY_KERNEL_LINE },
        { .line = "vfiopt.mode=hots",
                        .state = STATE("passthrough"),
                        .flags = DECISION_AT_BOOT,
                        .source = POLICY_KERNEL_LINE },

        /* but not a person who has moved it since */
        { .line = "vfiopt.mode=host",
                        .runtime = { PERSON(MODE_PASSTHROUGH) },
                        .mode = MODE_PASSTHROUGH,
                        .source = POLICY_PERSON },
        { .line = "vfiopt.mode=off",
                        .runtime = { PERSON(MODE_HOST) },
                        .mode = MODE_HOST,
                        .source = POLICY_PERSON },
        { .line = "vfiopt.mode=host",
                        .runtime = { PERSON(MODE_PASSTHROUGH) },
                        .flags = DECISION_AT_BOOT,
                        .mode = MODE_HOST,
                        .source = POLICY_KERNEL_LINE },
        { .state = STATE("host"),
                        .boot = "unset",
                        .runtime = { PERSON(MODE_PASSTHROUGH) },
                        .mode = MODE_PASSTHROUGH,
                        .source = POLICY_PERSON },
        { .state = STRANGER,
                        .runtime = { PERSON(MODE_PASSTHROUGH) },
                        .mode = MODE_PASSTHROUGH,
                        .source = POLICY_PERSON },
        { .boot = INCOMPLETE,
                        .runtime = { PERSON(MODE_PASSTHROUGH) },
                        .mode = MODE_PASSTHROUGH,
                        .source = POLICY_PERSON },
        { .runtime = { PERSON(MODE_PASSTHROUGH) },
                        .flags = DECISION_AT_BOOT,
                        .source = POLICY_NOBODY },

        /* nothing of it is meant for another card */
        { .state = STRANGER, .normal = "host", .source = POLICY_OTHER_CARD },
        { .state = STRANGER, .line = "vfiopt.mode=passthrough", .source = POLICY_OTHER_CARD },
        { .state = STRANGER, .line = "vfiopt.mode=off", .source = POLICY_KERNEL_LINE },

        /* what is not understood moves nothing */
        { .state = "{\"version\":1,\"gpus\":[{\"addr", .source = POLICY_NOBODY },
        { .state = "", .source = POLICY_NOBODY },
        { .state = "", .normal = "passthrough", .source = POLICY_NOBODY },
        { .state = "", .boot = "passthrough", .flags = DECISION_AT_BOOT, .source = POLICY_NOBODY },
        { .state = "{\"version\":3,\"gpus\":[]}",
                        .normal = "passthrough",
                        .source = POLICY_NOBODY },
        { .state = "",
                        .line = "vfiopt.mode=passthrough",
                        .mode = MODE_PASSTHROUGH,
                        .source = POLICY_KERNEL_LINE },
        { .state = STATE("passthrough"), .runtime = { DAMAGED }, .source = POLICY_NOBODY },
        { .state = STATE("passthrough"), .outdated = true, .source = POLICY_NOBODY },
        { .normal = "passthrough", .outdated = true, .source = POLICY_NOBODY },
        { .line = "vfiopt.mode=host",
                        .outdated = true,
                        .runtime = { DAMAGED },
                        .mode = MODE_HOST,
                        .source = POLICY_KERNEL_LINE },
        { .state = "",
                        .outdated = true,
                        .runtime = { PERSON(MODE_HOST) },
                        .mode = MODE_HOST,
                        .source = POLICY_PERSON },
        { .state = STATE("passthrough"), .boot = INCOMPLETE, .source = POLICY_UNKNOWN },
        { .state = STATE("passthrough"),
                        .boot = INCOMPLETE,
                        .flags = DECISION_AT_BOOT,
                        .source = POLICY_UNKNOWN },
        { .state = "", .boot = INCOMPLETE, .source = POLICY_UNKNOWN },
        /* An administrator who edits the kernel's command line knows what to do. */
        { .line = "vfiopt.mode=host",
                        .boot = INCOMPLETE,
                        .flags = DECISION_AT_BOOT,
                        .mode = MODE_HOST,
                        .source = POLICY_KERNEL_LINE },

        /* a GPU that is not managed is left alone, whoever says what */
        { .state = STATE("passthrough"), .managed = "no", .source = POLICY_NOBODY },
        { .line = "vfiopt.mode=passthrough", .managed = "no", .source = POLICY_NOBODY },
        { .managed = "no", .runtime = { PERSON(MODE_PASSTHROUGH) }, .source = POLICY_NOBODY },
};

static const Case interruptions[] = {
        /* an interrupted move is undone where nobody says anything */
        { .runtime = { MOVE_FROM(MODE_HOST) },
                        .mode = MODE_HOST,
                        .source = POLICY_INTERRUPTED,
                        .interrupted = true },
        { .runtime = { MOVE_FROM(MODE_PASSTHROUGH) },
                        .mode = MODE_PASSTHROUGH,
                        .source = POLICY_INTERRUPTED,
                        .interrupted = true },
        { .runtime = { MOVE_FROM(MODE_MIXED) },
                        .mode = MODE_HOST,
                        .source = POLICY_INTERRUPTED,
                        .interrupted = true },
        { .runtime = { MOVE_FROM(MODE_PASSTHROUGH) },
                        .boot = "unset",
                        .mode = MODE_PASSTHROUGH,
                        .source = POLICY_INTERRUPTED,
                        .interrupted = true },
        { .runtime = { MOVE_FROM(MODE_PASSTHROUGH) },
                        .flags = DECISION_AT_BOOT,
                        .mode = MODE_PASSTHROUGH,
                        .source = POLICY_INTERRUPTED,
                        .interrupted = true },
        { .runtime = { MOVE_FROM(MODE_PASSTHROUGH) },
                        .state = "",
                        .mode = MODE_PASSTHROUGH,
                        .source = POLICY_INTERRUPTED,
                        .interrupted = true },
        { .runtime = { MOVE_FROM(MODE_PASSTHROUGH) },
                        .outdated = true,
                        .mode = MODE_PASSTHROUGH,
                        .source = POLICY_INTERRUPTED,
                        .interrupted = true },

        /* and goes to where it belongs otherwise */
        { .runtime = { MOVE_FROM(MODE_HOST) },
                        .state = STATE("passthrough"),
                        .mode = MODE_PASSTHROUGH,
                        .source = POLICY_STATE,
                        .interrupted = true },
        { .runtime = { MOVE_FROM(MODE_PASSTHROUGH) },
                        .line = "vfiopt.mode=host",
                        .mode = MODE_HOST,
                        .source = POLICY_KERNEL_LINE,
                        .interrupted = true },

        /* but not against a ban */
        { .runtime = { MOVE_FROM(MODE_PASSTHROUGH) },
                        .line = "vfiopt.mode=off",
                        .source = POLICY_KERNEL_LINE,
                        .interrupted = true },
        { .runtime = { MOVE_FROM(MODE_PASSTHROUGH) },
                        .line = "vfiopt.mode=hots",
                        .source = POLICY_KERNEL_LINE,
                        .interrupted = true },
        { .runtime = { MOVE_FROM(MODE_PASSTHROUGH) },
                        .state = STRANGER,
                        .source = POLICY_OTHER_CARD,
                        .interrupted = true },
        { .runtime = { MOVE_FROM(MODE_PASSTHROUGH) },
                        .boot = INCOMPLETE,
                        .source = POLICY_UNKNOWN,
                        .interrupted = true },
        { .runtime = { MOVE_FROM(MODE_PASSTHROUGH) },
                        .managed = "no",
                        .source = POLICY_NOBODY,
                        .interrupted = true },

        /* one that is under way is not interrupted, unless the lock is ours */
        { .runtime = { MOVE_FROM(MODE_PASSTHROUGH), LOCKED }, .source = POLICY_NOBODY },
        { .runtime = { MOVE_FROM(MODE_HOST), LOCKED },
                        .state = STATE("passthrough"),
                        .mode = MODE_PASSTHROUGH,
                        .source = POLICY_STATE },
        { .runtime = { MOVE_FROM(MODE_PASSTHROUGH), LOCKED },
                        .flags = DECISION_LOCKED,
                        .mode = MODE_PASSTHROUGH,
                        .source = POLICY_INTERRUPTED,
                        .interrupted = true },
        { .runtime = { LOCKED }, .flags = DECISION_LOCKED, .source = POLICY_NOBODY },
        /* of one that is damaged nothing is known */
        { .runtime = { DAMAGED }, .flags = DECISION_LOCKED, .source = POLICY_NOBODY },
};

static const Case strangers[] = {
        /* Pins are for one card: they say nothing of where another one belongs, nor of this one. */
        { .runtime = { PINNED }, .source = POLICY_NOBODY },
        { .runtime = { PINNED },
                        .state = STATE("host"),
                        .mode = MODE_HOST,
                        .source = POLICY_STATE },
        { .runtime = { PINNED }, .state = STRANGER, .source = POLICY_OTHER_CARD },
        { .runtime = { MOVE_FROM(MODE_HOST), PINNED },
                        .mode = MODE_HOST,
                        .source = POLICY_INTERRUPTED,
                        .interrupted = true },
        { .runtime = { MOVE_FROM(MODE_HOST), PINNED },
                        .state = STRANGER,
                        .source = POLICY_OTHER_CARD,
                        .interrupted = true },
};

static void write_case(FakeTree *tree, const Case *c) {
        bool incomplete = c->boot && !strcmp(c->boot, INCOMPLETE);

        fake_write(tree->root, "proc/cmdline", "%s\n", c->line ?: "quiet");
        fake_write(tree->root, "etc/vfiopt/vfiopt.conf.d/a.conf",
                        "[vfiopt]\nDefaultMode=%s\n[GPU 01:00]\nBootMode=%s\nManaged=%s\n",
                        c->normal ?: "", incomplete ? "passthrough" : c->boot ?: "",
                        c->managed ?: "yes");
        if (incomplete)
                fake_make_dir(tree->root, "etc/vfiopt/vfiopt.conf");
        if (c->state)
                fake_write(tree->root, "etc/vfiopt/state", "%s", c->state);
        if (c->outdated)
                fake_write(tree->root, "run/vfiopt/pending/state", "%s", STATE("passthrough"));
        fake_standard_drivers(tree);
        fake_module_load(tree, "vfio_pci");
        fake_gpu_add(tree, "0000:01:00.0", .group = 12,
                        .driver = c->on_vfio ? "vfio-pci" : "nvidia");
}

static void assert_case(const Case *c, const char *name, size_t i) {
        FakeTree *tree = fake_tree_new();
        Policy policy = POLICY_NULL;
        Decision decision;
        Gpu gpu;

        write_case(tree, c);
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), (Address){ .bus = 1 }), 0);
        assert_int_equal(policy_load(&policy, &tree->roots), 0);
        decision = policy_decide(&policy, &gpu, &c->runtime, c->flags);
        if (decision.mode != c->mode || decision.source != c->source ||
                        decision.interrupted != c->interrupted)
                fail_msg("%s %zu: mode %d of %d, interrupted %d, not %d of %d, %d", name, i,
                                decision.mode, decision.source, decision.interrupted, c->mode,
                                c->source, c->interrupted);

        /* What nobody has begun or pinned is a matter of what is said alone. */
        if (!c->runtime.record.has_move && !c->runtime.pinned && policy_manages(&policy, &gpu)) {
                decision = policy_wish(&policy, &gpu, &c->runtime, c->flags & DECISION_AT_BOOT);
                assert_int_equal(decision.mode, c->mode);
                assert_int_equal(decision.source, c->source);
        }
        policy_deinit(&policy);
        gpu_deinit(&gpu);
        fake_tree_free(tree);
}

static void the_first_who_speaks_is_heard(void **state _unused_) {
        for (size_t i = 0; i < ARRAY_SIZE(wishes); ++i)
                assert_case(&wishes[i], "wish", i);
}

static void what_was_interrupted_is_seen_to(void **state _unused_) {
        for (size_t i = 0; i < ARRAY_SIZE(interruptions); ++i)
                assert_case(&interruptions[i], "interruption", i);
}

static void what_was_pinned_for_another_card_is_given_back(void **state _unused_) {
        for (size_t i = 0; i < ARRAY_SIZE(strangers); ++i)
                assert_case(&strangers[i], "stranger", i);
}

/* Of a GPU that is not managed, `status` tells what is said nevertheless. */
static void a_wish_is_one_also_where_nobody_sees_to_it(void **state) {
        FakeTree *tree = *state;
        const Case c = { .managed = "no", .state = STATE("passthrough") };
        Policy policy;
        Gpu gpu;

        write_case(tree, &c);
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), (Address){ .bus = 1 }), 0);
        assert_int_equal(policy_load(&policy, &tree->roots), 0);
        assert_int_equal(policy_wish(&policy, &gpu, &c.runtime, false).mode, MODE_PASSTHROUGH);
        policy_deinit(&policy);
        gpu_deinit(&gpu);
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
        fake_write(tree->root, "run/vfiopt/stuck/0000:01:00.0.json", "{}");
        assert_int_equal(policy_load(&policy, &tree->roots), 0);
        assert_string_equal(policy.kernel.unknown, "hots");
        assert_int_equal(policy.config.n_complaints, 1);
        assert_int_equal(policy.state_problem, STATE_E_INVALID);
        assert_true(policy.outdated);
        policy_complain(&policy, fake_sysfs(tree), gather, &complaints);
        assert_non_null(strstr(text(&complaints), "E vfiopt.mode="));
        assert_non_null(strstr(text(&complaints), "hots"));
        assert_non_null(strstr(text(&complaints), "E /etc/vfiopt/state cannot be parsed"));
        assert_non_null(strstr(
                        text(&complaints), "E an earlier version of vfiopt has left records"));
        assert_null(strstr(text(&complaints), "W "));
        text_deinit(&complaints);

        policy_complain(&policy, NULL, gather, &complaints);
        assert_null(strstr(text(&complaints), "vfiopt.mode="));
        assert_null(strstr(text(&complaints), "vfiopt.conf"));
        assert_non_null(strstr(text(&complaints), "E /etc/vfiopt/state cannot be parsed"));
        assert_non_null(strstr(
                        text(&complaints), "E an earlier version of vfiopt has left records"));
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
        policy_complain(&policy, fake_sysfs(tree), gather, &complaints);
        assert_non_null(strstr(
                        text(&complaints), "E cannot read /etc/vfiopt/state (Is a directory)"));
        text_deinit(&complaints);
        policy_deinit(&policy);
}

static void a_configuration_that_is_incomplete_is_told(void **state) {
        FakeTree *tree = *state;
        Text complaints = TEXT_NULL;
        Policy policy = POLICY_NULL;

        write_case(tree, &(Case){ .boot = INCOMPLETE });
        assert_int_equal(policy_load(&policy, &tree->roots), 0);
        policy_complain(&policy, fake_sysfs(tree), gather, &complaints);
        assert_non_null(strstr(text(&complaints), "E configuration incomplete"));
        text_deinit(&complaints);
        policy_deinit(&policy);
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
                gpu.is_boot_display = !all[i].guess;
                assert_int_equal(policy_manages(&policy, &gpu), all[i].expected);
                policy_deinit(&policy);
                gpu_deinit(&gpu);
                fake_tree_free(tree);
        }
}

#define PASSTHROUGH "vfiopt.mode=passthrough"

/* BootMode=, and what is remembered of this very card, are words for it; DefaultMode= is for all. */
static void the_boot_display_goes_where_it_is_said_to_belong(void **state _unused_) {
        static const struct {
                const char *managed, *boot, *normal, *state;
                bool follows;
                const char *line;
                Mode mode; /* where it goes at boot */
                bool interrupted;
        } all[] = {
                { .follows = false },
                { .normal = "passthrough", .follows = false },
                { .boot = "passthrough", .follows = true, .mode = MODE_PASSTHROUGH },
                { .state = STATE("passthrough"), .follows = true, .mode = MODE_PASSTHROUGH },
                { .state = STATE("host"), .follows = true, .mode = MODE_HOST },
                /* What is said of all does not ride on that, whatever it is. */
                { .state = STATE("host"), .line = PASSTHROUGH, .follows = true },
                { .state = STATE("passthrough"), .line = PASSTHROUGH, .follows = true },
                { .state = STATE("passthrough"), .line = "vfiopt.mode=host", .follows = true },
                { .boot = "host", .line = PASSTHROUGH, .follows = true },
                { .boot = "host", .normal = "passthrough", .follows = true, .mode = MODE_HOST },
                { .state = STATE("host"),
                                .normal = "passthrough",
                                .follows = true,
                                .mode = MODE_HOST },
                { .state = STATE("host"),
                                .line = PASSTHROUGH,
                                .follows = true,
                                .interrupted = true },
                { .line = PASSTHROUGH },
                { .managed = "yes",
                                .line = PASSTHROUGH,
                                .follows = true,
                                .mode = MODE_PASSTHROUGH },
                { .state = STRANGER, .follows = false },
                { .managed = "no", .boot = "passthrough", .follows = false },
                { .managed = "no", .state = STATE("passthrough"), .follows = false },
                { .managed = "yes", .follows = true },
        };

        for (size_t i = 0; i < ARRAY_SIZE(all); ++i) {
                const Case c = {
                        .managed = all[i].managed ?: "auto",
                        .boot = all[i].boot,
                        .normal = all[i].normal,
                        .line = all[i].line,
                        .state = all[i].state,
                        .runtime = { .record = { .has_move = all[i].interrupted,
                                                     .move = { .from = MODE_PASSTHROUGH,
                                                                     .moved = FUNCTION_SET_ALL } } }
                };
                FakeTree *tree = fake_tree_new();
                Policy policy = POLICY_NULL;
                Decision decision;
                Gpu gpu;

                write_case(tree, &c);
                assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), (Address){ .bus = 1 }), 0);
                assert_int_equal(policy_load(&policy, &tree->roots), 0);
                gpu.is_boot_display = true;
                assert_int_equal(policy_follows(&policy, &gpu), all[i].follows);
                /* It is not meant for that where none is named. */
                assert_int_equal(policy_manages(&policy, &gpu),
                                all[i].managed && !strcmp(all[i].managed, "yes"));
                decision = policy_decide(&policy, &gpu, &c.runtime, DECISION_AT_BOOT);
                assert_int_equal(decision.mode, all[i].mode);
                policy_deinit(&policy);
                gpu_deinit(&gpu);
                fake_tree_free(tree);
        }
}

#define STATE_2(entries) "{\"version\":2,\"gpus\":[" entries "]}"
#define ENTRY_2(bus, location, id, mode)                                                 \
        "{\"address\":\"0000:" bus ":00.0\",\"location\":\"0000:00/" location "/00.0\"," \
        "\"id\":\"10de:" id "\",\"subsystem\":\"1043:5678\",\"mode\":\"" mode "\"}"
#define OLD_ENTRY(bus, mode)                                       \
        "{\"address\":\"0000:" bus ":00.0\",\"id\":\"10de:2d04\"," \
        "\"subsystem\":\"1043:5678\",\"mode\":\"" mode "\"}"
#define OLD(mode, gone) \
        "{\"version\":1,\"gpus\":[" OLD_ENTRY("02", mode) "," OLD_ENTRY("05", gone) "]}"
#define MOVED  STATE_2(ENTRY_2("01", "01.0", "2d04", "passthrough"))
#define ABSENT STATE_2(ENTRY_2("01", "07.0", "2d04", "passthrough"))

/*
 * The card is at 02:00 behind port 01.0, where it was at 01:00 before; and where there is one, a card
 * of another model is at 01:00 now.
 */
static const struct {
        const char *state, *config;
        bool other; /* the decision is about the other one */
        bool other_is_there;
        bool boot;
        Mode mode;
        PolicySource source;
        const char *said; /* a part of the only complaint; NULL: there is none */
        bool denies;      /* AllowDisplay= does not count */
} moves[] = {
        { .state = MOVED, .mode = MODE_PASSTHROUGH, .source = POLICY_STATE },
        /* Of an older version; nothing has taken its address, so it may be unplugged, and this its twin. */
        { .state = STATE("passthrough"), .source = POLICY_UNSURE },
        { .state = ABSENT, .source = POLICY_UNSURE },
        { .state = ABSENT,
                        .config = "[vfiopt]\nDefaultMode=passthrough\n",
                        .source = POLICY_UNSURE },
        /* That is said of each of the model. */
        { .state = ABSENT,
                        .config = "[GPU 10de:2d04]\nBootMode=host\n",
                        .boot = true,
                        .mode = MODE_HOST,
                        .source = POLICY_CONFIG },

        { .state = ABSENT,
                        .config = "[GPU 10de:2d04]\nBootMode=host\n[GPU 01:00]\nBootMode=passthrough\n",
                        .boot = true,
                        .source = POLICY_UNSURE,
                        .said = "one like the card" },
        { .state = ABSENT,
                        .config = "[GPU 10de:2d04]\nBootMode=host\n[GPU 02:00]\nBootMode=passthrough\n",
                        .boot = true,
                        .source = POLICY_UNSURE },
        { .state = ABSENT,
                        .config = "[GPU 10de:2d04]\nBootMode=host\n[GPU 02:00]\nBootMode=unset\n",
                        .boot = true,
                        .source = POLICY_CONFIG },
        /* and that of one card, but not known of which. */
        { .state = ABSENT,
                        .config = "[GPU 02:00]\nBootMode=passthrough\nAllowDisplay=yes\n",
                        .boot = true,
                        .source = POLICY_UNSURE,
                        .denies = true },
        { .state = ABSENT,
                        .config = "[GPU 02:00]\nManaged=no\n[GPU 10de:2d04]\nAllowDisplay=yes\n",
                        .source = POLICY_NOBODY },
        { .state = ABSENT,
                        .config = "[GPU 01:00]\nAllowDisplay=no\n[GPU 10de:2d04]\nAllowDisplay=yes\n",
                        .source = POLICY_UNSURE,
                        .said = "one like the card",
                        .denies = true },
        { .state = OLD("passthrough", "host"),
                        .config = "[GPU 02:00]\nBootMode=passthrough\n",
                        .boot = true,
                        .source = POLICY_UNSURE },
        /* The one that had the address is elsewhere. */
        { .state = STATE_2(ENTRY_2("05", "07.0", "2d04", "host") "," ENTRY_2(
                          "02", "02.0", "2204", "passthrough")),
                        .config = "[GPU 02:00]\nBootMode=passthrough\nAllowDisplay=yes\n",
                        .other_is_there = true,
                        .boot = true,
                        .source = POLICY_OTHER_CARD,
                        .said = "the card that was there is 0000:01:00.0 now",
                        .denies = true },

        /* A section for where it was */
        { .state = MOVED,
                        .config = "[GPU 01:00]\nBootMode=passthrough\n",
                        .boot = true,
                        .mode = MODE_PASSTHROUGH,
                        .source = POLICY_STATE,
                        .said = "[GPU 0000:01:00.0] in vfiopt.conf names no NVIDIA GPU; the card that "
                                "was there is 0000:02:00.0 now; write [GPU 0000:02:00.0]" },
        { .state = MOVED,
                        .config = "[GPU 01:00]\nBootMode=host\n",
                        .boot = true,
                        .source = POLICY_UNSURE,
                        .said = "[GPU 0000:02:00.0]" },
        { .state = MOVED,
                        .config = "[GPU 01:00]\nBootMode=unset\n",
                        .source = POLICY_UNSURE,
                        .said = "[GPU 0000:02:00.0]" },
        { .state = MOVED,
                        .config = "[GPU 01:00]\nManaged=no\n",
                        .source = POLICY_UNSURE,
                        .said = "[GPU 0000:02:00.0]" },
        { .state = MOVED,
                        .config = "[GPU 01:00]\nManaged=yes\n",
                        .mode = MODE_PASSTHROUGH,
                        .source = POLICY_STATE,
                        .said = "[GPU 0000:02:00.0]" },
        /* for where it is, which may be older than that */
        { .state = MOVED,
                        .config = "[GPU 02:00]\nBootMode=host\n",
                        .boot = true,
                        .source = POLICY_UNSURE },
        { .state = MOVED,
                        .config = "[GPU 02:00]\nAllowDisplay=yes\n",
                        .mode = MODE_PASSTHROUGH,
                        .source = POLICY_STATE,
                        .denies = true },
        { .state = MOVED,
                        .config = "[GPU 02:00]\nAllowDisplay=yes\n[GPU 10de:2d04]\nAllowDisplay=yes\n",
                        .mode = MODE_PASSTHROUGH,
                        .source = POLICY_STATE },
        /* and for both */
        { .state = MOVED,
                        .config = "[GPU 01:00]\nBootMode=host\n[GPU 02:00]\nBootMode=host\n",
                        .boot = true,
                        .mode = MODE_HOST,
                        .source = POLICY_CONFIG,
                        .said = "[GPU 0000:01:00.0]" },

        { .state = ABSENT,
                        .config = "[GPU 01:00]\nBootMode=passthrough\n",
                        .source = POLICY_UNSURE,
                        .said = "one like the card that was there is 0000:02:00.0 now" },
        { .state = STATE_2(ENTRY_2("01", "07.0", "2222", "passthrough")),
                        .config = "[GPU 01:00]\nBootMode=passthrough\n",
                        .source = POLICY_NOBODY }, /* it is unplugged */
        { .config = "[GPU 03:00]\nBootMode=passthrough\n",
                        .source = POLICY_NOBODY,
                        .said = "[GPU 0000:03:00.0] in vfiopt.conf names no NVIDIA GPU" },

        /* Whatever is said of 01:00 is not about the other card. */
        { .state = MOVED, .other = true, .source = POLICY_OTHER_CARD },
        { .state = MOVED,
                        .config = "[GPU 01:00]\nBootMode=passthrough\n",
                        .other = true,
                        .boot = true,
                        .source = POLICY_OTHER_CARD,
                        .said = "names another card; the card that was there is 0000:02:00.0 now" },
        { .state = STATE_2(ENTRY_2("01", "01.0", "2d04", "passthrough") "," ENTRY_2(
                          "01", "02.0", "2204", "host")),
                        .config = "[GPU 01:00]\nBootMode=passthrough\n",
                        .other = true,
                        .boot = true,
                        .mode = MODE_PASSTHROUGH,
                        .source = POLICY_CONFIG },
};

/* Both are remembered, and the second one has the address that the first one had. */
static void a_section_that_names_another_remembered_card_is_said(void **state) {
        FakeTree *tree = *state;
        Text complaints = TEXT_NULL;
        Policy policy = POLICY_NULL;

        fake_write(tree->root, "proc/cmdline", "quiet\n");
        fake_gpu_add(tree, "0000:01:00.0", .group = 12);
        fake_device_plug_below(tree, "0000:01:00.0", "pci0000:00/0000:00:01.0");
        fake_gpu_add(tree, "0000:02:00.0", .group = 13);
        fake_device_plug_below(tree, "0000:02:00.0", "pci0000:00/0000:00:02.0");
        fake_write(tree->root, "etc/vfiopt/state", "%s",
                        STATE_2(ENTRY_2("02", "01.0", "2d04", "passthrough") "," ENTRY_2(
                                        "03", "02.0", "2d04", "host")));
        fake_write(tree->root, "etc/vfiopt/vfiopt.conf", "[GPU 02:00]\nBootMode=passthrough\n");
        assert_int_equal(policy_load(&policy, &tree->roots), 0);
        policy_complain(&policy, fake_sysfs(tree), gather, &complaints);
        assert_string_equal(text(&complaints),
                        "W [GPU 0000:02:00.0] in vfiopt.conf names another card; the card that was "
                        "there is 0000:01:00.0 now; write [GPU 0000:01:00.0], or have both\n");
        text_deinit(&complaints);
        policy_deinit(&policy);

        /* With both, a switch is all that is missing. */
        fake_write(tree->root, "etc/vfiopt/vfiopt.conf",
                        "[GPU 02:00]\nBootMode=host\n[GPU 01:00]\nBootMode=passthrough\n");
        assert_int_equal(policy_load(&policy, &tree->roots), 0);
        policy_complain(&policy, fake_sysfs(tree), gather, &complaints);
        assert_string_equal(text(&complaints),
                        "W [GPU 0000:02:00.0] in vfiopt.conf names another card; the card that was "
                        "there is 0000:01:00.0 now, which a switch has remembered: vfioptctl switch "
                        "passthrough 0000:01:00.0\n");
        text_deinit(&complaints);
        policy_deinit(&policy);
}

static void the_card_that_has_moved_is_the_same(void **state _unused_) {
        for (size_t i = 0; i < ARRAY_SIZE(moves); ++i) {
                FakeTree *tree = fake_tree_new();
                const Runtime nothing = RUNTIME_NULL;
                Text complaints = TEXT_NULL;
                Policy policy = POLICY_NULL;
                Decision made;
                Gpu gpu;

                fake_write(tree->root, "proc/cmdline", "quiet\n");
                fake_gpu_add(tree, "0000:02:00.0", .group = 12);
                fake_device_plug_below(tree, "0000:02:00.0", "pci0000:00/0000:00:01.0");
                if (moves[i].other || moves[i].other_is_there) {
                        fake_gpu_add(tree, "0000:01:00.0", .group = 13, .device = 0x2204);
                        fake_device_plug_below(tree, "0000:01:00.0", "pci0000:00/0000:00:02.0");
                }
                if (moves[i].state)
                        fake_write(tree->root, "etc/vfiopt/state", "%s", moves[i].state);
                if (moves[i].config)
                        fake_write(tree->root, "etc/vfiopt/vfiopt.conf", "%s", moves[i].config);
                assert_int_equal(gpu_init(&gpu, fake_sysfs(tree),
                                                 (Address){ .bus = moves[i].other ? 1 : 2 }),
                                0);
                assert_int_equal(policy_load(&policy, &tree->roots), 0);
                made = policy_decide(&policy, &gpu, &nothing, moves[i].boot ? DECISION_AT_BOOT : 0);
                if (made.mode != moves[i].mode || made.source != moves[i].source)
                        fail_msg("move %zu: mode %d of %d, not %d of %d", i, made.mode, made.source,
                                        moves[i].mode, moves[i].source);
                if (moves[i].denies)
                        assert_true(config_allows_display(&policy.config, &gpu));
                assert_int_equal(policy_allows_display(&policy, &gpu),
                                config_allows_display(&policy.config, &gpu) && !moves[i].denies);

                policy_complain(&policy, fake_sysfs(tree), gather, &complaints);
                if (moves[i].said && !strstr(text(&complaints), moves[i].said))
                        fail_msg("move %zu: %s, not %s", i, text(&complaints), moves[i].said);
                if (!moves[i].said && complaints.n > 0)
                        fail_msg("move %zu: %s", i, text(&complaints));
                text_deinit(&complaints);
                policy_deinit(&policy);
                gpu_deinit(&gpu);
                fake_tree_free(tree);
        }
}

static void a_doubt_is_told_with_what_ends_it(void **state _unused_) {
        static const struct {
                const char *state, *config, *said; /* NULL: nothing */
                bool other;
        } all[] = {
                { MOVED, "[GPU 02:00]\nBootMode=host\n",
                                "have it in [GPU 0000:02:00.0] alone, then: vfioptctl switch "
                                "passthrough 0000:02:00.0",
                                false },
                { ABSENT, NULL,
                                "if it is: vfioptctl switch passthrough 0000:02:00.0, if not: vfioptctl "
                                "forget 0000:01:00.0",
                                false },
                /* Of an older version */
                { OLD("passthrough", "host"), NULL,
                                "whichever it is: vfioptctl switch MODE 0000:02:00.0", false },
                /* That address means another card. */
                { STATE_2(ENTRY_2("02", "07.0", "2d04", "host") "," ENTRY_2(
                                  "01", "02.0", "2204", "host")),
                                NULL, "forget 0000:02:00.0", false },
                { STATE_2(ENTRY_2("01", "07.0", "2d04", "host") "," ENTRY_2(
                                  "01", "02.0", "2204", "host")),
                                NULL, "forget 0000:00/07.0/00.0", false },
                { MOVED, NULL, "is 0000:02:00.0 now; vfioptctl switch passthrough 0000:02:00.0",
                                true },
                { STATE_2(ENTRY_2("01", "02.0", "2222", "host")), NULL,
                                "(10de:2222); if it is meant to be here: vfioptctl forget 0000:01:00.0",
                                true },
        };

        for (size_t i = 0; i < ARRAY_SIZE(all); ++i) {
                FakeTree *tree = fake_tree_new();
                const Runtime interrupted = {
                        .record = { .has_move = true,
                                        .move = { .from = MODE_HOST, .moved = FUNCTION_SET_ALL } }
                };
                _cleanup_(freep) char *said = NULL;
                Policy policy = POLICY_NULL;
                Gpu gpu;

                fake_write(tree->root, "proc/cmdline", "quiet\n");
                fake_gpu_add(tree, "0000:02:00.0", .group = 12);
                fake_device_plug_below(tree, "0000:02:00.0", "pci0000:00/0000:00:01.0");
                fake_gpu_add(tree, "0000:01:00.0", .group = 13, .device = 0x2204);
                fake_device_plug_below(tree, "0000:01:00.0", "pci0000:00/0000:00:02.0");
                fake_write(tree->root, "etc/vfiopt/state", "%s", all[i].state);
                if (all[i].config)
                        fake_write(tree->root, "etc/vfiopt/vfiopt.conf", "%s", all[i].config);
                assert_int_equal(gpu_init(&gpu, fake_sysfs(tree),
                                                 (Address){ .bus = all[i].other ? 1 : 2 }),
                                0);
                assert_int_equal(policy_load(&policy, &tree->roots), 0);
                /* What a person has begun is finished or undone, unless that is another card. */
                assert_int_equal(
                                policy_decide(&policy, &gpu, &interrupted, DECISION_AT_BOOT).source,
                                all[i].other ? POLICY_OTHER_CARD : POLICY_INTERRUPTED);
                assert_int_equal(policy_describe_card(&policy, &gpu, &said), 0);
                if (!all[i].said != !said || (said && !strstr(said, all[i].said)))
                        fail_msg("%zu: %s, not %s", i, said ?: "-", all[i].said ?: "-");
                policy_deinit(&policy);
                gpu_deinit(&gpu);
                fake_tree_free(tree);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_first_who_speaks_is_heard),
                cmocka_unit_test(what_was_interrupted_is_seen_to),
                cmocka_unit_test(what_was_pinned_for_another_card_is_given_back),
                cmocka_unit_test(the_card_that_has_moved_is_the_same),
                tree_test(a_section_that_names_another_remembered_card_is_said),
                cmocka_unit_test(a_doubt_is_told_with_what_ends_it),
                tree_test(a_wish_is_one_also_where_nobody_sees_to_it),
                cmocka_unit_test(what_is_wrong_is_kept_to_be_told),
                tree_test(a_state_that_cannot_be_read_is_told_with_the_reason),
                tree_test(a_configuration_that_is_incomplete_is_told),
                cmocka_unit_test(who_is_managed_is_said_or_guessed),
                cmocka_unit_test(the_boot_display_goes_where_it_is_said_to_belong),
        };

        return cmocka_run_group_tests_name("policy/policy", tests, NULL, NULL);
}
