/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Configuration
 *
 * vfiopt.conf and vfiopt.conf.d/ in our directory in /etc, see vfiopt.conf(5).
 *
 * A mistake in a file is a complaint and no error: it must neither keep the machine from
 * booting nor cost what is right in the same file.
 */

#include "model/gpu.h"

#define CONFIG_COMPLAINTS_MAX 100U

/* Whether a request that names no GPU means this one. */
typedef enum ConfigManaged {
        CONFIG_MANAGED_YES,
        CONFIG_MANAGED_NO,
        CONFIG_MANAGED_AUTO, /* as Gpu.managed says */
} ConfigManaged;

typedef struct ConfigValue {
        bool is_set;
        int value; /* which of the words that the key allows */
} ConfigValue;

/* All sections [GPU SELECTOR] with the same selector. */
typedef struct ConfigGpu {
        bool by_id;
        Address address; /* of function 0, unless by id */
        uint16_t vendor; /* if by id */
        uint16_t device;
        ConfigValue managed;
        ConfigValue boot_mode;
        ConfigValue allow_display;
        ConfigValue d3cold;
} ConfigGpu;

typedef struct ConfigComplaint {
        char *text;      /* "vfiopt.conf:3: ...", a short line of printable ASCII */
        bool is_warning; /* unknown to this version rather than wrong */
} ConfigComplaint;

typedef struct Config {
        ConfigValue default_mode;
        bool incomplete; /* a file is ignored as a whole, which may have said anything */
        ConfigGpu *gpus;
        size_t n_gpus;
        ConfigComplaint complaints[CONFIG_COMPLAINTS_MAX]; /* in the order of reading */
        size_t n_complaints;
} Config;

/* Also the default configuration. */
#define CONFIG_NULL \
        {}

int config_load(Config *ret, int etc_fd) _warn_unused_result_;
void config_deinit(Config *config);

/* lookups */

Mode config_default(const Config *config);
ConfigManaged config_managed(const Config *config, const Gpu *gpu);
bool config_section_moves(const ConfigGpu *section);
bool config_boot(const Config *config, const Gpu *gpu, Mode *ret);
bool config_boot_by_id(const Config *config, const Gpu *gpu, Mode *ret);
bool config_allows_display(const Config *config, const Gpu *gpu);
bool config_allows_display_by_id(const Config *config, const Gpu *gpu);
bool config_allows_d3cold(const Config *config, const Gpu *gpu);

/*
 * The kernel's command line: `vfiopt.mode=` beats every file, and is for the day when the screen
 * stays black. So a value with a typing error means "touch nothing", and not what the files say.
 */
typedef struct KernelLine {
        bool is_set;
        Mode mode;     /* MODE_UNSET: off, nothing is touched */
        char *unknown; /* a value that is not understood and counts as off, or NULL */
} KernelLine;

#define KERNEL_LINE_NULL \
        {}

int kernel_line_load(int proc_fd, KernelLine *ret) _warn_unused_result_;
void kernel_line_deinit(KernelLine *kernel);
