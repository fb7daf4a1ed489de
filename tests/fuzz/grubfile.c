/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * /etc/default/grub, and what words are added to it.
 */

#include "fuzz.h"

#include "setup/grub-file.h"
#include "setup/words.h"

static char *const words[] = { (char *) "amd_iommu=on", (char *) "iommu=pt" };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        _cleanup_(grub_edit_deinit) GrubEdit edit = GRUB_EDIT_NULL, again = GRUB_EDIT_NULL;
        _cleanup_(freep) char *s = malloc(n + 1), *back = NULL;
        size_t n_back, same = 0, rest = 0;
        int r;

        fuzz_check(s);
        memcpy(s, data, n);
        s[n] = '\0';
        r = grub_file_add(s, n, "GRUB_CMDLINE_LINUX_DEFAULT", words, ARRAY_SIZE(words), &edit);
        fuzz_check(r == 0 ||
                        (r == GRUB_FILE_E_REFUSED && edit.problem && edit.line > 0 && !edit.data));
        /* Taking words out is for any file. */
        fuzz_check(words_take_out(s, n, NULL, 0, words, ARRAY_SIZE(words), &back, &n_back) == 0);
        fuzz_check(n_back <= n);
        if (!edit.data)
                return 0;

        /* Bytes were added in one place, and none is gone. */
        fuzz_check(edit.n > n);
        while (same < n && s[same] == edit.data[same])
                ++same;
        while (rest < n - same && s[n - 1 - rest] == edit.data[edit.n - 1 - rest])
                ++rest;
        /* A bare value gets quotes around it, so two bytes before what stays. */
        fuzz_check(same + rest == n || memchr(edit.data + same, '"', edit.n - same));
        fuzz_check(grub_file_add(edit.data, edit.n, "GRUB_CMDLINE_LINUX_DEFAULT", words,
                                   ARRAY_SIZE(words), &again) == 0);
        fuzz_check(!again.data);
        return 0;
}
