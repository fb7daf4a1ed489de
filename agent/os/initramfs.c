/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Most of the files are shell, or look like it: a name, = or +=, and words up to the end of the
 * quote, the bracket or the line. A later = takes the place of what was said before. Scripts of
 * initramfs-tools have commands, and NixOS has sets in sets.
 */

#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "os/conf.h"
#include "os/initramfs.h"

#define KERNEL_LINE_MAX (64U * 1024)

typedef struct Tool {
        const char *programs[2]; /* of which one is there if it is this tool that builds them */
        const char *files[1];
        const char *folders[2];
        const char *suffix;     /* of the files in the folders */
        const char *scripts[4]; /* folders; none of them hides a file of another */
        bool is_nix;
        const char *keys[3]; /* whose words are modules; none: each line begins with one */
        const char *hooks;   /* the key whose word "kms" is all drivers of the kernel's own */
        const char *omit;    /* the key whose words are left out after all */
        const char *remedy;  /* where a line was found */
        const char *otherwise;
} Tool;

#define OMIT                                                                                   \
        "omit_drivers+=\" nvidia nvidia_drm nvidia_modeset nvidia_uvm nouveau \" into a file " \
        "of /etc/dracut.conf.d, then: dracut --force --regenerate-all"

#define UNKNOWN_TOOL                                                                           \
        "keep it out of there (MODULES= and the hook kms of mkinitcpio, add_drivers and "      \
        "force_drivers of dracut, /etc/initramfs-tools), and build that anew (mkinitcpio -P, " \
        "dracut --force --regenerate-all or update-initramfs -u -k all)"

static const Tool tools[] = {
        {
                        .programs = { "usr/bin/mkinitcpio" },
                        .files = { "etc/mkinitcpio.conf" },
                        .folders = { "etc/mkinitcpio.conf.d" },
                        .suffix = ".conf",
                        .keys = { "MODULES" },
                        .hooks = "HOOKS",
                        .remedy = "take it out of there, then: mkinitcpio -P",
                        .otherwise = "take it out of MODULES= in /etc/mkinitcpio.conf, and for "
                                     "nouveau kms out of HOOKS=, then: mkinitcpio -P",
        },
        {
                        .programs = { "usr/sbin/mkinitramfs" },
                        .files = { "etc/initramfs-tools/modules" },
                        .folders = { "usr/share/initramfs-tools/modules.d" },
                        .suffix = "",
                        .scripts = { "etc/initramfs-tools/hooks",
                                        "etc/initramfs-tools/scripts/init-top",
                                        "etc/initramfs-tools/scripts/init-premount",
                                        "etc/initramfs-tools/scripts/local-top" },
                        .remedy = "take it out of there, then: update-initramfs -u -k all",
                        .otherwise = "find what puts it there in /etc/initramfs-tools, then: "
                                     "update-initramfs -u -k all",
        },
        {
                        .programs = { "usr/bin/dracut", "usr/sbin/dracut" },
                        .files = { "etc/dracut.conf" },
                        .folders = { "etc/dracut.conf.d", "usr/lib/dracut/dracut.conf.d" },
                        .suffix = ".conf",
                        .keys = { "force_drivers", "add_drivers", "drivers" },
                        .omit = "omit_drivers",
                        .remedy = "take it out of there, or where that is no file of yours, put " OMIT,
                        .otherwise = "put " OMIT,
        },
        {
                        .programs = { "usr/bin/booster" },
                        .files = { "etc/booster.yaml" },
                        .keys = { "modules_force_load", "modules" },
                        .remedy = "take it out of there, then: /usr/lib/booster/regenerate_images",
                        .otherwise = "take it out of /etc/booster.yaml, then: "
                                     "/usr/lib/booster/regenerate_images",
        },
        {
                        .programs = { "etc/NIXOS" },
                        .folders = { "etc/nixos" },
                        .suffix = ".nix",
                        .is_nix = true,
                        .keys = { "boot.initrd.kernelModules",
                                        "boot.initrd.availableKernelModules" },
                        .remedy = "take it out of there, then: nixos-rebuild boot",
                        .otherwise = "take it out of boot.initrd.kernelModules, then: "
                                     "nixos-rebuild boot",
        },
};

void initramfs_deinit(Initramfs *initramfs) {
        free(initramfs->where);
        *initramfs = (Initramfs) INITRAMFS_NULL;
}

/* words */

static bool is_same(const char *a, size_t n, const char *b) {
        return strlen(b) == n && !memcmp(a, b, n);
}

/*
 * Whether a module brings a driver: it is called like it, with dashes or underscores, or it is one
 * of those that need it, as nvidia-drm and nova_drm do. Distributions have names like nvidia-current.
 */
static bool brings(const char *word, size_t n, const char *driver) {
        size_t k = text_starts_with(driver, "nova", NULL) ? strlen("nova") : strlen(driver);

        if (n < k || memcmp(word, driver, k) != 0)
                return false;
        return n == k || (strcmp(driver, "nouveau") && (word[k] == '-' || word[k] == '_'));
}

/* files */

/* What a line is about. */
typedef enum Subject {
        SUBJECT_NONE,
        SUBJECT_MODULES,
        SUBJECT_HOOKS,
        SUBJECT_OMIT,
} Subject;

/* Where in nested sets a line is. */
typedef struct Nix {
        char path[256]; /* "boot.initrd." */
        size_t depths[32], n_depths;
        char name[128]; /* of the attribute, once it is assigned to */
        bool assigns, is_modules;
} Nix;

typedef struct Search {
        const Tool *tool;
        const char *driver;
        Subject subject;                            /* of a value that goes on */
        const char *key;                            /* likewise */
        const char *end;                            /* the letters that end it */
        char *found[ARRAY_SIZE(tools[0].keys) + 1]; /* lines, by key; the hook's last */
        bool omits;
        Nix nix;
} Search;

static void search_deinit(Search *search) {
        for (size_t i = 0; i < ARRAY_SIZE(search->found); ++i)
                free(search->found[i]);
}

static char **slot_of(Search *search) {
        for (size_t i = 0; i < ARRAY_SIZE(search->tool->keys); ++i)
                if (search->subject == SUBJECT_MODULES && search->tool->keys[i] == search->key)
                        return &search->found[i];
        return &search->found[ARRAY_SIZE(search->found) - 1];
}

/* The hook has all drivers of the kernel's own, and NVIDIA's is none of those. */
static bool is_meant(const Search *search, const char *word, size_t n) {
        if (search->subject == SUBJECT_HOOKS)
                return is_same(word, n, "kms") && strcmp(search->driver, "nvidia") != 0;
        if (search->subject == SUBJECT_OMIT)
                return is_same(word, n, search->driver);
        return brings(word, n, search->driver);
}

static int take_word(Search *search, const char *word, size_t n, const char *where) {
        char **found = slot_of(search);

        if (!is_meant(search, word, n))
                return 0;
        if (search->subject == SUBJECT_OMIT)
                search->omits = true;
        else if (!*found)
                return text_copy(where, found);
        return 0;
}

/* All words of a value, up to its end. */
static int take_value(Search *search, const char *value, const char *where) {
        int r = 0;

        while (r == 0 && *value && *value != '#' && !strchr(search->end, *value)) {
                size_t n = strcspn(value, " \t\"'()[],;:#");

                r = n > 0 ? take_word(search, value, n, where) : 0;
                value += n + (n == 0);
        }
        /* Without a sign of its own it ends with the line. */
        if ((*value && *value != '#') || !*search->end)
                search->subject = SUBJECT_NONE;
        return r;
}

static Subject subject_of(Search *search, const char *name, size_t n) {
        const Tool *tool = search->tool;

        for (size_t i = 0; i < ARRAY_SIZE(tool->keys) && tool->keys[i]; ++i) {
                search->key = tool->keys[i];
                if (is_same(name, n, tool->keys[i]))
                        return SUBJECT_MODULES;
        }
        search->key = NULL;
        if (tool->hooks && is_same(name, n, tool->hooks))
                return SUBJECT_HOOKS;
        return tool->omit && is_same(name, n, tool->omit) ? SUBJECT_OMIT : SUBJECT_NONE;
}

/* Begin with "NAME=VALUE" or the like. Return: the value after its sign, or NULL for another line. */
static const char *begin_value(Search *search, const char *line) {
        size_t n = strcspn(line, " \t=+:");
        const char *value = line + n;
        char **said;
        bool adds;

        search->subject = subject_of(search, line, n);
        value += strspn(value, " \t");
        adds = *value == '+';
        value += adds;
        if (search->subject == SUBJECT_NONE || !strchr("=:", *value) || !*value) {
                search->subject = SUBJECT_NONE;
                return NULL;
        }
        ++value;
        value += strspn(value, " \t");
        search->end = *value == '('      ? ")"
                        : *value == '['  ? "]"
                        : *value == '"'  ? "\""
                        : *value == '\'' ? "'"
                                         : "";
        value += *search->end != '\0';
        /* What was said before counts no more, unless it is put in again, as "${MODULES[@]}". */
        if (adds || strchr(value, '$'))
                return value;
        if (search->subject == SUBJECT_OMIT) {
                search->omits = false;
                return value;
        }
        said = slot_of(search);
        free(*said);
        *said = NULL;
        return value;
}

/* "manual_add_modules nvidia nvidia_drm", or modprobe in the initramfs itself. */
static int take_command(Search *search, const char *line, const char *where) {
        static const char *const commands[] = { "manual_add_modules", "force_load", "modprobe" };
        bool takes = false;
        int r = 0;

        search->subject = SUBJECT_MODULES;
        search->key = NULL;
        while (r == 0 && *line && *line != '#') {
                size_t n = strcspn(line, " \t;&|()\"'");
                const char *word = line;

                line += n + (line[n] != '\0');
                if (takes)
                        r = take_word(search, word, n, where);
                for (size_t i = 0; i < ARRAY_SIZE(commands); ++i)
                        takes |= is_same(word, n, commands[i]);
        }
        return r;
}

/* The keys may be in an option of a module of NixOS's own: "config.boot.…" */
static bool is_key(const Search *search) {
        const Nix *nix = &search->nix;
        char whole[sizeof(nix->path) + sizeof(nix->name) + 1];

        snprintf(whole, sizeof(whole), ".%s%s", nix->path, nix->name);
        for (size_t i = 0; i < ARRAY_SIZE(search->tool->keys); ++i) {
                const char *key = search->tool->keys[i];

                if (key && text_ends_with(whole, key) &&
                                whole[strlen(whole) - strlen(key) - 1] == '.')
                        return true;
        }
        return false;
}

static void enter_set(Nix *nix) {
        size_t n = strlen(nix->path);

        if (nix->n_depths < ARRAY_SIZE(nix->depths))
                nix->depths[nix->n_depths] = n;
        ++nix->n_depths;
        if (nix->assigns)
                snprintf(nix->path + n, sizeof(nix->path) - n, "%s.", nix->name);
        nix->assigns = false;
}

static void leave_set(Nix *nix) {
        if (nix->n_depths > 0 && --nix->n_depths < ARRAY_SIZE(nix->depths))
                nix->path[nix->depths[nix->n_depths]] = '\0';
        nix->assigns = false;
}

/* "boot = { initrd = { kernelModules = [ "nvidia" ]; }; };", however it is nested and broken into lines. */
static int take_nix(Search *search, const char *line, const char *where) {
        Nix *nix = &search->nix;
        int r = 0;

        search->subject = SUBJECT_MODULES;
        search->key = search->tool->keys[0];
        while (r == 0 && *line && *line != '#') {
                size_t n = strcspn(line, " \t\"'(){}[]=;:,#");

                if (n > 0 && nix->is_modules)
                        r = take_word(search, line, n, where);
                else if (n > 0 && !nix->assigns)
                        snprintf(nix->name, sizeof(nix->name), "%.*s", (int) n, line);
                line += n;
                if (*line == '=')
                        nix->assigns = true;
                else if (*line == '{')
                        enter_set(nix);
                else if (*line == '}')
                        leave_set(nix);
                else if (*line == '[')
                        nix->is_modules = nix->assigns && is_key(search);
                else if (*line == ']')
                        nix->is_modules = false;
                else if (*line == ';')
                        nix->assigns = nix->is_modules = false;
                line += *line != '\0' && *line != '#';
        }
        return r;
}

static int take_line(void *userdata, const char *path, unsigned int number, char *line) {
        _cleanup_(freep) char *where = conf_where(path, number, line);
        const char *value = line + strspn(line, " \t");
        Search *search = userdata;

        if (!where)
                return -ENOMEM;
        if (number == 1) {
                search->subject = SUBJECT_NONE;
                search->nix = (Nix){};
        }
        if (search->tool->is_nix)
                return take_nix(search, value, where);
        if (!search->tool->keys[0]) {
                search->subject = SUBJECT_MODULES;
                return take_word(search, value, strcspn(value, " \t#"), where);
        }
        if (search->subject == SUBJECT_NONE)
                value = *value == '#' ? NULL : begin_value(search, value);
        return value ? take_value(search, value, where) : 0;
}

static int take_script(void *userdata, const char *path, unsigned int number, char *line) {
        _cleanup_(freep) char *where = conf_where(path, number, line);

        return where ? take_command(userdata, line, where) : -ENOMEM;
}

/* Does this tool put the driver in? Return: 0, or a negative error code. */
static int ask_tool(int root_fd, const Tool *tool, const char *driver, Initramfs *ret) {
        _cleanup_(search_deinit) Search search = { .tool = tool, .driver = driver };
        size_t n_folders = 0;
        int r = 0;

        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(tool->files) && tool->files[i]; ++i)
                r = conf_read_file(root_fd, tool->files[i], take_line, &search);
        while (n_folders < ARRAY_SIZE(tool->folders) && tool->folders[n_folders])
                ++n_folders;
        if (r == 0)
                r = conf_read_folders(root_fd, tool->folders, n_folders, tool->suffix, take_line,
                                &search);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(tool->scripts) && tool->scripts[i]; ++i)
                r = conf_read_folders(root_fd, &tool->scripts[i], 1, "", take_script, &search);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(search.found) && !search.omits; ++i)
                if (search.found[i] && !ret->where)
                        *ret = (Initramfs){ TAKE_PTR(search.found[i]), tool->remedy };
        return r;
}

/* the kernel's command line */

/*
 * dracut's, and those of systemd-modules-load.service(8) that are for the initramfs alone; without
 * "rd." they are for the real root as well, where vfiopt-boot.service comes first.
 */
static int ask_kernel_line(const Roots *roots, const char *driver, Initramfs *ret) {
        static const char *const keys[] = {
                "rd.driver.pre=", "rd.driver.post=", "rd.modules_load=", "rd.modules-load="
        };
        _cleanup_(freep) char *line = NULL;
        int r;

        r = file_read(roots->proc_fd, "cmdline", KERNEL_LINE_MAX, &line, NULL);
        if (r)
                return r < 0 ? r : 0;
        for (char *rest = line, *word; (word = strsep(&rest, " \n"));) {
                const char *names = NULL;

                for (size_t i = 0; !names && i < ARRAY_SIZE(keys); ++i)
                        (void) text_starts_with(word, keys[i], &names);
                for (; names && *names; names += names[0] == ',') {
                        size_t n = strcspn(names, ",");

                        if (brings(names, n, driver) && !ret->where) {
                                ret->where = text_format("%s on the kernel's command line", word);
                                ret->remedy = "take it out of there, and reboot";
                                if (!ret->where)
                                        return -ENOMEM;
                        }
                        names += n;
                }
        }
        return 0;
}

/* tools */

static bool any_is_there(int root_fd, const char *const *paths, size_t n) {
        for (size_t i = 0; i < n; ++i)
                if (paths[i] && file_exists_within(root_fd, paths[i]))
                        return true;
        return false;
}

static bool has_program(int root_fd, const Tool *tool) {
        return any_is_there(root_fd, tool->programs, ARRAY_SIZE(tool->programs));
}

/* Even where nothing was written into it. */
static bool has_file(int root_fd, const Tool *tool) {
        return any_is_there(root_fd, tool->files, ARRAY_SIZE(tool->files)) ||
                        any_is_there(root_fd, tool->folders, ARRAY_SIZE(tool->folders));
}

/*
 * Files of a tool that is not installed are left from before, or from a package that is not used. Only
 * where no program is known they may still be those of the machine.
 */
static int ask_tools(int root_fd, const char *driver, Initramfs *ret) {
        const Tool *first = NULL;
        bool known = false;
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(tools); ++i)
                known |= has_program(root_fd, &tools[i]);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(tools) && !ret->where; ++i) {
                if (known ? !has_program(root_fd, &tools[i]) : !has_file(root_fd, &tools[i]))
                        continue;
                first = first ?: &tools[i];
                r = ask_tool(root_fd, &tools[i], driver, ret);
        }
        if (!ret->remedy)
                ret->remedy = first ? first->otherwise : UNKNOWN_TOOL;
        return r;
}

/**
 * initramfs_find() - what has the initramfs load a driver?
 * @driver:     of a GPU, like nvidia
 * @ret:        initramfs_deinit() it. Without a line that is known .remedy is what helps in general.
 *
 * Needs no privilege: all these files may be read by anybody, or say nothing.
 *
 * Return: 0 on success, negative error code on failure.
 */
int initramfs_find(const Roots *roots, const char *driver, Initramfs *ret) {
        _cleanup_(initramfs_deinit) Initramfs found = INITRAMFS_NULL;
        int r;

        r = ask_kernel_line(roots, driver, &found);
        if (r == 0 && !found.where)
                r = ask_tools(roots->root_fd, driver, &found);
        if (r < 0)
                return r;
        *ret = found;
        found = (Initramfs) INITRAMFS_NULL;
        return 0;
}
