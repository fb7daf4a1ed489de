/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Snapshots
 *
 * All that a switch changes, and must leave as it was when it fails, as text:
 * one line per device, one per node of VFIO's, and the files that we keep. "As
 * before" is then one comparison, and what is not shows as a difference of lines.
 *
 * Left out is what may differ from one time to the next: which modules are
 * loaded, and the blacklist that goes by that, the numbers that drivers hand out, and files of locks,
 * which stay and say nothing; but they are empty, or shown.
 */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "lib/pci-model.h"
#include "vfiopt/names.h"

#define FILE_MAX 65536

typedef struct Snapshot {
        FakeTree *tree;
        const char *dir;
        Text text;
} Snapshot;

static void must(int r) {
        if (r) {
                errno = r < 0 ? -r : ENOENT;
                fake_fail("take", "a snapshot");
        }
}

static void add_device(Snapshot *snapshot, const MachineDevice *device) {
        const char *const attributes[] = { "driver_override", "power/control", "d3cold_allowed" };
        char value[256];

        if (device->is_gone) {
                must(text_append(&snapshot->text, "%s gone\n", device->address));
                return;
        }

        must(text_append(&snapshot->text, "%s driver=%s", device->address,
                        fake_device_driver(snapshot->tree, device->address, value)));
        for (size_t i = 0; i < ARRAY_SIZE(attributes); ++i) {
                fake_device_read(snapshot->tree, device->address, attributes[i], value,
                                sizeof(value));
                must(text_append(&snapshot->text, " %s=%s", attributes[i], value));
        }
        must(text_append(&snapshot->text, "\n"));
}

static void add_file(Snapshot *snapshot, const char *path) {
        _cleanup_(freep) char *data = NULL;
        _cleanup_(closep) int root = -1;

        root = open(snapshot->tree->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        must(root < 0 ? -errno : 0);
        must(file_read(root, path, FILE_MAX, &data, NULL));

        must(text_append(&snapshot->text, "%s\n", path));
        for (char *line = data, *end; *line; line = end) {
                end = strchrnul(line, '\n');
                must(text_append(&snapshot->text, "        %.*s\n", (int) (end - line), line));
                end += *end == '\n';
        }
}

static void add_entry(void *userdata, const char *name) {
        Snapshot *snapshot = userdata;
        const char *dir = snapshot->dir;
        char path[FAKE_PATH_MAX], whole[FAKE_PATH_MAX];
        struct stat st;

        fake_path(path, "%s/%s", dir, name);
        fake_path(whole, "%s/%s", snapshot->tree->root, path);
        if (lstat(whole, &st) < 0)
                return;
        if (S_ISREG(st.st_mode) && st.st_size == 0 && strstr(path, "/lock/"))
                return;
        if (!strcmp(name, VFIOPT_RUN_MODPROBE))
                return;
        if (!S_ISDIR(st.st_mode)) {
                add_file(snapshot, path);
                return;
        }

        snapshot->dir = path;
        fake_each(snapshot->tree->root, path, add_entry, snapshot);
        snapshot->dir = dir;
}

static void add_node(void *userdata, const char *name) {
        Snapshot *snapshot = userdata;

        must(text_append(&snapshot->text, "dev/vfio/%s\n", name));
}

/* Render the state of devices, of VFIO's nodes and of our own files; free() it. */
char *fake_snapshot(FakeTree *tree) {
        static const char *const dirs[] = { "run", "etc" };
        Snapshot snapshot = { .tree = tree, .text = TEXT_NULL };

        pci_model_catch_up(tree);
        for (unsigned int i = 0; i < tree->machine->n_devices; ++i)
                add_device(&snapshot, &tree->machine->devices[i]);
        fake_each(tree->root, "dev/vfio", add_node, &snapshot);
        for (size_t i = 0; i < ARRAY_SIZE(dirs); ++i) {
                snapshot.dir = dirs[i];
                fake_each(tree->root, dirs[i], add_entry, &snapshot);
        }
        must(text_append(&snapshot.text, "%s", ""));
        return text_take(&snapshot.text);
}

static bool has_line(const char *text, const char *line, size_t n) {
        for (const char *end; *text; text = end) {
                end = strchrnul(text, '\n');
                if ((size_t) (end - text) == n && !strncmp(text, line, n))
                        return true;
                end += *end == '\n';
        }
        return false;
}

static void print_missing(char sign, const char *from, const char *in) {
        for (const char *end; *from; from = end) {
                end = strchrnul(from, '\n');
                if (!has_line(in, from, end - from))
                        fprintf(stderr, "%c %.*s\n", sign, (int) (end - from), from);
                end += *end == '\n';
        }
}

/* Compare two snapshots, and say where they differ. */
bool fake_snapshot_equal(const char *before, const char *after) {
        if (!strcmp(before, after))
                return true;

        print_missing('-', before, after);
        print_missing('+', after, before);
        return false;
}
