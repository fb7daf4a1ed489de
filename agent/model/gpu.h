/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * GPUs
 *
 * A GPU is a slot: its display function and all other functions of the card
 * (HDMI audio, USB, UCSI), which only ever move together.
 */

#include <sys/types.h>

#include "model/device.h"

/* Where a GPU is, read from sysfs; or where it shall go. */
typedef enum Mode {
        MODE_UNSET,       /* nowhere in particular: leave it alone. No GPU is in it. */
        MODE_HOST,        /* no function on vfio */
        MODE_PASSTHROUGH, /* every function on vfio */
        MODE_MIXED,       /* neither; nothing that can be asked for */
        _MODE_MAX,
} Mode;

typedef struct Gpu {
        Address address;   /* of function 0 */
        Location location; /* of function 0 */
        Device *functions; /* by function number, ascending; [0] is the display function */
        size_t n_functions;
        Mode mode;
        /* as the inventory has it; see displays_boot_on() */
        bool boots_machine;   /* the machine boots on it */
        bool is_boot_display; /* and there is another display */
} Gpu;

enum {
        _GPU_E_SUCCESS,

        GPU_E_NONE, /* no NVIDIA GPU at this slot */
        GPU_E_LATE, /* the kernel did not answer in time */
};

int gpu_init(Gpu *gpu, Sysfs *sysfs, Address address) _warn_unused_result_;
int gpu_refresh(Gpu *gpu, Sysfs *sysfs) _warn_unused_result_;
void gpu_deinit(Gpu *gpu);
const Device *gpu_find_function(const Gpu *gpu, Address address);
bool gpu_shares_group(const Gpu *a, const Gpu *b);
bool device_is_gpu(const Device *device);

int gpu_ask_overrides(Sysfs *sysfs,
                const Gpu *gpu,
                uint64_t limit_usec,
                char ***ret_overrides,
                pid_t *ret_reader) _warn_unused_result_;
int gpu_read_overrides(Sysfs *sysfs, const Gpu *gpu, uint64_t limit_usec, char ***ret_overrides)
                _warn_unused_result_;
char **overrides_free(char **overrides, size_t n);

/* modes */

const char *mode_to_string(Mode mode);
int mode_from_string(const char *s, Mode *ret) _warn_unused_result_;
bool mode_fulfils(Mode wish, Mode mode);

/* One that can be asked for, or left out where there is none; and any that a GPU can be in. */
extern const CodecWord mode_word, mode_seen_word;
