/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vfioptctl monitor
 *
 * Prints the events of GPUs as they come: from jobs, from switches without one, and from
 * the agent.
 */

#include <signal.h>
#include <syslog.h>
#include <systemd/sd-event.h>

#include "cli/message.h"
#include "cli/request.h"
#include "cli/table.h"
#include "journal/read.h"

typedef struct Monitor {
        sd_event *event;
        Address *gpus; /* events of these only; none: of all */
        size_t n_gpus;
        bool json;
} Monitor;

/* arguments */

/*
 * An address may be that of a card still to be plugged in, unless there is another device.
 * An id is that of a card that is there.
 * Return: 0, an exit code after having reported why, or a negative error code.
 */
static int add_gpu(Monitor *monitor, const Cli *cli, Inventory *inventory, const char *word) {
        bool has_function;
        Address address;
        Gpu *gpu;
        int r;

        r = inventory_select(inventory, cli->roots->sysfs, word, &gpu);
        if (r == 0)
                address = gpu->address;
        else if (r != INVENTORY_E_NONE || address_parse_loose(word, &address, &has_function) < 0)
                return r < 0 ? r : message_no_gpu(r, word);
        monitor->gpus[monitor->n_gpus++] = address;
        return 0;
}

static int add_gpus(Monitor *monitor, const Cli *cli) {
        _cleanup_(inventory_deinit) Inventory inventory = {};
        int r;

        if (cli->n_args == 0)
                return 0;
        monitor->gpus = calloc(cli->n_args, sizeof(*monitor->gpus));
        if (!monitor->gpus)
                return -ENOMEM;

        r = inventory_init(&inventory, cli->roots->sysfs);
        if (r < 0)
                return r;
        for (size_t i = 0; i < cli->n_args && r == 0; ++i)
                r = add_gpu(monitor, cli, &inventory, cli->args[i]);
        return r;
}

static bool is_wanted(const Monitor *monitor, Address gpu) {
        for (size_t i = 0; i < monitor->n_gpus; ++i)
                if (address_same_slot(monitor->gpus[i], gpu))
                        return true;
        return monitor->n_gpus == 0;
}

/* output */

static Colour colour_of(EventKind kind) {
        if (event_types[kind].priority <= LOG_ERR)
                return COLOUR_BAD;
        if (event_types[kind].priority <= LOG_WARNING)
                return COLOUR_WARNING;
        return kind == EVENT_DONE ? COLOUR_GOOD : COLOUR_PLAIN;
}

static int on_record(void *userdata, const Record *record) {
        _cleanup_(freep) char *line = NULL;
        Monitor *monitor = userdata;
        int r;

        if (!is_wanted(monitor, record->event.gpu))
                return 0;
        r = monitor->json ? record_format_json(record, &line) : record_format_line(record, &line);
        if (r >= 0)
                r = line_print(line, monitor->json ? COLOUR_PLAIN : colour_of(record->event.kind));
        if (r == LINE_E_GONE)
                (void) sd_event_exit(monitor->event, VFIOPT_EXIT_DONE);
        return r;
}

static int on_reader_gone(sd_event_source *source _unused_,
                int fd _unused_,
                uint32_t events _unused_,
                void *userdata) {
        Monitor *monitor = userdata;

        return sd_event_exit(monitor->event, VFIOPT_EXIT_DONE);
}

/* End with the reader of a pipe, and not only when the next event cannot be written. */
static int watch_reader(Monitor *monitor) {
        int r;

        r = sd_event_add_io(monitor->event, NULL, STDOUT_FILENO, 0, on_reader_gone, monitor);
        /* A file has no reader. */
        return r == -EPERM ? 0 : r;
}

/* the end */

/* A full pipe blocks the loop: so the handler itself exits. */
static void on_signal(int number _unused_) {
        _exit(VFIOPT_EXIT_DONE);
}

static void catch_signals(void) {
        const struct sigaction end = { .sa_handler = on_signal },
                               ignore = { .sa_handler = SIG_IGN };

        (void) sigaction(SIGINT, &end, NULL);
        (void) sigaction(SIGTERM, &end, NULL);
        (void) sigaction(SIGPIPE, &ignore, NULL);
}

/* Return: an exit code, or a negative error code. */
static int run(Monitor *monitor) {
        const JournalWatcher watcher = { .record = on_record, .userdata = monitor };
        _cleanup_(journal_reader_freep) JournalReader *reader = NULL;
        int r;

        catch_signals();
        r = watch_reader(monitor);
        if (r < 0)
                return r;
        r = journal_reader_new(monitor->event, &watcher, &reader);
        if (r == JOURNAL_E_BLIND) {
                message_error(geteuid() == 0 ? "there is no journal here"
                                             : "this user may not read the journal; root may, and members "
                                               "of the groups systemd-journal and adm");
                return VFIOPT_EXIT_PRECONDITION;
        }
        if (r == 0)
                r = journal_reader_tail(reader);
        if (r < 0)
                return r;

        message_line("Waiting for events; ^C ends this.");
        return sd_event_loop(monitor->event);
}

static int monitor_run(Cli *cli) {
        Monitor monitor = { .json = cli_has(cli, OPTION_JSON) };
        int r;

        r = add_gpus(&monitor, cli);
        if (r == 0)
                r = sd_event_new(&monitor.event);
        if (r == 0)
                r = run(&monitor);
        sd_event_unref(monitor.event);
        free(monitor.gpus);
        return r;
}

const Verb verb_monitor = {
        .name = "monitor",
        .args = "[GPU...]",
        .summary = "tell what happens, as it happens",
        .options = OPTION_JSON,
        .n_max = SIZE_MAX,
        .run = monitor_run,
};
