/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * NVIDIA GPU
 *
 * Memory that stands for registers and video memory, with the three registers
 * that NVIDIA's own driver reads in its probe: which chip this is, in the old
 * (PMC_BOOT_0) and the new format (PMC_BOOT_42), and that it is not a virtual
 * function (PMC_BOOT_1). With these the probe succeeds; opening the device
 * would need firmware that runs on the card.
 *
 * The plain display function beside it has no registers at all: it is the
 * card of another vendor that machines have too.
 */

#include <errno.h>
#include <string.h>

#include "models.h"

#define PMC_BOOT_0    0x000U
#define PMC_BOOT_1    0x004U
#define PMC_BOOT_42   0xa00U
#define CONFIG_MIRROR 0x88000U

#define REGISTERS_SIZE (16U << 20)

static void set_register(Function *f, size_t offset, uint32_t value) {
        memcpy(f->bars[0].memory + offset, &value, sizeof(value));
}

static int gpu_init(Function *f) {
        int r;

        r = function_add_bar(f, 0, REGISTERS_SIZE, BAR_MEM32);
        if (r >= 0)
                r = function_add_bar(f, 1, f->options.vram, BAR_MEM64_PREFETCH);
        if (r >= 0)
                r = function_add_bar(f, 3, 32U << 20, BAR_MEM64_PREFETCH);
        if (r >= 0)
                r = function_add_bar(f, 5, 128, BAR_IO);
        if (r < 0)
                return r;

        set_register(f, PMC_BOOT_0, f->options.chip << 20 | 0xa1);
        set_register(f, PMC_BOOT_1, 0);
        set_register(f, PMC_BOOT_42, f->options.chip << 20 | 0xa1000);
        set_register(f, CONFIG_MIRROR, (uint32_t) f->options.device << 16 | f->options.vendor);
        if (f->options.dead)
                memset(f->bars[0].memory, 0xff, REGISTERS_SIZE);
        return 0;
}

const Model model_gpu = {
        .name = "gpu",
        .class = 0x030000,
        .device = 0x2204, /* GA102, RTX 3090: one that driver 550 knows */
        .init = gpu_init,
};

static int display_init(Function *f) {
        int r;

        r = function_add_bar(f, 0, f->options.vram, BAR_MEM64_PREFETCH);
        if (r >= 0)
                r = function_add_bar(f, 2, 2U << 20, BAR_MEM64_PREFETCH);
        return r;
}

const Model model_display = {
        .name = "display",
        .class = 0x030000,
        .device = 0x744c,
        .init = display_init,
};

static int ucsi_init(Function *f) {
        return function_add_bar(f, 0, 4096, BAR_MEM32);
}

/* The USB-C controller: no driver of Debian's kernels binds it. */
const Model model_ucsi = {
        .name = "ucsi",
        .class = 0x0c8000,
        .device = 0x1ad9,
        .init = ucsi_init,
};
