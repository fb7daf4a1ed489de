/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test the Configuration
 *
 * What is right counts, wherever it is and whatever is wrong around it; what is wrong
 * is told of with its place, and never taken for something else.
 */

#include "lib/test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "record/config.h"

#define MAIN     "etc/vfiopt/vfiopt.conf"
#define DROP_INS "etc/vfiopt/vfiopt.conf.d/"

#define REMEMBERED (-1)

static Device first_function = { .identity = { 0x10de, 0x2204, 0x1043, 0x89e5 } };
static Device second_function = { .identity = { 0x10de, 0x2204, 0x1043, 0x89e5 } };
static Device other_function = { .identity = { 0x10de, 0x2d04, 0x1043, 0x89e5 } };

/* Two of a kind, and another one. */
static const Gpu first = {
        .address = { .bus = 1 }, .functions = &first_function, .n_functions = 1
};
static const Gpu second = { .address = { .domain = 0x10000, .bus = 0xc1 },
        .functions = &second_function,
        .n_functions = 1 };
static const Gpu other = {
        .address = { .bus = 0xff, .slot = 0x1f }, .functions = &other_function, .n_functions = 1
};

static void load(FakeTree *tree, Config *config) {
        assert_int_equal(config_load(config, tree->roots.etc_fd), 0);
}

/* Load a main file alone. */
static void load_text(FakeTree *tree, Config *config, const char *data) {
        fake_write(tree->root, MAIN, "%s", data);
        load(tree, config);
}

static void assert_no_complaint(const Config *config) {
        for (size_t i = 0; i < config->n_complaints; ++i)
                fail_msg("%s", config->complaints[i].text);
}

/* Each is one short line of printable characters. */
static void assert_presentable(const Config *config) {
        for (size_t i = 0; i < config->n_complaints; ++i) {
                const char *complaint = config->complaints[i].text;

                assert_true(strlen(complaint) < 250);
                if (!text_is_printable(complaint))
                        fail_msg("\"%s\" is not printable", complaint);
        }
}

static void assert_complaint(const Config *config,
                size_t i,
                const char *file,
                unsigned int line,
                bool is_warning,
                const char *text) {
        _cleanup_(freep) char *place =
                        line > 0 ? text_format("%s:%u: ", file, line) : text_format("%s: ", file);
        const ConfigComplaint *complaint = &config->complaints[i];
        const char *rest, *end;

        assert_true(i < config->n_complaints);
        if (!text_starts_with(complaint->text, place, &rest))
                fail_msg("\"%s\" is not about \"%s\"", complaint->text, place);
        if (!strstr(rest, text))
                fail_msg("\"%s\" does not say \"%s\"", rest, text);
        assert_int_equal(complaint->is_warning, is_warning);
        end = strstr(rest, ", ignoring");
        assert_true(is_warning ? end && !end[strlen(", ignoring")] : !end);
        assert_presentable(config);
}

/* Where a GPU belongs at boot, or REMEMBERED. */
static int boot(const Config *config, const Gpu *gpu) {
        Mode mode = _MODE_MAX;

        if (config_boot(config, gpu, &mode))
                return mode;
        assert_int_equal(mode, _MODE_MAX);
        return REMEMBERED;
}

static void assert_defaults(const Config *config) {
        assert_int_equal(config_default(config), MODE_UNSET);
        assert_int_equal(config_managed(config, &first), CONFIG_MANAGED_AUTO);
        assert_int_equal(config_managed(config, &other), CONFIG_MANAGED_AUTO);
        assert_int_equal(boot(config, &first), REMEMBERED);
        assert_int_equal(boot(config, &other), REMEMBERED);
        assert_false(config_allows_display(config, &first));
        assert_false(config_allows_display(config, &other));
}

static void where_there_is_nothing_are_the_defaults(void **state) {
        static const char *const empty[] = {
                "",
                "\n",
                "# comment\n; comment\n\n  # indented\n \t \r\n",
                "[vfiopt]",
                "[vfiopt]\nDefaultMode=\n",
                "\xef\xbb\xbf",
                "[GPU 01:00]\nManaged=\nBootMode =  \nAllowDisplay=\n",
                "#\\\n[vfiopt]\n",
        };
        FakeTree *tree = *state;
        Config config = CONFIG_NULL;

        assert_defaults(&config);
        assert_int_equal(config_load(&config, -1), 0);
        assert_defaults(&config);
        load(tree, &config);
        assert_defaults(&config);
        assert_no_complaint(&config);
        config_deinit(&config);

        for (size_t i = 0; i < ARRAY_SIZE(empty); ++i) {
                load_text(tree, &config, empty[i]);
                assert_defaults(&config);
                assert_no_complaint(&config);
                config_deinit(&config);
        }
}

static void every_key_is_understood(void **state) {
        FakeTree *tree = *state;
        Config config;

        load_text(tree, &config,
                        "[vfiopt]\r\n"
                        "DefaultMode = passthrough \r\n"
                        "\r\n"
                        "[GPU 01:00]\n"
                        "Managed=no\n"
                        "BootMode=unset\n"
                        "AllowDisplay=no\n"
                        "[GPU 10000:C1:00.0]\n"
                        "BootMode=host\n"
                        "Managed=Auto\n"
                        "[GPU 10DE:2d04]\n"
                        "BootMode=\tpassthrough\n"
                        "AllowDisplay \t=  Yes\n"
                        "Managed=yes");
        assert_no_complaint(&config);
        assert_int_equal(config_default(&config), MODE_PASSTHROUGH);
        assert_int_equal(config_managed(&config, &first), CONFIG_MANAGED_NO);
        assert_int_equal(boot(&config, &first), MODE_UNSET);
        assert_int_equal(config_managed(&config, &second), CONFIG_MANAGED_AUTO);
        assert_int_equal(boot(&config, &second), MODE_HOST);
        assert_int_equal(config_managed(&config, &other), CONFIG_MANAGED_YES);
        assert_int_equal(boot(&config, &other), MODE_PASSTHROUGH);
        assert_false(config_allows_display(&config, &first));
        assert_false(config_allows_display(&config, &second));
        assert_true(config_allows_display(&config, &other));
        config_deinit(&config);
}

static void yes_and_no_have_the_names_that_systemd_knows(void **state) {
        static const char *const names[][2] = { { "0", "1" }, { "no", "yes" }, { "NO", "Yes" },
                { "n", "Y" }, { "False", "true" }, { "f", "t" }, { "oFF", "ON" } };
        FakeTree *tree = *state;

        for (size_t i = 0; i < ARRAY_SIZE(names); ++i)
                for (int yes = 0; yes <= 1; ++yes) {
                        Config config;

                        fake_write(tree->root, MAIN, "[GPU 01:00]\nManaged=%s\nAllowDisplay=%s\n",
                                        names[i][yes], names[i][yes]);
                        load(tree, &config);
                        assert_no_complaint(&config);
                        assert_int_equal(config_managed(&config, &first),
                                        yes ? CONFIG_MANAGED_YES : CONFIG_MANAGED_NO);
                        assert_int_equal(config_allows_display(&config, &first), yes);
                        config_deinit(&config);
                }
}

static void all_ways_to_name_a_card_by_address_mean_the_same(void **state) {
        static const char *const names[] = { "01:00", "01:00.0", "0000:01:00", "0000:01:00.0",
                "00000000:01:00.1" };
        FakeTree *tree = *state;
        Config config;

        for (size_t i = 0; i < ARRAY_SIZE(names); ++i) {
                fake_write(tree->root, MAIN, "[GPU %s]\nManaged=no\n[GPU 01:00]\nBootMode=host\n",
                                names[i]);
                load(tree, &config);
                assert_no_complaint(&config);
                assert_int_equal(config.n_gpus, 1);
                assert_int_equal(config_managed(&config, &first), CONFIG_MANAGED_NO);
                assert_int_equal(boot(&config, &first), MODE_HOST);
                assert_int_equal(config_managed(&config, &second), CONFIG_MANAGED_AUTO);
                config_deinit(&config);
        }
}

static void an_address_goes_before_an_id_key_by_key(void **state) {
        FakeTree *tree = *state;
        Config config;

        load_text(tree, &config,
                        "[GPU 01:00]\nManaged=auto\n"
                        "[GPU 10de:2204]\nManaged=no\nBootMode=passthrough\n");
        assert_no_complaint(&config);
        assert_int_equal(config_managed(&config, &first), CONFIG_MANAGED_AUTO);
        assert_int_equal(boot(&config, &first), MODE_PASSTHROUGH);
        assert_int_equal(config_managed(&config, &second), CONFIG_MANAGED_NO);
        assert_int_equal(config_managed(&config, &other), CONFIG_MANAGED_AUTO);
        assert_int_equal(boot(&config, &other), REMEMBERED);
        config_deinit(&config);
}

static void what_is_said_later_wins(void **state) {
        FakeTree *tree = *state;
        Config config;

        fake_write(tree->root, DROP_INS "9.conf", "[vfiopt]\nDefaultMode=host\n");
        fake_write(tree->root, DROP_INS "10.conf", "[vfiopt]\nDefaultMode=passthrough\n");
        fake_write(tree->root, DROP_INS "B.conf", "[GPU 01:00]\nBootMode=passthrough\n");
        fake_write(tree->root, DROP_INS "a.conf", "[GPU 01:00]\nBootMode=unset\n");
        load_text(tree, &config,
                        "[vfiopt]\nDefaultMode=unset\n[GPU 01:00]\nBootMode=host\nManaged=no\n"
                        "[GPU 02:00]\n[GPU 01:00]\nManaged=yes\n");
        assert_no_complaint(&config);
        assert_int_equal(config_default(&config), MODE_HOST);
        assert_int_equal(boot(&config, &first), MODE_UNSET);
        assert_int_equal(config_managed(&config, &first), CONFIG_MANAGED_YES);
        config_deinit(&config);
}

static void nothing_takes_back_what_the_same_section_said(void **state) {
        FakeTree *tree = *state;
        Config config;

        fake_write(tree->root, DROP_INS "1.conf",
                        "[vfiopt]\nDefaultMode=\n[GPU 01:00.0]\nManaged=\n");
        load_text(tree, &config,
                        "[vfiopt]\nDefaultMode=host\n"
                        "[GPU 01:00]\nManaged=no\nBootMode=host\n"
                        "[GPU 10de:2204]\nManaged=yes\nBootMode=unset\n");
        assert_no_complaint(&config);
        assert_int_equal(config_default(&config), MODE_UNSET);
        assert_int_equal(config_managed(&config, &first), CONFIG_MANAGED_YES);
        assert_int_equal(boot(&config, &first), MODE_HOST);
        config_deinit(&config);
}

static void only_a_regular_file_of_that_name_is_a_drop_in(void **state) {
        FakeTree *tree = *state;
        int etc_fd = tree->roots.etc_fd;
        Config config;

        fake_write(tree->root, DROP_INS "a.conf~", "[vfiopt]\nDefaultMode=host\n");
        fake_write(tree->root, DROP_INS "b.conf.bak", "[vfiopt]\nDefaultMode=host\n");
        fake_write(tree->root, DROP_INS "conf", "[vfiopt]\nDefaultMode=host\n");
        fake_write(tree->root, DROP_INS "c.CONF", "[vfiopt]\nDefaultMode=host\n");
        fake_write(tree->root, DROP_INS ".conf", "[vfiopt]\nDefaultMode=host\n");
        fake_write(tree->root, DROP_INS ".#d.conf", "[vfiopt]\nDefaultMode=host\n");
        fake_make_dir(tree->root, DROP_INS "e.conf");
        assert_int_equal(symlinkat("/dev/null", etc_fd, "vfiopt.conf.d/f.conf"), 0);
        fake_link(tree->root, "nowhere", DROP_INS "g.conf");
        assert_int_equal(mkfifoat(etc_fd, "vfiopt.conf.d/h.conf", 0644), 0);
        load(tree, &config);
        assert_no_complaint(&config);
        assert_defaults(&config);
        config_deinit(&config);

        fake_link(tree->root, DROP_INS "a.conf~", DROP_INS "i.conf");
        load(tree, &config);
        assert_no_complaint(&config);
        assert_int_equal(config_default(&config), MODE_HOST);
        config_deinit(&config);
}

static void what_is_unknown_is_warned_of_and_ignored(void **state) {
        FakeTree *tree = *state;
        Config config;

        load_text(tree, &config,
                        "[Vfiopt]\n"
                        "DefaultMode=host\n"
                        "Nonsense=1\n"
                        "[]\n"
                        "[GPUs]\n"
                        "[vfiopt]\n"
                        "Defaultmode=host\n"
                        "BootMode=host\n"
                        "=host\n"
                        "[GPU 01:00]\n"
                        "DefaultMode=host\n"
                        "DriverAtHost=nvidia\n"
                        "BootMode=host\n");
        assert_int_equal(config.n_complaints, 8);
        assert_complaint(&config, 0, "vfiopt.conf", 1, true, "unknown section [Vfiopt]");
        assert_complaint(&config, 1, "vfiopt.conf", 4, true, "unknown section []");
        assert_complaint(&config, 2, "vfiopt.conf", 5, true, "unknown section [GPUs]");
        assert_complaint(
                        &config, 3, "vfiopt.conf", 7, true, "unknown key Defaultmode= in [vfiopt]");
        assert_complaint(&config, 4, "vfiopt.conf", 8, true,
                        "unknown key BootMode= in [vfiopt]; known keys: DefaultMode=, ignoring");
        assert_complaint(&config, 5, "vfiopt.conf", 9, true, "unknown key = in [vfiopt]");
        assert_complaint(&config, 6, "vfiopt.conf", 11, true,
                        "known keys: Managed=, BootMode=, AllowDisplay=, D3cold=, ignoring");
        assert_complaint(&config, 7, "vfiopt.conf", 12, true, "unknown key DriverAtHost=");
        assert_int_equal(config_default(&config), MODE_UNSET);
        assert_int_equal(boot(&config, &first), MODE_HOST);
        config_deinit(&config);
}

static void a_bad_value_is_told_of_and_the_rest_counts(void **state) {
        FakeTree *tree = *state;
        Config config;

        fake_write(tree->root, DROP_INS "1.conf", "\n[vfiopt]\nDefaultMode=mixed\n");
        load_text(tree, &config,
                        "[vfiopt]\n"
                        "DefaultMode=host\n"
                        "DefaultMode=Host\n"
                        "[GPU 01:00]\n"
                        "Managed=maybe\n"
                        "Managed=no\n"
                        "Managed=yes # really\n"
                        "BootMode=passthrough\n"
                        "BootMode=0\n");
        assert_int_equal(config.n_complaints, 5);
        assert_complaint(&config, 0, "vfiopt.conf", 3, false,
                        "DefaultMode=Host is not understood; it can be unset, host or passthrough");
        assert_complaint(&config, 1, "vfiopt.conf", 5, false, "it can be yes, no or auto");
        assert_complaint(&config, 2, "vfiopt.conf", 7, false, "Managed=yes # really");
        assert_complaint(&config, 3, "vfiopt.conf", 9, false, "it can be remembered, host,");
        assert_complaint(&config, 4, "vfiopt.conf.d/1.conf", 3, false, "DefaultMode=mixed");
        assert_int_equal(config_default(&config), MODE_HOST);
        assert_int_equal(config_managed(&config, &first), CONFIG_MANAGED_NO);
        assert_int_equal(boot(&config, &first), MODE_PASSTHROUGH);
        config_deinit(&config);
}

/* Hands off: who says anything of it hardly wants it to be moved. */
static void whether_to_manage_is_no_where_it_is_not_understood(void **state) {
        static const struct {
                const char *line, *text;
        } bad[] = {
                { "Managed=maybe", "Managed=maybe is not understood, and taken for no; it can be" },
                { "Managed=nö", "is not understood, and taken for no" },
                { "Managed=no # not mine", "is not understood, and taken for no" },
                { "Managed=no ; not mine", "has a comment in it; comments" },
                { " Managed=no", "is indented; everything begins in the first column; taken for" },
                { "Managed: no", "is neither [SECTION] nor KEY=VALUE; taken for Managed=no" },
                { "Managed no", "; taken for Managed=no" },
        };
        FakeTree *tree = *state;
        Config config;

        for (size_t i = 0; i < ARRAY_SIZE(bad); ++i) {
                fake_write(tree->root, MAIN, "[GPU 01:00]\n%s\n[GPU 10de:2d04]\nManaged=yes\n",
                                bad[i].line);
                load(tree, &config);
                assert_int_equal(config.n_complaints, 1);
                assert_complaint(&config, 0, "vfiopt.conf", 2, false, bad[i].text);
                assert_int_equal(config_managed(&config, &first), CONFIG_MANAGED_NO);
                assert_int_equal(config_managed(&config, &second), CONFIG_MANAGED_AUTO);
                assert_int_equal(config_managed(&config, &other), CONFIG_MANAGED_YES);
                assert_false(config.incomplete);
                config_deinit(&config);
        }

        /* What is said later goes before it; and another key is not this one. */
        load_text(tree, &config, "[GPU 01:00]\nManaged=maybe\nManaged=yes\nManagedBy me\n");
        assert_int_equal(config.n_complaints, 2);
        assert_int_equal(config_managed(&config, &first), CONFIG_MANAGED_YES);
        config_deinit(&config);
        load_text(tree, &config, "[vfiopt]\nManaged no\n[GPU]\nManaged no\n");
        assert_int_equal(config.n_complaints, 3);
        assert_int_equal(config_managed(&config, &first), CONFIG_MANAGED_AUTO);
        config_deinit(&config);
}

/* Consent to give up a display is given in so many words, or not at all. */
static void consent_is_no_where_it_is_not_understood(void **state) {
        static const struct {
                const char *line, *text;
        } bad[] = {
                { "AllowDisplay=maybe",
                                "AllowDisplay=maybe is not understood, and taken for no; it can be "
                                "no or yes" },
                { "AllowDisplay=auto", "AllowDisplay=auto is not understood, and taken for no" },
                { "AllowDisplay=yes yes", "is not understood, and taken for no" },
                { "AllowDisplay=yes ; always",
                                "in it; comments have lines of their own; taken for" },
                { " AllowDisplay=yes",
                                "is indented; everything begins in the first column; taken" },
                { "AllowDisplay: yes", "nor KEY=VALUE; taken for AllowDisplay=no" },
                { "AllowDisplay", "; taken for AllowDisplay=no" },
        };
        FakeTree *tree = *state;
        Config config;

        for (size_t i = 0; i < ARRAY_SIZE(bad); ++i) {
                fake_write(tree->root, MAIN,
                                "[GPU 01:00]\nAllowDisplay=yes\n%s\n"
                                "[GPU 10de:2204]\nAllowDisplay=yes\n",
                                bad[i].line);
                load(tree, &config);
                assert_int_equal(config.n_complaints, 1);
                assert_complaint(&config, 0, "vfiopt.conf", 3, false, bad[i].text);
                assert_false(config_allows_display(&config, &first));
                assert_true(config_allows_display(&config, &second));
                assert_int_equal(config_managed(&config, &first), CONFIG_MANAGED_AUTO);
                config_deinit(&config);
        }

        /* An empty value leaves it to the section for the id. */
        load_text(tree, &config,
                        "[GPU 01:00]\nAllowDisplay=no\nAllowDisplay=\n"
                        "[GPU 10de:2204]\nAllowDisplay=yes\n");
        assert_no_complaint(&config);
        assert_true(config_allows_display(&config, &first));
        config_deinit(&config);

        /* A drop-in that cannot be read may have taken it back. */
        fake_write_bytes(tree->root, DROP_INS "1.conf", "\0", 1);
        load_text(tree, &config, "[GPU 01:00]\nAllowDisplay=yes\n");
        assert_true(config.incomplete);
        assert_false(config_allows_display(&config, &first));
        config_deinit(&config);
}

/* Whatever is wrong with a section, what is in it is not taken for the one before. */
static void what_is_in_a_bad_section_is_in_no_other(void **state) {
        static const char *const bad[] = {
                "[GPU]",
                "[GPU ]",
                "[GPU  01:00]",
                "[GPU 01:00 ]",
                "[GPU 1:0]",
                "[GPU 01:20]",
                "[GPU 01:00.8]",
                "[GPU 10de:220g]",
                "[GPU 10de:02204]",
                "[GPU 01:00][GPU 02:00]",
                "[GPU 01:00] # the left one",
                "[GPU 01:00 ; x",
                "[GPU 01:00",
                "[",
                " [GPU 01:00]",
                "\t[nonsense",
                "\xef\xbb\xbf[GPU 02:00]",
                "[GPU ../../01:00]",
                "[GPU \x1b[2J]",
                ("[GPU "
                 "00000000000000000000000000000000000000000000000000000000000000000000000000000000"
                 "00000000000000000000000000000000000000000000000000000000000000000000000000000000"
                 "]"),
        };
        FakeTree *tree = *state;

        for (size_t i = 0; i < ARRAY_SIZE(bad); ++i) {
                Config config;

                fake_write(tree->root, MAIN,
                                "[GPU 01:00]\nManaged=no\n%s\nManaged=yes\nBootMode=host\nX=1\n"
                                "[vfiopt]\nDefaultMode=host\n",
                                bad[i]);
                load(tree, &config);
                if (config.n_complaints != 1)
                        fail_msg("%s: %zu complaints", bad[i], config.n_complaints);
                assert_complaint(&config, 0, "vfiopt.conf", 3, false, "");
                assert_true(config.n_gpus == 1);
                assert_int_equal(config_managed(&config, &first), CONFIG_MANAGED_NO);
                assert_int_equal(boot(&config, &first), REMEMBERED);
                assert_int_equal(config_default(&config), MODE_HOST);
                config_deinit(&config);
        }
}

static void a_line_is_understood_whole_or_not_at_all(void **state) {
        static const struct {
                const char *line, *text;
        } bad[] = {
                { "DefaultMode", "neither [SECTION] nor KEY=VALUE" },
                { "DefaultMode: passthrough", "neither [SECTION] nor KEY=VALUE" },
                { " DefaultMode=passthrough", "is indented" },
                { "\tpassthrough", "is indented" },
                { "\vpassthrough", "is indented" },
                { "DefaultMode=passthrough ; rather", "has a comment in it" },
                { "DefaultMode= ;passthrough", "has a comment in it" },
                { "DefaultMode=passthrough;", "DefaultMode=passthrough; is not understood" },
                { "DefaultMode=passthrough\\", "DefaultMode=passthrough\\ is not understood" },
                { "DefaultMode=passthrough\rX", "DefaultMode=passthrough?X is not" },
                { "DefaultMode=\"passthrough\"", "DefaultMode=\"passthrough\" is not" },
                { "DefaultMode:passthrough=", "DefaultMode=passthrough= is not understood" },
                { "DefaultMode==passthrough", "DefaultMode==passthrough is not understood" },
        };
        FakeTree *tree = *state;

        for (size_t i = 0; i < ARRAY_SIZE(bad); ++i) {
                Config config;

                fake_write(tree->root, MAIN, "[vfiopt]\nDefaultMode=host\n%s\n[GPU 01:00]\n%s",
                                bad[i].line, "BootMode=host\n");
                load(tree, &config);
                assert_int_equal(config.n_complaints, 1);
                assert_complaint(&config, 0, "vfiopt.conf", 3, false, bad[i].text);
                assert_int_equal(config_default(&config), MODE_HOST);
                assert_int_equal(boot(&config, &first), MODE_HOST);
                config_deinit(&config);
        }
}

static void a_key_needs_a_section(void **state) {
        FakeTree *tree = *state;
        Config config;

        /* Of its own file. */
        fake_write(tree->root, DROP_INS "1.conf", "DefaultMode=passthrough\n");
        load_text(tree, &config, "DefaultMode=host\n[vfiopt]\n");
        assert_int_equal(config.n_complaints, 2);
        assert_complaint(&config, 0, "vfiopt.conf", 1, false, "DefaultMode= is in no section");
        assert_complaint(&config, 1, "vfiopt.conf.d/1.conf", 1, false, "is in no section");
        assert_defaults(&config);
        config_deinit(&config);
}

static void a_line_is_never_cut(void **state) {
        FakeTree *tree = *state;

        for (size_t n = 100; n < 1100; ++n) {
                _cleanup_(freep) char *blanks = malloc(n + 1), *data = NULL;
                bool fits = n + strlen("DefaultMode=host") <= 160;
                Config config;

                /* Cut somewhere, it would be another value, an empty one, or two lines. */
                memset(blanks, ' ', n);
                blanks[n] = 0;
                data = text_format("# %s\n[vfiopt]\nDefaultMode=%shost\n%s\n# %s#", blanks, blanks,
                                blanks, blanks);
                fake_write_bytes(tree->root, MAIN, data, strlen(data));
                load(tree, &config);
                assert_int_equal(config.n_complaints, fits ? 0 : 1);
                if (!fits)
                        assert_complaint(&config, 0, "vfiopt.conf", 3, false, "is too long");
                assert_int_equal(config_default(&config), fits ? MODE_HOST : MODE_UNSET);
                config_deinit(&config);
        }
}

static void a_byte_order_mark_is_no_part_of_the_first_line(void **state) {
        FakeTree *tree = *state;
        Config config;

        load_text(tree, &config, "\xef\xbb\xbf[vfiopt]\nDefaultMode=host\n");
        assert_no_complaint(&config);
        assert_int_equal(config_default(&config), MODE_HOST);
        config_deinit(&config);

        /* Files with one each, put together by some program. */
        load_text(tree, &config, "\xef\xbb\xbf\xef\xbb\xbf[vfiopt]\nDefaultMode=host\n");
        assert_no_complaint(&config);
        assert_int_equal(config_default(&config), MODE_HOST);
        config_deinit(&config);
        load_text(tree, &config, "\xef\xbb\xbf\xef\xbb\xbf[GTU =YES\r\n[vfiopt]\n");
        assert_int_equal(config.n_complaints, 1);
        assert_complaint(&config, 0, "vfiopt.conf", 1, false, "[GTU =YES");
        config_deinit(&config);

        load_text(tree, &config,
                        "[vfiopt]\n\xef\xbb\xbf"
                        "DefaultMode=host\n");
        assert_int_equal(config.n_complaints, 1);
        assert_complaint(&config, 0, "vfiopt.conf", 2, true, "unknown key ???DefaultMode=");
        config_deinit(&config);
}

static void a_file_that_is_no_text_does_not_count(void **state) {
        static const char zero[] = "[vfiopt]\nDefaultMode=host\n\0\nDefaultMode=passthrough\n";
        static const char wide[] = "\xff\xfe[\0v\0f\0i\0o\0p\0t\0]\0\n\0";
        _cleanup_(freep) char *large = NULL;
        FakeTree *tree = *state;
        Config config;

        fake_write(tree->root, DROP_INS "1.conf", "[GPU 01:00]\nBootMode=host\n");
        fake_write_bytes(tree->root, DROP_INS "2.conf", wide, sizeof(wide));
        fake_write_bytes(tree->root, MAIN, zero, sizeof(zero));
        load(tree, &config);
        assert_int_equal(config.n_complaints, 2);
        assert_complaint(&config, 0, "vfiopt.conf", 0, false, "contains NUL bytes; file ignored");
        assert_complaint(&config, 1, "vfiopt.conf.d/2.conf", 0, false,
                        "contains NUL bytes; file ignored");
        assert_true(config.incomplete);
        assert_int_equal(config_default(&config), MODE_UNSET);
        assert_int_equal(boot(&config, &first), MODE_HOST);
        config_deinit(&config);

        fake_remove(tree->root, DROP_INS "2.conf");
        large = malloc(65537);
        memset(large, '\n', 65537);
        fake_write_bytes(tree->root, MAIN, large, 65536);
        load(tree, &config);
        assert_no_complaint(&config);
        assert_false(config.incomplete);
        config_deinit(&config);
        fake_write_bytes(tree->root, MAIN, large, 65537);
        load(tree, &config);
        assert_int_equal(config.n_complaints, 1);
        assert_complaint(
                        &config, 0, "vfiopt.conf", 0, false, "is larger than 64 KiB; file ignored");
        assert_true(config.incomplete);
        config_deinit(&config);
}

static void a_file_that_cannot_be_read_is_told_of(void **state) {
        FakeTree *tree = *state;
        Config config;

        fake_make_dir(tree->root, MAIN);
        fake_link(tree->root, DROP_INS "loop\x1b.conf", DROP_INS "loop\x1b.conf");
        fake_write(tree->root, DROP_INS "z.conf", "[vfiopt]\nDefaultMode=host\n");
        load(tree, &config);
        assert_int_equal(config.n_complaints, 2);
        assert_complaint(&config, 0, "vfiopt.conf", 0, false, "cannot be read: Is a directory");
        assert_complaint(&config, 1, "vfiopt.conf.d/loop?.conf", 0, false, "cannot be read: ");
        assert_true(config.incomplete);
        assert_int_equal(config_default(&config), MODE_HOST);
        config_deinit(&config);

        fake_remove(tree->root, "etc/vfiopt/vfiopt.conf.d");
        fake_write(tree->root, "etc/vfiopt/vfiopt.conf.d", "[vfiopt]\nDefaultMode=host\n");
        fake_remove(tree->root, MAIN);
        load(tree, &config);
        assert_true(config.incomplete);
        assert_int_equal(config.n_complaints, 1);
        config_deinit(&config);
        fake_make_dir(tree->root, MAIN);
        load(tree, &config);
        assert_int_equal(config.n_complaints, 2);
        assert_complaint(&config, 1, "vfiopt.conf.d", 0, false, "Not a directory");
        assert_defaults(&config);
        config_deinit(&config);
}

static void complaints_are_printable_and_come_to_an_end(void **state) {
        FakeTree *tree = *state;
        Text data = TEXT_NULL;
        Config config;

        assert_int_equal(text_append(&data, "[GPU \xc3\xa4\x1b[31m]\n[vfiopt]\n"), 0);
        for (unsigned int i = 0; i < 1000; ++i)
                assert_int_equal(text_append(&data, "DefaultMode=\x07%0100u\n", i), 0);
        assert_int_equal(text_append(&data, "DefaultMode=host\n"), 0);
        fake_write_bytes(tree->root, MAIN, text(&data), strlen(text(&data)));
        text_deinit(&data);
        /* Too large as it is: that is a single complaint. */
        load(tree, &config);
        assert_int_equal(config.n_complaints, 1);
        config_deinit(&config);

        assert_int_equal(text_append(&data, "[GPU \xc3\xa4\x1b[31m]\n[vfiopt]\n"), 0);
        for (unsigned int i = 0; i < 500; ++i)
                assert_int_equal(text_append(&data, "DefaultMode=\x07%0100u\n", i), 0);
        assert_int_equal(text_append(&data, "DefaultMode=host\n"), 0);
        fake_write_bytes(tree->root, MAIN, text(&data), strlen(text(&data)));
        text_deinit(&data);
        load(tree, &config);
        assert_int_equal(config.n_complaints, 100);
        assert_complaint(&config, 99, "vfiopt.conf", 101, false, "further problems not shown");
        assert_int_equal(config_default(&config), MODE_HOST);
        config_deinit(&config);
}

/* Any bytes: no crash, no error, nothing that was not said. */
static void noise_is_survived(void **state) {
        static const char alphabet[] = "[]=:;#\"\\ \t\r\n\n\nGPU vfiopt.0123MBdh\x80\xff";
        FakeTree *tree = *state;
        unsigned int seed = 1;

        for (unsigned int round = 0; round < 500; ++round) {
                char data[2000] = "\xef\xbb\xbf\xef\xbb\xbf";
                size_t start = round % 2 ? strlen(data) : 0;
                Config config;

                for (size_t i = start; i < sizeof(data); ++i)
                        data[i] = alphabet[rand_r(&seed) % (sizeof(alphabet) - 1)];
                fake_write_bytes(tree->root, MAIN, data, sizeof(data));
                load(tree, &config);
                assert_true(config.n_complaints > 0);
                assert_presentable(&config);
                assert_defaults(&config);
                config_deinit(&config);
        }
}

/* The sample says the defaults, and what it shows in comments is understood. */
static void the_sample_is_right(void **state) {
        _cleanup_(freep) char *data = NULL;
        FakeTree *tree = *state;
        Text bare = TEXT_NULL;
        char *rest, *line;
        Config config;

        assert_int_equal(file_read(AT_FDCWD, SAMPLE, 65536, &data, NULL), 0);
        load_text(tree, &config, data);
        assert_no_complaint(&config);
        assert_defaults(&config);
        assert_int_equal(config.n_gpus, 0);
        config_deinit(&config);

        for (rest = data; (line = strsep(&rest, "\n"));)
                if (*line && line[0] != '#')
                        assert_int_equal(text_append(&bare, "%s\n", line), 0);
                else if (line[0] == '#' && line[1] && line[1] != ' ')
                        assert_int_equal(text_append(&bare, "%s\n", line + 1), 0);
        load_text(tree, &config, text(&bare));
        text_deinit(&bare);
        assert_no_complaint(&config);
        assert_int_equal(config.n_gpus, 1);
        assert_defaults(&config);
        config_deinit(&config);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(where_there_is_nothing_are_the_defaults),
                tree_test(every_key_is_understood),
                tree_test(yes_and_no_have_the_names_that_systemd_knows),
                tree_test(all_ways_to_name_a_card_by_address_mean_the_same),
                tree_test(an_address_goes_before_an_id_key_by_key),
                tree_test(what_is_said_later_wins),
                tree_test(nothing_takes_back_what_the_same_section_said),
                tree_test(only_a_regular_file_of_that_name_is_a_drop_in),
                tree_test(what_is_unknown_is_warned_of_and_ignored),
                tree_test(a_bad_value_is_told_of_and_the_rest_counts),
                tree_test(whether_to_manage_is_no_where_it_is_not_understood),
                tree_test(consent_is_no_where_it_is_not_understood),
                tree_test(what_is_in_a_bad_section_is_in_no_other),
                tree_test(a_line_is_understood_whole_or_not_at_all),
                tree_test(a_key_needs_a_section),
                tree_test(a_line_is_never_cut),
                tree_test(a_byte_order_mark_is_no_part_of_the_first_line),
                tree_test(a_file_that_is_no_text_does_not_count),
                tree_test(a_file_that_cannot_be_read_is_told_of),
                tree_test(complaints_are_printable_and_come_to_an_end),
                tree_test(noise_is_survived),
                tree_test(the_sample_is_right),
        };

        return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
