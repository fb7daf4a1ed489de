/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * libkmod knows the lines of modprobe.d, but not where they stand, and that is what helps. So
 * they are read here as modprobe.d(5) has it.
 */

#include <errno.h>
#include <fnmatch.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "os/conf.h"
#include "os/obstacle.h"

#define CONF_SIZE_MAX (64U * 1024)

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
} Search;

/* The words of a shell command, as far as that is simple. */
typedef struct Words {
        char *rest;
        bool begins; /* the word that was given last begins a command */
        bool ends;   /* and the next one begins another */
} Words;

/* The next word without its quotes, or NULL at the end. */
static char *next_word(Words *words) {
        char *in = words->rest + strspn(words->rest, " \t;&|"), *out = in, *word = in;
        char quote = 0;

        words->begins = words->ends || strcspn(words->rest, ";&|") < (size_t) (in - words->rest);
        if (!*in || *in == '#')
                return NULL;
        for (; *in && (quote || !strchr(" \t;|", *in)); ++in) {
                /* That of "2>&1" ends nothing. */
                if (!quote && *in == '&' && (out == word || out[-1] != '>'))
                        break;
                if (quote ? *in == quote : *in == '"' || *in == '\'')
                        quote = quote ? 0 : *in;
                else
                        *out++ = *in;
        }
        words->ends = *in && strchr(";&|", *in);
        words->rest = in + (*in != '\0');
        *out = '\0';
        return word;
}

static bool is_one_of(const char *name, const char *const *names, size_t n) {
        const char *slash = strrchr(name, '/');

        for (size_t i = 0; i < n; ++i)
                if (!strcmp(slash ? slash + 1 : name, names[i]))
                        return true;
        return false;
}

/* Whether the next word may belong to an option of a shell: of the long ones, few have none. */
static bool has_argument(const char *option) {
        static const char *const without[] = { "--", "--login", "--noprofile", "--norc",
                "--posix" };

        return option[1] == '-' ? !is_one_of(option, without, ARRAY_SIZE(without))
                                : strpbrk(option, "oO") != NULL;
}

/* What runs a command within a word, and what is not cut into words as here. */
static bool is_unread(const char *command) {
        static const char *const signs[] = { "`", "$(", "<(", ">(", "\\\"", "\\'" };

        for (size_t i = 0; i < ARRAY_SIZE(signs); ++i)
                if (strstr(command, signs[i]))
                        return true;
        return false;
}

/* Only writes, or only tells that it ran; a shell's -c is looked into. Anything else may load the module. */
static bool loads_nothing(char *command) {
        static const char *const idle[] = { "true", "false", ":", "exit", "echo", "printf",
                "logger", "sleep", "test" };
        static const char *const wrappers[] = { "env", "exec", "command", "nice", "busybox", "!" };
        static const char *const shells[] = { "sh", "ash", "bash", "dash", "zsh" };
        enum {
                PLACE_NAME,
                PLACE_SHELL,
                PLACE_SCRIPT,
                PLACE_FILE,
                PLACE_REST
        } place = PLACE_NAME;
        Words words = { .rest = command, .ends = true };

        if (is_unread(command))
                return false;
        for (char *word; (word = next_word(&words));) {
                const char *file = word + strspn(word, "0123456789&");

                if (words.begins)
                        place = PLACE_NAME;
                if (place == PLACE_FILE)
                        place = PLACE_REST;
                else if (*file == '>' || *file == '<')
                        place = strchr("<>", file[strlen(file) - 1]) ? PLACE_FILE : place;
                else if (place == PLACE_REST)
                        continue;
                else if (*word == '-' && place != PLACE_NAME && !has_argument(word))
                        /* Others may come between -c and the script. */
                        place = word[1] != '-' && strchr(word, 'c') ? PLACE_SCRIPT : place;
                else if (place == PLACE_SCRIPT && *word != '-' && loads_nothing(word))
                        place = PLACE_REST;
                else if (place != PLACE_NAME)
                        return false;
                else if (word[strcspn(word, "=/")] == '=' || !strcmp(word, "-i") ||
                                is_one_of(word, wrappers, ARRAY_SIZE(wrappers)))
                        continue;
                else if (is_one_of(word, shells, ARRAY_SIZE(shells)))
                        place = PLACE_SHELL;
                else if (is_one_of(word, idle, ARRAY_SIZE(idle)))
                        place = PLACE_REST;
                else
                        return false;
        }
        return place != PLACE_SHELL && place != PLACE_SCRIPT;
}

/* One logical line, which it cuts into pieces. */
static int take_line(void *userdata, const char *path, unsigned int number, char *line) {
        Search *search = userdata;
        char *word, *module, *rest;

        word = strtok_r(line, " \t", &rest);
        if (!word || *word == '#')
                return 0;
        module = strtok_r(NULL, " \t", &rest);
        if (!module)
                return 0;
        normalize(module);
        if (strcmp(word, "install") || search->install || fnmatch(module, search->module, 0))
                return 0;

        rest += strspn(rest, " \t");
        if (!*rest)
                return 0;
        search->install = text_format("/%s:%u: install %s %s", path, number, module,
                        text_is_printable(rest) ? rest : "");
        search->is_inert = loads_nothing(rest);
        return search->install ? 0 : -ENOMEM;
}

/* obstacles */

/*
 * The install line of a module that loads nothing (@inert), or has something else run in its place; NULL
 * if there is none. libkmod runs no such command of a module that has a softdep (libkmod-module.c,
 * __kmod_module_fill_softdep()).
 */
static int find_install(const Roots *roots,
                Modules *modules,
                const char *module,
                bool inert,
                char **ret_where) {
        Search search = { .module = module };
        bool wanted = false, has_softdep = false;
        int r;

        *ret_where = NULL;
        r = conf_read_modprobe(roots->root_fd, take_line, &search);
        if (r == 0)
                wanted = search.install && search.is_inert == inert;
        if (wanted)
                r = modules_has_softdep(modules, module, &has_softdep);
        if (r == 0 && wanted && !has_softdep)
                *ret_where = TAKE_PTR(search.install);
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
                r = find_install(roots, modules, module, true, &obstacle.where);
        if (obstacle.where)
                obstacle.kind = OBSTACLE_INSTALL;
        if (r == 0 && obstacle.kind == OBSTACLE_NONE)
                r = find_in_file(roots, modules, module, &obstacle);
        if (r < 0)
                return r;
        *ret = obstacle;
        obstacle = (Obstacle){};
        return 0;
}

/**
 * obstacle_find_no_index() - are the modules of the running kernel not there at all?
 * @ret:        OBSTACLE_NO_INDEX with its release, or OBSTACLE_NONE; obstacle_deinit() it
 *
 * A package manager takes them away with the kernel that it has replaced. Where there are modules of no
 * kernel they may be elsewhere.
 *
 * Return: 0 on success, negative error code on failure.
 */
int obstacle_find_no_index(const Roots *roots, Obstacle *ret) {
        _cleanup_(freep) char *release = NULL, *path = NULL;
        int r;

        *ret = (Obstacle){};
        r = file_read(roots->proc_fd, "sys/kernel/osrelease", 256, &release, NULL);
        if (r)
                return r < 0 ? r : 0;
        release[strcspn(release, "\n")] = '\0';
        path = text_format("lib/modules/%s/modules.dep", release);
        if (!path)
                return -ENOMEM;
        if (file_exists_within(roots->root_fd, "lib/modules") &&
                        !file_exists_within(roots->root_fd, path))
                *ret = (Obstacle){ OBSTACLE_NO_INDEX, TAKE_PTR(release) };
        return 0;
}

/**
 * obstacle_find_script() - find the line that has something else run when a module is loaded
 * @modules:    index of modules
 * @module:     its name, with underscores
 * @ret_where:  file, line and text; or NULL if there is none, or one that is there to load nothing.
 *              free() it
 *
 * Return: 0 on success, negative error code on failure.
 */
int obstacle_find_script(
                const Roots *roots, Modules *modules, const char *module, char **ret_where) {
        return find_install(roots, modules, module, false, ret_where);
}
