/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Configuration
 *
 * Files as systemd has them: the main file first, then the drop-ins in the order of
 * their names, and what is said later wins. None of them needs to be there.
 *
 * Whatever an administrator got wrong must not keep the machine from booting, nor
 * make us forget what is right in the same file. So nothing here fails but for want
 * of memory and the like, and what is wrong is kept for the program to tell. Of a
 * file that does not count as a whole nobody knows what it says: that is kept, too.
 */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "record/config-parts.h"

#define CONFIG_FILE     "vfiopt.conf"
#define CONFIG_FOLDER   "vfiopt.conf.d"
#define CONFIG_SUFFIX   ".conf"
#define CONFIG_SIZE_MAX (64U * 1024U)

/* Each is a record of the journal; nobody reads more. */
#define CONFIG_COMPLAINTS_MAX 100U

void config_deinit(Config *config) {
        for (size_t i = 0; i < config->n_complaints; ++i) {
                free(config->complaints[i].file);
                free(config->complaints[i].text);
        }
        free(config->complaints);
        free(config->gpus);
        *config = (Config) CONFIG_NULL;
}

/**
 * config_quote() - make text from a file fit for a message
 * @s:          any text
 * @buffer:     for the result: printable, and cut where it is long
 *
 * Return: @buffer.
 */
const char *config_quote(const char *s, char buffer[static CONFIG_QUOTE_MAX]) {
        const size_t max = CONFIG_QUOTE_MAX - sizeof("…");
        size_t n = 0;

        for (; s[n] && n < max; ++n)
                buffer[n] = s[n] < 0x20 || s[n] > 0x7e ? '?' : s[n];
        snprintf(buffer + n, CONFIG_QUOTE_MAX - n, "%s", s[n] ? "…" : "");
        return buffer;
}

/* Takes @text over, which is NULL where there was no memory for it. */
static int complain(Config *config, ConfigPlace place, bool is_warning, char *text) {
        _cleanup_(freep) char *mine = text, *file = text_printable(place.file);
        ConfigComplaint *more;

        if (!mine || !file)
                return -ENOMEM;
        if (config->n_complaints >= CONFIG_COMPLAINTS_MAX)
                return 0;
        if (config->n_complaints == CONFIG_COMPLAINTS_MAX - 1) {
                freep(&mine);
                mine = strdup("there is more to complain about, which is left out");
                if (!mine)
                        return -ENOMEM;
        }

        more = realloc(config->complaints, (config->n_complaints + 1) * sizeof(*more));
        if (!more)
                return -ENOMEM;
        config->complaints = more;

        more[config->n_complaints++] = (ConfigComplaint){
                .file = TAKE_PTR(file),
                .line = place.line,
                .text = TAKE_PTR(mine),
                .is_warning = is_warning,
        };
        return 0;
}

static _printf_(4, 0) int complain_format(Config *config,
                ConfigPlace place,
                bool is_warning,
                const char *format,
                va_list args) {
        char *text = NULL;

        if (vasprintf(&text, format, args) < 0)
                text = NULL;
        return complain(config, place, is_warning, text);
}

/**
 * config_error() - something is wrong, and does not count
 * @config:     to keep it
 * @place:      where
 * @format:     what, and what would be right, as for printf(3)
 *
 * Return: 0 on success, negative error code on failure.
 */
int config_error(Config *config, ConfigPlace place, const char *format, ...) {
        va_list args;
        int r;

        va_start(args, format);
        r = complain_format(config, place, false, format, args);
        va_end(args);
        return r;
}

/* As config_error(), for what another version may understand. */
int config_warning(Config *config, ConfigPlace place, const char *format, ...) {
        va_list args;
        int r;

        va_start(args, format);
        r = complain_format(config, place, true, format, args);
        va_end(args);
        return r;
}

/* "vfiopt.conf:3: what is wrong", or NULL for want of memory; free() it. */
char *config_complaint_format(const ConfigComplaint *complaint) {
        const char *end = complaint->is_warning ? ", ignoring" : "";

        return complaint->line > 0 ? text_format("%s:%u: %s%s", complaint->file, complaint->line,
                                                     complaint->text, end)
                                   : text_format("%s: %s%s", complaint->file, complaint->text, end);
}

/* Complain about a file that cannot be read, unless it is not the file's fault. */
static int unreadable(Config *config, const char *file, int error) {
        if (error == -ENOMEM || error == -EMFILE || error == -ENFILE)
                return error;
        config->incomplete = true;
        return config_error(config, (ConfigPlace){ .file = file }, "cannot be read: %s",
                        strerror(-error));
}

static int load_file(Config *config, int etc_fd, const char *file) {
        _cleanup_(freep) char *data = NULL;
        const ConfigPlace whole = { .file = file };
        size_t n;
        int r;

        r = file_read(etc_fd, file, CONFIG_SIZE_MAX, &data, &n);
        if (r == FILE_E_MISSING)
                return 0;
        if (r < 0 && r != -E2BIG)
                return unreadable(config, file, r);
        if (r == 0 && strlen(data) == n)
                return config_read_ini(config, file, data);

        config->incomplete = true;
        if (r == -E2BIG)
                return config_error(config, whole,
                                "is larger than %u KiB, so that none of it counts",
                                CONFIG_SIZE_MAX / 1024);
        return config_error(config, whole,
                        "holds zero bytes, as no text does, so that none of it counts");
}

static int load_drop_in(Config *config, int etc_fd, const char *name) {
        _cleanup_(freep) char *file = text_format(CONFIG_FOLDER "/%s", name);
        struct stat st;

        if (!file)
                return -ENOMEM;

        if (fstatat(etc_fd, file, &st, 0) < 0)
                return errno == ENOENT ? 0 : unreadable(config, file, -errno);
        /* /dev/null is how a drop-in is masked. */
        return S_ISREG(st.st_mode) ? load_file(config, etc_fd, file) : 0;
}

/* Hidden ones are what editors leave behind. */
static int is_drop_in(const struct dirent *entry) {
        const char *suffix = strrchr(entry->d_name, '.');

        return entry->d_name[0] != '.' && suffix && !strcmp(suffix, CONFIG_SUFFIX);
}

/* Not alphasort(3), which depends on the locale. */
static int compare_names(const struct dirent **a, const struct dirent **b) {
        return strcmp((*a)->d_name, (*b)->d_name);
}

static int load_drop_ins(Config *config, int etc_fd) {
        struct dirent **entries;
        int n, r = 0;

        n = scandirat(etc_fd, CONFIG_FOLDER, &entries, is_drop_in, compare_names);
        if (n < 0)
                return errno == ENOENT ? 0 : unreadable(config, CONFIG_FOLDER, -errno);

        for (int i = 0; i < n; ++i) {
                if (r >= 0)
                        r = load_drop_in(config, etc_fd, entries[i]->d_name);
                free(entries[i]);
        }
        free(entries);
        return r;
}

/**
 * config_load() - read the configuration
 * @config:     to initialise; config_deinit() it. The default one but for a result of 0.
 * @etc_fd:     our directory in /etc, or -1 if there is none
 *
 * Return: 0 on success, also if files are missing or there is something to complain
 *         about; negative error code on failure.
 */
int config_load(Config *config, int etc_fd) {
        int r;

        *config = (Config) CONFIG_NULL;
        if (etc_fd < 0)
                return 0;

        r = load_file(config, etc_fd, CONFIG_FILE);
        if (r >= 0)
                r = load_drop_ins(config, etc_fd);
        if (r < 0)
                config_deinit(config);
        return r;
}

/* What the sections say that name a GPU by its address, or by its id; NULL for nothing. */
static const ConfigGpu *find_gpu(const Config *config, const Gpu *gpu, bool by_id) {
        for (size_t i = 0; i < config->n_gpus; ++i) {
                const ConfigGpu *section = &config->gpus[i];

                if (section->by_id != by_id)
                        continue;
                if (by_id ? section->vendor == gpu->functions[0].identity.vendor &&
                                                                section->device ==
                                                                                gpu->functions[0]
                                                                                                .identity
                                                                                                .device
                          : address_same_slot(section->address, gpu->address))
                        return section;
        }
        return NULL;
}

/**
 * config_default() - where does a GPU belong that nothing is remembered of?
 * @config:     configuration
 *
 * Return: a wish, MODE_UNSET unless configured.
 */
Mode config_default(const Config *config) {
        return config->wish;
}

/**
 * config_managed() - is a GPU meant where none is named?
 * @config:     configuration
 * @gpu:        the GPU
 *
 * What is said of its address goes before what is said of its id.
 *
 * Return: CONFIG_MANAGED_AUTO unless configured; gpu->managed tells then.
 */
ConfigManaged config_managed(const Config *config, const Gpu *gpu) {
        for (int by_id = 0; by_id <= 1; ++by_id) {
                const ConfigGpu *section = find_gpu(config, gpu, by_id);

                if (section && section->managed != CONFIG_MANAGED_NOT_SAID)
                        return section->managed;
        }
        return CONFIG_MANAGED_AUTO;
}

/**
 * config_boot() - where does a GPU belong at boot?
 * @config:     configuration
 * @gpu:        the GPU
 *
 * Return: as config_managed(), CONFIG_BOOT_REMEMBERED unless configured.
 */
ConfigBoot config_boot(const Config *config, const Gpu *gpu) {
        for (int by_id = 0; by_id <= 1; ++by_id) {
                const ConfigGpu *section = find_gpu(config, gpu, by_id);

                if (section && section->boot != CONFIG_BOOT_NOT_SAID)
                        return section->boot;
        }
        return CONFIG_BOOT_REMEMBERED;
}
