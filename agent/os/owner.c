/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The path of a control group is read from the outside: what is outermost is what the managers
 * of this machine know, as a unit inside of a container is a unit of the container's manager.
 *
 * Groups below the manager of a user are delegated: that user makes them, and calls them what he
 * likes. There only what a user can run counts, which is ended as that user. A machine of root's is
 * one only where root makes groups, and by names that mean it in one place, only in that place.
 *
 * These paths are made by: systemd (src/basic/cgroup-util.c, cg_path_get_session()), Docker and
 * Podman with the systemd or the cgroupfs driver, the kubelet (kubepods), LXC and Incus
 * (lxc.payload.NAME), Proxmox (lxc/NUMBER, qemu.slice/NUMBER.scope) and libvirt
 * (machine-qemu-NUMBER-NAME.scope); see KERNEL.md 9.1.
 */

#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "base/text.h"
#include "os/owner.h"

/* So much of the id of a container is what its manager shows of it. */
#define ID_SHORT 12U

static bool has_only(const char *s, const char *more) {
        for (; *s; ++s)
                if (!isascii((unsigned char) *s) ||
                                (!isalnum((unsigned char) *s) && !strchr(more, *s)))
                        return false;
        return true;
}

/* Whether a name can be an argument: no character of a shell's, and no option. */
static bool is_name(const char *s) {
        return s[0] && isalnum((unsigned char) s[0]) && strlen(s) <= NAME_MAX && has_only(s, "._-");
}

static bool is_number(const char *s) {
        return s[0] && !s[strspn(s, "0123456789")];
}

static bool is_id(const char *s) {
        return strlen(s) == 64 && !s[strspn(s, "0123456789abcdef")];
}

/* Whether @s is the name of a unit that can be given to systemctl, between quotes. */
static bool is_unit(const char *s) {
        return isalnum((unsigned char) s[0]) && has_only(s, ":_.\\@-");
}

static int set_name(char **name, const char *s, bool fits) {
        return fits ? text_copy(s, name) : 0;
}

static int set_id(char **id, const char *s) {
        if (!is_id(s))
                return 0;
        *id = strndup(s, ID_SHORT);
        return *id ? 0 : -ENOMEM;
}

/* Undo systemd's escapes in place, "\x2d" for "-": those that are none stay, and are no name. */
static void unescape(char *s) {
        char *out = s;
        uint64_t c;

        for (; *s; ++s) {
                if (s[0] == '\\' && s[1] == 'x' && s[2] && s[3] &&
                                text_n_to_uint(s + 2, 2, 16, UCHAR_MAX, &c) == 0 && c > 0) {
                        *out++ = (char) c;
                        s += 3;
                } else {
                        *out++ = *s;
                }
        }
        *out = 0;
}

/* What is between @prefix and @suffix, or NULL if @s is not made so; free() it. */
static int cut(const char *s, const char *prefix, const char *suffix, char **ret) {
        const char *rest;

        *ret = NULL;
        if (!text_starts_with(s, prefix, &rest) || !text_ends_with(rest, suffix))
                return 0;
        *ret = strndup(rest, strlen(rest) - strlen(suffix));
        return *ret ? 0 : -ENOMEM;
}

/* the managers */

/* "…-pod0123_4567.slice", "pod0123-4567", and the container in the last component. */
static int set_pod(Owner *owner, const char *rest) {
        const char *pod = strstr(rest, "-pod"), *id = rest + strlen(rest);
        _cleanup_(freep) char *last = NULL;

        owner->kind = OWNER_POD;
        pod = pod ? pod + 4 : strstr(rest, "/pod") ? strstr(rest, "/pod") + 4 : NULL;
        if (pod) {
                owner->name = strndup(pod, strcspn(pod, "./:"));
                if (!owner->name)
                        return -ENOMEM;
                for (char *c = owner->name; *c; ++c)
                        if (*c == '_')
                                *c = '-';
                if (!is_name(owner->name)) {
                        free(owner->name);
                        owner->name = NULL;
                }
        }

        /* With or without "cri-containerd-" before it, and ".scope" behind. */
        if (text_ends_with(rest, ".scope"))
                id -= strlen(".scope");
        for (size_t n = 0; id > rest && n < 64; ++n)
                --id;
        last = strndup(id, 64);
        return last ? set_id(&owner->id, last) : -ENOMEM;
}

/* Containers that are known by an id. */
static int set_container(Owner *owner, const char *before, const char *s) {
        static const struct {
                const char *prefix; /* of a scope */
                const char *parent; /* and with the cgroupfs driver */
                const char *child;
                OwnerKind kind;
                bool is_roots; /* never a user's */
        } managers[] = {
                { "docker-", "docker", "", OWNER_DOCKER, false },
                { "libpod-", "libpod_parent", "libpod-", OWNER_PODMAN, false },
                { "nerdctl-", "default", "", OWNER_NERDCTL, false },
                { "cri-containerd-", NULL, NULL, OWNER_POD, true },
                { "crio-", NULL, NULL, OWNER_POD, true },
        };
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(managers); ++i) {
                _cleanup_(freep) char *id = NULL;
                const char *rest;

                if (managers[i].is_roots && owner->of_user)
                        continue;
                r = cut(s, managers[i].prefix, ".scope", &id);
                if (r < 0)
                        return r;
                if (!id && managers[i].parent && !strcmp(before, managers[i].parent) &&
                                text_starts_with(s, managers[i].child, &rest) && is_id(rest)) {
                        id = strdup(rest);
                        if (!id)
                                return -ENOMEM;
                }
                /* Podman's own process beside a container is not in it. */
                if (!id || text_starts_with(id, "conmon-", NULL))
                        continue;
                owner->kind = managers[i].kind;
                return set_id(&owner->id, id);
        }
        return 0;
}

/* Whether a component, the @depth-th, is where root's managers make what they call so. */
static bool is_at_top(const Owner *owner, size_t depth) {
        return !owner->of_user && (depth == 0 || owner->kind == OWNER_RUNTIME);
}

/* What is run by a user is only ever called "lxc.payload.NAME". */
static int set_lxc(Owner *owner, const char *before, size_t depth, const char *s) {
        bool is_below = depth > 0 && is_at_top(owner, depth - 1);
        const char *name = s;

        if (!(is_below && (!strcmp(before, "lxc") || !strcmp(before, "lxc.payload"))) &&
                        !((owner->of_user || is_at_top(owner, depth)) &&
                                        text_starts_with(s, "lxc.payload.", &name)))
                return 0;
        owner->kind = name == s && !strcmp(before, "lxc") && is_number(name) ? OWNER_PROXMOX_CT
                                                                             : OWNER_LXC;
        return set_name(&owner->name, name, is_name(name));
}

/*
 * "qemu-2-win11": the number is what libvirt made of a running one, and is never ambiguous; the
 * name is without all characters that machined does not allow
 * (src/hypervisor/domain_driver.c: virDomainDriverGenerateMachineName()).
 */
static int set_libvirt(Owner *owner, const char *machine) {
        const char *number = machine + strlen("qemu-"), *name;
        int r;

        owner->kind = OWNER_LIBVIRT;
        /* One that is embedded into another program is known to no virsh. */
        if (text_starts_with(number, "embed-", NULL))
                return 0;
        /* A user's own has the name of the user before the number. */
        owner->of_user = !isdigit((unsigned char) number[0]);
        while (!isdigit((unsigned char) number[0]) && strchr(number, '-'))
                number = strchr(number, '-') + 1;
        name = number + strspn(number, "0123456789");
        if (name == number || name[0] != '-')
                return 0;

        owner->id = strndup(number, name - number);
        r = set_name(&owner->name, name + 1, is_name(name + 1));
        return owner->id ? r : -ENOMEM;
}

static int set_machine(Owner *owner, const char *before, size_t depth, const char *s) {
        static const struct {
                const char *prefix, *suffix;
        } forms[] = {
                { "machine-", ".scope" },
                { "systemd-nspawn@", ".service" },
                { "systemd-vmspawn@", ".service" },
        };
        _cleanup_(freep) char *name = NULL;
        int r;

        if (owner->of_user)
                return 0;
        r = cut(s, "", ".scope", &name);
        if (r < 0)
                return r;
        if (name && depth == 1 && !strcmp(before, "qemu.slice")) {
                owner->kind = OWNER_PROXMOX_VM;
                return set_name(&owner->name, name, is_number(name));
        }
        for (size_t i = 0; i < ARRAY_SIZE(forms); ++i) {
                freep(&name);
                r = cut(s, forms[i].prefix, forms[i].suffix, &name);
                if (r < 0)
                        return r;
                if (!name)
                        continue;
                unescape(name);
                if (text_starts_with(name, "qemu-", NULL))
                        return set_libvirt(owner, name);
                owner->kind = OWNER_MACHINE;
                return set_name(&owner->name, name, is_name(name));
        }
        return 0;
}

/* Of "app-flatpak-org.example.App-4711.scope", what is before the number at the end. */
static int set_flatpak(Owner *owner, const char *s) {
        _cleanup_(freep) char *name = NULL;
        char *dash;
        int r;

        r = cut(s, "app-flatpak-", ".scope", &name);
        if (r < 0 || !name)
                return r;
        dash = strrchr(name, '-');
        if (dash)
                *dash = 0;
        unescape(name);
        owner->kind = OWNER_FLATPAK;
        return set_name(&owner->name, name, is_name(name));
}

/* Services below which containers may be, which would all end with them. */
static bool is_runtime(const char *unit) {
        static const char *const names[] = { "containerd", "crio", "docker", "incus", "k3s",
                "kubelet", "libvirtd", "lxc", "lxd", "podman", "rke2", "snap.docker", "snap.k8s",
                "snap.lxd", "snap.microk8s", "virtqemud" };
        const char *rest;

        for (size_t i = 0; i < ARRAY_SIZE(names); ++i)
                if (text_starts_with(unit, names[i], &rest) && strchr(".-@", rest[0]))
                        return true;
        return false;
}

/* Return: 1 if nothing that is further inside has a say, 0 if it has, negative on failure. */
static int set_unit(Owner *owner, const char *s) {
        _cleanup_(freep) char *session = NULL;
        int r;

        if (text_starts_with(s, "user@", NULL) && text_ends_with(s, ".service")) {
                owner->of_user = true;
                return 0;
        }
        owner->of_desktop |= owner->of_user && !strcmp(s, "session.slice");
        if (!text_ends_with(s, ".service") && !text_ends_with(s, ".scope"))
                return 0;

        r = cut(s, "session-", ".scope", &session);
        if (r >= 0 && session && !owner->of_user)
                r = set_name(&owner->session, session, is_name(session));
        if (r >= 0)
                r = set_flatpak(owner, s);
        if (r >= 0 && !owner->unit)
                r = set_name(&owner->unit, s, is_unit(s));
        if (r < 0)
                return r;
        if (is_runtime(s)) {
                owner->kind = OWNER_RUNTIME;
                return 0;
        }
        return 1;
}

/* All pods are in there; the kubelet may have been given a slice for it. */
static bool is_of_pods(const Owner *owner, const char *before, size_t depth, const char *s) {
        return (is_at_top(owner, depth) && text_starts_with(s, "kubepods", NULL)) ||
                        (!owner->of_user && depth == 1 &&
                                        text_starts_with(before, "kubelet", NULL) &&
                                        (text_starts_with(s, "kubepods", NULL) ||
                                                        text_starts_with(s, "kubelet-kubepods",
                                                                        NULL)));
}

/* One component, the @depth-th, and all from there on. Return: as set_unit() */
static int look_at(
                Owner *owner, const char *before, size_t depth, const char *s, const char *rest) {
        OwnerKind kind = owner->kind;
        int r = 0;

        /* Without systemd: "/user/NAME/0" is what pam_cgfs delegates. */
        owner->of_user |= depth == 0 && !strcmp(s, "user");
        if (is_of_pods(owner, before, depth, s))
                r = set_pod(owner, rest);
        if (r == 0 && owner->kind == kind)
                r = set_container(owner, before, s);
        if (r == 0 && owner->kind == kind)
                r = set_lxc(owner, before, depth, s);
        if (r == 0 && owner->kind == kind)
                r = set_machine(owner, before, depth, s);
        if (r < 0 || owner->kind != kind)
                return r < 0 ? r : 1;
        return set_unit(owner, s);
}

/**
 * owner_init() - learn from the path of a control group what is in it
 * @owner:      what it is; owner_deinit() it
 * @cgroup:     path in the hierarchy that systemd uses, like "/system.slice/x.service"
 *
 * Return: 0 on success, also if it is nothing that is known; negative error code on failure.
 */
int owner_init(Owner *owner, const char *cgroup) {
        char before[NAME_MAX + 1] = "", name[NAME_MAX + 1];
        size_t depth = 0;
        int r = 0;

        *owner = (Owner){};
        for (const char *s = cgroup + strspn(cgroup, "/"); *s && r == 0;) {
                size_t n = strcspn(s, "/");

                if (n >= sizeof(name))
                        break;
                memcpy(name, s, n);
                name[n] = 0;
                r = look_at(owner, before, depth++, name, s);
                memcpy(before, name, n + 1);
                s += n + strspn(s + n, "/");
        }
        /* The unit that a container is below ends more than the container. */
        if (r >= 0 && owner->kind != OWNER_NONE && owner->kind != OWNER_FLATPAK &&
                        owner->kind != OWNER_RUNTIME) {
                free(owner->unit);
                owner->unit = NULL;
        }
        if (r < 0)
                owner_deinit(owner);
        return r < 0 ? r : 0;
}

void owner_deinit(Owner *owner) {
        free(owner->name);
        free(owner->id);
        free(owner->unit);
        free(owner->session);
        *owner = (Owner){};
}
