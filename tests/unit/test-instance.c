/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Instances of vfiopt@.service
 */

#include <string.h>

#include "lib/test.h"

#include "cli/request.h"

/* systemd's unit-def.h: what a name may have without escaping. */
#define VALID_CHARS                                                      \
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" \
        ":-_.\\@"

typedef struct Good {
        const char *s;
        const char *mode;
        unsigned int options;
        const char *gpus[4]; /* NULL-terminated */
} Good;

static const Good good[] = {
        { "host", "host", 0, {} },
        { "passthrough", "passthrough", 0, {} },
        { "toggle", "toggle", 0, {} },
        { "auto", "auto", 0, {} },
        { "passthrough:0000:01:00.0", "passthrough", 0, { "0000:01:00.0" } },
        { "host:0000:01:00.0_0000:02:00.0", "host", 0, { "0000:01:00.0", "0000:02:00.0" } },
        { "host:10000:e1:00.0_ffffffff:ff:1f.0_0001:00:00.0", "host", 0,
                        { "10000:e1:00.0", "ffffffff:ff:1f.0", "0001:00:00.0" } },
        { "passthrough_allow-display", "passthrough", OPTION_ALLOW_DISPLAY, {} },
        { "auto_allow-display:0000:01:00.0", "auto", OPTION_ALLOW_DISPLAY, { "0000:01:00.0" } },
        { "passthrough_allow-display:0000:01:00.0_0000:02:00.0", "passthrough",
                        OPTION_ALLOW_DISPLAY, { "0000:01:00.0", "0000:02:00.0" } },
};

static size_t n_gpus(const Good *expected) {
        size_t n = 0;

        while (expected->gpus[n])
                ++n;
        return n;
}

static void good_ones_are_taken_apart(void **state _unused_) {
        for (size_t i = 0; i < ARRAY_SIZE(good); ++i) {
                _cleanup_(instance_deinit) Instance instance = INSTANCE_NULL;

                assert_int_equal(instance_parse(&instance, good[i].s), 0);
                assert_string_equal(instance.mode, good[i].mode);
                assert_int_equal(instance.options, good[i].options);
                assert_null(instance.culprit);
                assert_int_equal(instance.n_gpus, n_gpus(&good[i]));
                for (size_t k = 0; k < instance.n_gpus; ++k)
                        assert_string_equal(instance.gpus[k], good[i].gpus[k]);
        }
}

static void they_are_put_together_as_they_were(void **state _unused_) {
        for (size_t i = 0; i < ARRAY_SIZE(good); ++i) {
                _cleanup_(instance_deinit) Instance instance = INSTANCE_NULL;
                _cleanup_(text_deinit) Text name = TEXT_NULL;
                Address address;

                assert_int_equal(instance_parse(&instance, good[i].s), 0);
                assert_int_equal(instance_append_mode(&name, instance.mode, instance.options), 0);
                for (size_t k = 0; k < instance.n_gpus; ++k) {
                        assert_int_equal(address_parse(instance.gpus[k], &address), 0);
                        assert_int_equal(instance_append_gpu(&name, address, k == 0), 0);
                }
                assert_string_equal(text(&name), good[i].s);
                assert_int_equal(strspn(text(&name), VALID_CHARS), strlen(good[i].s));
        }
}

/* Which of them this machine has is not for the parser to know. */
static void gpus_are_only_told_apart(void **state _unused_) {
        static const Good cases[] = {
                { "host:10de:2204_01:00", "host", 0, { "10de:2204", "01:00" } },
                { "host:", "host", 0, { "" } },
                { "host:_", "host", 0, { "", "" } },
                { "host:0000:01:00.0_", "host", 0, { "0000:01:00.0", "" } },
                { "host:0000:01:00.0:", "host", 0, { "0000:01:00.0:" } },
                { "host::0000:01:00.0", "host", 0, { ":0000:01:00.0" } },
                { "host:0000:01:00.0_allow-display", "host", 0,
                                { "0000:01:00.0", "allow-display" } },
                { "host:../..", "host", 0, { "../.." } },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                _cleanup_(instance_deinit) Instance instance = INSTANCE_NULL;

                assert_int_equal(instance_parse(&instance, cases[i].s), 0);
                assert_string_equal(instance.mode, cases[i].mode);
                assert_int_equal(instance.n_gpus, n_gpus(&cases[i]));
                for (size_t k = 0; k < instance.n_gpus; ++k)
                        assert_string_equal(instance.gpus[k], cases[i].gpus[k]);
        }
}

static void bad_ones_name_the_word_that_is_wrong(void **state _unused_) {
        static const struct {
                const char *s;
                int r;
                const char *culprit;
        } cases[] = {
                { "", INSTANCE_E_MODE, "" },
                { ":", INSTANCE_E_MODE, "" },
                { "_", INSTANCE_E_MODE, "" },
                { ":0000:01:00.0", INSTANCE_E_MODE, "" },
                { "0000:01:00.0", INSTANCE_E_MODE, "0000" },
                { "_allow-display", INSTANCE_E_MODE, "" },
                { "mixed", INSTANCE_E_MODE, "mixed" },
                { "unset", INSTANCE_E_MODE, "unset" },
                { "HOST", INSTANCE_E_MODE, "HOST" },
                { " host", INSTANCE_E_MODE, " host" },
                { "host ", INSTANCE_E_MODE, "host " },
                { "hos", INSTANCE_E_MODE, "hos" },
                { "hostx", INSTANCE_E_MODE, "hostx" },
                { "host.1", INSTANCE_E_MODE, "host.1" },
                { "host-allow-display", INSTANCE_E_MODE, "host-allow-display" },
                { "host@allow-display", INSTANCE_E_MODE, "host@allow-display" },
                { "host+allow-display", INSTANCE_E_MODE, "host+allow-display" },
                { "host\\x5fallow-display", INSTANCE_E_MODE, "host\\x5fallow-display" },
                { "--help", INSTANCE_E_MODE, "--help" },
                { "host\n", INSTANCE_E_MODE, "host\n" },
                { "host_", INSTANCE_E_OPTION, "" },
                { "host__allow-display", INSTANCE_E_OPTION, "" },
                { "host_:0000:01:00.0", INSTANCE_E_OPTION, "" },
                { "host_allow-display_", INSTANCE_E_OPTION, "" },
                { "host_allow", INSTANCE_E_OPTION, "allow" },
                { "host_allow-displays", INSTANCE_E_OPTION, "allow-displays" },
                { "host_Allow-Display", INSTANCE_E_OPTION, "Allow-Display" },
                { "host_--allow-display", INSTANCE_E_OPTION, "--allow-display" },
                { "host_allow-display.", INSTANCE_E_OPTION, "allow-display." },
                { "host_allow-display.1", INSTANCE_E_OPTION, "allow-display.1" },
                { "host_allow-display=1", INSTANCE_E_OPTION, "allow-display=1" },
                { "host_allow-display.1_x", INSTANCE_E_OPTION, "allow-display.1" },
                { "host_passthrough", INSTANCE_E_OPTION, "passthrough" },
                /* What is not for whoever may start units. */
                { "host_direct", INSTANCE_E_OPTION, "direct" },
                { "host_dry-run", INSTANCE_E_OPTION, "dry-run" },
                { "host_root./", INSTANCE_E_OPTION, "root./" },
                { "host_trigger.boot", INSTANCE_E_OPTION, "trigger.boot" },
                { "host_allow-display_allow-display", INSTANCE_E_REPEATED, "allow-display" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                _cleanup_(instance_deinit) Instance instance = INSTANCE_NULL;

                assert_int_equal(instance_parse(&instance, cases[i].s), cases[i].r);
                assert_string_equal(instance.culprit, cases[i].culprit);
        }
}

static void options_that_no_job_is_told_of_are_left_out(void **state _unused_) {
        _cleanup_(text_deinit) Text name = TEXT_NULL;

        assert_int_equal(instance_append_mode(&name, "host", ~(unsigned int) OPTION_ALLOW_DISPLAY),
                        0);
        assert_string_equal(text(&name), "host");
}

static void modes_have_the_names_that_they_have_elsewhere(void **state _unused_) {
        Mode mode;

        assert_int_equal(mode_from_string(instance_modes[0], &mode), 0);
        assert_int_equal(mode, MODE_HOST);
        assert_int_equal(mode_from_string(instance_modes[1], &mode), 0);
        assert_int_equal(mode, MODE_PASSTHROUGH);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(good_ones_are_taken_apart),
                cmocka_unit_test(they_are_put_together_as_they_were),
                cmocka_unit_test(gpus_are_only_told_apart),
                cmocka_unit_test(bad_ones_name_the_word_that_is_wrong),
                cmocka_unit_test(options_that_no_job_is_told_of_are_left_out),
                cmocka_unit_test(modes_have_the_names_that_they_have_elsewhere),
        };

        return cmocka_run_group_tests_name("cli/instance", tests, NULL, NULL);
}
