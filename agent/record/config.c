/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <ctype.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "record/config.h"
#include "vfiopt/names.h"

#define CONFIG_FILE     VFIOPT_ETC_CONFIG
#define CONFIG_FOLDER   VFIOPT_ETC_DROPINS
#define CONFIG_DROP_IN  "*.conf"
#define CONFIG_SIZE_MAX (64U * 1024U)
#define LINE_LENGTH_MAX 160U

#define KERNEL_LINE_SIZE_MAX (64U * 1024U)

#define BLANKS " \t\v\f\r"
#define BOM    "\xef\xbb\xbf"

/* How complaints quote text of a file, so that they stay short. */
#define QUOTE "%.64s"

typedef enum Section {
        SECTION_NONE,    /* before the first one */
        SECTION_IGNORED, /* complained about already: its keys are skipped silently */
        SECTION_GENERAL,
        SECTION_GPU,
} Section;

/* A place in a file, and the section around it. */
typedef struct Reader {
        Config *config;
        const char *file;
        unsigned int line; /* from 1; 0 for the whole file */
        Section section;
        ConfigGpu *gpu; /* in SECTION_GPU */
} Reader;

typedef enum KeyType {
        KEY_WORD,
        KEY_BOOLEAN, /* in any case, with systemd's synonyms; anything else is no */
} KeyType;

typedef struct Key {
        Section section;
        const char *name;
        KeyType type;
        size_t offset;       /* of its ConfigValue, in Config or ConfigGpu */
        const char *allowed; /* words in the order of their values, as complaints list them */
} Key;

/* A new key is a row here, a ConfigValue in config.h, and a lookup. */
static const Key keys[] = {
        { SECTION_GENERAL, "DefaultMode", KEY_WORD, offsetof(Config, default_mode),
                        "unset, host or passthrough" },
        { SECTION_GPU, "Managed", KEY_BOOLEAN, offsetof(ConfigGpu, managed), "yes, no or auto" },
        { SECTION_GPU, "BootMode", KEY_WORD, offsetof(ConfigGpu, boot_mode),
                        "remembered, host, passthrough or unset" },
        { SECTION_GPU, "AllowDisplay", KEY_BOOLEAN, offsetof(ConfigGpu, allow_display),
                        "no or yes" },
        { SECTION_GPU, "D3cold", KEY_BOOLEAN, offsetof(ConfigGpu, d3cold), "yes or no" },
};

#define complain(reader, is_warning, ...) \
        keep_complaint(reader, is_warning, text_format(__VA_ARGS__))

/* Takes @what over, which is NULL when memory is short. */
static int keep_complaint(const Reader *reader, bool is_warning, char *what) {
        _cleanup_(freep) char *mine = what, *text = NULL, *printable = NULL;
        Config *config = reader->config;
        char line[16] = "";

        if (!mine)
                return -ENOMEM;
        if (config->n_complaints == CONFIG_COMPLAINTS_MAX)
                return 0;

        if (reader->line > 0)
                snprintf(line, sizeof(line), ":%u", reader->line);
        if (config->n_complaints == CONFIG_COMPLAINTS_MAX - 1)
                text = text_format("%s%s: further problems not shown", reader->file, line);
        else
                text = text_format("%s%s: %s%s", reader->file, line, mine,
                                is_warning ? ", ignoring" : "");
        printable = text ? text_printable(text) : NULL;
        if (!printable)
                return -ENOMEM;

        config->complaints[config->n_complaints++] =
                        (ConfigComplaint){ TAKE_PTR(printable), is_warning };
        return 0;
}

/* Continue the section of a GPU, or begin one. */
static int open_gpu(Reader *reader, const char *selector) {
        Config *config = reader->config;
        ConfigGpu gpu = {}, *gpus;
        bool has_function;

        gpu.by_id = identity_parse_id(selector, &gpu.vendor, &gpu.device) == 0;
        if (!gpu.by_id && address_parse_loose(selector, &gpu.address, &has_function) < 0)
                return complain(reader, false,
                                "[GPU " QUOTE "]: invalid GPU selector; expected an address "
                                "(01:00 or 0000:01:00.0) or an id (10de:2204)",
                                selector);

        gpu.address = address_of_function(gpu.address, 0);
        reader->section = SECTION_GPU;
        for (size_t i = 0; i < config->n_gpus; ++i) {
                reader->gpu = &config->gpus[i];
                if (reader->gpu->by_id == gpu.by_id && reader->gpu->vendor == gpu.vendor &&
                                reader->gpu->device == gpu.device &&
                                !address_compare(reader->gpu->address, gpu.address))
                        return 0;
        }

        gpus = realloc(config->gpus, (config->n_gpus + 1) * sizeof(*gpus));
        if (!gpus)
                return -ENOMEM;
        config->gpus = gpus;
        reader->gpu = &gpus[config->n_gpus++];
        *reader->gpu = gpu;
        return 0;
}

/* A line "[...]", which is taken apart. */
static int read_section(Reader *reader, char *line) {
        const char *name = line + 1, *selector;

        line[strlen(line) - 1] = 0;
        reader->section = SECTION_IGNORED;
        if (!strcmp(name, "vfiopt")) {
                reader->section = SECTION_GENERAL;
                return 0;
        }
        if (text_starts_with(name, "GPU", &selector) && (!*selector || *selector == ' '))
                return open_gpu(reader, selector + (*selector == ' '));
        return complain(reader, true,
                        "unknown section [" QUOTE "]; there are [vfiopt] and [GPU SELECTOR]", name);
}

/* Return: the index of @s in a list "a, b or c", or -1. */
static int find_word(const char *words, const char *s, KeyType type) {
        for (int i = 0; *words; ++i) {
                size_t n = strcspn(words, ", ");

                if (n == strlen(s) && !(type == KEY_WORD ? strncmp : strncasecmp)(words, s, n))
                        return i;
                words += n + strspn(words + n, ", ");
                (void) text_starts_with(words, "or ", &words);
        }
        return -1;
}

/* Return: whether @s is understood; an empty one unsets the key. */
static bool set_value(const Reader *reader, const Key *key, const char *s) {
        char *base = key->section == SECTION_GPU ? (char *) reader->gpu : (char *) reader->config;
        ConfigValue *value = (void *) (base + key->offset);
        int found;

        if (!*s) {
                *value = (ConfigValue){};
                return true;
        }
        if (key->type == KEY_BOOLEAN && find_word("1, y, true, t, on", s, key->type) >= 0)
                s = "yes";
        else if (key->type == KEY_BOOLEAN && find_word("0, n, false, f, off", s, key->type) >= 0)
                s = "no";

        found = find_word(key->allowed, s, key->type);
        if (found >= 0)
                *value = (ConfigValue){ true, found };
        else if (key->type == KEY_BOOLEAN)
                *value = (ConfigValue){ true, find_word(key->allowed, "no", key->type) };
        return found >= 0;
}

/* Return: the key of the section whose name is the first @n bytes of @name, or NULL. */
static const Key *find_key(const Reader *reader, const char *name, size_t n) {
        for (size_t i = 0; i < ARRAY_SIZE(keys); ++i)
                if (keys[i].section == reader->section && !strncmp(keys[i].name, name, n) &&
                                !keys[i].name[n])
                        return &keys[i];
        return NULL;
}

static int complain_of_key(const Reader *reader, const char *name) {
        const char *section = reader->section == SECTION_GPU ? "GPU SELECTOR" : "vfiopt";
        _cleanup_(text_deinit) Text known = TEXT_NULL;
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(keys); ++i) {
                if (keys[i].section != reader->section)
                        continue;
                r = text_append(&known, "%s %s=", known.n > 0 ? "," : "", keys[i].name);
                if (r < 0)
                        return r;
        }
        return complain(reader, true, "unknown key " QUOTE "= in [%s]; known keys:%s", name,
                        section, text(&known));
}

static int read_key(const Reader *reader, const char *name, const char *value) {
        const Key *key = find_key(reader, name, strlen(name));

        if (reader->section == SECTION_IGNORED)
                return 0;
        if (reader->section == SECTION_NONE)
                return complain(reader, false,
                                QUOTE
                                "= is in no section; put [vfiopt] or [GPU SELECTOR] before it",
                                name);
        if (!key)
                return complain_of_key(reader, name);
        if (set_value(reader, key, value))
                return 0;
        return complain(reader, false, "%s=" QUOTE " is not understood%s; it can be %s", name,
                        value, key->type == KEY_BOOLEAN ? ", and taken for no" : "", key->allowed);
}

/* Return: what is wrong with the form of a line that is not empty, or NULL. */
static const char *find_fault(const char *line) {
        if (strchr(BLANKS, *line))
                return "is indented; everything begins in the first column";
        if (strlen(line) > LINE_LENGTH_MAX)
                return "is too long; at most 160 bytes are allowed";
        if (*line == '[')
                return line[strlen(line) - 1] == ']'
                                ? NULL
                                : "does not end with a bracket; a section is [vfiopt] or "
                                  "[GPU SELECTOR], alone on its line";
        if (!strchr(line, '='))
                return "is neither [SECTION] nor KEY=VALUE";
        for (const char *c = line; (c = strpbrk(c, BLANKS)); ++c)
                if (c[1] == ';')
                        return "has a comment in it; comments have lines of their own";
        return NULL;
}

/* A boolean key that the line seems to be about becomes no. */
static int refuse_line(Reader *reader, const char *line, const char *fault) {
        const Key *key;
        size_t n = 0;

        if (line[strspn(line, BOM)] == '[')
                reader->section = SECTION_IGNORED;
        while (isalnum((unsigned char) line[n]))
                ++n;
        key = find_key(reader, line, n);
        if (!key || key->type != KEY_BOOLEAN)
                return complain(reader, false, "\"" QUOTE "\" %s", line, fault);

        (void) set_value(reader, key, "no");
        return complain(reader, false, "\"" QUOTE "\" %s; taken for %s=no", line, fault, key->name);
}

/* Cut off the blanks at both ends, in place. */
static char *strip(char *s) {
        size_t n;

        s += strspn(s, BLANKS);
        n = strlen(s);
        while (n > 0 && strchr(BLANKS, s[n - 1]))
                s[--n] = 0;
        return s;
}

static int read_line(Reader *reader, char *line) {
        char *stripped = strip(line), *value;
        const char *fault;

        if (!*stripped || *stripped == '#' || *stripped == ';')
                return 0;
        fault = find_fault(line);
        if (fault)
                return refuse_line(reader, stripped, fault);
        if (*line == '[')
                return read_section(reader, line);

        value = strpbrk(line, "=:");
        *value++ = 0;
        return read_key(reader, strip(line), strip(value));
}

/* A file that cannot be read is ignored, unless that is not the file's fault. */
static int refuse_file(const Reader *reader, int error) {
        if (error == -ENOMEM || error == -EMFILE || error == -ENFILE)
                return error;

        reader->config->incomplete = true;
        if (error == -E2BIG)
                return complain(reader, false, "is larger than %u KiB; file ignored",
                                CONFIG_SIZE_MAX / 1024);
        if (error == -EBADMSG)
                return complain(reader, false, "contains NUL bytes; file ignored");
        return complain(reader, false, "cannot be read: %s", strerror(-error));
}

static int read_file(Config *config, int etc_fd, const char *file) {
        Reader reader = { .config = config, .file = file };
        _cleanup_(freep) char *data = NULL;
        char *rest, *line;
        size_t n;
        int r;

        r = file_read(etc_fd, file, CONFIG_SIZE_MAX, &data, &n);
        if (r == FILE_E_MISSING)
                return 0;
        if (r == 0 && strlen(data) != n)
                r = -EBADMSG;
        if (r < 0)
                return refuse_file(&reader, r);

        for (rest = data; text_starts_with(rest, BOM, NULL);)
                rest += strlen(BOM);
        while (r >= 0 && (line = strsep(&rest, "\n"))) {
                ++reader.line;
                r = read_line(&reader, line);
        }
        return r;
}

static int is_drop_in(const struct dirent *entry) {
        return !fnmatch(CONFIG_DROP_IN, entry->d_name, FNM_PERIOD);
}

/* Not alphasort(3), which depends on the locale. */
static int compare_names(const struct dirent **a, const struct dirent **b) {
        return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_drop_ins(Config *config, int etc_fd) {
        const Reader folder = { .config = config, .file = CONFIG_FOLDER };
        struct dirent **entries;
        struct stat st;
        int n, r = 0;

        n = scandirat(etc_fd, CONFIG_FOLDER, &entries, is_drop_in, compare_names);
        if (n < 0)
                return errno == ENOENT ? 0 : refuse_file(&folder, -errno);

        for (int i = 0; i < n; ++i) {
                _cleanup_(freep) char *file = text_format(CONFIG_FOLDER "/%s", entries[i]->d_name);

                free(entries[i]);
                if (r >= 0 && !file)
                        r = -ENOMEM;
                /* A drop-in is masked by a link to /dev/null. */
                if (r >= 0 && (fstatat(etc_fd, file, &st, 0) < 0 || S_ISREG(st.st_mode)))
                        r = read_file(config, etc_fd, file);
        }
        free(entries);
        return r;
}

/**
 * config_load() - read the configuration
 * @ret:        what the files say; config_deinit() it
 * @etc_fd:     our directory in /etc, or -1 if there is none
 *
 * Return: 0 on success, complaints included; negative error code on failure.
 */
int config_load(Config *ret, int etc_fd) {
        _cleanup_(config_deinit) Config config = CONFIG_NULL;
        int r;

        if (etc_fd >= 0) {
                r = read_file(&config, etc_fd, CONFIG_FILE);
                if (r < 0)
                        return r;
                r = read_drop_ins(&config, etc_fd);
                if (r < 0)
                        return r;
        }

        *ret = config;
        config = (Config) CONFIG_NULL;
        return 0;
}

void config_deinit(Config *config) {
        for (size_t i = 0; i < config->n_complaints; ++i)
                free(config->complaints[i].text);
        free(config->gpus);
        *config = (Config) CONFIG_NULL;
}

static bool names_gpu(const ConfigGpu *section, const Gpu *gpu) {
        const Identity *identity = &gpu->functions[0].identity;

        if (section->by_id)
                return section->vendor == identity->vendor && section->device == identity->device;
        return address_same_slot(section->address, gpu->address);
}

/*
 * @by_id:      leave out the sections for addresses
 *
 * Return: the value at @offset in ConfigGpu; a section for the address beats one for the id.
 */
static int look_up_in(
                const Config *config, const Gpu *gpu, size_t offset, int otherwise, bool by_id) {
        const ConfigValue *found = NULL;

        for (size_t i = 0; i < config->n_gpus; ++i) {
                const ConfigGpu *section = &config->gpus[i];
                const ConfigValue *value = (void *) ((char *) section + offset);

                if (value->is_set && names_gpu(section, gpu) && (section->by_id || !by_id) &&
                                (!found || !section->by_id))
                        found = value;
        }
        return found ? found->value : otherwise;
}

static int look_up(const Config *config, const Gpu *gpu, size_t offset, int otherwise) {
        return look_up_in(config, gpu, offset, otherwise, false);
}

/* Return: the wish for a GPU of which nothing is remembered, MODE_UNSET by default. */
Mode config_default(const Config *config) {
        return config->default_mode.value;
}

/* Return: CONFIG_MANAGED_AUTO unless configured. */
ConfigManaged config_managed(const Config *config, const Gpu *gpu) {
        return look_up(config, gpu, offsetof(ConfigGpu, managed), CONFIG_MANAGED_AUTO);
}

/* By the value of BootMode= */
static const Mode boot_modes[] = { 0, MODE_HOST, MODE_PASSTHROUGH, MODE_UNSET };

/* Whether a GPU moves for the sake of a section, or moves where it would have stayed. */
bool config_section_moves(const ConfigGpu *section) {
        return boot_modes[section->boot_mode.value] != MODE_UNSET || section->allow_display.value;
}

/*
 * @ret gets the configured mode at boot; MODE_UNSET leaves the GPU alone. Return: false if it
 * belongs where it was last.
 */
bool config_boot(const Config *config, const Gpu *gpu, Mode *ret) {
        int value = look_up(config, gpu, offsetof(ConfigGpu, boot_mode), 0);

        if (value > 0)
                *ret = boot_modes[value];
        return value > 0;
}

/* The same, as the sections for the id alone have it. */
bool config_boot_by_id(const Config *config, const Gpu *gpu, Mode *ret) {
        int value = look_up_in(config, gpu, offsetof(ConfigGpu, boot_mode), 0, true);

        if (value > 0)
                *ret = boot_modes[value];
        return value > 0;
}

/* Consent to give up a display in use; withheld while a file is ignored, which may deny it. */
bool config_allows_display(const Config *config, const Gpu *gpu) {
        return !config->incomplete &&
                        look_up(config, gpu, offsetof(ConfigGpu, allow_display), false);
}

/* The same, as the sections for the id alone have it. */
bool config_allows_display_by_id(const Config *config, const Gpu *gpu) {
        return !config->incomplete &&
                        look_up_in(config, gpu, offsetof(ConfigGpu, allow_display), false, true);
}

/* Whether its power may be cut while it is with vfio and idle. */
bool config_allows_d3cold(const Config *config, const Gpu *gpu) {
        return look_up(config, gpu, offsetof(ConfigGpu, d3cold), 0) == 0;
}

/*
 * the kernel's command line
 *
 * Split as the kernel does it (lib/cmdline.c: next_arg()), so that it means the same to both:
 * blanks separate parameters, unless within double quotes; quotes around a parameter or its value
 * are not part of it; what follows "--" is for init.
 */

/* isspace() of the kernel, which includes the no-break space of Latin-1. */
#define KERNEL_BLANKS " \t\n\v\f\r\xa0"

void kernel_line_deinit(KernelLine *kernel) {
        free(kernel->unknown);
        *kernel = (KernelLine) KERNEL_LINE_NULL;
}

/* Cut off the next parameter, quotes included. Return: NULL if there is none. */
static char *cut_parameter(char **rest) {
        char *start = *rest + strspn(*rest, KERNEL_BLANKS), *end;
        bool quoted = false;

        if (!*start)
                return NULL;

        for (end = start; *end && (quoted || !strchr(KERNEL_BLANKS, *end)); ++end)
                if (*end == '"')
                        quoted = !quoted;
        *rest = *end ? end + 1 : end;
        *end = 0;
        return start;
}

/* Remove a pair of quotes; like the kernel, forgive a missing second one. */
static char *unquote(char *s) {
        size_t n;

        if (*s != '"')
                return s;
        ++s;
        n = strlen(s);
        if (n > 0 && s[n - 1] == '"')
                s[n - 1] = 0;
        return s;
}

/* Return: the last value, "" for a parameter without one, NULL if there is no parameter. */
static const char *find_value(char *line) {
        const char *found = NULL;
        char *parameter;

        while ((parameter = cut_parameter(&line))) {
                char *value;

                parameter = unquote(parameter);
                if (!strcmp(parameter, "--"))
                        break;

                value = strchr(parameter, '=');
                if (value)
                        *value++ = 0;
                if (!strcmp(parameter, VFIOPT_KERNEL_KEY))
                        found = value ? unquote(value) : "";
        }
        return found;
}

/**
 * kernel_line_load() - read vfiopt.mode= from the command line of this boot
 * @ret:        the last one; kernel_line_deinit() it
 *
 * Return: 0 on success, for a missing file and a value that is not understood, too; negative
 *         error code on failure.
 */
int kernel_line_load(int proc_fd, KernelLine *ret) {
        _cleanup_(freep) char *line = NULL;
        KernelLine found = KERNEL_LINE_NULL;
        const char *value;
        int r;

        r = file_read(proc_fd, "cmdline", KERNEL_LINE_SIZE_MAX, &line, NULL);
        if (r < 0)
                return r;

        value = r == FILE_E_MISSING ? NULL : find_value(line);
        found.is_set = value != NULL;
        if (value && strcmp(value, "off") != 0 && mode_from_string(value, &found.mode) < 0) {
                found.unknown = strdup(value);
                if (!found.unknown)
                        return -ENOMEM;
        }

        *ret = found;
        return 0;
}
