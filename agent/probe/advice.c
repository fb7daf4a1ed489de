/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What is advised ends what holds the GPU and nothing else, or says what else it ends. So the
 * manager of a container or of a virtual machine is asked, and no process of one is killed; and
 * what a desktop is made of is never stopped behind the back of who sits at it.
 *
 * A unit is more than the one process in it that holds the GPU. It is only stopped where it is there
 * for that process, is not known to be one that others hang on, and nothing else in it shows anything on
 * the screen or is a virtual machine.
 */

#include <ctype.h>
#include <fnmatch.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "probe/advice.h"
#include "vfiopt/names.h"

/* What the kernel leaves of the name of a process (include/linux/sched.h: TASK_COMM_LEN). */
#define COMMAND_MAX 15U

typedef struct Manager {
        const char *place;
        const char *remedy;  /* it names what it ends */
        const char *unnamed; /* where that has no name that could be typed */
} Manager;

static const Manager managers[_OWNER_MAX] = {
        [OWNER_DOCKER] = { "Docker container @container@",
                        "@as@docker stop @container@ (one with the restart policy always comes back when "
                        "Docker is started again)",
                        "@as@stop that container with docker stop; docker ps lists them" },
        [OWNER_PODMAN] = { "Podman container @container@", "@as@podman stop @container@",
                        "@as@stop that container with podman stop; podman ps lists them" },
        [OWNER_NERDCTL] = { "containerd's container @container@", "@as@nerdctl stop @container@",
                        "@as@stop that container with nerdctl stop; nerdctl ps lists them" },
        [OWNER_POD] = { "Kubernetes pod @owner@",
                        "scale down what runs this pod, or drain the node; crictl stop @container@ ends the "
                        "container until the kubelet starts it again",
                        "scale down what runs this pod, or drain the node" },
        [OWNER_LXC] = { "LXC container @owner@",
                        "stop the container @owner@ with what manages it (LXC, Incus or LXD)",
                        "stop that container with what manages it (LXC, Incus or LXD)" },
        [OWNER_PROXMOX_CT] = { "Proxmox container @owner@",
                        "pct shutdown @owner@, or pct stop @owner@",
                        "stop that container with pct stop; pct list lists them" },
        [OWNER_MACHINE] = { "machine @owner@", "@as@machinectl poweroff @owner@",
                        "power that machine off; machinectl lists them" },
        [OWNER_LIBVIRT] = { "libvirt's virtual machine @owner@", "@as@virsh shutdown @container@",
                        "shut the virtual machine down with virsh shutdown; virsh list lists them" },
        [OWNER_PROXMOX_VM] = { "Proxmox virtual machine @owner@", "qm shutdown @owner@",
                        "shut the virtual machine down with qm shutdown; qm list lists them" },
        [OWNER_FLATPAK] = { "Flatpak application @owner@",
                        "close it, or as its user: flatpak kill @owner@",
                        "close it, or end it with flatpak kill; flatpak ps lists them" },
        [OWNER_RUNTIME] = { "@unit@", "stop the container or guest that uses the GPU",
                        "stop the container or guest that uses the GPU" },
};

/*
 * Whether the name of a process is one of these; or that of a wrapper of it, which is called
 * ".NAME-wrapped" (NixOS), cut as all names are. A pattern matches as in a shell.
 */
static bool is_one_of(const char *command, const char *const *names, size_t n) {
        char cut[64];

        if (!command)
                return false;
        for (size_t i = 0; i < n; ++i) {
                if (fnmatch(names[i], command, 0) == 0)
                        return true;
                if (command[0] != '.')
                        continue;
                snprintf(cut, sizeof(cut), ".%s-wrapped", names[i]);
                if (strlen(cut) > COMMAND_MAX)
                        cut[COMMAND_MAX] = 0;
                if (fnmatch(cut, command, 0) == 0)
                        return true;
        }
        return false;
}

/* Display servers, compositors, and what else a session ends with. */
static bool is_display_server(const char *command) {
        static const char *const names[] = { "X", "Xorg", "Xorg.bin", "Xtigervnc", "Xvnc",
                "Xwayland", "arcan*", "budgie-session*", "budgie-wm", "cage", "cagebreak",
                "cinnamon", "cinnamon-sessio", "compiz*", "cosmic-comp", "cosmic-session",
                "dde-session*", "deepin-kwin_*", "deepin-wm*", "dwl", "enlightenment*", "gala",
                "gamescope*", "gdm-session-wor*", "gdm-wayland-ses*", "gdm-x-session",
                "gnome-kiosk*", "gnome-session-*", "gnome-shell", "hikari", "hyprland", "Hyprland",
                "jay", "kodi-gbm*", "kwin_*", "ksmserver", "labwc", "lomiri*", "lxqt-session",
                "lxsession", "magpie-wm", "mangowc", "marco", "mate-session", "metacity",
                "miracle-wm*", "mir-*", "miriway*", "muffin", "mutter*", "niri", "phoc", "phosh",
                "plasma_session", "plasmashell", "qtile", "river", "scroll", "sddm-helper*",
                "startdde", "startplasma-*", "sway", "swayfx", "treeland*", "ukui-kwin*",
                "ukui-session*", "wayfire", "weston", "xfce4-session", "xfwm4" };

        return is_one_of(command, names, ARRAY_SIZE(names));
}

static bool has_card_node(const Findings *findings, const Finding *finding) {
        for (size_t i = 0; i < findings->n && finding->pid > 0; ++i) {
                const Finding *other = &findings->items[i];

                if (other->kind == FINDING_HOLDER && other->pid == finding->pid && other->node &&
                                text_starts_with(other->node, "/dev/dri/card", NULL))
                        return true;
        }
        return false;
}

static bool is_matched(const char *unit, const char *const *patterns, size_t n) {
        for (size_t i = 0; i < n; ++i)
                if (fnmatch(patterns[i], unit, FNM_CASEFOLD) == 0)
                        return true;
        return false;
}

/* Units of the machine that put something on a screen: display managers and kiosks. */
static bool is_display_manager(const Owner *owner) {
        static const char *const units[] = { "*greeter*", "*kiosk*", "cage@*", "display-manager*",
                "emptty*", "gdm*", "greetd*", "lemurs*", "lightdm*", "lxdm*", "ly.*", "ly@*",
                "nodm*", "plasmalogin*", "sddm*", "slim.*", "wdm.*", "xdm*" };

        return owner->unit && !owner->of_user && is_matched(owner->unit, units, ARRAY_SIZE(units));
}

/*
 * Whether it shows something on a screen. A display server that is not known by name is one in the
 * place of one, with the node of the card open; that node alone is open in much that computes too.
 */
static bool shows(const Findings *findings, const Finding *finding) {
        const Owner *owner = &finding->owner;

        return finding->serves || is_display_server(finding->command) ||
                        ((owner->of_desktop || is_display_manager(owner)) &&
                                        has_card_node(findings, finding));
}

/* Desktops have a scope or a service for each application that they start. */
static bool is_application(const Owner *owner) {
        return owner->unit && owner->of_user &&
                        (fnmatch("app-?*", owner->unit, 0) == 0 ||
                                        fnmatch("snap.?*", owner->unit, 0) == 0);
}

/* Whether it could be a display server: it has the node of a card, and no place of its own. */
static bool may_show(const Findings *findings, const Finding *finding) {
        const Owner *owner = &finding->owner;

        return (!owner->unit || owner->session || (owner->of_user && !is_application(owner))) &&
                        has_card_node(findings, finding);
}

/* Users of the machine's own and GDM's for greeters (systemd, meson_options.txt: greeter-uid-min). */
static bool is_system_user(uid_t uid) {
        return (uid > 0 && uid < 1000) || (uid >= 60578 && uid <= 60705);
}

/* The login screen, and what is started with it: a graphical session of nobody's. */
static bool is_of_greeter(const Findings *findings, const Finding *finding) {
        static const char *const names[] = { "*-gre", "*-greet*", "*greeter*", "?*greet",
                "agreety" };

        if (is_one_of(finding->command, names, ARRAY_SIZE(names)))
                return true;
        /* A kiosk has a user of the machine's own, too, and logs it in. */
        if (finding->of_person || !is_system_user(finding->uid) ||
                        !(finding->owner.session || finding->owner.of_user))
                return false;
        for (size_t i = 0; i < findings->n; ++i) {
                const Finding *other = &findings->items[i];

                if (other->kind == FINDING_HOLDER && other->uid == finding->uid &&
                                shows(findings, other))
                        return true;
        }
        return false;
}

static bool is_hypervisor(const char *command) {
        static const char *const names[] = { "qemu-*", "kvm", "cloud-hyperviso*", "crosvm*",
                "firecracker*", "VBoxHeadless", "VirtualBoxVM", "vmware-vmx" };

        return is_one_of(command, names, ARRAY_SIZE(names));
}

/* Programs that have virtual machines run as a part of them, or as a part of their unit. */
static bool is_front_end(const char *command) {
        static const char *const names[] = { "VBoxSVC", "VirtualBox", "gnome-boxes", "virt-manager",
                "vmware" };

        return is_one_of(command, names, ARRAY_SIZE(names));
}

static bool is_sound_server(const char *command) {
        static const char *const names[] = { "pipewire*", "pulseaudio", "wireplumber" };

        return is_one_of(command, names, ARRAY_SIZE(names));
}

/* What carries the work of people who are elsewhere. */
static bool is_remote_access(const char *command) {
        static const char *const names[] = { "*-remote-de*", "*vnc", "SRServer", "SRStreamer",
                "anydesk*", "dcvagent*", "dcvserver*", "dcvsession*", "dwagent*", "krdpserver",
                "krfb", "mosh-server", "nxagent*", "nxnode*", "nxserver*", "parsec*", "rustdesk*",
                "selkies*", "sunshine*", "teamviewer*", "ttyd", "x0vncserver", "x2goagent*",
                "xpra*" };

        return is_one_of(command, names, ARRAY_SIZE(names));
}

/* Managers that keep the files of others, such as the devices of a session; or carry them. */
static bool is_keeper(const Finding *finding) {
        static const char *const names[] = { "dbus-broker*", "dbus-daemon", "elogind*", "seatd*",
                "systemd-logind" };
        static const char *const units[] = { "elogind.service", "init.scope", "seatd.service",
                "systemd-logind.service" };
        const char *unit = finding->owner.unit ?: "";

        for (size_t i = 0; i < ARRAY_SIZE(units); ++i)
                if (!strcmp(unit, units[i]))
                        return true;
        return finding->pid == 1 || is_one_of(finding->command, names, ARRAY_SIZE(names));
}

/* What is being set up: it takes a moment, and udev ends what takes long. */
static bool is_of_udev(const Finding *finding) {
        static const char *const names[] = { "(udev-worker)", "systemd-udevd", "udevd" };
        const char *unit = finding->owner.unit ?: "";

        return is_one_of(finding->command, names, ARRAY_SIZE(names)) ||
                        (!finding->owner.of_user && !strcmp(unit, "systemd-udevd.service"));
}

/* The picture that is shown while the machine starts, by the initramfs already, and while it goes down. */
bool advice_is_splash(const Finding *finding) {
        static const char *const names[] = { "plymouthd" };

        return finding->kind == FINDING_HOLDER &&
                        is_one_of(finding->command, names, ARRAY_SIZE(names));
}

/*
 * Who is named first of those that hold a GPU: what computes, then the desktop's sound and helpers,
 * then the desktop itself, and then who holds it for others, or not for long. The first can be
 * ended for the GPU's sake, and often is all that has to.
 */
unsigned int advice_rank(const Findings *findings, const Finding *finding) {
        if (finding->kind != FINDING_HOLDER || finding->owner.kind != OWNER_NONE)
                return 0;
        if (is_keeper(finding) || is_of_udev(finding) || advice_is_splash(finding))
                return 3;
        if (shows(findings, finding) || is_of_greeter(findings, finding))
                return 2;
        return finding->owner.of_desktop || is_sound_server(finding->command) ||
                                        may_show(findings, finding)
                        ? 1
                        : 0;
}

/* Has a manager's template nothing that would stay unknown? */
static bool is_named(const char *remedy, const Owner *owner) {
        return (owner->name || !strstr(remedy, "@owner@")) &&
                        (owner->id || !strstr(remedy, "@container@"));
}

/* What a process is in: a container, a session, a unit; or NULL. */
const char *advice_place(const Finding *finding) {
        const Owner *owner = &finding->owner;
        const Manager *manager = &managers[owner->kind];

        if (manager->place)
                return manager->place;
        return owner->session ? "session @session@" : owner->unit ? "@unit@" : NULL;
}

/*
 * Units that sessions, the machine, or the work of others hang on: who works from afar would be
 * cut off, and who sits at the screen would lose what is on it.
 */
static bool is_shared(const Owner *owner) {
        /* of the machine, and of a user who has started one */
        static const char *const units[] = { "*dbus*", "*dcv*", "*getty*", "*krdp*", "*nxserver*",
                "*remote-desktop*", "*selkies*", "*session*", "*vnc*", "anydesk*", "atd*", "byobu*",
                "cockpit*", "code-server*", "cron*", "dropbear*", "elogind*", "emacs*", "fcron*",
                "jupyter*", "networkmanager*", "openvpn*", "parsec*", "plasma-*", "polkit*",
                "rstudio*", "rustdesk*", "screen*", "seatd*", "slurm*", "ssh*", "sunshine*",
                "supervisor*", "systemd-*", "tailscaled*", "teamviewer*", "tmux*", "ttyd*",
                "user@*", "uwsm*", "wayland-*", "wg-quick@*", "wpa_supplicant*", "x2go*", "xpra*",
                "xrdp*", "zellij*" };
        /* of a user's desktop, and what has a whole terminal in it */
        static const char *const of_user[] = { "*alacritty*", "*foot*", "*ghostty*",
                "*gnome*console*", "*gnome*shell*", "*kitty*", "*konsole*", "*ptyxis*", "*termina*",
                "*tilix*", "*wezterm*", "*yakuake*", "app-*code*", "app-*emacs*" };

        if (!owner->unit)
                return false;
        return owner->of_desktop || is_display_manager(owner) ||
                        is_matched(owner->unit, units, ARRAY_SIZE(units)) ||
                        (owner->of_user && is_matched(owner->unit, of_user, ARRAY_SIZE(of_user)));
}

static const char *for_desktop(const Finding *finding) {
        const Owner *owner = &finding->owner;

        if (owner->session)
                return "log out, or have it use another GPU only; loginctl terminate-session "
                       "@session@ ends all that runs in that session";
        if (!owner->unit || owner->of_user || fnmatch("?*.service", owner->unit, 0) != 0)
                return "log out, or have it use another GPU only";
        if (is_shared(owner))
                return "log out, or have it use another GPU only; else all sessions of @unit@ "
                       "have to end";
        return "log out, or have it use another GPU only; systemctl stop '@unit@' ends the "
               "graphical sessions that it has started";
}

#define GREETER                                                                \
        "it seems to be the login screen, where nobody is logged in: have it " \
        "use another GPU only, or when all have logged out elsewhere: systemctl stop "

static const char *for_greeter(const Finding *finding) {
        return is_display_manager(&finding->owner) &&
                                        fnmatch("?*.service", finding->owner.unit, 0) == 0
                        ? GREETER "'@unit@'"
                        : GREETER "display-manager";
}

/* The sound of the desktop goes on without this card. */
static const char *for_sound_server(const Finding *finding) {
        return finding->node && text_starts_with(finding->node, "/dev/snd/", NULL)
                        ? "as its user, turn this card off for it, which leaves the other ones: "
                          "pactl set-card-profile @sound@ off; if it does not let go then: "
                          "pw-reserve -r -n Audio@card@, which asks for the card as long as it runs"
                        : "log out, or have it use another GPU only";
}

/* What starts or leads sessions, on this screen or from afar. */
static bool leads_sessions(const char *command) {
        static const char *const names[] = { "*greeter*", "agetty", "dropbear*", "emptty", "gdm*",
                "greetd*", "lemurs", "lightdm*", "login", "lxdm*", "ly", "nodm", "plasmalogin*",
                "sddm*", "slim", "sshd*", "wdm*", "xdm*", "xrdp*" };

        return is_one_of(command, names, ARRAY_SIZE(names));
}

static bool same_string(const char *a, const char *b) {
        return a && b ? !strcmp(a, b) : a == b;
}

static bool is_same_owner(const Finding *a, const Finding *b) {
        const Owner *one = &a->owner, *other = &b->owner;

        return one->kind == other->kind && one->of_user == other->of_user &&
                        same_string(one->name, other->name) && same_string(one->id, other->id) &&
                        same_string(one->unit, other->unit) &&
                        same_string(one->session, other->session);
}

/* Whether the remedy of two holders says the same of both, but for their process ids. */
bool advice_fits_both(const char *remedy, const Finding *a, const Finding *b) {
        static const char *const of_owner[] = { "@as@", "@container@", "@owner@", "@session@",
                "@unit@" };

        if (strstr(remedy, "@sound@") && address_compare(a->function, b->function) != 0)
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(of_owner); ++i)
                if (strstr(remedy, of_owner[i]))
                        return is_same_owner(a, b);
        return true;
}

/* Whether a screen or a virtual machine goes off with the unit of a process that is neither. */
static bool has_more_at_stake(const Findings *findings, const Finding *finding) {
        for (size_t i = 0; i < findings->n; ++i) {
                const Finding *other = &findings->items[i];

                if (is_same_owner(other, finding) &&
                                (shows(findings, other) || may_show(findings, other) ||
                                                is_hypervisor(other->command)))
                        return true;
        }
        return false;
}

/* Whether @a begins with @b as a whole word; or with all that the kernel leaves of a name. */
static bool begins_with(const char *a, const char *b) {
        const size_t n = strlen(b);

        return n > 0 && strncasecmp(a, b, n) == 0 &&
                        (!isalnum((unsigned char) a[n]) || n >= COMMAND_MAX);
}

/*
 * Whether a unit is there for this process: it has its name, or the manager of the machine has
 * started it, as the first of a service. All else in there may be of others: a terminal, an editor
 * and a server of notebooks have in their unit whatever is started in them.
 */
static bool is_main(const Finding *finding) {
        const char *unit = finding->owner.unit, *command = finding->command, *s = unit;

        if (finding->leads && !finding->owner.of_user)
                return true;
        if (!command || !unit)
                return false;
        if (begins_with(unit, command))
                return true;
        if (!is_application(&finding->owner) && !text_starts_with(unit, "snap.", NULL)) {
                const size_t n = strcspn(unit, ".@");

                return n > 0 && strncasecmp(command, unit, n) == 0 &&
                                !isalnum((unsigned char) command[n]);
        }
        /* Of an application, behind "app-DESKTOP-" and the parts of a name like a domain's. */
        while ((s = strpbrk(s, "-.")))
                if (begins_with(++s, command))
                        return true;
        return false;
}

/* Likewise for a worker of a service of the machine, where that has the GPU too. */
static bool is_part_of_main(const Findings *findings, const Finding *finding) {
        if (is_main(finding))
                return true;
        for (size_t i = 0; i < findings->n && !finding->owner.of_user; ++i)
                if (findings->items[i].kind == FINDING_HOLDER &&
                                is_same_owner(&findings->items[i], finding) &&
                                is_main(&findings->items[i]))
                        return true;
        return false;
}

static const char *for_unit(const Findings *findings, const Finding *finding) {
        const Owner *owner = &finding->owner;
        const char *unit = owner->unit;

        if (leads_sessions(finding->command))
                return "log out, or kill @pids@, which ends its sessions with it";
        if (is_remote_access(finding->command))
                return "close it, or kill @pids@, which cuts off who works through it";
        if (may_show(findings, finding))
                return "close it, or log out if it is the desktop";
        if (!unit)
                return owner->of_user || owner->session ? "close it, or kill @pids@"
                                                        : "kill @pids@";
        if (is_shared(owner) || has_more_at_stake(findings, finding))
                return "close it, or kill @pids@";
        if (fnmatch("?*.service", unit, 0) == 0 || is_application(owner)) {
                if (!is_part_of_main(findings, finding))
                        return "close it, or kill @pids@";
                if (is_application(owner))
                        return "close it, or as its user: systemctl --user stop '@unit@'";
                return owner->of_user ? "as its user: systemctl --user stop '@unit@'"
                                      : "systemctl stop '@unit@'";
        }
        return owner->of_user || owner->session ? "close it, or kill @pids@" : "kill @pids@";
}

/*
 * A virtual machine is shut down from the inside, and loses what it has not written where the
 * command that ends its container or application ends it too; or NULL. Managers of machines know how.
 */
static const char *for_machine(const Findings *findings, const Finding *finding) {
        const OwnerKind kind = finding->owner.kind;

        if (kind == OWNER_LIBVIRT || kind == OWNER_PROXMOX_VM || kind == OWNER_MACHINE ||
                        kind == OWNER_POD)
                return NULL;
        if (is_hypervisor(finding->command) ||
                        (kind == OWNER_NONE && finding->node && strstr(finding->node, "vfio")))
                return "shut the virtual machine down";
        if (is_front_end(finding->command))
                return "shut its virtual machines down, then close it";
        for (size_t i = 0; i < findings->n && kind != OWNER_NONE; ++i)
                if (is_hypervisor(findings->items[i].command) &&
                                is_same_owner(&findings->items[i], finding))
                        return "shut the virtual machine in there down first";
        return NULL;
}

/* What ends a process. */
const char *advice_for_holder(const Findings *findings, const Finding *finding) {
        const Owner *owner = &finding->owner;
        const Manager *manager = &managers[owner->kind];
        const char *machine = for_machine(findings, finding);

        if (machine)
                return machine;
        /* Neither Incus nor LXD runs as a user. */
        if (owner->kind == OWNER_LXC && owner->of_user && owner->name)
                return "as its user: lxc-stop -n @owner@";
        if (manager->remedy)
                return is_named(manager->remedy, owner) ? manager->remedy : manager->unnamed;
        /* Anybody may be called so; only the manager has such a unit. */
        if (owner->unit && !owner->of_user && !strcmp(owner->unit, "nvidia-persistenced.service"))
                return "nvidia-smi -i @gpu@ -pm 0, or systemctl stop nvidia-persistenced.service";

        if (is_of_udev(finding))
                return "try again";
        if (advice_is_splash(finding))
                return "it is the boot splash, and ends by itself: try again then";
        if (is_keeper(finding))
                return "end the session or service whose file it holds; see: loginctl list-sessions";
        if (is_of_greeter(findings, finding))
                return for_greeter(finding);
        if (is_sound_server(finding->command))
                return for_sound_server(finding);
        if (shows(findings, finding))
                return for_desktop(finding);
        return for_unit(findings, finding);
}

/* The half that is missing, of firmware and kernel. */
const char *advice_for_iommu(const Finding *finding) {
        static const char *const remedies[_IOMMU_MAX] = {
                [IOMMU_UNKNOWN] = "enable VT-d or AMD-Vi in the firmware, and on Intel boot with "
                                  "intel_iommu=on",
                [IOMMU_XEN] = "under Xen the hypervisor owns the IOMMU: boot without Xen, or give "
                              "the card to a guest of Xen's with xl pci-assignable-add",
                [IOMMU_FIRMWARE] =
                                "enable VT-d or AMD-Vi in the firmware, which describes no IOMMU",
                [IOMMU_FIRMWARE_AND_OFF] =
                                "enable VT-d or AMD-Vi in the firmware, which describes no "
                                "IOMMU, and boot without @detail@",
                [IOMMU_OFF] = "boot without @detail@, which turns the IOMMU off",
                [IOMMU_OFF_NOT_ON] =
                                "boot with intel_iommu=on in place of @detail@, which turns the "
                                "IOMMU off",
                [IOMMU_NOT_ON] = "boot with intel_iommu=on; the firmware has VT-d enabled",
                [IOMMU_KERNEL] =
                                "firmware and kernel command line have it enabled, so the kernel's "
                                "log tells why it is off: dmesg | grep -i -e DMAR -e IOMMU -e AMD-Vi",
                [IOMMU_DEVICE] =
                                "the IOMMU is on, but not for this device: put the card into another "
                                "slot, or update the firmware",
                [IOMMU_DEVICE_TREE] =
                                "the device tree of this machine has no IOMMU for it, and without "
                                "one no device can be given to a guest",
        };

        return remedies[finding->iommu];
}

#define SRIOV                                                                                 \
        "/usr/lib/nvidia/sriov-manage -d @function@, or where that is not installed, echo 0 " \
        ">/sys/bus/pci/devices/@function@/sriov_numvfs"
#define MDEV "for i in @detail@; do mdevctl stop -u $i; done"
#define MIG_OFF \
        "nvidia-smi mig -dci -i @gpu@; nvidia-smi mig -dgi -i @gpu@; nvidia-smi -i @gpu@ -mig 0"
#define MIG "; MIG instances are left then: " MIG_OFF

/* Guests first: to take the parts away waits for them without end (KERNEL.md 3.1). */
const char *advice_for_virtual(const Finding *finding) {
        if (finding->number > 0 && finding->detail)
                return finding->has_instances
                                ? "shut down the guests that have them, then: " MDEV "; " SRIOV MIG
                                : "shut down the guests that have them, then: " MDEV "; " SRIOV;
        if (finding->detail)
                return finding->has_instances
                                ? "shut down the guests that have them, then: " MDEV MIG
                                : "shut down the guests that have them, then: " MDEV;
        if (finding->number == 0 && finding->has_instances)
                return "end what computes on them, then: " MIG_OFF;
        return finding->has_instances ? "shut down the guests that have them, then: " SRIOV MIG
                                      : "shut down the guests that have them, then: " SRIOV;
}

#define AWAKE                                                                                       \
        "to keep it awake from the next time on: D3cold=no below [GPU @gpu@] in " VFIOPT_ETC_CONFIG \
        ", and if "                                                                                 \
        "that is not enough, \"options vfio-pci disable_idle_d3=1\" in a file of modprobe.d(5)"

/*
 * The cheap things first, and each an end of its own: a write of "on" resumes the device and
 * returns, as our reading has just done; when the device does not come, that takes a minute
 * (drivers/base/power/sysfs.c: control_store(); drivers/pci/pci.c: pci_dev_wait()). Where reading has not
 * come back yet, a write would wait behind it: there nothing is to be written to this card.
 */
const char *advice_for_off_bus(const Finding *finding) {
        const char *state = finding->detail;

        if (finding->error == ETIMEDOUT)
                return "try again in a few minutes; if it is the same, save your work and power the "
                       "machine off and on again; " AWAKE;
        /* Awake, so there is nothing to wake; or not there any more. */
        if (finding->error != 0 || (state && !strcmp(state, "D0")))
                return "save your work and power the machine off and on again";
        return "wake it and the port above it, as root: echo on | tee"
               " /sys/bus/pci/devices/@gpu@/../power/control"
               " /sys/bus/pci/devices/@slot@.*/power/control; " AWAKE
               "; if it does not answer then, save your work and power the machine off and on again";
}
