/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The kernel's command line.
 */

#include "fuzz.h"

#include "probe/iommu.h"
#include "record/config.h"

static void
load(FakeTree *tree, const char *before, const char *s, const char *after, KernelLine *ret) {
        _cleanup_(freep) char *line = text_format("%s%s%s", before, s, after);

        fuzz_check(line);
        fake_write_bytes(tree->root, "proc/cmdline", line, strlen(line));
        fuzz_check(kernel_line_load(tree->roots.proc_fd, ret) == 0);
        fuzz_check(ret->is_set || (ret->mode == MODE_UNSET && !ret->unknown));
        fuzz_check(!ret->unknown || ret->mode == MODE_UNSET);
}

static void check_same(const KernelLine *a, const KernelLine *b) {
        fuzz_check(a->is_set == b->is_set && a->mode == b->mode);
        fuzz_check(text_equal(a->unknown, b->unknown));
}

static size_t count_quotes(const char *s) {
        size_t n = 0;

        for (; *s; ++s)
                n += *s == '"';
        return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        _cleanup_(kernel_line_deinit) KernelLine line = KERNEL_LINE_NULL, more = KERNEL_LINE_NULL,
                                                 last = KERNEL_LINE_NULL;
        _cleanup_(freep) char *s = fuzz_string(data, n), *argument = NULL;
        FakeTree *tree = fuzz_tree();
        IommuCause cause;

        load(tree, "", s, "", &line);
        fuzz_check(iommu_find_cause(&tree->roots, &cause, &argument) == 0);
        fuzz_check(cause < _IOMMU_MAX);

        /* What stands before has no say, and nothing behind two dashes has. */
        load(tree, "quiet vfiopt.mode=host vfiopt.mode=off x=\"a b\" ", s, "", &more);
        if (line.is_set)
                check_same(&line, &more);
        if (count_quotes(s) % 2 == 0) {
                load(tree, "", s, " -- vfiopt.mode=off", &last);
                check_same(&line, &last);
        }
        return 0;
}
