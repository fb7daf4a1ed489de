/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Mappings of a process, as text: what is seen does not depend on how much of it is read at once.
 */

#include "fuzz.h"

#include <sys/stat.h>

#include "probe/open-files.h"

#define PID 5000812

/* The most that a read(2) gives; 0: all that was asked for. */
static size_t read_max;

ssize_t __real_read(int fd, void *buffer, size_t n);
ssize_t __wrap_read(int fd, void *buffer, size_t n);

ssize_t __wrap_read(int fd, void *buffer, size_t n) {
        return __real_read(fd, buffer, read_max > 0 && read_max < n ? read_max : n);
}

static char names[][12] = { "nvidia0", "a b", "vfio/12" };
static DevNode nodes[] = {
        { .type = S_IFCHR, .rdev = 0xc300, .name = names[0] },
        { .type = S_IFCHR, .rdev = 0xc301, .name = names[1] },
        { .type = S_IFCHR, .rdev = 0xc302, .name = names[2] },
};
static const DevNodes table = {
        .items = nodes,
        .n = ARRAY_SIZE(nodes),
        .has_vfio = true,
        .has_all_vfio = true,
};

static void look(FakeTree *tree, size_t at_once, unsigned char seen[static ARRAY_SIZE(nodes)]) {
        _cleanup_(open_files_freep) OpenFiles *files = NULL;

        fuzz_check(open_files_new(&tree->roots, &table, 1, true, &files) == 0);
        files->nodes_fs = (dev_t) 5;
        files->memory_fs = (dev_t) 1;
        read_max = at_once;
        fuzz_check(open_files_look(files, PID) >= 0);
        read_max = 0;
        memcpy(seen, files->seen, ARRAY_SIZE(nodes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        unsigned char whole[ARRAY_SIZE(nodes)], chunked[ARRAY_SIZE(nodes)];
        FakeTree *tree = fuzz_tree();
        char path[FAKE_PATH_MAX];

        fake_make_dir(tree->root, fake_path(path, "proc/%u/fd", PID));
        fake_make_dir(tree->root, fake_path(path, "proc/%u/task/%u", PID, PID));
        fake_write_bytes(tree->root, fake_path(path, "proc/%u/maps", PID), data, n);
        look(tree, 0, whole);
        for (size_t at_once = 1; at_once < 40; at_once += 19) {
                look(tree, at_once, chunked);
                fuzz_check(!memcmp(whole, chunked, sizeof(whole)));
        }
        return 0;
}
