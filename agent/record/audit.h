/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Audit
 *
 * Events as structured records of the journal; see include/vfiopt/journal.h for
 * fields and message ids, and units/vfiopt.catalog for what `journalctl -x` says.
 */

#include "record/event.h"

int audit_message(const Event *event, char **ret) _warn_unused_result_;
int audit_send(const Event *event) _warn_unused_result_;
