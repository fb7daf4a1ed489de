/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reading the Journal
 *
 * Any user can write records with our message ids and fields. The fields that begin with
 * an underscore cannot be forged: the journal itself notes the sender there. So the readers
 * below match on _UID, and record_read() takes an entry of root's as it is. Of the agent's user,
 * which has no part in a switch, it takes what the agent says, and in the words for that.
 */

#include <pwd.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <systemd/sd-journal.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "journal/read.h"
#include "vfiopt/journal.h"
#include "vfiopt/names.h"

/* The journal's clock may be a little behind ours: it takes the time once per wakeup. */
#define START_MARGIN_USEC (5 * USEC_PER_SEC)

/* The journal drops records under load, perhaps the one that says that a job is over. */
#define LIMIT_END_USEC (5 * USEC_PER_SEC)

/* "2026-11-25 19:28:14" and a zero; years beyond 9999 exist, too */
#define TIME_STRING_MAX 32

/* The keys are public, see vfioptctl(1). They are printed in this order. */
static const struct {
        const char *name; /* in the journal */
        const char *key;  /* in JSON; NULL: not there as it is */
        bool is_number;
} fields[_RECORD_FIELD_MAX] = {
        [RECORD_ID] = { "MESSAGE_ID", NULL, false },
        [RECORD_GPU] = { VFIOPT_FIELD_GPU, "gpu", false },
        [RECORD_FUNCTIONS] = { VFIOPT_FIELD_FUNCTION, "functions", false },
        [RECORD_FROM] = { VFIOPT_FIELD_FROM, "from", false },
        [RECORD_TO] = { VFIOPT_FIELD_TO, "to", false },
        [RECORD_TRIGGER] = { VFIOPT_FIELD_TRIGGER, "trigger", false },
        [RECORD_PHASE] = { VFIOPT_FIELD_PHASE, "phase", false },
        [RECORD_RESULT] = { VFIOPT_FIELD_RESULT, "result", false },
        [RECORD_REASON] = { VFIOPT_FIELD_REASON, "reason", false },
        [RECORD_HOLDERS] = { VFIOPT_FIELD_HOLDERS, "holders", false },
        [RECORD_DURATION] = { VFIOPT_FIELD_DURATION_USEC, "duration_usec", true },
        [RECORD_LOGINUID] = { VFIOPT_FIELD_LOGINUID, "loginuid", true },
        [RECORD_UID] = { "_UID", "uid", true },
        [RECORD_PID] = { "_PID", "pid", true },
        [RECORD_JOB] = { "OBJECT_SYSTEMD_UNIT", NULL, false },
        [RECORD_UNIT] = { "_SYSTEMD_UNIT", "unit", false },
        [RECORD_MESSAGE] = { "MESSAGE", "message", false },
        [RECORD_TIME] = { "_SOURCE_REALTIME_TIMESTAMP", NULL, false },
};

/* Events of the agent's own (daemon/log.c); of all others its user knows nothing. */
static const bool of_agent[_EVENT_MAX] = {
        [EVENT_WARNING] = true,
        [EVENT_ASKED] = true,
        [EVENT_GAVE_UP] = true,
        [EVENT_CLAIMED] = true,
};

enum {
        _RECORD_E_SUCCESS,

        RECORD_E_FOREIGN, /* its writer has no part in such events */
};

/* reading one entry */

/* A field of the current entry, or NULL if it is not there or empty; free() it. */
static char *get(sd_journal *journal, const char *field) {
        const char *data;
        size_t n, skip = strlen(field) + 1;

        if (sd_journal_get_data(journal, field, (const void **) &data, &n) < 0 || n <= skip)
                return NULL;
        return strndup(data + skip, n - skip);
}

static bool parse_uint(const char *value, uint64_t max, uint64_t *ret) {
        return value && text_to_uint(value, 10, max, ret) == 0;
}

static bool parse_kind(const char *id, EventKind *ret) {
        for (EventKind kind = 0; id && kind < _EVENT_MAX; ++kind)
                if (!strcmp(event_types[kind].id, id)) {
                        *ret = kind;
                        return true;
                }
        return false;
}

static Mode parse_mode(const char *name) {
        for (Mode mode = MODE_HOST; name && mode < _MODE_MAX; ++mode)
                if (!strcmp(mode_to_string(mode), name))
                        return mode;
        return MODE_UNSET;
}

static FunctionSet parse_functions(const char *addresses, Address gpu) {
        _cleanup_(freep) char *words = strdup(addresses ?: "");
        FunctionSet functions = 0;
        char *rest = words, *word;

        while ((word = strsep(&rest, " "))) {
                Address address;

                if (address_parse(word, &address) == 0 && address_same_slot(address, gpu))
                        functions |= (FunctionSet) (1U << address.function);
        }
        return functions;
}

/* Return: whether it is a record of ours. */
static bool parse_event(char *const *values, Event *event) {
        *event = (Event){
                .from = parse_mode(values[RECORD_FROM]),
                .to = parse_mode(values[RECORD_TO]),
                .trigger = _TRIGGER_MAX,
                .phase = values[RECORD_PHASE],
                .reason = values[RECORD_REASON],
                .holders = values[RECORD_HOLDERS],
        };

        if (!values[RECORD_MESSAGE] || !values[RECORD_GPU] ||
                        !parse_kind(values[RECORD_ID], &event->kind) ||
                        address_parse(values[RECORD_GPU], &event->gpu) < 0)
                return false;
        event->functions = parse_functions(values[RECORD_FUNCTIONS], event->gpu);
        if (values[RECORD_TRIGGER] &&
                        trigger_from_string(values[RECORD_TRIGGER], &event->trigger) < 0)
                event->trigger = _TRIGGER_MAX;
        if (!parse_uint(values[RECORD_DURATION], UINT64_MAX, &event->usec))
                event->usec = 0;
        return true;
}

static void drop(Record *record, RecordField field) {
        free(record->fields[field]);
        record->fields[field] = NULL;
}

/*
 * Limit a record to what the agent can know. Return: 0, RECORD_E_FOREIGN if it is none of the
 * agent's, or a negative error code.
 */
static int limit_to_agent(Record *record) {
        Event *event = &record->event;
        char *message, *result;
        int r;

        if (event->trigger != TRIGGER_AGENT || !of_agent[event->kind])
                return RECORD_E_FOREIGN;

        event->holders = NULL;
        event->usec = 0;
        r = event_format(event, &message);
        if (r < 0)
                return r;
        drop(record, RECORD_MESSAGE);
        record->fields[RECORD_MESSAGE] = message;
        r = text_copy(event_types[event->kind].result, &result);
        if (r < 0)
                return r;
        drop(record, RECORD_RESULT);
        record->fields[RECORD_RESULT] = result;
        drop(record, RECORD_HOLDERS);
        drop(record, RECORD_DURATION);
        drop(record, RECORD_LOGINUID);
        drop(record, RECORD_JOB);
        return 0;
}

/**
 * record_read() - read the current entry of a journal
 * @record:     to initialise; record_deinit() it
 * @journal:    journal
 *
 * Return: whether it is a record of ours; else @record is untouched.
 */
bool record_read(Record *record, sd_journal *journal) {
        _cleanup_(record_deinit) Record made = RECORD_NULL;

        for (RecordField field = 0; field < _RECORD_FIELD_MAX; ++field)
                made.fields[field] = get(journal, fields[field].name);
        if (!parse_event(made.fields, &made.event))
                return false;
        if (made.fields[RECORD_UID] && strcmp(made.fields[RECORD_UID], "0") &&
                        limit_to_agent(&made))
                return false;
        /* journalctl too shows when an entry was sent, where that is known. Larger numbers are none in JSON. */
        if (!parse_uint(made.fields[RECORD_TIME], INT64_MAX, &made.time_usec) &&
                        sd_journal_get_realtime_usec(journal, &made.time_usec) < 0)
                return false;

        *record = made;
        made = (Record) RECORD_NULL;
        return true;
}

void record_deinit(Record *record) {
        for (RecordField field = 0; field < _RECORD_FIELD_MAX; ++field)
                free(record->fields[field]);
        *record = (Record) RECORD_NULL;
}

/* formatting */

/* Replace control characters, which a terminal might obey: U+0000 to U+001F, U+007F to U+009F. */
static void silence(char *line) {
        text_repair(line);
        for (char *c = line; *c; ++c) {
                if ((unsigned char) *c < 0x20 || *c == 0x7f)
                        *c = '?';
                else if ((unsigned char) c[0] == 0xc2 && (unsigned char) c[1] < 0xa0)
                        c[0] = c[1] = '?';
        }
}

/* A record for people: one line of printable text, whatever is in it. */
int record_format_line(const Record *record, char **ret) {
        time_t seconds = (time_t) (record->time_usec / USEC_PER_SEC);
        char time[TIME_STRING_MAX];
        struct tm tm;
        char *line;

        if (!localtime_r(&seconds, &tm))
                return -errno;
        (void) strftime(time, sizeof(time), "%Y-%m-%d %H:%M:%S", &tm);
        line = text_format("%s.%03u %s", time,
                        (unsigned int) (record->time_usec % USEC_PER_SEC / USEC_PER_MSEC),
                        record->fields[RECORD_MESSAGE]);
        if (!line)
                return -ENOMEM;
        silence(line);

        *ret = line;
        return 0;
}

static int add_functions(Json *object, const char *key, const Event *event) {
        _cleanup_(json_freep) Json *array = json_new_array();
        char address[ADDRESS_STRING_MAX];
        int r = array ? 0 : -ENOMEM;

        for (uint8_t function = 0; function < 8 && r >= 0; ++function)
                if (event->functions & (1U << function))
                        r = json_push_string(array,
                                        address_format(address_of_function(event->gpu, function),
                                                        address));
        return r < 0 ? r : json_add(object, key, TAKE_PTR(array));
}

static int add_field(Json *object, const Record *record, RecordField field) {
        const char *key = fields[field].key, *value = record->fields[field];
        uint64_t number;

        if (field == RECORD_FUNCTIONS)
                return add_functions(object, key, &record->event);
        /* The unit that the journal notes is missing if the sender exits too soon. */
        if (field == RECORD_UNIT)
                value = record->fields[RECORD_JOB] ?: value;
        if (!fields[field].is_number)
                return json_add_string(object, key, value);
        /* A duration of 0 was not measured. */
        if (!parse_uint(value, INT64_MAX, &number) || (field == RECORD_DURATION && number == 0))
                return json_add_null(object, key);
        return json_add_uint(object, key, number);
}

/* A record for programs: a JSON object that has every key. */
int record_format_json(const Record *record, char **ret) {
        _cleanup_(json_freep) Json *object = json_new_object();
        int r;

        if (!object)
                return -ENOMEM;

        r = json_add_uint(object, "version", VFIOPT_JSON_VERSION);
        if (r >= 0)
                r = json_add_uint(object, "time_usec", record->time_usec);
        if (r >= 0)
                r = json_add_string(object, "event", event_types[record->event.kind].name);
        for (RecordField field = 0; field < _RECORD_FIELD_MAX && r >= 0; ++field)
                if (fields[field].key)
                        r = add_field(object, record, field);
        return r < 0 ? r : json_format(object, false, ret);
}

/* records as they come */

struct JournalReader {
        sd_journal *journal;
        sd_event *event;
        sd_event_source *readable;
        sd_event_source *deadline;
        JournalWatcher watcher;
        uint64_t start_usec;
        uint32_t job_id; /* 0: no job is followed */
        bool found;      /* the run of the job is known, and being read */
        bool ended;
};

/**
 * journal_reader_new() - get ready to read
 * @event:      loop that it runs in
 * @watcher:    gets what is read
 * @ret:        reader; journal_reader_free() it
 *
 * To be called before a job is asked for, so that nothing of it is missed.
 *
 * Return: 0 on success, JOURNAL_E_BLIND if there is nothing that can be read, negative error
 *         code on failure.
 */
int journal_reader_new(sd_event *event, const JournalWatcher *watcher, JournalReader **ret) {
        _cleanup_(journal_reader_freep) JournalReader *reader = calloc(1, sizeof(*reader));
        uint64_t now = monotonic_usec();
        int r;

        if (!reader)
                return -ENOMEM;
        reader->event = sd_event_ref(event);
        reader->watcher = *watcher;
        reader->start_usec = now > START_MARGIN_USEC ? now - START_MARGIN_USEC : 0;

        /* Users' own journals can have nothing of ours in them. */
        r = sd_journal_open(&reader->journal, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM);
        if (r < 0)
                return r;
        /* Watch first, then look, so that no file is missed between. */
        r = sd_journal_get_fd(reader->journal);
        if (r < 0)
                return r;
        if (sd_journal_has_runtime_files(reader->journal) <= 0 &&
                        sd_journal_has_persistent_files(reader->journal) <= 0)
                return JOURNAL_E_BLIND;

        *ret = TAKE_PTR(reader);
        return 0;
}

/* Takes and returns NULL. */
JournalReader *journal_reader_free(JournalReader *reader) {
        if (!reader)
                return NULL;

        sd_event_source_disable_unref(reader->readable);
        sd_event_source_disable_unref(reader->deadline);
        sd_event_unref(reader->event);
        sd_journal_close(reader->journal);
        free(reader);
        return NULL;
}

/*
 * Have only such entries read. Values of one field are alternatives; of different fields, one
 * each has to match. Takes @data over; NULL: memory is short.
 */
static int match(sd_journal *journal, char *data) {
        _cleanup_(freep) char *taken = data;

        return taken ? sd_journal_add_match(journal, taken, 0) : -ENOMEM;
}

static int seek_start(JournalReader *reader) {
        sd_id128_t boot;
        int r;

        r = sd_id128_get_boot(&boot);
        return r < 0 ? r
                     : sd_journal_seek_monotonic_usec(reader->journal, boot, reader->start_usec);
}

/* Read the run of a job, from its beginning. */
static int read_run(JournalReader *reader, const char *invocation) {
        static const char *const names[] = {
                "_SYSTEMD_INVOCATION_ID", "OBJECT_SYSTEMD_INVOCATION_ID",
                "INVOCATION_ID", /* of the manager's records */
        };
        int r;

        reader->found = true;
        sd_journal_flush_matches(reader->journal);
        for (size_t i = 0; i < ARRAY_SIZE(names); ++i) {
                r = i > 0 ? sd_journal_add_disjunction(reader->journal) : 0;
                if (r >= 0)
                        r = match(reader->journal, text_format("%s=%s", names[i], invocation));
                if (r < 0)
                        return r;
        }
        /* Only from root: anybody can use two of these fields. */
        r = sd_journal_add_conjunction(reader->journal);
        if (r >= 0)
                r = match(reader->journal, strdup("_UID=0"));
        return r < 0 ? r : seek_start(reader);
}

/* Return: 0 to go on, positive to stop, negative error code on failure. */
static int look_at_entry(JournalReader *reader) {
        _cleanup_(record_deinit) Record record = RECORD_NULL;
        _cleanup_(freep) char *manager = NULL, *message = NULL;
        const JournalWatcher *watcher = &reader->watcher;

        /* Only the manager's records have this field. */
        if (reader->job_id > 0)
                manager = get(reader->journal, "INVOCATION_ID");
        if (reader->job_id > 0 && !reader->found)
                return manager ? read_run(reader, manager) : 0;
        if (manager) {
                _cleanup_(freep) char *id = get(reader->journal, "JOB_ID"),
                                      *result = get(reader->journal, "JOB_RESULT");
                uint64_t job_id;

                reader->ended = result && parse_uint(id, UINT32_MAX, &job_id) &&
                                job_id == reader->job_id;
                return 0;
        }
        if (record_read(&record, reader->journal))
                return watcher->record(watcher->userdata, &record);
        message = reader->job_id > 0 ? get(reader->journal, "MESSAGE") : NULL;
        return message ? watcher->line(watcher->userdata, message) : 0;
}

static int read_on(JournalReader *reader) {
        int r;

        while (!reader->ended) {
                r = sd_journal_next(reader->journal);
                if (r > 0)
                        r = look_at_entry(reader);
                else if (r == 0)
                        return 0;
                if (r)
                        return r < 0 ? r : 0;
        }

        (void) sd_event_source_set_enabled(reader->readable, SD_EVENT_OFF);
        (void) sd_event_source_set_enabled(reader->deadline, SD_EVENT_OFF);
        reader->watcher.end(reader->watcher.userdata);
        return 0;
}

static int on_readable(sd_event_source *source _unused_,
                int fd _unused_,
                uint32_t events _unused_,
                void *userdata) {
        JournalReader *reader = userdata;
        int r;

        /* Entries were added, or files came or went: the position is that of the last entry
         * read, in whichever file that is now. */
        r = sd_journal_process(reader->journal);
        return r < 0 ? r : read_on(reader);
}

static int start(JournalReader *reader) {
        int r;

        r = sd_event_add_io(reader->event, &reader->readable, sd_journal_get_fd(reader->journal),
                        sd_journal_get_events(reader->journal), on_readable, reader);
        return r < 0 ? r : read_on(reader);
}

/* Match our records, from root and from the agent's user. */
static int match_ours(sd_journal *journal) {
        const struct passwd *agent;
        int r;

        r = match(journal, strdup("_UID=0"));
        /* A machine without the agent does not have its user either. */
        agent = getpwnam(VFIOPT_USER);
        if (r >= 0 && agent)
                r = match(journal, text_format("_UID=%u", agent->pw_uid));
        for (EventKind kind = 0; kind < _EVENT_MAX && r >= 0; ++kind)
                r = match(journal, text_format("MESSAGE_ID=%s", event_types[kind].id));
        return r;
}

/**
 * journal_reader_tail() - read all of our records that are written from now on
 * @reader:     reader
 *
 * The loop ends when the watcher fails.
 *
 * Return: 0 on success, negative error code on failure.
 */
int journal_reader_tail(JournalReader *reader) {
        int r;

        /* The position is the last entry, whoever wrote it: so it is found before matching. */
        r = sd_journal_seek_tail(reader->journal);
        if (r >= 0)
                r = sd_journal_previous(reader->journal);
        /* Behind the end of an empty journal nothing ever comes; its beginning is the same place. */
        if (r == 0)
                r = sd_journal_seek_head(reader->journal);
        if (r >= 0)
                r = match_ours(reader->journal);
        if (r >= 0)
                r = start(reader);
        if (r >= 0)
                r = sd_event_source_set_exit_on_failure(reader->readable, true);
        return r < 0 ? r : 0;
}

/**
 * journal_reader_follow() - read what a job writes
 * @reader:     reader
 * @unit:       of the job
 * @job_id:     the manager's id of it
 * @invocation: of the run, if it is under way already, else NULL
 *
 * The manager writes a record when a job starts and one when it has ended, each with the ids
 * of the job and of the run (invocation). So the journal itself says which records are those
 * of the job and, as it keeps their order, which of them is the last.
 *
 * Return: 0 on success, negative error code on failure.
 */
int journal_reader_follow(
                JournalReader *reader, const char *unit, uint32_t job_id, const char *invocation) {
        int r;

        reader->job_id = job_id;
        if (invocation) {
                /* A run that is under way may have said long ago what it waits for. */
                reader->start_usec = 0;
                r = read_run(reader, invocation);
        } else {
                r = match(reader->journal, strdup("_PID=1"));
                if (r >= 0)
                        r = match(reader->journal, text_format("UNIT=%s", unit));
                if (r >= 0)
                        r = match(reader->journal, text_format("JOB_ID=%u", job_id));
                if (r >= 0)
                        r = seek_start(reader);
        }
        return r < 0 ? r : start(reader);
}

static int on_deadline(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        JournalReader *reader = userdata;

        reader->ended = true;
        return read_on(reader);
}

/**
 * journal_reader_finish() - the job is over: read its last records
 * @reader:     reader; its watcher's end() is called when they are read, or after some seconds
 *
 * Return: 0 on success, negative error code on failure.
 */
int journal_reader_finish(JournalReader *reader) {
        int r;

        if (reader->ended)
                return 0;
        r = sd_event_add_time_relative(reader->event, &reader->deadline, CLOCK_MONOTONIC,
                        LIMIT_END_USEC, 0, on_deadline, reader);
        return r < 0 ? r : 0;
}
