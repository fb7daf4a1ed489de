/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Instances of vfiopt@.service
 *
 * A request for a switch as the one word that passes the manager, polkit and the journal,
 * between "vfiopt@" and ".service":
 *
 *   MODE[_OPTION[.VALUE]]...[:GPU[_GPU]...]
 *
 *   passthrough
 *   passthrough_allow-display:0000:01:00.0
 *   host:0000:01:00.0_0000:02:00.0
 *
 * It reads as the command line does, and options have their long names. A unit's name may have
 * letters, digits and ":-_.\@" and nothing else without escaping, so neither "=" nor "+": "_"
 * separates the members of a list, the first ":" the two lists, and "." is for "=". No name of a
 * mode or an option has any of these three.
 */

#include "base/text.h"
#include "model/gpu.h"

typedef struct Instance {
        char *words;          /* all that follows points into this */
        const char *mode;     /* one of instance_modes */
        unsigned int options; /* of OPTION_* */
        char **gpus;          /* addresses or ids, not looked at yet; an empty word is one, too */
        size_t n_gpus;
        const char *culprit; /* after INSTANCE_E_*: the word that is wrong */
} Instance;

#define INSTANCE_NULL \
        {}

enum {
        _INSTANCE_E_SUCCESS,

        INSTANCE_E_MODE,     /* no such mode */
        INSTANCE_E_OPTION,   /* no such option, or a value that it does not take */
        INSTANCE_E_REPEATED, /* an option that was there already */
};

#define INSTANCE_AUTO   "auto"
#define INSTANCE_TOGGLE "toggle"
#define INSTANCE_MODES  4U

extern const char *const instance_modes[INSTANCE_MODES];

int instance_parse(Instance *instance, const char *s) _warn_unused_result_;
void instance_deinit(Instance *instance);

/* the way back, piece by piece */

int instance_append_mode(Text *name, const char *mode, unsigned int chosen) _warn_unused_result_;
int instance_append_gpu(Text *name, Address gpu, bool first) _warn_unused_result_;
