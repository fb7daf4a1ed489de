/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * libkmod knows the lines of modprobe.d, but not where they stand, and that is what helps. So
 * they are read here as modprobe.d(5) has it: five directories, of which an earlier one hides
 * files of the same name in the later ones, and all files in the order of their names.
 */

#include <fnmatch.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "os/obstacle.h"

#define CONF_SIZE_MAX (64U * 1024)

static const char *const folders[] = {
        "etc/modprobe.d",
        "run/modprobe.d",
        "usr/local/lib/modprobe.d",
        "usr/lib/modprobe.d",
        "lib/modprobe.d",
};

void obstacle_deinit(Obstacle *obstacle) {
        free(obstacle->where);
        *obstacle = (Obstacle){};
}

/* Names of modules have no dashes to the kernel (libkmod, shared/util.c: modname_normalize()). */
static void normalize(char *name) {
        for (; *name; ++name)
                if (*name == '-')
                        *name = '_';
}

/* lines */

typedef struct Search {
        const char *module;
        char *install; /* "FILE:LINE has \"install …\"" of the first such line */
        bool is_inert; /* whose command loads nothing */
        bool has_softdep;
} Search;

/* Whether a command is one of those that are written to load nothing. One with more behind it is not. */
static bool loads_nothing(const char *command) {
        size_t n = strcspn(command, " \t#");
        const char *name = command;

        if (strpbrk(command, ";&|"))
                return false;

        for (const char *slash = command; slash < command + n; ++slash)
                if (*slash == '/')
                        name = slash + 1;
        n -= (size_t) (name - command);
        return (n == 4 && !memcmp(name, "true", n)) || (n == 5 && !memcmp(name, "false", n)) ||
                        (n == 1 && *name == ':') || (n == 4 && !memcmp(name, "exit", n));
}

/* One logical line, which it cuts into pieces. */
static int take_line(Search *search, const char *path, unsigned int number, char *line) {
        char *word, *module, *rest;

        /* A file that was written elsewhere. */
        line[strcspn(line, "\r")] = '\0';
        word = strtok_r(line, " \t", &rest);
        if (!word || *word == '#')
                return 0;
        module = strtok_r(NULL, " \t", &rest);
        if (!module)
                return 0;
        normalize(module);
        if (!strcmp(word, "softdep") && !strcmp(module, search->module))
                search->has_softdep = true;
        if (strcmp(word, "install") || search->install || fnmatch(module, search->module, 0))
                return 0;

        rest += strspn(rest, " \t");
        if (!*rest)
                return 0;
        search->is_inert = loads_nothing(rest);
        search->install = text_format("/%s:%u: install %s %s", path, number, module,
                        text_is_printable(rest) ? rest : "");
        return search->install ? 0 : -ENOMEM;
}

/* A backslash at the end of a line joins the next to it; the first one's number counts. */
static int take_file(Search *search, const char *path, char *data) {
        unsigned int number = 1, first = 1;
        char *line = data;
        int r = 0;

        for (char *s = data; r == 0; ++s) {
                if (s[0] == '\\' && s[1] == '\n') {
                        s[0] = s[1] = ' ';
                        ++s;
                        ++number;
                        continue;
                }
                if (s[0] != '\n' && s[0] != '\0')
                        continue;
                bool is_last = s[0] == '\0';

                s[0] = '\0';
                r = take_line(search, path, first, line);
                if (is_last)
                        break;
                line = s + 1;
                first = ++number;
        }
        return r;
}

/* files */

typedef struct Conf {
        char *name;
        size_t folder;
} Conf;

typedef struct Confs {
        Conf *items;
        size_t n;
} Confs;

static void confs_deinit(Confs *confs) {
        for (size_t i = 0; i < confs->n; ++i)
                free(confs->items[i].name);
        free(confs->items);
}

static int compare_conf(const void *a, const void *b) {
        return strcmp(((const Conf *) a)->name, ((const Conf *) b)->name);
}

static int add_conf(Confs *confs, const char *name, size_t folder) {
        Conf *more;

        if (name[0] == '.' || !text_ends_with(name, ".conf"))
                return 0;
        for (size_t i = 0; i < confs->n; ++i)
                if (!strcmp(confs->items[i].name, name))
                        return 0;
        more = reallocarray(confs->items, confs->n + 1, sizeof(*more));
        if (!more)
                return -ENOMEM;
        confs->items = more;
        more[confs->n] = (Conf){ .name = strdup(name), .folder = folder };
        return more[confs->n++].name ? 0 : -ENOMEM;
}

static int list_folder(Confs *confs, int root_fd, size_t folder) {
        _cleanup_(closedirp) DIR *dir = NULL;
        const struct dirent *entry;
        int r;

        r = file_open_dirp(root_fd, folders[folder], 0, &dir);
        if (r)
                return r == FILE_E_MISSING ? 0 : r;
        for (errno = 0; r == 0 && (entry = readdir(dir)); errno = 0)
                r = add_conf(confs, entry->d_name, folder);
        return r < 0 ? r : -errno;
}

/* All that modprobe.d says of a module. A file that cannot be read, or is no text of that size, says nothing. */
static int search_conf(Search *search, int root_fd) {
        _cleanup_(confs_deinit) Confs confs = {};
        int r = 0;

        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(folders); ++i)
                r = list_folder(&confs, root_fd, i);
        if (r < 0)
                return r;
        if (confs.n > 0)
                qsort(confs.items, confs.n, sizeof(*confs.items), compare_conf);

        for (size_t i = 0; r == 0 && i < confs.n; ++i) {
                _cleanup_(freep) char *path = NULL, *data = NULL;

                path = text_format("%s/%s", folders[confs.items[i].folder], confs.items[i].name);
                if (!path)
                        return -ENOMEM;
                r = file_read(root_fd, path, CONF_SIZE_MAX, &data, NULL);
                if (r == -ENOMEM)
                        return r;
                r = r == 0 ? take_file(search, path, data) : 0;
        }
        return r;
}

/* obstacles */

/* libkmod runs no install command of a module that has a softdep (libkmod-module.c, module_get_probe_list()). */
static int find_install(const Roots *roots, const char *module, Obstacle *obstacle) {
        Search search = { .module = module };
        int r;

        r = search_conf(&search, roots->root_fd);
        if (r == 0 && search.install && search.is_inert && !search.has_softdep)
                *obstacle = (Obstacle){ OBSTACLE_INSTALL, TAKE_PTR(search.install) };
        free(search.install);
        return r;
}

/* The kernel itself refuses those (kernel/module/main.c, blacklisted()). */
static int find_on_kernel_line(const Roots *roots, const char *module, Obstacle *obstacle) {
        _cleanup_(freep) char *line = NULL;
        int r;

        r = file_read(roots->proc_fd, "cmdline", CONF_SIZE_MAX, &line, NULL);
        if (r)
                return r < 0 ? r : 0;
        for (char *rest = line, *word; (word = strsep(&rest, " \n"));) {
                const char *names;

                if (text_starts_with(word, "module_blacklist=", &names) &&
                                text_has_word(names, module))
                        obstacle->kind = OBSTACLE_KERNEL_LINE;
        }
        return 0;
}

static int find_disabled(const Roots *roots, Obstacle *obstacle) {
        _cleanup_(freep) char *value = NULL;
        int r;

        r = file_read(roots->proc_fd, "sys/kernel/modules_disabled", 16, &value, NULL);
        if (r == 0 && value[0] == '1')
                obstacle->kind = OBSTACLE_DISABLED;
        return r < 0 ? r : 0;
}

/* Lockdown and module.sig_enforce: kernel/module/signing.c, module_sig_check(). */
static bool demands_signature(const Roots *roots) {
        _cleanup_(freep) char *lockdown = NULL, *enforce = NULL;

        if (sysfs_read(roots->sysfs, "kernel/security/lockdown", &lockdown) == 0 &&
                        !strstr(lockdown, "[none]"))
                return true;
        return sysfs_read(roots->sysfs, "module/module/parameters/sig_enforce", &enforce) == 0 &&
                        enforce[0] == 'Y';
}

static int find_in_file(
                const Roots *roots, Modules *modules, const char *module, Obstacle *obstacle) {
        _cleanup_(module_info_deinit) ModuleInfo info = {};
        _cleanup_(freep) char *release = NULL;
        int r;

        r = modules_read_info(modules, module, &info);
        if (r)
                return r < 0 ? r : 0;
        r = file_read(roots->proc_fd, "sys/kernel/osrelease", 256, &release, NULL);
        if (r < 0)
                return r;
        if (r == 0 && info.release) {
                release[strcspn(release, "\n")] = '\0';
                if (strcmp(info.release, release))
                        *obstacle = (Obstacle){ OBSTACLE_OTHER_KERNEL, TAKE_PTR(info.release) };
        }
        if (obstacle->kind == OBSTACLE_NONE && !info.is_signed && demands_signature(roots))
                obstacle->kind = OBSTACLE_UNSIGNED;
        return 0;
}

/**
 * obstacle_find() - why a module would not load
 * @modules:    index of modules
 * @module:     its name, with underscores
 * @ret:        the first obstacle; obstacle_deinit() it. OBSTACLE_NONE where nothing is known to
 *              be in the way, which is no promise
 *
 * Return: 0 on success, negative error code on failure.
 */
int obstacle_find(const Roots *roots, Modules *modules, const char *module, Obstacle *ret) {
        _cleanup_(obstacle_deinit) Obstacle obstacle = {};
        int r;

        r = find_disabled(roots, &obstacle);
        if (r == 0 && obstacle.kind == OBSTACLE_NONE)
                r = find_on_kernel_line(roots, module, &obstacle);
        if (r == 0 && obstacle.kind == OBSTACLE_NONE)
                r = find_install(roots, module, &obstacle);
        if (r == 0 && obstacle.kind == OBSTACLE_NONE)
                r = find_in_file(roots, modules, module, &obstacle);
        if (r < 0)
                return r;
        *ret = obstacle;
        obstacle = (Obstacle){};
        return 0;
}
