/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Words of the Kernel's Command Line
 */

#include "lib/test.h"

#include "setup/words.h"

static void words_are_judged(void **state _unused_) {
        static const struct {
                const char *line, *word;
                WordPresence presence;
        } cases[] = {
                { "", "iommu=pt", WORD_MISSING },
                { "quiet", "iommu=pt", WORD_MISSING },
                { "iommu=pt", "iommu=pt", WORD_PRESENT },
                { " quiet\tiommu=pt ", "iommu=pt", WORD_PRESENT },
                { "intel_iommu=pt", "iommu=pt", WORD_MISSING },
                { "iommu=pts", "iommu=pt", WORD_MISSING },
                { "iommu=1", "iommu=pt", WORD_MISSING },
                { "pt=on", "iommu=pt", WORD_MISSING },
                { "intel_iommu=on,sm_on", "intel_iommu=on", WORD_PRESENT },
                { "intel_iommu=sm_on", "intel_iommu=on", WORD_MISSING },
                { "intel_iommu=off", "intel_iommu=on", WORD_CONTRADICTED },
                { "intel_iommu=on intel_iommu=off", "intel_iommu=on", WORD_CONTRADICTED },
                { "intel_iommu=sm_on,off", "intel_iommu=on", WORD_CONTRADICTED },
                { "iommu=soft", "iommu=pt", WORD_CONTRADICTED },
                { "vfio_pci.ids=10de:2d04", "vfio-pci.ids=10de:2d04", WORD_PRESENT },
                { "vfio_pci.ids=10de:2d04,10de:22eb", "vfio-pci.ids=10de:2d04,10de:22eb",
                                WORD_PRESENT },
                { "vfio_pci.ids=10de:1b80", "vfio-pci.ids=10de:2d04", WORD_CONTRADICTED },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                _cleanup_(freep) char *other = NULL;

                assert_int_equal(word_judge(cases[i].line, strlen(cases[i].line), cases[i].word,
                                                 &other),
                                cases[i].presence);
                assert_true((other != NULL) == (cases[i].presence == WORD_CONTRADICTED));
        }
}

static void words_are_taken_out(void **state _unused_) {
        static char *const words[] = { (char *) "intel_iommu=on", (char *) "iommu=pt" };
        static const struct {
                const char *data, *before, *expected;
        } cases[] = {
                { "", NULL, "" },
                { "quiet intel_iommu=on iommu=pt", NULL, "quiet" },
                { "intel_iommu=on iommu=pt quiet\n", NULL, "quiet\n" },
                { "X=\"quiet intel_iommu=on iommu=pt\"\n", NULL, "X=\"quiet\"\n" },
                { "X=\"intel_iommu=on iommu=pt\"\n", NULL, "X=\"\"\n" },
                { "X='intel_iommu=on  iommu=pt quiet'", NULL, "X=' quiet'" },
                { "X=\"intel_iommu=on,sm_on iommu=pt2\"\n", NULL,
                                "X=\"intel_iommu=on,sm_on iommu=pt2\"\n" },
                { "# intel_iommu=on\nX=\"a iommu=pt\"\n", NULL, "# intel_iommu=on\nX=\"a\"\n" },
                { "Y=\"iommu=pt\"\nX=\"a iommu=pt\"\n", "Y=\"iommu=pt\"\nX=\"a\"\n",
                                "Y=\"iommu=pt\"\nX=\"a\"\n" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                _cleanup_(freep) char *out = NULL;
                size_t n;

                assert_int_equal(words_take_out(cases[i].data, strlen(cases[i].data),
                                                 cases[i].before,
                                                 cases[i].before ? strlen(cases[i].before) : 0,
                                                 words, 2, &out, &n),
                                0);
                assert_string_equal(out, cases[i].expected);
                assert_int_equal(n, strlen(cases[i].expected));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(words_are_judged),
                cmocka_unit_test(words_are_taken_out),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
