/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The state file, and the record of a GPU.
 */

#include "fuzz.h"

#include "record/runtime.h"
#include "record/state.h"

#define GPU    "0000:01:00.0"
#define STATE  "state"
#define RECORD "gpu/" GPU "-10de-2d04-1043-5678.json"

static Gpu gpu;

static FakeTree *machine(void) {
        FakeTree *tree;

        if (fuzz_machine(&tree)) {
                fake_gpu_add(tree, GPU, .group = 12, .driver = "nvidia");
                fuzz_check(gpu_init(&gpu, fake_sysfs(tree), (Address){ .bus = 1 }) == 0);
        }
        return tree;
}

/* What is understood is written, and then read and written the same. */
static void check_state(FakeTree *tree) {
        _cleanup_(state_deinit) State state = STATE_NULL, again = STATE_NULL;
        _cleanup_(freep) char *first = NULL, *second = NULL;
        char name[LOCATION_STRING_MAX];
        StateMatch match;

        if (state_load(&state, tree->roots.etc_fd) != 0)
                return;
        fuzz_check(state_save(&state, tree->roots.etc_fd) == 0);
        first = fuzz_read(tree->roots.etc_fd, STATE);
        fuzz_check(state_load(&again, tree->roots.etc_fd) == 0);
        fuzz_check(state_save(&again, tree->roots.etc_fd) == 0);
        second = fuzz_read(tree->roots.etc_fd, STATE);
        fuzz_check(!strcmp(first, second));

        fuzz_check(state_place(&state, &tree->roots) == 0);
        fuzz_check((state_find(&state, &gpu, &match) != NULL) == (match != MATCH_NOTHING));
        for (size_t i = 0; i < state.n_entries; ++i) {
                _cleanup_(gpu_deinit) Gpu made = {};

                fuzz_check(text_is_printable(state_entry_name(&state, &state.entries[i], name)));
                fuzz_check(state_entry_to_gpu(&state.entries[i], &made) == 0);
        }
}

static void check_record(FakeTree *tree) {
        _cleanup_(gpu_record_deinit) GpuRecord record = GPU_RECORD_NULL, again = GPU_RECORD_NULL;
        _cleanup_(freep) char *first = NULL, *second = NULL;
        const int run_fd = tree->roots.run_fd;

        if (gpu_record_load(&record, run_fd, &gpu) != 0)
                return;
        fuzz_check(gpu_record_save(&record, run_fd) == 0);
        if (faccessat(run_fd, RECORD, F_OK, 0) == 0)
                first = fuzz_read(run_fd, RECORD);
        fuzz_check(gpu_record_load(&again, run_fd, &gpu) == 0);
        fuzz_check(gpu_record_save(&again, run_fd) == 0);
        if (faccessat(run_fd, RECORD, F_OK, 0) == 0)
                second = fuzz_read(run_fd, RECORD);
        fuzz_check(text_equal(first, second));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        FuzzInput input = { data, n };
        FakeTree *tree = machine();
        _cleanup_(runtime_deinit) Runtime runtime = RUNTIME_NULL;

        (void) fuzz_write(tree, "etc/vfiopt/" STATE, &input);
        (void) fuzz_write(tree, "run/vfiopt/" RECORD, &input);
        fuzz_check(runtime_init(&runtime, &tree->roots, &gpu) == 0);
        check_state(tree);
        check_record(tree);
        return 0;
}
