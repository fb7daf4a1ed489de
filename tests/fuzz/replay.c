/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Replay
 *
 * Stands in for libFuzzer: hands each file of a directory to the target, and nothing at first.
 */

#include <fcntl.h>

#include "fuzz.h"

static void replay(void *userdata, const char *name) {
        size_t n;
        _cleanup_(freep) char *data = NULL;
        char path[FAKE_PATH_MAX];

        fake_path(path, "%s/%s", (const char *) userdata, name);
        fuzz_check(file_read(AT_FDCWD, path, 1U << 20, &data, &n) == 0);
        printf("%s\n", name);
        fflush(stdout);
        LLVMFuzzerTestOneInput((const uint8_t *) data, n);
}

int main(int argc, char **argv) {
        LLVMFuzzerTestOneInput((const uint8_t *) "", 0);
        for (int i = 1; i < argc; ++i)
                fake_each(argv[i], ".", replay, argv[i]);
        fake_tree_free(fake_tree_newest());
        return EXIT_SUCCESS;
}
