/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Records per GPU
 *
 * What intents, origins and stuck markers have in common: one small JSON file per
 * GPU, in a folder of its own in /run, replaced atomically, with a version.
 */

#include "base/json.h"
#include "model/device.h"

enum {
        _STORE_E_SUCCESS,

        STORE_E_MISSING, /* there is no record */
        STORE_E_INVALID, /* it is no record of ours: damaged, or of another version */
};

int store_load(int run_fd, const char *folder, Address gpu, Json **ret) _warn_unused_result_;
int store_save(int run_fd, const char *folder, Address gpu, Json *record) _warn_unused_result_;
int store_remove(int run_fd, const char *folder, Address gpu) _warn_unused_result_;

/* parts that several records have */

int store_add_card(Json *object, Address address, Identity identity) _warn_unused_result_;
int store_get_card(const Json *object, Address *ret_address, Identity *ret_identity)
                _warn_unused_result_;
int store_get_text(const Json *object, const char *key, char **ret) _warn_unused_result_;
