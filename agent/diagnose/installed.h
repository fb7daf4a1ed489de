/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Installed Files
 *
 * Whether the files of ours that systemd and udev have to find are where these look, and not masked by an
 * empty file or a link to /dev/null in a folder that goes before.
 */

#include "base/macro.h"

typedef enum InstalledState {
        INSTALLED_NOT,
        INSTALLED_MASKED,
        INSTALLED_YES,
} InstalledState;

typedef enum InstalledFile {
        INSTALLED_RULES,
        INSTALLED_JOB,
        INSTALLED_BOOT,
        INSTALLED_AGENT,
        INSTALLED_ASK,
        _INSTALLED_MAX,
} InstalledFile;

typedef struct Installed {
        InstalledState state;
        char *path; /* with a slash in front; NULL with INSTALLED_NOT */
} Installed;

const char *installed_name(InstalledFile file);
int installed_find(int root_fd, InstalledFile file, Installed *ret) _warn_unused_result_;
void installed_deinit(Installed *installed);
