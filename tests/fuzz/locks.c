/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The kernel's list of locks, while that of the GPU is held. In it, "@" stands for the lock of the
 * GPU and "&" for its guard, which the kernel writes as numbers.
 */

#include "fuzz.h"

#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "record/lock.h"

#define LOCK "run/vfiopt/lock/0000:01:00.0"

static const Address gpu = { .bus = 1 };

/* As root, who may ask the lock itself, and as nobody, who has the list alone. */
static void check(FakeTree *tree, uid_t uid) {
        LockHolders holders = {};

        setfsuid(uid);
        fuzz_check(lock_test(tree->roots.run_fd, tree->roots.proc_fd, gpu, &holders) == 0);
        setfsuid(geteuid());
        fuzz_check(holders.owner >= 0 && (holders.locked || holders.owner == 0));
        fuzz_check(holders.writer >= 0 && (holders.writing || holders.writer == 0));
        fuzz_check(holders.locked || uid != geteuid());
}

static void name_file(FakeTree *tree, const char *path, char *buffer, size_t n) {
        struct stat st;
        char whole[FAKE_PATH_MAX];

        fuzz_check(stat(fake_path(whole, "%s/%s", tree->root, path), &st) == 0);
        snprintf(buffer, n, "%02x:%02x:%ju", major(st.st_dev), minor(st.st_dev),
                        (uintmax_t) st.st_ino);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        static char lock[64], guard[64];
        _cleanup_(text_deinit) Text lines = TEXT_NULL;
        FakeTree *tree = fuzz_tree();

        if (!lock[0]) {
                static Lock held;

                fuzz_check(lock_take(&held, tree->roots.run_fd, gpu, false) == 0);
                name_file(tree, LOCK, lock, sizeof(lock));
                name_file(tree, LOCK ".writer", guard, sizeof(guard));
        }
        for (size_t i = 0; i < n; ++i)
                if (data[i] == '@' || data[i] == '&')
                        fuzz_check(text_append(&lines, "%s", data[i] == '@' ? lock : guard) == 0);
                else
                        fuzz_check(text_append(&lines, "%c", data[i]) == 0);
        fake_write_bytes(tree->root, "proc/locks", text(&lines), lines.n);

        check(tree, geteuid());
        check(tree, 65534);
        return 0;
}
