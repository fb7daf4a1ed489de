/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "cli/message.h"
#include "cli/request.h"
#include "os/rule.h"
#include "vfiopt/names.h"

/*
 * Less than systemd's own limit: with PrivateTmp= a folder is named "systemd-private-", 32 digits of the
 * boot, "-", the unit, and "-XXXXXX" (core/namespace.c, setup_one_tmp_dir()). A unit whose folder had more
 * than 255 bytes would not start.
 */
#define UNIT_NAME_LENGTH_MAX 199U

/* instances */

const char *const instance_modes[INSTANCE_MODES] = {
        "host",
        "passthrough",
        INSTANCE_TOGGLE,
        INSTANCE_AUTO,
};

/* In the order in which they are written. */
static const struct {
        const char *name;
        unsigned int option;
} instance_options[] = {
        { "allow-display", OPTION_ALLOW_DISPLAY },
};

void instance_deinit(Instance *instance) {
        free(instance->gpus);
        free(instance->words);
        *instance = (Instance) INSTANCE_NULL;
}

static int parse_mode(Instance *instance, const char *word) {
        for (size_t i = 0; i < INSTANCE_MODES; ++i)
                if (!strcmp(word, instance_modes[i])) {
                        instance->mode = instance_modes[i];
                        return 0;
                }
        instance->culprit = word;
        return INSTANCE_E_MODE;
}

static int parse_option(Instance *instance, const char *word) {
        instance->culprit = word;
        for (size_t i = 0; i < ARRAY_SIZE(instance_options); ++i) {
                if (strcmp(word, instance_options[i].name) != 0)
                        continue;
                if (instance->options & instance_options[i].option)
                        return INSTANCE_E_REPEATED;
                instance->options |= instance_options[i].option;
                instance->culprit = NULL;
                return 0;
        }
        return INSTANCE_E_OPTION;
}

static int split_gpus(Instance *instance, char *list) {
        size_t n = 1;
        char *word;

        for (const char *c = list; *c; ++c)
                n += *c == '_';
        instance->gpus = calloc(n, sizeof(*instance->gpus));
        if (!instance->gpus)
                return -ENOMEM;
        while ((word = strsep(&list, "_")))
                instance->gpus[instance->n_gpus++] = word;
        return 0;
}

/*
 * Take an instance apart, which anybody may have chosen; instance_deinit() it, whatever is
 * returned. Options may stand in any order, each once.
 *
 * Return: 0 on success, INSTANCE_E_* and .culprit if it is none, negative error code on failure.
 */
int instance_parse(Instance *instance, const char *s) {
        char *list, *rest, *word;
        int r;

        *instance = (Instance){ .words = strdup(s) };
        if (!instance->words)
                return -ENOMEM;

        list = instance->words;
        rest = strsep(&list, ":");
        r = parse_mode(instance, strsep(&rest, "_"));
        while (r == 0 && (word = strsep(&rest, "_")))
                r = parse_option(instance, word);
        if (r || !list)
                return r;
        return split_gpus(instance, list);
}

/* "passthrough_allow-display". Of @chosen, the options that no instance has are left out. */
int instance_append_mode(Text *name, const char *mode, unsigned int chosen) {
        int r;

        r = text_append(name, "%s", mode);
        for (size_t i = 0; i < ARRAY_SIZE(instance_options) && r >= 0; ++i)
                if (chosen & instance_options[i].option)
                        r = text_append(name, "_%s", instance_options[i].name);
        return r;
}

/* ":0000:01:00.0", or "_0000:01:00.0" if it is not the first */
int instance_append_gpu(Text *name, Address gpu, bool first) {
        char address[ADDRESS_STRING_MAX];

        return text_append(name, "%c%s", first ? ':' : '_', address_format(gpu, address));
}

/* shared with other verbs */

static void complain(void *userdata _unused_, bool is_warning, const char *complaint) {
        if (is_warning)
                message_warning("%s", complaint);
        else
                message_error("%s", complaint);
}

/*
 * Load the policy, and tell what is wrong with its files; the rest of them counts. Opens our own
 * directories, if they are there. Return: 0 on success, negative error code on failure.
 */
int policy_read(Policy *policy, const Cli *cli) {
        bool unreadable;
        int r;

        r = roots_open_etc(cli->roots, false);
        unreadable = r < 0;
        if (unreadable)
                message_error("cannot open " VFIOPT_ETC_DIR ": %s", strerror(-r));
        r = roots_open_run(cli->roots, false);
        if (r < 0)
                message_error("cannot open " VFIOPT_RUN_DIR
                              ": %s; switches under way, interrupted or stuck "
                              "are not known",
                                strerror(-r));

        r = policy_load(policy, cli->roots);
        if (r < 0)
                return r;
        policy->config.incomplete |= unreadable;
        policy_complain(policy, cli->roots->sysfs, complain, NULL);
        return 0;
}

/* Where the card that was at an address is now, in words; or "". */
static const char *moved_to(const State *state, const char *word, char *buffer, size_t n) {
        const StateEntry *entry = NULL;
        char now[ADDRESS_STRING_MAX];
        bool has_function;
        Address address;

        if (state && address_parse_loose(word, &address, &has_function) == 0)
                entry = state_find_address(state, address_of_function(address, 0));
        if (!entry || entry->place == PLACE_UNKNOWN || entry->place == PLACE_MISSING ||
                        address_same_slot(entry->now, address))
                return "";
        snprintf(buffer, n, "; %s that was there is %s now",
                        entry->place == PLACE_FOUND ? "the card" : "one like the card",
                        address_format(entry->now, now));
        return buffer;
}

/*
 * Tell why a word is no GPU: @why is one of INVENTORY_E_*, and @state what is remembered, or NULL.
 * Return: the exit code.
 */
int message_no_gpu(int why, const char *word, const State *state) {
        char quote[QUOTE_MAX], buffer[64];
        const char *moved = moved_to(state, word, buffer, sizeof(buffer));

        message_quote(word, quote);
        switch (why) {
        case INVENTORY_E_INVALID:
                message_error("%s is neither an address, like 0000:01:00.0, nor an id, like 10de:2204",
                                quote);
                return VFIOPT_EXIT_USAGE;
        case INVENTORY_E_NO_GPU:
                message_error("%s is not an NVIDIA GPU%s", quote, moved);
                return VFIOPT_EXIT_PRECONDITION;
        case INVENTORY_E_AMBIGUOUS:
                message_error("several GPUs have the id %s; name one by its address", quote);
                return VFIOPT_EXIT_PRECONDITION;
        default:
                message_error("there is no GPU %s in this machine%s", quote, moved);
                return VFIOPT_EXIT_PRECONDITION;
        }
}

/* requests */

/* Tell what is wrong with an instance. Return: the exit code. */
static int refuse_instance(int why, const char *culprit) {
        char quote[QUOTE_MAX];
        const char *meant;

        message_quote(culprit, quote);
        meant = message_suggest(culprit, instance_modes, INSTANCE_MODES);
        if (why == INSTANCE_E_OPTION)
                message_error("unknown option %s after the mode; the only option is allow-display",
                                quote);
        else if (why == INSTANCE_E_REPEATED)
                message_error("option %s is given twice", quote);
        else if (meant)
                message_error("unknown mode %s; did you mean %s?", quote, meant);
        else
                message_error("unknown mode %s; modes are host, passthrough, toggle and auto",
                                quote);
        return VFIOPT_EXIT_USAGE;
}

static int add_target(Request *request, const Cli *cli, Gpu *gpu) {
        const unsigned int flags = cli->trigger == TRIGGER_BOOT ? DECISION_AT_BOOT : 0;
        char address[ADDRESS_STRING_MAX];
        int r;

        if (request->automatic) {
                /* Without what /run says, nothing is decided. */
                r = roots_open_run(cli->roots, false);
                if (r < 0)
                        return r;
                return targets_add_decided(&request->targets, &request->policy, cli->roots, gpu,
                                flags, request->all ? NULL : &request->inventory);
        }
        if (!request->toggle)
                return targets_add(&request->targets, gpu, request->to);
        if (gpu->mode == MODE_MIXED) {
                message_error("%s is in mixed mode; use 'switch host' or 'switch passthrough'",
                                address_format(gpu->address, address));
                return VFIOPT_EXIT_PRECONDITION;
        }
        return targets_add(&request->targets, gpu,
                        gpu->mode == MODE_HOST ? MODE_PASSTHROUGH : MODE_HOST);
}

static int add_named(Request *request, const Cli *cli, const char *word) {
        Gpu *gpu;
        int r;

        r = inventory_select(&request->inventory, cli->roots->sysfs, word, &gpu);
        if (r)
                return r < 0 ? r : message_no_gpu(r, word, &request->policy.state);
        return add_target(request, cli, gpu);
}

/* Why none of the GPUs is meant where none is named. */
static int refuse_unmanaged(const Request *request, const Cli *cli) {
        const Inventory *inventory = &request->inventory;
        const RuleDevice any = {};
        _cleanup_(freep) char *rule = NULL;
        size_t n_left_out = 0;
        bool boots = false;
        int r;

        for (size_t i = 0; i < inventory->n_gpus; ++i) {
                n_left_out += config_managed(&request->policy.config, &inventory->gpus[i]) ==
                                CONFIG_MANAGED_NO;
                boots |= displays_role(&inventory->displays, inventory->gpus[i].address) ==
                                DISPLAY_BOOTS;
        }
        r = inventory->n_gpus == 0 ? rule_find_remover(cli->roots->root_fd, &any, &rule) : 0;
        if (r < 0)
                return r;
        if (inventory->n_gpus == 0)
                message_error("there is no NVIDIA GPU in this machine%s%s",
                                rule ? "; a rule of udev's removes such a card from the bus: " : "",
                                rule ?: "");
        else
                message_error("no managed NVIDIA GPU (%s%s%s); name the GPU to move it anyway",
                                n_left_out > 0 ? "Managed=no in " VFIOPT_ETC_CONFIG : "",
                                n_left_out > 0 && n_left_out < inventory->n_gpus ? ", or " : "",
                                n_left_out == inventory->n_gpus ? ""
                                                : boots
                                                ? "the boot display of a machine with another display"
                                                : "the display in use");
        return VFIOPT_EXIT_PRECONDITION;
}

static int add_managed(Request *request, const Cli *cli) {
        Inventory *inventory = &request->inventory;
        int r;

        for (size_t i = 0; i < inventory->n_gpus; ++i) {
                Gpu *gpu = &inventory->gpus[i];

                if (!(request->automatic ? policy_follows(&request->policy, gpu)
                                         : policy_manages(&request->policy, gpu)))
                        continue;
                r = add_target(request, cli, gpu);
                if (r)
                        return r;
        }
        /* A policy that wants nothing is no error. */
        return request->targets.n > 0 || request->automatic ? 0 : refuse_unmanaged(request, cli);
}

static int add_targets(Request *request, const Cli *cli, const Instance *instance) {
        int r = 0;

        request->all = instance->n_gpus == 0 && cli->n_args == 1;
        if (request->all)
                return add_managed(request, cli);

        for (size_t i = 0; i < instance->n_gpus && r == 0; ++i)
                r = add_named(request, cli, instance->gpus[i]);
        for (size_t i = 1; i < cli->n_args && r == 0; ++i)
                r = add_named(request, cli, cli->args[i]);
        return r;
}

/* Each direction and each set of targets is a part of its own. */
static int split(Request *request, bool allow_display) {
        const Targets *targets = &request->targets;
        size_t n_gpus = 0;

        request->gpus = calloc(targets->n ?: 1, sizeof(Gpu *));
        request->parts = calloc(targets->n ?: 1, sizeof(*request->parts));
        if (!request->gpus || !request->parts)
                return -ENOMEM;

        for (Mode to = MODE_HOST; to <= MODE_PASSTHROUGH; ++to)
                for (size_t set = 0; set < targets->n; ++set) {
                        SwitchRequest *part = &request->parts[request->n_parts];

                        *part = (SwitchRequest){
                                .to = to,
                                .gpus = request->gpus + n_gpus,
                                .allow_display = allow_display,
                                /* The kernel's command line is for this boot. */
                                .transient = request->automatic && request->policy.kernel.is_set,
                                .automatic = request->automatic,
                        };
                        for (size_t i = 0; i < targets->n; ++i) {
                                const Target *target = &targets->items[i];

                                if (target->set != set || target->to != to)
                                        continue;
                                part->gpus[part->n_gpus++] = target->gpu;
                        }
                        n_gpus += part->n_gpus;
                        request->n_parts += part->n_gpus > 0;
                        if (n_gpus == targets->n)
                                return 0;
                }
        return 0;
}

static int fill(Request *request, const Cli *cli, const Instance *instance) {
        int r;

        request->toggle = !strcmp(instance->mode, INSTANCE_TOGGLE);
        request->automatic = !strcmp(instance->mode, INSTANCE_AUTO);
        if (!request->toggle && !request->automatic) {
                r = mode_from_string(instance->mode, &request->to);
                if (r < 0)
                        return r;
        }

        r = policy_read(&request->policy, cli);
        if (r < 0)
                return r;
        r = inventory_init(&request->inventory, cli->roots);
        if (r < 0)
                return r;
        r = add_targets(request, cli, instance);
        if (r)
                return r;
        targets_arrange(&request->targets, !request->automatic);
        return split(request, cli->options & OPTION_ALLOW_DISPLAY);
}

/*
 * Understand the arguments of a switch: MODE or an instance, then GPUs. @cli gets the options of
 * the instance, too. Return: 0 on success, an exit code after having told what is wrong with
 * them, negative error code on failure.
 */
int request_init(Request *request, Cli *cli) {
        _cleanup_(instance_deinit) Instance instance = INSTANCE_NULL;
        int r;

        *request = (Request) REQUEST_NULL;

        r = instance_parse(&instance, cli->args[0]);
        if (r)
                return r < 0 ? r : refuse_instance(r, instance.culprit);
        cli->options |= instance.options;

        r = fill(request, cli, &instance);
        if (r)
                request_deinit(request);
        return r;
}

void request_deinit(Request *request) {
        inventory_deinit(&request->inventory);
        policy_deinit(&request->policy);
        targets_deinit(&request->targets);
        free(request->parts);
        free(request->gpus);
        *request = (Request) REQUEST_NULL;
}

/* What becomes of a target while units are named. */
typedef enum Seat {
        SEAT_NONE, /* it is in no unit of this kind, or in one that is named already */
        SEAT_WAITING,
        SEAT_TRIED, /* in the unit that is named, if the name is not too long then */
        SEAT_TAKEN,
} Seat;

/* Name a unit for the targets that are inside, or may be; without @named, for all managed ones. */
static int name_unit(const Request *request,
                const char *mode,
                unsigned int options,
                const Seat *seats,
                bool named,
                char **ret) {
        _cleanup_(text_deinit) Text name = TEXT_NULL;
        bool first = true;
        int r;

        r = text_append(&name, VFIOPT_UNIT_TEMPLATE);
        if (r >= 0)
                r = instance_append_mode(&name, mode, options);
        for (size_t i = 0; i < request->targets.n && named && r >= 0; ++i) {
                if (seats[i] < SEAT_TRIED)
                        continue;
                r = instance_append_gpu(&name, request->targets.items[i].gpu->address, first);
                first = false;
        }
        if (r >= 0)
                r = text_append(&name, VFIOPT_UNIT_SUFFIX);
        if (r < 0)
                return r;
        *ret = text_take(&name);
        return 0;
}

/* Try a target, and all that share an IOMMU group with it or with one of those: they move in one job. */
static void try_group(const Targets *targets, Seat *seats, size_t first) {
        bool changed = true;

        seats[first] = SEAT_TRIED;
        while (changed) {
                changed = false;
                for (size_t i = 0; i < targets->n; ++i)
                        for (size_t k = 0; k < targets->n && seats[i] == SEAT_WAITING; ++k)
                                if (seats[k] == SEAT_TRIED &&
                                                gpu_shares_group(targets->items[i].gpu,
                                                                targets->items[k].gpu)) {
                                        seats[i] = SEAT_TRIED;
                                        changed = true;
                                }
        }
}

static void turn(Seat *seats, size_t n, Seat from, Seat into) {
        for (size_t i = 0; i < n; ++i)
                if (seats[i] == from)
                        seats[i] = into;
}

/* Take as many of those that wait into one unit as its name has room for. @ret: free() it */
static int
fill_unit(const Request *request, const char *mode, unsigned int options, Seat *seats, char **ret) {
        const size_t n = request->targets.n;
        _cleanup_(freep) char *name = NULL;

        for (size_t i = 0; i < n; ++i) {
                _cleanup_(freep) char *longer = NULL;
                int r;

                if (seats[i] != SEAT_WAITING)
                        continue;
                try_group(&request->targets, seats, i);
                r = name_unit(request, mode, options, seats, true, &longer);
                if (r < 0)
                        return r;
                /* A group that has no room in any unit is for the manager to refuse. */
                if (name && strlen(longer) > UNIT_NAME_LENGTH_MAX) {
                        turn(seats, n, SEAT_TRIED, SEAT_WAITING);
                        continue;
                }
                free(name);
                name = TAKE_PTR(longer);
                turn(seats, n, SEAT_TRIED, SEAT_TAKEN);
        }
        turn(seats, n, SEAT_TAKEN, SEAT_NONE);
        *ret = TAKE_PTR(name);
        return 0;
}

/* Whether they are just those that a request without GPUs is about. */
static bool are_all_managed(const Request *request, const Seat *seats) {
        size_t n_managed = 0, n_meant = 0;

        for (size_t i = 0; i < request->inventory.n_gpus; ++i)
                n_managed += policy_manages(&request->policy, &request->inventory.gpus[i]);
        for (size_t i = 0; i < request->targets.n; ++i) {
                if (seats[i] == SEAT_NONE)
                        continue;
                if (!policy_manages(&request->policy, request->targets.items[i].gpu))
                        return false;
                ++n_meant;
        }
        return n_meant == n_managed;
}

/*
 * Name the units that move GPUs to a mode. MODE_UNSET is "auto", a job that decides itself where each
 * goes, and tells of mismatched cards.
 */
static int
name_units(const Request *request, Mode to, unsigned int options, char ***units, size_t *n_units) {
        const char *mode = to == MODE_UNSET ? INSTANCE_AUTO : mode_to_string(to);
        bool named = !request->all || request->toggle, any = false;
        const size_t n = request->targets.n;
        _cleanup_(freep) Seat *seats = calloc(n ?: 1, sizeof(*seats));
        _cleanup_(freep) char *whole = NULL;
        int r;

        if (!seats)
                return -ENOMEM;
        for (size_t i = 0; i < n; ++i)
                if (to == MODE_UNSET || request->targets.items[i].to == to) {
                        seats[i] = SEAT_TAKEN;
                        any = true;
                }
        if (!any && (to != MODE_UNSET || named))
                return 0;
        r = name_unit(request, mode, options, seats, named, &whole);
        if (r < 0)
                return r;
        if (strlen(whole) <= UNIT_NAME_LENGTH_MAX)
                return strv_push(units, n_units, whole);

        if (to != MODE_UNSET && are_all_managed(request, seats)) {
                freep(&whole);
                whole = NULL;
                r = name_unit(request, mode, options, seats, false, &whole);
                return r < 0 ? r : strv_push(units, n_units, whole);
        }
        turn(seats, n, SEAT_TAKEN, SEAT_WAITING);
        for (;;) {
                _cleanup_(freep) char *name = NULL;

                r = fill_unit(request, mode, options, seats, &name);
                if (r < 0 || !name)
                        return r;
                r = strv_push(units, n_units, name);
                if (r < 0)
                        return r;
        }
}

/**
 * request_units() - name the units that do what is asked for
 * @options:    of OPTION_*; those that an instance can carry reach the job
 * @ret:        names, NULL-terminated; strv_free() it
 * @ret_n:      number of them, which may be 0
 *
 * One request is one job, so that all of its GPUs are checked before any is touched. A toggle can
 * need two, one for each direction; and what has no room in the name of a unit is spread over several,
 * of which each is checked by itself.
 *
 * Return: 0 on success, negative error code on failure.
 */
int request_units(const Request *request, unsigned int options, char ***ret, size_t *ret_n) {
        Mode first = request->automatic ? MODE_UNSET : MODE_HOST;
        Mode last = request->automatic ? MODE_UNSET : MODE_PASSTHROUGH;
        _cleanup_(strv_freep) char **units = NULL;
        size_t n = 0;
        int r;

        for (Mode to = first; to <= last; ++to) {
                r = name_units(request, to, options, &units, &n);
                if (r < 0)
                        return r;
        }

        *ret = TAKE_PTR(units);
        *ret_n = n;
        return 0;
}
