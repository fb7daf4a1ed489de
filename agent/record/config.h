/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Configuration
 *
 * vfiopt.conf and vfiopt.conf.d/ of our directory in /etc; see vfiopt.conf(5). What
 * is wrong in there is no error but a complaint, and the rest counts.
 */

#include "model/gpu.h"

/* Is a GPU meant where none is named? */
typedef enum ConfigManaged {
        CONFIG_MANAGED_AUTO, /* unless it is the boot display beside another, see Gpu */
        CONFIG_MANAGED_YES,
        CONFIG_MANAGED_NO,
        _CONFIG_MANAGED_MAX,
        CONFIG_MANAGED_NOT_SAID = _CONFIG_MANAGED_MAX, /* by one section */
} ConfigManaged;

/* Where does a GPU belong at boot? */
typedef enum ConfigBoot {
        CONFIG_BOOT_REMEMBERED, /* where it was last */
        CONFIG_BOOT_HOST,
        CONFIG_BOOT_PASSTHROUGH,
        CONFIG_BOOT_UNSET, /* leave it alone */
        _CONFIG_BOOT_MAX,
        CONFIG_BOOT_NOT_SAID = _CONFIG_BOOT_MAX,
} ConfigBoot;

/* What all sections [GPU SELECTOR] with the same selector say. */
typedef struct ConfigGpu {
        bool by_id;
        Address address; /* unless by id; of function 0 */
        uint16_t vendor; /* if by id */
        uint16_t device;
        ConfigManaged managed;
        ConfigBoot boot;
} ConfigGpu;

typedef struct ConfigComplaint {
        char *file;        /* below our directory; printable */
        unsigned int line; /* from 1; 0: the whole file */
        char *text;        /* one line, printable */
        bool is_warning;   /* not known to this version, rather than wrong */
} ConfigComplaint;

typedef struct Config {
        Mode wish;       /* for what is not remembered */
        bool incomplete; /* a file does not count as a whole, which may have said anything */
        ConfigGpu *gpus;
        size_t n_gpus;
        ConfigComplaint *complaints; /* in the order of reading */
        size_t n_complaints;
} Config;

/* Also the default configuration. */
#define CONFIG_NULL \
        {}

void config_deinit(Config *config);
int config_load(Config *config, int etc_fd) _warn_unused_result_;

char *config_complaint_format(const ConfigComplaint *complaint);

/* lookups */

Mode config_default(const Config *config);
ConfigManaged config_managed(const Config *config, const Gpu *gpu);
ConfigBoot config_boot(const Config *config, const Gpu *gpu);

/* names, as in the file */

const char *config_managed_to_string(ConfigManaged managed);
const char *config_boot_to_string(ConfigBoot boot);
