/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vfioptctl status
 *
 * Only looks: needs no privilege, takes no lock, opens no device. Of a GPU that a write
 * hangs on, nothing is read that might hang as well. The wish is the one that the agent
 * acts on (policy/policy.h).
 */

#include <string.h>
#include <time.h>

#include "cli/message.h"
#include "cli/request.h"
#include "cli/table.h"
#include "cli/traces.h"
#include "os/ids.h"
#include "policy/claim.h"
#include "probe/preflight.h"
#include "vfiopt/names.h"

/* Reading an override waits for a driver's probe() or remove() on older kernels. */
#define LIMIT_OVERRIDES_USEC (USEC_PER_SEC / 2)

typedef struct Status {
        const Gpu *gpu;
        char *name;
        char **overrides; /* one per function; NULL: could not be read */
        Mode wish;        /* where it goes next on its own, if anywhere */
        bool pending;     /* it is not there */
        bool managed;
        bool unmanaged_by_config; /* and not as it is the boot display */
        bool is_last;             /* no other display shows anything, whichever boots the machine */
        const char *display;      /* why it stays, as a display in use without consent; or NULL */
        const State *remembered;
        const StateEntry *entry; /* what that says of it or of its place; or NULL */
        StateMatch match;
        PolicySource source; /* of what is said, whether it is managed or not */
        Decision decision;   /* with the claim of another program, if any */
        bool interrupted;    /* a switch has left something for the next one to finish or undo */
        bool is_stuck;
        bool is_foreign;      /* stuck in an operation of another program */
        FunctionSet reserved; /* for vfio by another program, and not on it yet */
        Runtime runtime;
} Status;

typedef struct Statuses {
        Status *items; /* by address, as the inventory has them; or as named */
        size_t n;
} Statuses;

/* looking */

static void statuses_deinit(Statuses *statuses) {
        for (size_t i = 0; i < statuses->n; ++i) {
                Status *status = &statuses->items[i];

                overrides_free(status->overrides, status->gpu->n_functions);
                runtime_deinit(&status->runtime);
                free(status->name);
        }
        free(statuses->items);
        *statuses = (Statuses){};
}

/* Why it does not go to passthrough on its own, as far as that can be told without privileges. */
static const char *
display_in_use(const Status *status, const Policy *policy, Sysfs *sysfs, const Displays *displays) {
        const Gpu *gpu = status->gpu;
        const Display *display = displays_find(displays, gpu->address);
        bool is_only = displays_count_others(displays, gpu->address) == 0;

        if (status->wish != MODE_PASSTHROUGH || !status->pending ||
                        driver_is_vfio(sysfs, gpu->functions[0].driver) ||
                        policy_allows_display(policy, gpu))
                return NULL;
        if (gpu->boots_machine && is_only)
                return "it is the only display of this machine";
        if (display && display->is_lit)
                return "a monitor is lit on it";
        if (!gpu->boots_machine)
                return NULL;
        return status->is_last ? "no other GPU of this machine shows anything"
                               : "it is the display that the machine boots on";
}

/* Functions that another program's override gives to vfio as soon as their driver leaves. */
static FunctionSet find_reserved(const Status *status, Sysfs *sysfs) {
        FunctionSet found = 0;

        if (!status->overrides || status->runtime.pinned || status->runtime.lock.locked ||
                        status->runtime.record.has_move)
                return 0;
        for (size_t i = 0; i < status->gpu->n_functions; ++i) {
                const Device *function = &status->gpu->functions[i];

                if (driver_is_vfio(sysfs, status->overrides[i]) &&
                                !driver_is_vfio(sysfs, function->driver))
                        found |= (FunctionSet) (1U << function->address.function);
        }
        return found;
}

static int read_gpu(Status *status,
                const Roots *roots,
                const Policy *policy,
                const Displays *displays,
                Ids *ids) {
        Identity identity = status->gpu->functions[0].identity;
        Runtime *runtime = &status->runtime;
        char address[ADDRESS_STRING_MAX];
        Decision decision;
        bool leaving;
        int r;

        r = runtime_init(runtime, roots, status->gpu);
        if (r < 0)
                return r;
        status->is_stuck = runtime_is_stuck(runtime);
        if (!status->is_stuck && !runtime->lock.locked && !runtime->lock.writing) {
                /* The unbind of another program may hang as well. */
                r = preflight_is_leaving(roots->proc_fd, status->gpu, &leaving);
                if (r < 0)
                        return r;
                status->is_stuck = status->is_foreign = leaving;
        }

        decision = policy_decide(policy, status->gpu, runtime, 0);
        status->wish = decision.mode;
        status->pending = !mode_fulfils(decision.mode, status->gpu->mode);
        status->interrupted = decision.interrupted && !status->is_stuck && !runtime->lock.writing;
        status->managed = policy_follows(policy, status->gpu);
        status->unmanaged_by_config =
                        config_managed(&policy->config, status->gpu) == CONFIG_MANAGED_NO;
        status->is_last = displays_role(displays, status->gpu->address) == DISPLAY_LAST;
        status->display = display_in_use(status, policy, roots->sysfs, displays);
        /* Also of one that is not managed: another card cannot be moved by name either. */
        status->source = policy_wish(policy, status->gpu, runtime, false).source;
        status->remembered = &policy->state;
        status->entry = state_find(&policy->state, status->gpu, &status->match);
        /* BootMode= may be what makes it unsure. */
        if (status->match == MATCH_THIS &&
                        policy_wish(policy, status->gpu, runtime, true).source == POLICY_UNSURE)
                status->source = POLICY_UNSURE;

        r = status->is_stuck ? 0
                             : gpu_read_overrides(roots->sysfs, status->gpu, LIMIT_OVERRIDES_USEC,
                                               &status->overrides);
        if (r == GPU_E_LATE)
                message_error("%s: reading driver_override timed out: a driver is at work on it",
                                address_format(status->gpu->address, address));
        if (r < 0)
                return r;
        if (!runtime->lock.locked)
                r = decision_note_claim(&decision, roots, status->gpu, runtime, status->overrides);
        if (r < 0)
                return r;
        status->decision = decision;
        status->reserved = find_reserved(status, roots->sysfs);
        return ids_device_name(ids, identity.vendor, identity.device, &status->name);
}

static const char *mode_of(const Status *status) {
        return status->is_stuck ? "stuck" : mode_to_string(status->gpu->mode);
}

/* the table: a row per GPU, its functions as branches below it */

typedef enum Column {
        COLUMN_ADDRESS,
        COLUMN_MODE,
        COLUMN_WISH,
        COLUMN_GROUP,
        COLUMN_DRIVER,
        COLUMN_OVERRIDE,
        COLUMN_NAME,
        _COLUMN_MAX,
} Column;

static const TableColumn columns[_COLUMN_MAX] = {
        [COLUMN_ADDRESS] = { .title = "ADDRESS", .tree = true },
        [COLUMN_MODE] = { .title = "MODE" },
        [COLUMN_WISH] = { .title = "WISH" },
        [COLUMN_GROUP] = { .title = "GROUP", .right = true },
        [COLUMN_DRIVER] = { .title = "DRIVER" },
        [COLUMN_OVERRIDE] = { .title = "OVERRIDE" },
        [COLUMN_NAME] = { .title = "NAME", .last = true },
};

static const char *class_name(uint32_t class) {
        static const struct {
                uint32_t class;
                const char *name;
        } names[] = { { 0x0300, "VGA" }, { 0x0302, "3D" }, { 0x0403, "audio" }, { 0x0c03, "USB" },
                { 0x0c80, "UCSI" } };

        for (size_t i = 0; i < ARRAY_SIZE(names); ++i)
                if (names[i].class == class >> 8)
                        return names[i].name;
        return "other";
}

static int add_gpu(Table *table, const Status *status) {
        const Gpu *gpu = status->gpu;
        Colour colour = status->is_stuck          ? COLOUR_BAD
                        : gpu->mode == MODE_MIXED ? COLOUR_WARNING
                                                  : COLOUR_GOOD;
        char address[ADDRESS_STRING_MAX], group[16] = "-";
        const TableCell cells[_COLUMN_MAX] = {
                [COLUMN_ADDRESS] = { .text = address_format(gpu->address, address) },
                [COLUMN_MODE] = { mode_of(status), colour },
                [COLUMN_WISH] = { mode_to_string(status->wish),
                                status->pending ? COLOUR_WARNING : COLOUR_PLAIN },
                [COLUMN_GROUP] = { .text = group },
                [COLUMN_NAME] = { .text = status->name },
        };
        size_t row;
        int r;

        if (gpu->functions[0].iommu_group >= 0)
                snprintf(group, sizeof(group), "%d", gpu->functions[0].iommu_group);
        r = table_add_row(table, TABLE_TOP, cells, &row);
        for (size_t i = 0; i < gpu->n_functions && r >= 0; ++i) {
                const Device *function = &gpu->functions[i];
                const char *override = status->overrides ? status->overrides[i] : "?";
                const TableCell branch[_COLUMN_MAX] = {
                        [COLUMN_ADDRESS] = { .text = address_format(function->address, address) },
                        [COLUMN_DRIVER] = { .text = function->driver ?: "-" },
                        [COLUMN_OVERRIDE] = { .text = override ?: "-" },
                        [COLUMN_NAME] = { .text = class_name(function->class) },
                };

                r = table_add_row(table, row, branch, NULL);
        }
        return r;
}

#define REBOOT                                                                            \
        "  End the processes that hold it. If that does not help, save your work, then\n" \
        "  as root: sync; echo b >/proc/sysrq-trigger\n"

static void print_stuck(const char *gpu, const LateWrite *stuck) {
        const bool unbinds = stuck->action && !strcmp(stuck->action, "unbind");
        const char *driver = stuck->driver ?: "";
        char function[ADDRESS_STRING_MAX], since[32] = "";
        time_t seconds = (time_t) (stuck->since_usec / USEC_PER_SEC);
        struct tm tm;

        if (seconds > 0 && localtime_r(&seconds, &tm))
                strftime(since, sizeof(since), " since %F %T", &tm);
        printf("%s is stuck in the kernel%s: %s of %s%s%s (pid %d).\n" REBOOT, gpu, since,
                        stuck->action ?: "a write", address_format(stuck->function, function),
                        !driver[0]                ? ""
                                        : unbinds ? " from "
                                                  : ", ",
                        driver, (int) stuck->writer.pid);
}

/*
 * nvidia on function 0 while vfio-pci has function 1 (KERNEL.md 1.27). To take function 1 from vfio
 * touches nvidia least: nothing of it is torn down.
 */
static bool is_dangerous(const Gpu *gpu) {
        const char *display = gpu->functions[0].driver;
        const Device *audio = gpu_find_function(gpu, address_of_function(gpu->address, 1));

        return display && !strcmp(display, "nvidia") && audio && audio->driver &&
                        !strcmp(audio->driver, "vfio-pci");
}

/* What other programs have done to a GPU, and how to undo it. */
static int print_claim(const Status *status, const char *gpu) {
        _cleanup_(freep) char *claim = NULL;
        int r;

        if (status->decision.claimed && !mode_fulfils(status->wish, status->gpu->mode)) {
                r = decision_describe_claim(&status->decision, status->gpu, &claim);
                if (r < 0)
                        return r;
                printf("%s is claimed by another program (%s); it is left there until that ends.\n"
                       "  To move it anyway: vfioptctl switch %s %s\n",
                                gpu, claim, mode_to_string(status->wish), gpu);
        } else if (status->reserved) {
                printf("%s: another program has set driver_override for vfio, which is not in force yet.\n"
                       "  To keep it at the host: vfioptctl switch host %s\n",
                                gpu, gpu);
        }
        return 0;
}

/* What is remembered, where that is not plainly this card at this address. */
static void print_memory(const Status *status, const char *gpu) {
        const StateEntry *entry = status->entry;
        const char *mode = entry ? mode_to_string(entry->mode) : "";
        char name[LOCATION_STRING_MAX], before[ADDRESS_STRING_MAX], now[ADDRESS_STRING_MAX];

        if (!entry)
                return;
        state_entry_name(status->remembered, entry, name);
        address_format(entry->address, before);
        address_format(entry->now, now);
        if (status->source == POLICY_OTHER_CARD && entry->place == PLACE_FOUND)
                printf("%s is not the card that was here before, which is %s now; its wish does not "
                       "count.\n"
                       "  To remember that one there: vfioptctl switch %s %s\n",
                                gpu, now, mode, now);
        else if (status->source == POLICY_OTHER_CARD)
                printf("%s is not the card that was here before; its wish does not count.\n"
                       "  To forget that one: vfioptctl forget %s\n",
                                gpu, name);
        else if (status->source == POLICY_UNSURE && status->match == MATCH_SIMILAR &&
                        entry->place == PLACE_FOUND)
                printf("%s is where a card like it was in %s mode, but another like it is not where it was: "
                       "it may be either.\n"
                       "  It does not move on its own. To say where it belongs: vfioptctl switch MODE %s\n",
                                gpu, mode, gpu);
        else if (status->source == POLICY_UNSURE && status->match == MATCH_SIMILAR)
                printf("%s may be the card that was in %s mode at %s and is not there; it does not move "
                       "on its own.\n"
                       "  If it is: vfioptctl switch %s %s\n"
                       "  If not: vfioptctl forget %s\n",
                                gpu, mode, name, mode, gpu, name);
        else if (status->match == MATCH_THIS && state_entry_has_moved(entry, status->gpu))
                printf("%s is the card that was at %s (the bus was renumbered).\n", gpu, before);
        if (status->source == POLICY_UNSURE && status->match == MATCH_THIS)
                printf("  " VFIOPT_ETC_CONFIG
                       " does not say the same of both, so it does not move on its own.\n"
                       "  Have it in [GPU %s] alone, then: vfioptctl switch %s %s\n",
                                gpu, mode, gpu);
}

/* A sentence for everything that a column has no room for. */
static int print_notes(const Status *status) {
        const GpuRecord *record = &status->runtime.record;
        const LateWrite unnoted = { .function = status->gpu->address,
                .writer = { .pid = status->runtime.lock.writer } };
        char gpu[ADDRESS_STRING_MAX];

        address_format(status->gpu->address, gpu);
        if (status->is_foreign)
                printf("%s: an operation that vfiopt did not start is stuck in the kernel.\n" REBOOT,
                                gpu);
        else if (status->is_stuck)
                print_stuck(gpu,
                                record->has_move && record->move.is_late ? &record->move.late
                                                                         : &unnoted);
        else if (status->runtime.lock.locked)
                printf("%s is being switched (pid %d).\n", gpu, (int) status->runtime.lock.owner);
        else if (status->runtime.lock.writing)
                printf("%s: a switch was interrupted, and its write is still at work (pid %d).\n"
                       "  The next switch waits for that to end.\n",
                                gpu, (int) status->runtime.lock.writer);
        if (status->interrupted && status->wish != MODE_UNSET)
                printf("%s: an earlier switch was interrupted; it goes to %s next.\n"
                       "  vfioptd sees to that, or: vfioptctl switch auto %s\n",
                                gpu, mode_to_string(status->wish), gpu);
        else if (status->runtime.damaged)
                printf("%s: its record in " VFIOPT_RUN_DIR
                       " is not understood; it is not moved until a switch names it.\n"
                       "  To replace the record: vfioptctl switch MODE %s\n",
                                gpu, gpu);
        else if (status->interrupted)
                printf("%s: an earlier switch was interrupted; it stays as it is until a switch names it.\n"
                       "  To finish or undo it: vfioptctl switch host %s\n",
                                gpu, gpu);
        if (is_dangerous(status->gpu))
                printf("%s: nvidia has function 0 while vfio-pci has function 1, which may panic the kernel.\n"
                       "  To end that: vfioptctl switch host %s\n"
                       "  With no monitor lit on it, also: vfioptctl switch passthrough %s\n",
                                gpu, gpu, gpu);
        print_memory(status, gpu);
        if (status->display && !status->is_stuck && !status->runtime.lock.locked)
                printf("%s does not go to passthrough on its own: %s.\n"
                       "  To allow it: vfioptctl switch --allow-display passthrough %s\n"
                       "  For good: AllowDisplay=yes below [GPU %s] in " VFIOPT_ETC_CONFIG "\n",
                                gpu, status->display, gpu, gpu);
        if (!status->managed)
                printf("%s is not managed (%s); it moves only when named.\n", gpu,
                                status->unmanaged_by_config ? "Managed=no in " VFIOPT_ETC_CONFIG
                                                : status->is_last ? "display in use"
                                                                  : "boot display");
        return print_claim(status, gpu);
}

static int print_table(const Statuses *statuses) {
        _cleanup_(table_freep) Table *table = NULL;
        int r;

        if (statuses->n == 0) {
                puts("No NVIDIA GPU was found.");
                return 0;
        }

        r = table_new(columns, ARRAY_SIZE(columns), &table);
        for (size_t i = 0; i < statuses->n && r >= 0; ++i)
                r = add_gpu(table, &statuses->items[i]);
        if (r >= 0)
                r = table_print(table);
        if (r < 0)
                return r;

        for (size_t i = 0; i < statuses->n && r >= 0; ++i)
                r = print_notes(&statuses->items[i]);
        return r < 0 ? r : 0;
}

/*
 * JSON. The keys are a promise, written down in vfioptctl(1): every key is always there,
 * and one that does not apply is null.
 */

static int push_function(Json *array, const Device *function, const char *override) {
        _cleanup_(json_freep) Json *object = json_new_object();
        char address[ADDRESS_STRING_MAX], class[8];
        int r = 0;

        snprintf(class, sizeof(class), "%04x", function->class >> 8 & 0xffffU);
        address_format(function->address, address);
        error_gather(&r, json_add_string(object, "address", address));
        error_gather(&r, json_add_string(object, "class", class));
        error_gather(&r, json_add_string(object, "driver", function->driver));
        error_gather(&r, json_add_string(object, "override", override));
        return r < 0 ? r : json_push(array, TAKE_PTR(object));
}

static int add_job(Json *object, const LockHolders *job) {
        _cleanup_(json_freep) Json *holders = NULL;
        int r = 0;

        if (!job->locked && !job->writing)
                return json_add_null(object, "job");

        holders = json_new_object();
        error_gather(&r, json_add_uint_or_null(holders, "pid", job->owner, job->owner > 0));
        error_gather(&r, json_add_uint_or_null(holders, "writer", job->writer, job->writer > 0));
        return r < 0 ? r : json_add(object, "job", TAKE_PTR(holders));
}

static int add_memory(Json *object, const Status *status) {
        static const char *const cards[] = {
                [MATCH_THIS] = "this", [MATCH_OTHER] = "other", [MATCH_SIMILAR] = "similar"
        };
        _cleanup_(json_freep) Json *memory = NULL;
        char address[ADDRESS_STRING_MAX];
        int r = 0;

        if (!status->entry)
                return json_add_null(object, "remembered");

        memory = json_new_object();
        address_format(status->entry->address, address);
        error_gather(&r, json_add_string(memory, "card", cards[status->match]));
        error_gather(&r, json_add_string(memory, "address", address));
        error_gather(&r, json_add_string(memory, "mode", mode_to_string(status->entry->mode)));
        return r < 0 ? r : json_add(object, "remembered", TAKE_PTR(memory));
}

static int push_gpu(Json *array, const Status *status) {
        _cleanup_(json_freep) Json *object = json_new_object(), *functions = json_new_array();
        const Device *display = &status->gpu->functions[0];
        char address[ADDRESS_STRING_MAX], id[IDENTITY_STRING_MAX], subsystem[IDENTITY_STRING_MAX];
        char location[LOCATION_STRING_MAX];
        int r = 0;

        location_format(&status->gpu->location, location);
        address_format(status->gpu->address, address);
        identity_format_id(display->identity, id);
        identity_format_subsystem(display->identity, subsystem);
        for (size_t i = 0; i < status->gpu->n_functions; ++i)
                error_gather(&r,
                                push_function(functions, &status->gpu->functions[i],
                                                status->overrides ? status->overrides[i] : NULL));
        error_gather(&r, json_add_string(object, "address", address));
        error_gather(&r, json_add_string(object, "location", location[0] ? location : NULL));
        error_gather(&r, json_add_string(object, "name", status->name));
        error_gather(&r, json_add_string(object, "id", id));
        error_gather(&r, json_add_string(object, "subsystem", subsystem));
        error_gather(&r, json_add_string(object, "mode", mode_of(status)));
        error_gather(&r, json_add_string(object, "wish", mode_to_string(status->wish)));
        error_gather(&r, json_add_bool(object, "pending", status->pending));
        error_gather(&r, json_add_bool(object, "claimed", status->decision.claimed));
        error_gather(&r, json_add_bool(object, "managed", status->managed));
        error_gather(&r, json_add_bool(object, "boot_vga", display->boot_vga == 1));
        error_gather(&r, json_add_bool(object, "boot_display", status->gpu->boots_machine));
        error_gather(&r,
                        json_add_uint_or_null(object, "iommu_group", display->iommu_group,
                                        display->iommu_group >= 0));
        error_gather(&r, json_add(object, "functions", TAKE_PTR(functions)));
        error_gather(&r, add_job(object, &status->runtime.lock));
        error_gather(&r, add_memory(object, status));
        error_gather(&r, json_add_bool(object, "interrupted", status->interrupted));
        error_gather(&r, json_add_bool(object, "stuck", status->is_stuck));
        return r < 0 ? r : json_push(array, TAKE_PTR(object));
}

/* @inventory: NULL if GPUs are named: then those that are not there are of no interest */
static int print_json(const Statuses *statuses, const Inventory *inventory, const State *state) {
        _cleanup_(json_freep) Json *gpus = json_new_array(), *absent = json_new_array();
        int r = 0;

        for (size_t i = 0; i < statuses->n; ++i)
                error_gather(&r, push_gpu(gpus, &statuses->items[i]));
        if (inventory)
                error_gather(&r, traces_push_absent(absent, inventory, state));
        return r < 0 ? r : message_json("gpus", TAKE_PTR(gpus), "absent", TAKE_PTR(absent));
}

/* the verb */

/* Return: 0, an exit code after a message that says why, or a negative error code. */
static int add_gpu_named(Statuses *statuses,
                const Cli *cli,
                const State *state,
                Inventory *inventory,
                const char *word) {
        Gpu *gpu;
        int r;

        r = inventory_select(inventory, cli->roots->sysfs, word, &gpu);
        if (r)
                return r < 0 ? r : message_no_gpu(r, word, state);
        for (size_t i = 0; i < statuses->n; ++i)
                if (statuses->items[i].gpu == gpu)
                        return 0;
        statuses->items[statuses->n++] = (Status){ .gpu = gpu };
        return 0;
}

/* Those that are named, or all. Return: as above. */
static int choose_gpus(
                Statuses *statuses, const Cli *cli, const State *state, Inventory *inventory) {
        int r = 0;

        statuses->items = calloc(inventory->n_gpus ?: 1, sizeof(*statuses->items));
        if (!statuses->items)
                return -ENOMEM;
        for (size_t i = 0; i < cli->n_args && r == 0; ++i)
                r = add_gpu_named(statuses, cli, state, inventory, cli->args[i]);
        for (size_t i = 0; i < inventory->n_gpus && cli->n_args == 0; ++i)
                statuses->items[statuses->n++] = (Status){ .gpu = &inventory->gpus[i] };
        return r;
}

static int status_run(Cli *cli) {
        _cleanup_(ids_freep) Ids *ids = NULL;
        _cleanup_(policy_deinit) Policy policy = POLICY_NULL;
        _cleanup_(inventory_deinit) Inventory inventory = {};
        _cleanup_(statuses_deinit) Statuses statuses = {};
        int r;

        r = policy_read(&policy, cli);
        if (r < 0)
                return r;
        r = ids_new(&ids);
        if (r < 0)
                return r;
        r = inventory_init(&inventory, cli->roots);
        if (r < 0)
                return r;
        r = choose_gpus(&statuses, cli, &policy.state, &inventory);
        for (size_t i = 0; i < statuses.n && r == 0; ++i)
                r = read_gpu(&statuses.items[i], cli->roots, &policy, &inventory.displays, ids);
        if (r)
                return r;

        if (cli_has(cli, OPTION_JSON)) {
                r = print_json(&statuses, cli->n_args == 0 ? &inventory : NULL, &policy.state);
                cli->printed = r >= 0;
                return r < 0 ? r : VFIOPT_EXIT_DONE;
        }
        r = print_table(&statuses);
        for (size_t i = 0; r >= 0 && i < statuses.n; ++i)
                r = traces_print(cli->roots, statuses.items[i].gpu, statuses.items[i].wish,
                                statuses.items[i].overrides);
        if (r >= 0 && cli->n_args == 0)
                r = traces_print_absent(cli->roots, &inventory, &policy.state);
        return r < 0 ? r : VFIOPT_EXIT_DONE;
}

const Verb verb_status = {
        .name = "status",
        .args = "[GPU...]",
        .summary = "where each GPU is (the default)",
        .options = OPTION_JSON | OPTION_ROOT,
        .run = status_run,
};
