/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The Card that the Tests of agent/probe/ Share
 *
 * A tree with the usual drivers, a GPU to be added in slot 01:00, and processes that are
 * files. What these have open are links to devices of the real machine, whose numbers
 * are given to nodes of the card. Their own numbers are above any that this process could
 * have, which would be left out.
 */

#include "lib/test.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/text.h"
#include "probe/preflight.h"

#define GPU    "0000:01:00.0"
#define AUDIO  "0000:01:00.1"
#define USB    "0000:01:00.2"
#define UCSI   "0000:01:00.3"
#define SECOND "0000:02:00.0"

typedef struct Fixture {
        FakeTree *tree;
        Gpu gpus[2]; /* in slots 01:00 and 02:00, as they were read last */
        Findings findings;
        bool allow_display;
        uint64_t wake_usec;
        bool is_passive;
} Fixture;

#define card_test(fn) cmocka_unit_test_setup_teardown(fn, card_setup, card_teardown)

static inline int card_setup(void **state) {
        Fixture *fixture = calloc(1, sizeof(*fixture));

        fixture->tree = fake_tree_new();
        fake_standard_drivers(fixture->tree);
        *state = fixture;
        return 0;
}

static inline int card_teardown(void **state) {
        Fixture *fixture = *state;

        findings_deinit(&fixture->findings);
        for (size_t i = 0; i < ARRAY_SIZE(fixture->gpus); ++i)
                gpu_deinit(&fixture->gpus[i]);
        fake_tree_free(fixture->tree);
        free(fixture);
        return 0;
}

/* Read the first @n GPUs anew. */
static inline const Gpu *card_read(Fixture *fixture, size_t n) {
        for (size_t i = 0; i < n; ++i) {
                Address address = { .bus = i + 1 };

                gpu_deinit(&fixture->gpus[i]);
                assert_int_equal(
                                gpu_init(&fixture->gpus[i], fake_sysfs(fixture->tree), address), 0);
        }
        return &fixture->gpus[0];
}

/* processes */

static inline void add_process(
                FakeTree *tree, unsigned int pid, const char *command, unsigned int uid) {
        char path[FAKE_PATH_MAX];

        fake_write(tree->root, fake_path(path, "proc/%u/comm", pid), "%s\n", command);
        fake_write(tree->root, fake_path(path, "proc/%u/status", pid),
                        "Name:\t%s\nUid:\t%u\t%u\t%u\t%u\n", command, uid, uid, uid, uid);
        fake_make_dir(tree->root, fake_path(path, "proc/%u/fd", pid));
}

/* @path: below the process, like "fd/3" */
static inline void add_file(
                FakeTree *tree, unsigned int pid, const char *path, const char *target) {
        char link[FAKE_PATH_MAX];

        snprintf(link, sizeof(link), "%s/proc/%u/%s", tree->root, pid, path);
        (void) unlink(link);
        assert_int_equal(symlink(target, link), 0);
}

static inline void add_maps(FakeTree *tree, unsigned int pid, const char *lines) {
        char path[FAKE_PATH_MAX];

        fake_write_bytes(tree->root, fake_path(path, "proc/%u/maps", pid), lines, strlen(lines));
}

/*
 * A mapping of a device: map_files leads to a node of its number; where none may be made, as nobody
 * but root can, map_files may not be asked either, and the name in maps counts.
 */
static inline void add_mapped_node(FakeTree *tree, unsigned int pid, const char *name, dev_t rdev) {
        char path[FAKE_PATH_MAX], node[FAKE_PATH_MAX], lines[128];

        snprintf(lines, sizeof(lines), "1000-2000 rw-s 00000000 00:05 163 /dev/%s\n", name);
        add_maps(tree, pid, lines);
        fake_make_dir(tree->root, fake_path(path, "proc/%u/map_files", pid));
        snprintf(node, sizeof(node), "%s/proc/%u/map_files/1000-2000", tree->root, pid);
        if (mknod(node, S_IFCHR | 0600, rdev) < 0) {
                snprintf(node, sizeof(node), "%s/proc/%u/map_files", tree->root, pid);
                assert_int_equal(chmod(node, 0400), 0);
        }
}
