/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Policy
 *
 * The kernel's command line beats every file: it is for the day when the screen stays
 * black. At boot the administrator's word (BootMode=) comes before what is remembered; from
 * then on what is remembered is where somebody has moved the GPU since, and comes first. But
 * a GPU that is to be left alone at boot (BootMode=unset) is left alone until it is moved. And
 * where a person has moved it after all, that is what counts until the next boot.
 *
 * What cannot be understood never moves anything. Without a readable state file it is not
 * known of which GPU something is remembered: so no word for the others counts. A file of the
 * configuration that cannot be read may have said that a GPU is to be left alone: so each of
 * them is. A command line that is not understood means that nothing is touched.
 */

#include <string.h>

#include "base/text.h"
#include "policy/policy.h"
#include "record/pending.h"

#define NOTHING_REMEMBERED "nothing is remembered, and no GPU is moved on its own"

/**
 * policy_load() - gather what is said
 * @policy:     to initialise; policy_deinit() it
 * @roots:      our own directories may be missing
 *
 * What is wrong in a file is no error, and left for the caller to tell.
 *
 * Return: 0 on success, negative error code on failure.
 */
int policy_load(Policy *policy, const Roots *roots) {
        Policy loaded = POLICY_NULL;
        int r;

        r = kernel_line_load(roots->proc_fd, &loaded.kernel);
        if (r >= 0)
                r = config_load(&loaded.config, roots->etc_fd);
        if (r >= 0) {
                r = state_load(&loaded.state, roots->etc_fd);
                if (r != STATE_E_MISSING)
                        loaded.state_problem = r;
                r = r == -ENOMEM ? r : 0;
        }
        if (r >= 0)
                r = pending_load(&loaded.pending, roots->run_fd);
        loaded.pending_invalid = r == PENDING_E_INVALID;
        if (r < 0) {
                policy_deinit(&loaded);
                return r;
        }

        *policy = loaded;
        return 0;
}

void policy_deinit(Policy *policy) {
        kernel_line_deinit(&policy->kernel);
        config_deinit(&policy->config);
        state_deinit(&policy->state);
        state_deinit(&policy->pending);
        *policy = (Policy) POLICY_NULL;
}

static void complain_of_config(const Config *config, PolicyComplaintFn fn, void *userdata) {
        for (size_t i = 0; i < config->n_complaints; ++i) {
                const ConfigComplaint *complaint = &config->complaints[i];
                _cleanup_(freep) char *text = config_complaint_format(complaint);

                fn(userdata, complaint->is_warning, text ?: complaint->text);
        }
}

/* Whether something is wrong with what is remembered: another number for something else. */
int policy_problem(const Policy *policy) {
        return 2 * policy->state_problem + policy->pending_invalid;
}

/* Say what that is. */
void policy_complain_of_state(const Policy *policy, PolicyComplaintFn fn, void *userdata) {
        char text[256];

        if (policy->state_problem == STATE_E_INVALID) {
                fn(userdata, false, "the state file cannot be understood: " NOTHING_REMEMBERED);
        } else if (policy->state_problem < 0) {
                snprintf(text, sizeof(text),
                                "the state file cannot be read (%s): " NOTHING_REMEMBERED,
                                strerror(-policy->state_problem));
                fn(userdata, false, text);
        }
        if (policy->pending_invalid)
                fn(userdata, false,
                                "what was moved since the machine came up cannot be understood "
                                "(/run/vfiopt/pending/state): until a GPU is moved, none is moved "
                                "on its own");
}

/**
 * policy_complain() - say what is wrong in the files
 * @policy:     policy
 * @fn:         told of each complaint
 * @userdata:   for it
 */
void policy_complain(const Policy *policy, PolicyComplaintFn fn, void *userdata) {
        char text[256];

        if (policy->kernel.unknown) {
                snprintf(text, sizeof(text),
                                "vfiopt.mode=%.64s on the kernel's command line is not known, and "
                                "taken for off; it is host, passthrough or off",
                                text_is_printable(policy->kernel.unknown) ? policy->kernel.unknown
                                                                          : "");
                fn(userdata, false, text);
        }
        complain_of_config(&policy->config, fn, userdata);
        if (policy->config.incomplete)
                fn(userdata, false,
                                "not all of the configuration counts: until it does, no GPU is moved "
                                "on its own");
        policy_complain_of_state(policy, fn, userdata);
}

/* Whether a GPU is meant where none is named. */
bool policy_manages(const Policy *policy, const Gpu *gpu) {
        switch (config_managed(&policy->config, gpu)) {
        case CONFIG_MANAGED_YES:
                return true;
        case CONFIG_MANAGED_NO:
                return false;
        default:
                return gpu->managed;
        }
}

static Verdict of_kernel(const KernelLine *kernel) {
        return (Verdict){ .wish = kernel->mode, .source = POLICY_KERNEL_LINE };
}

static bool of_config(const Policy *policy, const Gpu *gpu, Verdict *ret) {
        Mode wish = MODE_UNSET;

        switch (config_boot(&policy->config, gpu)) {
        case CONFIG_BOOT_HOST:
                wish = MODE_HOST;
                break;
        case CONFIG_BOOT_PASSTHROUGH:
                wish = MODE_PASSTHROUGH;
                break;
        case CONFIG_BOOT_UNSET:
                break;
        default:
                return false;
        }
        *ret = (Verdict){ .wish = wish, .source = POLICY_CONFIG };
        return true;
}

static bool of_person(const Policy *policy, const Gpu *gpu, Verdict *ret) {
        const StateEntry *entry = state_find(&policy->pending, gpu->address);

        if (!entry || !identity_equal(entry->identity, gpu->functions[0].identity))
                return false;
        *ret = (Verdict){ .wish = entry->mode, .source = POLICY_PENDING };
        return true;
}

/**
 * policy_judge() - where shall a GPU be?
 * @policy:     what is said
 * @gpu:        which
 * @at_boot:    whether the machine has just come up
 *
 * Return: the wish, and whose it is.
 */
Verdict policy_judge(const Policy *policy, const Gpu *gpu, bool at_boot) {
        const StateEntry *entry = state_find(&policy->state, gpu->address);
        Verdict verdict;

        if (!at_boot && of_person(policy, gpu, &verdict))
                return verdict;
        if (policy->kernel.is_set && policy->kernel.mode == MODE_UNSET)
                return of_kernel(&policy->kernel);
        if (entry && !identity_equal(entry->identity, gpu->functions[0].identity))
                return (Verdict){ .source = POLICY_STRANGER };
        if (policy->kernel.is_set)
                return of_kernel(&policy->kernel);
        if (policy->config.incomplete)
                return (Verdict){ .source = POLICY_UNREADABLE };
        if (policy->state_problem || (policy->pending_invalid && !at_boot))
                return (Verdict){ .source = POLICY_NOBODY };
        if (of_config(policy, gpu, &verdict) && (at_boot || verdict.wish == MODE_UNSET))
                return verdict;
        if (entry)
                return (Verdict){ .wish = entry->mode, .source = POLICY_STATE };
        if (of_config(policy, gpu, &verdict))
                return verdict;
        if (config_default(&policy->config) != MODE_UNSET)
                return (Verdict){ .wish = config_default(&policy->config),
                        .source = POLICY_DEFAULT };
        return (Verdict){ .source = POLICY_NOBODY };
}

/* No wish, but no ban either: what was cut off may be finished or undone. */
bool policy_allows_recovery(const Verdict *verdict) {
        return verdict->wish == MODE_UNSET && verdict->source != POLICY_KERNEL_LINE &&
                        verdict->source != POLICY_STRANGER && verdict->source != POLICY_UNREADABLE;
}
