/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Parts of the Configuration
 *
 * What config.c, config-ini.c and config-keys.c share, and nobody else uses.
 */

#include "record/config.h"

/* Where in the files we are. */
typedef struct ConfigPlace {
        const char *file;
        unsigned int line;
} ConfigPlace;

typedef enum ConfigSectionKind {
        CONFIG_SECTION_NONE,    /* before the first one */
        CONFIG_SECTION_IGNORED, /* complained about already: be quiet about its keys */
        CONFIG_SECTION_GENERAL,
        CONFIG_SECTION_GPU,
} ConfigSectionKind;

typedef struct ConfigSection {
        ConfigSectionKind kind;
        size_t gpu; /* which one of Config */
} ConfigSection;

/* complaints: 0 on success, negative error code on failure */

int config_error(Config *config, ConfigPlace place, const char *format, ...) _printf_(3, 4)
                _warn_unused_result_;
int config_warning(Config *config, ConfigPlace place, const char *format, ...) _printf_(3, 4)
                _warn_unused_result_;

/* "ABC…" and a zero; anything unprintable is a question mark */
#define CONFIG_QUOTE_MAX 48

const char *config_quote(const char *s, char buffer[static CONFIG_QUOTE_MAX]);

/* files, sections and keys: 0 on success, negative error code on failure */

int config_read_ini(Config *config, const char *file, char *data) _warn_unused_result_;
int config_open_section(Config *config, ConfigPlace place, const char *name, ConfigSection *ret)
                _warn_unused_result_;
bool config_doubt_line(Config *config, const ConfigSection *section, const char *line);
int config_set_key(Config *config,
                ConfigPlace place,
                const ConfigSection *section,
                const char *key,
                const char *value) _warn_unused_result_;
