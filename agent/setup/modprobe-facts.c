/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Facts of modprobe.d
 *
 * kmod goes by the first softdep line for a module, in the order of the files' names over all
 * folders, among which the kernel's own are a file called modules.softdep (libkmod/libkmod-config.c). With a
 * softdep it ignores an install line of the module (libkmod/libkmod-module.c). The names in both kinds of lines are patterns
 * for fnmatch(3), after each "-" out of brackets has become a "_" (shared/util.c).
 *
 * libkmod itself is not asked: it follows absolute links out of a machine that is below a directory.
 */

#include <fnmatch.h>
#include <string.h>

#include "base/text.h"
#include "os/conf.h"
#include "setup/facts.h"
#include "setup/names.h"

#define KERNEL_SOFTDEPS "modules.softdep"

static const char *const protected_modules[PROTECTED_MODULES] = {
        "nvidia",
        "nvidia_modeset",
        "nvidia_uvm",
        "nvidia_drm",
        "nouveau",
        "nova_core",
        "snd_hda_intel",
};

void modprobe_facts_deinit(SetupFacts *facts) {
        for (size_t i = 0; i < PROTECTED_MODULES; ++i) {
                free(facts->modules[i].pre);
                free(facts->modules[i].post);
                free(facts->modules[i].softdep_where);
                free(facts->modules[i].install_where);
        }
        free(facts->own_ids);
        free(facts->own_where);
        free(facts->other_ids);
        free(facts->other_ids_where);
}

static bool is_same_module(const char *a, const char *b) {
        for (; *a && *b; ++a, ++b)
                if ((*a == '-' ? '_' : *a) != (*b == '-' ? '_' : *b))
                        return false;
        return *a == *b;
}

static void make_pattern(char *name) {
        bool is_in_brackets = false;

        for (; *name; ++name) {
                if (*name == '[' || *name == ']')
                        is_in_brackets = *name == '[';
                else if (*name == '-' && !is_in_brackets)
                        *name = '_';
        }
}

typedef struct Reader {
        SetupFacts *facts;
        const char *name; /* of the file, which decides the order */
        bool is_kernel;
        bool is_seen[PROTECTED_MODULES]; /* this file has had a softdep line for it */
} Reader;

/* The words of one half of a softdep line, with blanks between. */
static int collect(char *rest, const char *half, char **ret) {
        _cleanup_(text_deinit) Text out = TEXT_NULL;
        bool is_in = false;
        int r = 0;

        for (char *word; r >= 0 && (word = strsep(&rest, " \t"));) {
                if (!strcmp(word, "pre:") || !strcmp(word, "post:"))
                        is_in = !strcmp(word, half);
                else if (is_in && word[0])
                        r = text_append(&out, "%s%s", out.n > 0 ? " " : "", word);
        }
        if (r < 0)
                return r;
        *ret = text_take(&out);
        return 0;
}

/* The first line counts; a kernel's comes where its name puts it among the others. */
static int take_softdep(Reader *reader, ModuleFacts *module, const char *where, const char *rest) {
        _cleanup_(freep) char *a = strdup(rest), *b = strdup(rest), *pre = NULL, *post = NULL;
        bool *is_seen = &reader->is_seen[module - reader->facts->modules];
        bool has_line = module->pre || module->post;
        int r;

        if (!a || !b)
                return -ENOMEM;
        if (*is_seen || (has_line && (!reader->is_kernel || module->softdep_where)))
                return 0;
        *is_seen = true;
        r = collect(a, "pre:", &pre);
        if (r >= 0)
                r = collect(b, "post:", &post);
        if (r < 0)
                return r;
        if (has_line) {
                /* Two kernels. */
                module->is_ambiguous = module->is_ambiguous || !text_equal(pre, module->pre) ||
                                !text_equal(post, module->post);
                return 0;
        }
        module->pre = TAKE_PTR(pre);
        module->post = TAKE_PTR(post);
        module->is_hidden = strcmp(reader->name, SETUP_MODPROBE_NAME) < 0;
        return reader->is_kernel ? 0 : text_copy(where, &module->softdep_where);
}

/* The value of a parameter in the rest of an options line; the last one counts. */
static int find_ids(const char *rest, char **ret) {
        _cleanup_(freep) char *copy = strdup(rest);
        char *position = copy;
        int r = 0;

        if (!copy)
                return -ENOMEM;
        for (char *word; r >= 0 && (word = strsep(&position, " \t"));) {
                const char *value;

                if (!text_starts_with(word, "ids=", &value))
                        continue;
                free(*ret);
                *ret = NULL;
                r = text_copy(value, ret);
        }
        return r;
}

/* A softdep or an install line, for each of the modules that it is about. */
static int take_pattern(Reader *reader,
                const char *keyword,
                char *pattern,
                const char *where,
                const char *rest) {
        bool is_install = !strcmp(keyword, "install");
        int r = 0;

        if (!is_install && strcmp(keyword, "softdep") != 0)
                return 0;
        make_pattern(pattern);
        for (size_t i = 0; r >= 0 && i < PROTECTED_MODULES; ++i) {
                ModuleFacts *module = &reader->facts->modules[i];

                if (fnmatch(pattern, module->name, 0) != 0)
                        continue;
                if (!is_install)
                        r = take_softdep(reader, module, where, rest);
                else if (!module->install_where)
                        r = text_copy(where, &module->install_where);
        }
        return r;
}

static int take_line(void *userdata, const char *path, unsigned int number, char *line) {
        Reader *reader = userdata;
        SetupFacts *facts = reader->facts;
        char *position = line, *keyword, *name;
        _cleanup_(freep) char *where = NULL;

        position += strspn(position, " \t");
        keyword = strsep(&position, " \t");
        if (!position)
                return 0;
        position += strspn(position, " \t");
        name = strsep(&position, " \t");
        if (!position)
                return 0;
        where = text_format("/%s:%u", path, number);
        if (!where)
                return -ENOMEM;
        if (!strcmp(keyword, "options") && is_same_module(name, "vfio_pci")) {
                _cleanup_(freep) char *ids = NULL;
                int r;

                r = find_ids(position, &ids);
                if (r < 0 || !ids)
                        return r;
                free(facts->other_ids);
                free(facts->other_ids_where);
                facts->other_ids = TAKE_PTR(ids);
                facts->other_ids_where = TAKE_PTR(where);
                return 0;
        }
        return take_pattern(reader, keyword, name, where, position);
}

/* Of our own file only ids= counts: the rest is made anew from the others. */
static int
take_own(void *userdata, const char *path _unused_, unsigned int number _unused_, char *line) {
        SetupFacts *facts = userdata;
        const char *rest;

        return text_starts_with(line, "options vfio-pci ", &rest) ? find_ids(rest, &facts->own_ids)
                                                                  : 0;
}

static int read_own(SetupFacts *facts) {
        _cleanup_(tree_file_deinit) TreeFile file = TREE_FILE_NULL;
        int r;

        r = tree_is_link(facts->root_fd, SETUP_MODPROBE_FILE)
                        ? TREE_E_SPECIAL
                        : tree_read(facts->root_fd, SETUP_MODPROBE_FILE, &file);
        if (r || !text_starts_with(file.data, SETUP_HEADER, NULL))
                return r < 0 && r != -EACCES ? r : 0;
        r = conf_read_data(SETUP_MODPROBE_FILE, file.data, take_own, facts);
        return r < 0 || !facts->own_ids ? r : text_copy("/" SETUP_MODPROBE_FILE, &facts->own_where);
}

static int read_one(SetupFacts *facts, const char *name, const char *path, bool is_kernel) {
        _cleanup_(tree_file_deinit) TreeFile file = TREE_FILE_NULL;
        Reader reader = { .facts = facts, .name = name, .is_kernel = is_kernel };
        int r;

        r = tree_read(facts->root_fd, path, &file);
        if (r)
                return r < 0 && r != -EACCES ? r : 0;
        return conf_read_data(path, file.data, take_line, &reader);
}

static int read_kernels(SetupFacts *facts) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < facts->n_kernels; ++i) {
                _cleanup_(freep) char *path =
                                text_format("lib/modules/%s/" KERNEL_SOFTDEPS, facts->kernels[i]);

                r = path ? read_one(facts, KERNEL_SOFTDEPS, path, true) : -ENOMEM;
        }
        return r;
}

/* Ours is looked at apart. */
static int add_folder(Confs *confs, int root_fd, const char *folder) {
        _cleanup_(strv_freep) char **names = NULL;
        size_t n = 0;
        int r;

        r = tree_list(root_fd, folder, &names, &n);
        if (r)
                return r < 0 ? r : 0;
        for (size_t i = 0; r >= 0 && i < n; ++i)
                if (strcmp(names[i], SETUP_MODPROBE_NAME) != 0)
                        r = confs_add(confs, names[i], folder, ".conf");
        return r;
}

/* Return: 0, or a negative error code. */
int modprobe_facts_look(SetupFacts *facts) {
        _cleanup_(confs_deinit) Confs confs = {};
        bool has_read_kernels = false;
        int r = 0;

        for (size_t i = 0; i < PROTECTED_MODULES; ++i)
                facts->modules[i].name = protected_modules[i];
        for (size_t i = 0; r >= 0 && i < CONF_MODPROBE_FOLDERS; ++i)
                r = add_folder(&confs, facts->root_fd, conf_modprobe_folders[i]);
        if (r < 0)
                return r;
        confs_sort(&confs);
        for (size_t i = 0; r >= 0 && i <= confs.n; ++i) {
                _cleanup_(freep) char *path = NULL;

                if (!has_read_kernels &&
                                (i == confs.n ||
                                                strcmp(KERNEL_SOFTDEPS, confs.items[i].name) < 0)) {
                        has_read_kernels = true;
                        r = read_kernels(facts);
                }
                if (r < 0 || i == confs.n)
                        break;
                path = text_format("%s/%s", confs.items[i].folder, confs.items[i].name);
                r = path ? read_one(facts, confs.items[i].name, path, false) : -ENOMEM;
        }
        return r < 0 ? r : read_own(facts);
}
