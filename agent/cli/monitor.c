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

static void monitor_deinit(Monitor *monitor) {
        sd_event_unref(monitor->event);
        free(monitor->gpus);
}

/*
 * An address may be that of a card still to be plugged in, unless there is another device.
 * An id is that of a card that is there.
 * Return: 0, an exit code after having told why, or a negative error code.
 */
static int add_gpus(Monitor *monitor, const Cli *cli) {
        _cleanup_(inventory_deinit) Inventory inventory = {};
        int r;

        if (cli->n_args == 0)
                return 0;
        monitor->gpus = calloc(cli->n_args, sizeof(*monitor->gpus));
        if (!monitor->gpus)
                return -ENOMEM;
        r = inventory_init(&inventory, cli->roots);
        if (r < 0)
                return r;

        for (size_t i = 0; i < cli->n_args; ++i) {
                const char *word = cli->args[i];
                bool has_function;
                Address address;
                Gpu *gpu;

                r = inventory_select(&inventory, cli->roots->sysfs, word, &gpu);
                if (r == 0)
                        address = gpu->address;
                else if (r != INVENTORY_E_NONE ||
                                address_parse_loose(word, &address, &has_function) < 0)
                        return r < 0 ? r : message_no_gpu(r, word, NULL);
                monitor->gpus[monitor->n_gpus++] = address;
        }
        return 0;
}

static int on_record(void *userdata, const Record *record) {
        const EventKind kind = record->event.kind;
        const int priority = event_types[kind].priority;
        _cleanup_(freep) char *line = NULL;
        Monitor *monitor = userdata;
        Colour colour = COLOUR_PLAIN;
        size_t i = 0;
        int r;

        while (i < monitor->n_gpus && !address_same_slot(monitor->gpus[i], record->event.gpu))
                ++i;
        if (monitor->n_gpus > 0 && i == monitor->n_gpus)
                return 0;

        if (!monitor->json)
                colour = priority <= LOG_ERR              ? COLOUR_BAD
                                : priority <= LOG_WARNING ? COLOUR_WARNING
                                : kind == EVENT_DONE      ? COLOUR_GOOD
                                                          : COLOUR_PLAIN;
        r = monitor->json ? record_format_json(record, &line) : record_format_line(record, &line);
        if (r >= 0)
                r = line_print(line, colour);
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

/* A full pipe blocks the loop: so the handler itself exits. */
static void on_signal(int number _unused_) {
        _exit(VFIOPT_EXIT_DONE);
}

static int monitor_run(Cli *cli) {
        _cleanup_(monitor_deinit) Monitor monitor = { .json = cli_has(cli, OPTION_JSON) };
        _cleanup_(journal_reader_freep) JournalReader *reader = NULL;
        const JournalWatcher watcher = { .record = on_record, .userdata = &monitor };
        const struct sigaction end = { .sa_handler = on_signal },
                               ignore = { .sa_handler = SIG_IGN };
        int r;

        r = add_gpus(&monitor, cli);
        if (r)
                return r;
        r = sd_event_new(&monitor.event);
        if (r < 0)
                return r;

        (void) sigaction(SIGINT, &end, NULL);
        (void) sigaction(SIGTERM, &end, NULL);
        (void) sigaction(SIGPIPE, &ignore, NULL);
        /* End with the reader of a pipe, and not only when the next event cannot be written. */
        r = sd_event_add_io(monitor.event, NULL, STDOUT_FILENO, 0, on_reader_gone, &monitor);
        if (r < 0 && r != -EPERM) /* a file has no reader */
                return r;
        r = journal_reader_new(monitor.event, &watcher, &reader);
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
        return sd_event_loop(monitor.event);
}

const Verb verb_monitor = {
        .name = "monitor",
        .args = "[GPU...]",
        .summary = "print events as they happen",
        .options = OPTION_JSON,
        .run = monitor_run,
};
