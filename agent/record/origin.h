/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Origins
 *
 * What a GPU was like on the host before we took it, so that it comes back just
 * so: the driver of each function, its override and power settings. Kept from the
 * moment it leaves the host until it is back.
 */

#include "model/gpu.h"

typedef struct OriginFunction {
        Address address;
        char *driver;         /* NULL: it had none */
        char *override;       /* NULL: there was none */
        char *power_control;  /* "on" or "auto"; NULL: not known */
        char *d3cold_allowed; /* "0" or "1"; NULL: not known */
} OriginFunction;

typedef struct Origin {
        Address address;
        Identity identity;
        OriginFunction *functions;
        size_t n_functions;
} Origin;

enum {
        _ORIGIN_E_SUCCESS,

        ORIGIN_E_MISSING, /* nothing is remembered */
        ORIGIN_E_INVALID, /* what is remembered is damaged, or of another version or card */
};

void origin_deinit(Origin *origin);
int origin_init(Origin *origin, Sysfs *sysfs, const Gpu *gpu, char *const *overrides)
                _warn_unused_result_;
const OriginFunction *origin_find(const Origin *origin, Address address);

int origin_load(Origin *origin, int run_fd, const Gpu *gpu) _warn_unused_result_;
int origin_save(const Origin *origin, int run_fd) _warn_unused_result_;
int origin_drop_idle(Origin *origin, int run_fd) _warn_unused_result_;
int origin_forget(int run_fd, Address gpu) _warn_unused_result_;
