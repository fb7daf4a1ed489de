/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Policy
 *
 * The kernel's command line beats every file: it is for the day when the screen stays
 * black. At boot the administrator's word (BootMode=) comes before what is remembered; from
 * then on what is remembered is where a person has moved the GPU since, and comes first. But
 * a GPU that is to be left alone at boot (BootMode=unset) is left alone until it is moved. And
 * where a person has moved it after all, that counts until the next boot.
 *
 * A file that is not understood never moves anything. Without a readable state file it is not
 * known of which GPU something is remembered, so no word for the others counts. A file of the
 * configuration that cannot be read may have said that a GPU is to be left alone, so each of
 * them is. A command line that is not understood means that nothing is touched.
 */

#include <string.h>

#include "base/text.h"
#include "policy/policy.h"
#include "vfiopt/names.h"

/**
 * policy_load() - gather what is said
 * @policy:     to initialise; policy_deinit() it
 * @roots:      our own directories may be missing
 *
 * Mistakes in a file are no error: they are left for policy_complain().
 *
 * Return: 0 on success, negative error code on failure.
 */
int policy_load(Policy *policy, const Roots *roots) {
        int r;

        *policy = (Policy) POLICY_NULL;

        r = kernel_line_load(roots->proc_fd, &policy->kernel);
        if (r >= 0)
                r = config_load(&policy->config, roots->etc_fd);
        if (r >= 0) {
                r = state_load(&policy->state, roots->etc_fd);
                policy->state_problem = r == STATE_E_MISSING ? 0 : r;
                r = r == -ENOMEM ? r : 0;
        }
        if (r < 0) {
                policy_deinit(policy);
                return r;
        }
        policy->outdated = gpu_record_is_outdated(roots->run_fd);
        return 0;
}

void policy_deinit(Policy *policy) {
        kernel_line_deinit(&policy->kernel);
        config_deinit(&policy->config);
        state_deinit(&policy->state);
        *policy = (Policy) POLICY_NULL;
}

/* complaints */

static void complain_of_config(const Config *config, PolicyComplaintFn fn, void *userdata) {
        for (size_t i = 0; i < config->n_complaints; ++i)
                fn(userdata, config->complaints[i].is_warning, config->complaints[i].text);
        if (config->incomplete)
                fn(userdata, false,
                                "configuration incomplete; automatic moves are off until it is fixed");
}

static void complain_of_state(const Policy *policy, PolicyComplaintFn fn, void *userdata) {
        char text[256];

        if (policy->state_problem == STATE_E_INVALID) {
                fn(userdata, false,
                                VFIOPT_ETC_DIR
                                "/state cannot be parsed; automatic moves are off until the next "
                                "switch");
        } else if (policy->state_problem < 0) {
                snprintf(text, sizeof(text),
                                "cannot read " VFIOPT_ETC_DIR
                                "/state (%s); automatic moves are off",
                                strerror(-policy->state_problem));
                fn(userdata, false, text);
        }
        if (policy->outdated)
                fn(userdata, false,
                                "an earlier version of vfiopt has left records in " VFIOPT_RUN_DIR
                                "; automatic moves are off until the next reboot");
}

/**
 * policy_complain() - say what is wrong in the files
 * @state_only: only with what is remembered
 * @fn:         called for each complaint
 */
void policy_complain(const Policy *policy, bool state_only, PolicyComplaintFn fn, void *userdata) {
        char text[256];

        if (policy->kernel.unknown && !state_only) {
                snprintf(text, sizeof(text),
                                VFIOPT_KERNEL_KEY
                                "=%.64s on the kernel's command line is not known, and "
                                "taken as off; expected host, passthrough or off",
                                text_is_printable(policy->kernel.unknown) ? policy->kernel.unknown
                                                                          : "");
                fn(userdata, false, text);
        }
        if (!state_only)
                complain_of_config(&policy->config, fn, userdata);
        complain_of_state(policy, fn, userdata);
}

/* decisions */

/*
 * Whether a GPU is meant where none is named. By default that is each one but the boot display of
 * a machine that has another display device: taking that one away is hardly ever meant, and
 * somebody sits in front of it. It can still be named explicitly.
 */
bool policy_manages(const Policy *policy, const Gpu *gpu) {
        switch (config_managed(&policy->config, gpu)) {
        case CONFIG_MANAGED_YES:
                return true;
        case CONFIG_MANAGED_NO:
                return false;
        default:
                return !gpu->is_boot_display;
        }
}

/*
 * Whether a GPU goes where it belongs without being named. The boot display does if somebody has
 * said of this very GPU where that is, by BootMode= or by an earlier switch: which GPU is the boot
 * display may change with a dock or a cable, and a wish must not be dropped for it without a
 * word. That it is in use is for the move to find, which tells, or has consent by AllowDisplay=.
 * What is said of all GPUs alike does not carry it along (see policy_decide()).
 */
bool policy_follows(const Policy *policy, const Gpu *gpu) {
        const StateEntry *entry = state_find(&policy->state, gpu->address);
        Mode boot;

        if (policy_manages(policy, gpu))
                return true;
        if (config_managed(&policy->config, gpu) == CONFIG_MANAGED_NO)
                return false;
        return config_boot(&policy->config, gpu, &boot) ||
                        (entry && identity_equal(entry->identity, gpu->functions[0].identity));
}

static bool is_off(const Policy *policy) {
        return policy->kernel.is_set && policy->kernel.mode == MODE_UNSET;
}

static Decision decision(Mode mode, PolicySource source) {
        return (Decision){ .mode = mode, .source = source, .functions = FUNCTION_SET_ALL };
}

/* What the files and the record say of a GPU, whether it is managed or not. */
Decision policy_wish(const Policy *policy, const Gpu *gpu, const Runtime *runtime, bool at_boot) {
        const StateEntry *entry = state_find(&policy->state, gpu->address);
        Mode standard = config_default(&policy->config), boot;
        bool configured = config_boot(&policy->config, gpu, &boot);

        if (!at_boot && runtime->record.mode != MODE_UNSET)
                return decision(runtime->record.mode, POLICY_PERSON);
        if (is_off(policy))
                return decision(MODE_UNSET, POLICY_KERNEL_LINE);
        if (entry && !identity_equal(entry->identity, gpu->functions[0].identity))
                return decision(MODE_UNSET, POLICY_OTHER_CARD);
        if (policy->kernel.is_set)
                return decision(policy->kernel.mode, POLICY_KERNEL_LINE);
        if (policy->config.incomplete)
                return decision(MODE_UNSET, POLICY_UNKNOWN);
        if (policy->state_problem || policy->outdated || runtime->damaged)
                return decision(MODE_UNSET, POLICY_NOBODY);
        if (configured && (at_boot || boot == MODE_UNSET))
                return decision(boot, POLICY_CONFIG);
        if (entry)
                return decision(entry->mode, POLICY_STATE);
        if (configured)
                return decision(boot, POLICY_CONFIG);
        return decision(standard, standard == MODE_UNSET ? POLICY_NOBODY : POLICY_DEFAULT);
}

/*
 * A card has a pin for each of its functions, which udev's rule finds by address and ids
 * (record/pin.h). Cards of one family have the same audio, USB and UCSI functions; and as
 * the rule sees one function at a time, those of another card in the slot get them, too. If
 * function 0 has no pin and the others have, the pins were meant for another card. With
 * function 0 on vfio a person has put it there, who may want the rest there as well.
 *
 * To give them back undoes what our own rule has done, and so is no matter of who manages it.
 */
static bool has_foreign_pins(
                const Policy *policy, Sysfs *sysfs, const Gpu *gpu, const Runtime *runtime) {
        const FunctionSet display = 1U << gpu->functions[0].address.function;

        if (is_off(policy) || policy->config.incomplete ||
                        driver_is_vfio(sysfs, gpu->functions[0].driver))
                return false;
        /* The pins may be gone by now. Any other interrupted move comes first. */
        if (runtime->record.has_move)
                return !(runtime->record.move.asked & display);
        return runtime->pinned && !(runtime->pinned & display);
}

/* Whether a wish is one for whatever GPU, and not for this very one. */
static bool is_for_all(const Decision *decision) {
        return decision->mode != MODE_UNSET &&
                        (decision->source == POLICY_KERNEL_LINE ||
                                        decision->source == POLICY_DEFAULT);
}

/* No wish, but no ban either: an interrupted move may be finished or undone. */
static bool allows_recovery(const Decision *decision) {
        return decision->mode == MODE_UNSET && decision->source != POLICY_KERNEL_LINE &&
                        decision->source != POLICY_OTHER_CARD && decision->source != POLICY_UNKNOWN;
}

/**
 * policy_decide() - where does a GPU belong?
 * @policy:     what is said
 * @sysfs:      to tell vfio drivers
 * @runtime:    what /run says of it
 * @flags:      of DecisionFlags
 */
Decision policy_decide(const Policy *policy,
                Sysfs *sysfs,
                const Gpu *gpu,
                const Runtime *runtime,
                unsigned int flags) {
        const MoveRecord *move = &runtime->record.move;
        bool managed = policy_follows(policy, gpu);
        Decision made = decision(MODE_UNSET, POLICY_NOBODY);

        if (managed)
                made = policy_wish(policy, gpu, runtime, flags & DECISION_AT_BOOT);
        if (is_for_all(&made) && !policy_manages(policy, gpu)) {
                made = decision(MODE_UNSET, POLICY_NOBODY);
                managed = false;
        }
        made.interrupted = runtime->record.has_move &&
                        (flags & DECISION_LOCKED || !runtime->lock.locked);

        if (made.mode != MODE_PASSTHROUGH && has_foreign_pins(policy, sysfs, gpu, runtime)) {
                made.mode = MODE_HOST;
                made.source = POLICY_FOREIGN;
                made.functions = FUNCTION_SET_ALL & ~1U;
        } else if (made.interrupted && managed && allows_recovery(&made)) {
                made.mode = move->from == MODE_PASSTHROUGH ? MODE_PASSTHROUGH : MODE_HOST;
                made.source = POLICY_INTERRUPTED;
        }
        return made;
}

/*
 * Whether a GPU stays though it is remembered in passthrough: somebody may sit in front of it, and
 * nobody has consented. That is no mistake of anybody's, as which GPU is the boot display changes
 * with a dock or a cable; so it is told, and is no failure of each boot.
 */
bool policy_keeps_display(
                const Policy *policy, Sysfs *sysfs, const Gpu *gpu, const Decision *made) {
        return made->mode == MODE_PASSTHROUGH && made->source == POLICY_STATE &&
                        !made->interrupted && gpu->boots_machine &&
                        !driver_is_vfio(sysfs, gpu->functions[0].driver) &&
                        !config_allows_display(&policy->config, gpu);
}
