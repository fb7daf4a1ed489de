/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Requests
 *
 * Which GPUs shall go where: what `MODE [GPU…]` means on this machine. MODE may be an instance of
 * vfiopt@.service, which any user may have asked the manager for: nothing is guessed. An instance
 * is a request as the one word that passes the manager, polkit and the journal, between "vfiopt@"
 * and ".service":
 *
 *   MODE[_OPTION]...[:GPU[_GPU]...]
 *
 *   passthrough
 *   passthrough_allow-display:0000:01:00.0
 *   host:0000:01:00.0_0000:02:00.0
 *
 * It reads as the command line does, and options have their long names. A unit's name may have
 * letters, digits and ":-_.\@" and nothing else without escaping, so neither "=" nor "+": "_"
 * separates the members of a list, and the first ":" the two lists. No name of a mode or an
 * option has either of these.
 */

#include "base/text.h"
#include "cli/cli.h"
#include "policy/targets.h"
#include "switch/switch.h"

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
        INSTANCE_E_OPTION,   /* no such option */
        INSTANCE_E_REPEATED, /* an option that was there already */
};

#define INSTANCE_AUTO   "auto"
#define INSTANCE_TOGGLE "toggle"
#define INSTANCE_MODES  4U

extern const char *const instance_modes[INSTANCE_MODES];

int instance_parse(Instance *instance, const char *s) _warn_unused_result_;
void instance_deinit(Instance *instance);
int instance_append_mode(Text *name, const char *mode, unsigned int chosen) _warn_unused_result_;
int instance_append_gpu(Text *name, Address gpu, bool first) _warn_unused_result_;

typedef struct Request {
        Inventory inventory;
        Policy policy;
        Targets targets; /* by address, ascending; at least one, unless .automatic */
        bool all;        /* no GPU was named: these are the managed ones */
        bool toggle;
        bool automatic;       /* each GPU goes where the policy wants it, if it wants anything */
        Mode to;              /* unless .toggle or .automatic */
        SwitchRequest *parts; /* what is asked of switch_run(), one by one; without a trigger */
        size_t n_parts;
        Gpu **gpus; /* of all parts */
} Request;

#define REQUEST_NULL \
        {}

/* Return: 0, an exit code after having said why, or a negative error code. */
int request_init(Request *request, Cli *cli) _warn_unused_result_;
void request_deinit(Request *request);
int request_units(const Request *request, unsigned int options, char ***ret, size_t *ret_n)
                _warn_unused_result_;

/* shared with other verbs */

int message_no_gpu(int why, const char *word, const State *state);
int policy_read(Policy *policy, const Cli *cli) _warn_unused_result_;
