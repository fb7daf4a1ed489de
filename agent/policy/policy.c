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
                r = r == -ENOMEM ? r : state_place(&policy->state, roots);
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

static bool has_section(const Config *config, Address address) {
        for (size_t i = 0; i < config->n_gpus; ++i)
                if (!config->gpus[i].by_id && address_same_slot(config->gpus[i].address, address))
                        return true;
        return false;
}

/*
 * A section for an address goes on meaning the address, and then fits no card or another one. Not so
 * of a remembered card that is unplugged: it fits when that is back.
 */
static void complain_of_section(const Policy *policy,
                Sysfs *sysfs,
                Address section,
                PolicyComplaintFn fn,
                void *userdata) {
        const StateEntry *entry = NULL;
        char address[ADDRESS_STRING_MAX], now[ADDRESS_STRING_MAX], text[256];
        _cleanup_(gpu_deinit) Gpu gpu = {};
        StateMatch match = MATCH_OTHER;
        int r;

        r = gpu_init(&gpu, sysfs, section);
        if (r == 0)
                entry = state_find(&policy->state, &gpu, &match);
        if (r < 0 || (match == MATCH_THIS && !state_entry_has_moved(entry, &gpu)))
                return;
        entry = NULL;
        for (size_t i = 0; i < policy->state.n_entries && !entry; ++i)
                if (!address_compare(policy->state.entries[i].address, section))
                        entry = &policy->state.entries[i];
        if (r == 0 ? !entry || entry->place != PLACE_FOUND : entry && entry->place == PLACE_MISSING)
                return;
        if (entry && !address_compare(entry->now, section))
                return;

        address_format(section, address);
        address_format(entry ? entry->now : section, now);
        if (!entry)
                snprintf(text, sizeof(text),
                                "[GPU %s] in " VFIOPT_ETC_CONFIG " names no NVIDIA GPU", address);
        else if (r == 0 && has_section(&policy->config, entry->now))
                snprintf(text, sizeof(text),
                                "[GPU %s] in " VFIOPT_ETC_CONFIG
                                " names another card; the card that was there is %s now, which a switch has "
                                "remembered: vfioptctl switch %s %s",
                                address, now, mode_to_string(entry->mode), now);
        else
                snprintf(text, sizeof(text),
                                "[GPU %s] in " VFIOPT_ETC_CONFIG
                                " names %s; %s that was there is %s now; %swrite [GPU %s]%s",
                                address, r == 0 ? "another card" : "no NVIDIA GPU",
                                entry->place == PLACE_FOUND ? "the card" : "one like the card", now,
                                entry->place == PLACE_FOUND ? "" : "if it is that card, ", now,
                                r == 0 ? ", or have both" : "");
        fn(userdata, true, text);
}

/**
 * policy_complain() - say what is wrong in the files
 * @sysfs:      to tell whether the sections for addresses fit a card; NULL: say only what is wrong
 *              with what is remembered
 * @fn:         called for each complaint, which is in words and without a full stop
 */
void policy_complain(const Policy *policy, Sysfs *sysfs, PolicyComplaintFn fn, void *userdata) {
        char text[256];

        if (policy->kernel.unknown && sysfs) {
                snprintf(text, sizeof(text),
                                VFIOPT_KERNEL_KEY
                                "=%.64s on the kernel's command line is not known, and "
                                "taken as off; expected host, passthrough or off",
                                text_is_printable(policy->kernel.unknown) ? policy->kernel.unknown
                                                                          : "");
                fn(userdata, false, text);
        }
        if (sysfs)
                complain_of_config(&policy->config, fn, userdata);
        for (size_t i = 0; sysfs && i < policy->config.n_gpus; ++i)
                if (!policy->config.gpus[i].by_id)
                        complain_of_section(policy, sysfs, policy->config.gpus[i].address, fn,
                                        userdata);
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
        StateMatch match;
        Mode boot;

        (void) state_find(&policy->state, gpu, &match);
        if (policy_manages(policy, gpu))
                return true;
        if (config_managed(&policy->config, gpu) == CONFIG_MANAGED_NO)
                return false;
        return config_boot(&policy->config, gpu, &boot) || match == MATCH_THIS;
}

static bool is_off(const Policy *policy) {
        return policy->kernel.is_set && policy->kernel.mode == MODE_UNSET;
}

static Decision decision(Mode mode, PolicySource source) {
        return (Decision){ .mode = mode, .source = source };
}

/* A remembered card that has another address now, as it was. It owns nothing. */
static Gpu gpu_before(const Gpu *gpu, const StateEntry *entry) {
        Gpu before = *gpu;

        before.address = entry->address;
        return before;
}

/*
 * BootMode= where it is not known which card of its model a GPU is: a section for an address may be about
 * another one. It can have the GPU left alone. What moves it is a section for the id, if none for its
 * address or that of the entry says otherwise.
 */
static bool find_boot_of_any(
                const Config *config, const Gpu *gpu, const StateEntry *entry, Mode *ret) {
        const Gpu before = gpu_before(gpu, entry);
        Mode here, there;

        if (!config_boot(config, gpu, &here))
                return false;
        *ret = here;
        return here == MODE_UNSET ||
                        (config_boot_by_id(config, gpu, ret) && *ret == here &&
                                        config_boot(config, &before, &there) && there == here);
}

/* @gpu: with the address that sections of the configuration are looked up for */
static Decision wish_of(const Policy *policy,
                const Gpu *gpu,
                const StateEntry *entry,
                StateMatch match,
                const Runtime *runtime,
                bool at_boot) {
        Mode standard = config_default(&policy->config), boot;
        bool configured = match == MATCH_SIMILAR
                        ? find_boot_of_any(&policy->config, gpu, entry, &boot)
                        : config_boot(&policy->config, gpu, &boot);

        if (!at_boot && runtime->record.mode != MODE_UNSET)
                return decision(runtime->record.mode, POLICY_PERSON);
        if (is_off(policy))
                return decision(MODE_UNSET, POLICY_KERNEL_LINE);
        if (match == MATCH_OTHER)
                return decision(MODE_UNSET, POLICY_OTHER_CARD);
        if (policy->kernel.is_set)
                return decision(policy->kernel.mode, POLICY_KERNEL_LINE);
        if (policy->config.incomplete)
                return decision(MODE_UNSET, POLICY_UNKNOWN);
        if (policy->state_problem || policy->outdated || runtime->damaged)
                return decision(MODE_UNSET, POLICY_NOBODY);
        if (configured && (at_boot || boot == MODE_UNSET))
                return decision(boot, POLICY_CONFIG);
        if (match == MATCH_SIMILAR)
                return decision(MODE_UNSET, POLICY_UNSURE);
        if (match == MATCH_THIS)
                return decision(entry->mode, POLICY_STATE);
        if (configured)
                return decision(boot, POLICY_CONFIG);
        return decision(standard, standard == MODE_UNSET ? POLICY_NOBODY : POLICY_DEFAULT);
}

/*
 * What the files and the record say of a GPU, whether it is managed or not.
 *
 * It is not known whether the sections for addresses were written before a card has got another one, or
 * after that. So they count if it is all the same which of the two addresses they are looked up for.
 */
Decision policy_wish(const Policy *policy, const Gpu *gpu, const Runtime *runtime, bool at_boot) {
        StateMatch match;
        const StateEntry *entry = state_find(&policy->state, gpu, &match);
        Decision made = wish_of(policy, gpu, entry, match, runtime, at_boot);

        if (match == MATCH_THIS && state_entry_has_moved(entry, gpu)) {
                const Gpu before = gpu_before(gpu, entry);
                const Config *config = &policy->config;

                if (wish_of(policy, &before, entry, match, runtime, at_boot).mode != made.mode ||
                                (config_managed(config, &before) == CONFIG_MANAGED_NO &&
                                                config_managed(config, gpu) != CONFIG_MANAGED_NO))
                        return decision(MODE_UNSET, POLICY_UNSURE);
        }
        return made;
}

/* Consent to give up the display on a GPU, by a section that is not about the card that had its address. */
bool policy_allows_display(const Policy *policy, const Gpu *gpu) {
        const Config *config = &policy->config;
        StateMatch match;
        const StateEntry *entry = state_find(&policy->state, gpu, &match);
        Gpu before;

        if (!config_allows_display(config, gpu))
                return false;
        if (match == MATCH_NOTHING || (match == MATCH_THIS && !state_entry_has_moved(entry, gpu)))
                return true;
        if (match != MATCH_THIS && !config_allows_display_by_id(config, gpu))
                return false;
        before = gpu_before(gpu, entry);
        return match == MATCH_OTHER || config_allows_display(config, &before);
}

/* @name: what stands for the entry */
static char *describe_other(const StateEntry *entry, const char *name, const Gpu *gpu) {
        char id[IDENTITY_STRING_MAX], now[ADDRESS_STRING_MAX];
        const char *differs = state_entry_differs(entry, gpu, id);

        if (entry->place == PLACE_FOUND)
                return text_format(
                                "the card that was here before is %s now; vfioptctl switch %s %s",
                                address_format(entry->now, now), mode_to_string(entry->mode), now);
        return text_format(
                        "this is not the card that was here before%s%s%s; if it is meant to be here: vfioptctl forget %s",
                        differs ? " (" : "", differs ?: "", differs ? ")" : "", name);
}

/**
 * policy_describe_card() - say why nothing applies to a GPU, and what would help
 * @policy:     what is said
 * @gpu:        one with a wish of POLICY_OTHER_CARD or POLICY_UNSURE
 * @ret:        a sentence without a full stop, or NULL if there is nothing to say; free() it
 *
 * Return: 0 on success, -ENOMEM.
 */
int policy_describe_card(const Policy *policy, const Gpu *gpu, char **ret) {
        StateMatch match;
        const StateEntry *entry = state_find(&policy->state, gpu, &match);
        char name[LOCATION_STRING_MAX], now[ADDRESS_STRING_MAX];

        *ret = NULL;
        if (!entry || (match == MATCH_THIS && !state_entry_has_moved(entry, gpu)))
                return 0;
        address_format(gpu->address, now);
        state_entry_name(&policy->state, entry, name);
        if (match == MATCH_OTHER)
                *ret = describe_other(entry, name, gpu);
        else if (match == MATCH_SIMILAR && entry->place == PLACE_FOUND)
                *ret = text_format(
                                "a card like it was in %s mode here, and another like it is not where "
                                "it was; whichever it is: vfioptctl switch MODE %s",
                                mode_to_string(entry->mode), now);
        else if (match == MATCH_SIMILAR)
                *ret = text_format(
                                "it may be the card that was in %s mode at %s and is not there; if it "
                                "is: vfioptctl switch %s %s, if not: vfioptctl forget %s",
                                mode_to_string(entry->mode), name, mode_to_string(entry->mode), now,
                                name);
        else
                *ret = text_format("it was at %s before, and " VFIOPT_ETC_CONFIG
                                   " does not say the same of both addresses; have it in [GPU %s] "
                                   "alone, then: vfioptctl switch %s %s",
                                address_format(entry->address, name), now,
                                mode_to_string(entry->mode), now);
        return *ret ? 0 : -ENOMEM;
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
 * @runtime:    what /run says of it
 * @flags:      of DecisionFlags
 */
Decision policy_decide(
                const Policy *policy, const Gpu *gpu, const Runtime *runtime, unsigned int flags) {
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

        if (made.interrupted && managed && allows_recovery(&made)) {
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
                        !policy_allows_display(policy, gpu);
}
