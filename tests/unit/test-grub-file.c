/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test /etc/default/grub
 */

#include "lib/test.h"

#include "setup/grub-file.h"

static char *const words[] = { (char *) "amd_iommu=on", (char *) "iommu=pt" };

static void words_are_added(void **state _unused_) {
        static const char *const cases[][2] = {
                { "", "D=\"amd_iommu=on iommu=pt\"\n" },
                { "D=\"quiet\"\n", "D=\"quiet amd_iommu=on iommu=pt\"\n" },
                { "D=\"quiet\"", "D=\"quiet amd_iommu=on iommu=pt\"" },
                { "D=\"\"\n", "D=\"amd_iommu=on iommu=pt\"\n" },
                { "D=''\n", "D='amd_iommu=on iommu=pt'\n" },
                { "D=\n", "D=\"amd_iommu=on iommu=pt\"\n" },
                { "D=quiet\n", "D=\"quiet amd_iommu=on iommu=pt\"\n" },
                { "D=quiet # one\n", "D=\"quiet amd_iommu=on iommu=pt\" # one\n" },
                { "D=\" \"\n", "D=\" amd_iommu=on iommu=pt\"\n" },
                { "D='quiet splash' # two  \n",
                                "D='quiet splash amd_iommu=on iommu=pt' # two  \n" },
                { "  export D=\"quiet\"\n", "  export D=\"quiet amd_iommu=on iommu=pt\"\n" },
                { "#D=\"a\"\nX=1", "#D=\"a\"\nX=1\nD=\"amd_iommu=on iommu=pt\"\n" },
                /* the last one counts */
                { "D=\"a\"\nD=\"b\"\n", "D=\"a\"\nD=\"b amd_iommu=on iommu=pt\"\n" },
                /* what is there */
                { "D=\"iommu=pt quiet\"\n", "D=\"iommu=pt quiet amd_iommu=on\"\n" },
                { "GRUB_CMDLINE_LINUX=\"iommu=pt\"\nD=a\n",
                                "GRUB_CMDLINE_LINUX=\"iommu=pt\"\nD=\"a amd_iommu=on\"\n" },
                { "D=\"amd_iommu=on iommu=pt\"\n", NULL },
                { "D='iommu=pt amd_iommu=on'", NULL },
                /* quotes in the value */
                { "D=\"dyndbg=\\\"file a +p\\\" quiet\"\n",
                                "D=\"dyndbg=\\\"file a +p\\\" quiet amd_iommu=on iommu=pt\"\n" },
                { "D='a\"b c\"'\n", "D='a\"b c\" amd_iommu=on iommu=pt'\n" },
                /* the settings of others may be anything that ends in its line */
                { "X=`( . /etc/os-release; echo ${NAME:-D} ) 2>/dev/null || echo D`\nD=\"a\"\n",
                                "X=`( . /etc/os-release; echo ${NAME:-D} ) 2>/dev/null || echo D`\n"
                                "D=\"a amd_iommu=on iommu=pt\"\n" },
                { "X=\"$(sed 's, release .*$,,g' /etc/system-release)\"\nD=\"a\"\n",
                                "X=\"$(sed 's, release .*$,,g' /etc/system-release)\"\n"
                                "D=\"a amd_iommu=on iommu=pt\"\n" },
                { "X=$(echo \"a)\" ')')y # c\nD=a\n",
                                "X=$(echo \"a)\" ')')y # c\nD=\"a amd_iommu=on iommu=pt\"\n" },
                { "X=a\\ b\nD=a\n", "X=a\\ b\nD=\"a amd_iommu=on iommu=pt\"\n" },
                { "export X\nD=a\n", "export X\nD=\"a amd_iommu=on iommu=pt\"\n" },
                { "X=\"\xe9\xff\"\nD=\"\xc3\xa9\"\n",
                                "X=\"\xe9\xff\"\nD=\"\xc3\xa9 amd_iommu=on iommu=pt\"\n" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                _cleanup_(grub_edit_deinit) GrubEdit edit = GRUB_EDIT_NULL;

                assert_int_equal(grub_file_add(cases[i][0], strlen(cases[i][0]), "D", words, 2,
                                                 &edit),
                                0);
                if (!cases[i][1]) {
                        assert_null(edit.data);
                        continue;
                }
                assert_non_null(edit.data);
                assert_string_equal(edit.data, cases[i][1]);
                assert_int_equal(edit.n, strlen(cases[i][1]));
        }
}

static void what_cannot_be_told_is_refused(void **state _unused_) {
        static const struct {
                const char *data;
                unsigned int line;
        } cases[] = {
                { "X=1\nD+=\" quiet\"\n", 2 },
                { "if true; then\nD=a\nfi\n", 1 },
                { ". /etc/default/other\n", 1 },
                { "X=1\nD=\"a\n b\"\n", 2 },
                { "D=\"a\" \\\n", 1 },
                { "D=\"a\\\nb\"\n", 1 },
                { "D=\"a\"'b'\n", 1 },
                { "D=a\"b\"\n", 1 },
                { "D=\"$X quiet\"\n", 1 },
                { "D=\"`echo a`\"\n", 1 },
                { "D=$'a'\n", 1 },
                { "X=$'a\\'\nD=\"q\"\n#'\n", 1 },
                { "X=$(echo $'\\')\nD=q\n#')\n", 1 },
                { "X=$\"a\"\n", 1 },
                { "D=\"a\\b\"\n", 1 },
                { "D=a\\ b\n", 1 },
                { "D=a; X=b\n", 1 },
                { "D=a X=b\n", 1 },
                { "D=a echo\n", 1 },
                { "X=a; D=b\n", 1 },
                { "X=$(cat <<E\na\nE\n)\n", 1 },
                { "cat <<E\nD=a\nE\n", 1 },
                { "X=\"${GRUB_CMDLINE_LINUX_DEFAULT:=a}\"\n", 1 },
                { "D=\"a\"\r\n", 1 },
                { "\r\n", 1 },
                { "X=`echo\n", 1 },
                { "X=\"$(echo\"\n", 1 },
                { "X='a\n", 1 },
                { "X=a\\\nD=b\n", 1 },
                { "D=~/x\n", 1 },
                { "  D\n", 1 },
                { "=a\n", 1 },
                { "1D=a\n", 1 },
                { "D=\"amd_iommu=off\"\n", 1 },
                { "GRUB_CMDLINE_LINUX=iommu=soft\nD=a\n", 1 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                _cleanup_(grub_edit_deinit) GrubEdit edit = GRUB_EDIT_NULL;

                assert_int_equal(grub_file_add(cases[i].data, strlen(cases[i].data), "D", words, 2,
                                                 &edit),
                                GRUB_FILE_E_REFUSED);
                assert_int_equal(edit.line, cases[i].line);
                assert_non_null(edit.problem);
                assert_null(edit.data);
        }
}

static void a_zero_byte_is_refused(void **state _unused_) {
        _cleanup_(grub_edit_deinit) GrubEdit edit = GRUB_EDIT_NULL;

        assert_int_equal(grub_file_add("D=\"a\0b\"\n", 8, "D", words, 2, &edit),
                        GRUB_FILE_E_REFUSED);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(words_are_added),
                cmocka_unit_test(what_cannot_be_told_is_refused),
                cmocka_unit_test(a_zero_byte_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
