/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "cli/instance.h"
#include "cli/report.h"
#include "cli/select.h"
#include "vfiopt/names.h"

static void complain(void *userdata _unused_, bool is_warning, const char *complaint) {
        if (is_warning)
                report_warning("%s", complaint);
        else
                report_error("%s", complaint);
}

/**
 * policy_read() - load the policy, and report what is wrong with its files
 * @policy:     to initialise; policy_deinit() it
 * @cli:        where; opens our own directories, if they are there
 *
 * Return: 0 on success, whatever is wrong in a file, as the rest of it counts; negative error
 *         code on failure.
 */
int policy_read(Policy *policy, const Cli *cli) {
        bool unreadable;
        int r;

        r = roots_open_etc(cli->roots, false);
        unreadable = r < 0;
        if (unreadable)
                report_error("cannot open " VFIOPT_ETC_DIR ": %s", strerror(-r));
        r = roots_open_run(cli->roots, false);
        if (r < 0)
                report_error("cannot open " VFIOPT_RUN_DIR
                             ": %s; switches under way, interrupted or stuck "
                             "are not known",
                                strerror(-r));

        r = policy_load(policy, cli->roots);
        if (r < 0)
                return r;
        policy->config.incomplete |= unreadable;
        policy_complain(policy, false, complain, NULL);
        return 0;
}

/* Report what is wrong with an instance. Return: the exit code. */
static int refuse_instance(int why, const char *culprit) {
        char quote[QUOTE_MAX];
        const char *meant;

        report_quote(culprit, quote);
        if (why == INSTANCE_E_OPTION) {
                report_error("unknown option %s after the mode; options are allow-display", quote);
                return VFIOPT_EXIT_USAGE;
        }
        if (why == INSTANCE_E_REPEATED) {
                report_error("option %s is given twice", quote);
                return VFIOPT_EXIT_USAGE;
        }
        meant = report_suggest(culprit, instance_modes, INSTANCE_MODES);
        if (meant)
                report_error("unknown mode %s; did you mean %s?", quote, meant);
        else
                report_error("unknown mode %s; modes are host, passthrough, toggle and auto",
                                quote);
        return VFIOPT_EXIT_USAGE;
}

/* Report why a word is no GPU: @why is one of INVENTORY_E_*. Return: the exit code. */
int selection_refuse_gpu(int why, const char *word) {
        char quote[QUOTE_MAX];

        report_quote(word, quote);
        switch (why) {
        case INVENTORY_E_INVALID:
                report_error("%s is neither an address, like 0000:01:00.0, nor an id, like 10de:2204",
                                quote);
                return VFIOPT_EXIT_USAGE;
        case INVENTORY_E_NO_GPU:
                report_error("%s is not an NVIDIA GPU", quote);
                return VFIOPT_EXIT_PRECONDITION;
        case INVENTORY_E_AMBIGUOUS:
                report_error("several GPUs have the id %s; name one by its address", quote);
                return VFIOPT_EXIT_PRECONDITION;
        default:
                report_error("there is no GPU %s in this machine", quote);
                return VFIOPT_EXIT_PRECONDITION;
        }
}

static bool has_target(const Selection *selection, const Gpu *gpu) {
        for (size_t i = 0; i < selection->n_targets; ++i)
                if (selection->targets[i].gpu == gpu)
                        return true;
        return false;
}

static void push_target(Selection *selection, Gpu *gpu, Mode to) {
        selection->targets[selection->n_targets++] =
                        (Target){ .gpu = gpu, .to = to, .functions = FUNCTION_SET_ALL };
}

static void push_stranger(Selection *selection, Gpu *gpu) {
        for (size_t i = 0; i < selection->n_strangers; ++i)
                if (selection->strangers[i] == gpu)
                        return;
        selection->strangers[selection->n_strangers++] = gpu;
}

static int decide(const Selection *selection, const Cli *cli, const Gpu *gpu, Decision *ret) {
        _cleanup_(runtime_deinit) Runtime runtime = RUNTIME_NULL;
        int r;

        r = roots_open_run(cli->roots, false);
        if (r >= 0)
                r = runtime_init(&runtime, cli->roots, gpu);
        if (r < 0)
                return r;
        *ret = policy_decide(&selection->policy, cli->roots->sysfs, gpu, &runtime,
                        cli->trigger == TRIGGER_BOOT ? DECISION_AT_BOOT : 0);
        return 0;
}

static int add_companion(Selection *selection, const Cli *cli, Gpu *gpu, Mode wish) {
        Decision decision;
        int r;

        r = decide(selection, cli, gpu, &decision);
        if (r < 0)
                return r;
        if (decision.mode == wish && decision.functions == FUNCTION_SET_ALL && gpu->mode != wish)
                push_target(selection, gpu, wish);
        return 0;
}

/*
 * The agent asks for one GPU at a time, but GPUs of one IOMMU group must go to passthrough
 * together: add each member of the group that has the same wish and is not there yet, and the
 * members of its groups, and so on.
 */
static int add_companions(Selection *selection, const Cli *cli, Mode wish) {
        Inventory *inventory = &selection->inventory;
        int r = 0;

        for (size_t i = selection->n_targets - 1; i < selection->n_targets; ++i)
                for (size_t k = 0; r == 0 && k < inventory->n_gpus; ++k) {
                        Gpu *gpu = &inventory->gpus[k];

                        if (gpu_shares_group(selection->targets[i].gpu, gpu) &&
                                        !has_target(selection, gpu))
                                r = add_companion(selection, cli, gpu, wish);
                }
        return r;
}

static int add_automatic(Selection *selection, const Cli *cli, Gpu *gpu) {
        Decision decision;
        int r;

        r = decide(selection, cli, gpu, &decision);
        if (r < 0)
                return r;
        if (decision.mode == MODE_UNSET && decision.source == POLICY_OTHER_CARD)
                push_stranger(selection, gpu);
        if (decision.mode == MODE_UNSET)
                return 0;

        push_target(selection, gpu, decision.mode);
        selection->targets[selection->n_targets - 1].functions = decision.functions;
        if (selection->all || decision.functions != FUNCTION_SET_ALL)
                return 0;
        return add_companions(selection, cli, decision.mode);
}

static int add_target(Selection *selection, const Cli *cli, Gpu *gpu) {
        char address[ADDRESS_STRING_MAX];
        Mode to = selection->to;

        if (has_target(selection, gpu))
                return 0;
        if (selection->automatic)
                return add_automatic(selection, cli, gpu);
        if (selection->toggle && gpu->mode == MODE_MIXED) {
                report_error("%s is in mixed mode; use 'switch host' or 'switch passthrough'",
                                address_format(gpu->address, address));
                return VFIOPT_EXIT_PRECONDITION;
        }
        if (selection->toggle)
                to = gpu->mode == MODE_HOST ? MODE_PASSTHROUGH : MODE_HOST;

        push_target(selection, gpu, to);
        return 0;
}

static int add_named(Selection *selection, const Cli *cli, const char *word) {
        Gpu *gpu;
        int r;

        r = inventory_select(&selection->inventory, cli->roots->sysfs, word, &gpu);
        if (r)
                return r < 0 ? r : selection_refuse_gpu(r, word);
        return add_target(selection, cli, gpu);
}

static int add_managed(Selection *selection, const Cli *cli) {
        Inventory *inventory = &selection->inventory;
        int r;

        for (size_t i = 0; i < inventory->n_gpus; ++i)
                if (policy_manages(&selection->policy, &inventory->gpus[i])) {
                        r = add_target(selection, cli, &inventory->gpus[i]);
                        if (r)
                                return r;
                }
        /* A policy that wants nothing is no error. */
        if (selection->n_targets > 0 || selection->automatic)
                return 0;

        report_error(inventory->n_gpus == 0
                                        ? "there is no NVIDIA GPU in this machine"
                                        : "no managed NVIDIA GPU (the boot display is unmanaged by default); "
                                          "name the GPU to move it anyway");
        return VFIOPT_EXIT_PRECONDITION;
}

static void unite(Selection *selection, size_t from, size_t into) {
        for (size_t i = 0; i < selection->n_targets; ++i)
                if (selection->targets[i].set == from)
                        selection->targets[i].set = into;
}

/*
 * A request that names a mode is all or nothing. An automatic one moves as many GPUs as it can:
 * one that is in use does not keep the others from where they belong. Only GPUs of one
 * IOMMU group depend on each other, and are all or nothing.
 */
static void find_sets(Selection *selection) {
        Target *targets = selection->targets;

        for (size_t i = 0; selection->automatic && i < selection->n_targets; ++i) {
                targets[i].set = i;
                for (size_t k = 0; k < i; ++k)
                        if (targets[i].functions == FUNCTION_SET_ALL &&
                                        targets[k].functions == FUNCTION_SET_ALL &&
                                        gpu_shares_group(targets[i].gpu, targets[k].gpu))
                                unite(selection, targets[i].set, targets[k].set);
        }
}

static int compare_targets(const void *a, const void *b) {
        return address_compare(
                        ((const Target *) a)->gpu->address, ((const Target *) b)->gpu->address);
}

static int add_targets(Selection *selection, const Cli *cli, const Instance *instance) {
        int r = 0;

        selection->all = instance->n_gpus == 0 && cli->n_args == 1;
        if (selection->all)
                return add_managed(selection, cli);

        for (size_t i = 0; i < instance->n_gpus && r == 0; ++i)
                r = add_named(selection, cli, instance->gpus[i]);
        for (size_t i = 1; i < cli->n_args && r == 0; ++i)
                r = add_named(selection, cli, cli->args[i]);
        if (r == 0)
                qsort(selection->targets, selection->n_targets, sizeof(*selection->targets),
                                compare_targets);
        return r;
}

static int fill(Selection *selection, const Cli *cli, const Instance *instance) {
        size_t n;
        int r;

        selection->toggle = !strcmp(instance->mode, INSTANCE_TOGGLE);
        selection->automatic = !strcmp(instance->mode, INSTANCE_AUTO);
        if (!selection->toggle && !selection->automatic) {
                r = mode_from_string(instance->mode, &selection->to);
                if (r < 0)
                        return r;
        }

        r = policy_read(&selection->policy, cli);
        if (r < 0)
                return r;
        r = inventory_init(&selection->inventory, cli->roots->sysfs);
        if (r < 0)
                return r;

        n = selection->inventory.n_gpus ?: 1;
        selection->targets = calloc(n, sizeof(*selection->targets));
        selection->strangers = calloc(n, sizeof(Gpu *));
        if (!selection->targets || !selection->strangers)
                return -ENOMEM;
        r = add_targets(selection, cli, instance);
        if (r)
                return r;
        find_sets(selection);
        return 0;
}

/**
 * selection_init() - understand the arguments of a switch
 * @selection:  to initialise; selection_deinit() it
 * @cli:        the arguments: MODE or an instance, then GPUs; gets the options of the instance, too
 *
 * Return: 0 on success, an exit code after having reported what is wrong with them,
 *         negative error code on failure.
 */
int selection_init(Selection *selection, Cli *cli) {
        _cleanup_(instance_deinit) Instance instance = INSTANCE_NULL;
        int r;

        *selection = (Selection){};

        r = instance_parse(&instance, cli->args[0]);
        if (r)
                return r < 0 ? r : refuse_instance(r, instance.culprit);
        cli->options |= instance.options;

        r = fill(selection, cli, &instance);
        if (r)
                selection_deinit(selection);
        return r;
}

void selection_deinit(Selection *selection) {
        inventory_deinit(&selection->inventory);
        policy_deinit(&selection->policy);
        free(selection->strangers);
        free(selection->targets);
        *selection = (Selection){};
}

/**
 * selection_ask() - what does a set ask for?
 * @selection:  selection
 * @set:        which
 * @to:         as far as it goes there
 * @request:    gets .to, .gpus (free() it), .n_gpus, which may be 0, and .functions
 *
 * Return: 0 on success, negative error code on failure.
 */
int selection_ask(const Selection *selection, size_t set, Mode to, SwitchRequest *request) {
        Gpu **gpus;
        size_t n = 0;

        gpus = calloc(selection->n_targets ?: 1, sizeof(*gpus));
        if (!gpus)
                return -ENOMEM;

        request->functions = FUNCTION_SET_ALL;
        for (size_t i = 0; i < selection->n_targets; ++i) {
                const Target *target = &selection->targets[i];

                if (target->set != set || target->to != to)
                        continue;
                gpus[n++] = target->gpu;
                request->functions = target->functions;
        }

        request->to = to;
        request->gpus = gpus;
        request->n_gpus = n;
        return 0;
}
