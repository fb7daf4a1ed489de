/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The manifest of a backup: all of it but the files' bytes, as JSON. */

#include "setup/backup.h"

int manifest_add_command(BackupCommand **commands, size_t *n, char *const *argv)
                _warn_unused_result_;
int manifest_format(const Backup *backup, char **ret) _warn_unused_result_;
int manifest_parse(const char *data, Backup *ret) _warn_unused_result_;
