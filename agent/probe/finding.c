/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A refusal is only as good as what it tells: which process, under which unit, on
 * which node, and the one command that would help. We never carry out a remedy, so
 * it may be drastic; but it must be true, and fit to be typed as it stands.
 *
 * The words are templates in a table; `@name@` stands for a fact of the finding.
 * Processes choose their own names, which end up in one line of a log and of a
 * terminal: all but plain printable ASCII is replaced.
 */

#include <string.h>

#include "base/text.h"
#include "os/obstacle.h"
#include "probe/advice.h"
#include "probe/finding.h"
#include "vfiopt/names.h"

#define ALLOW                                                              \
        "allow it: vfioptctl switch --allow-display @mode@ @gpu@, or for " \
        "good: AllowDisplay=yes below [GPU @gpu@] in " VFIOPT_ETC_CONFIG
#define REBOOT                                                                    \
        "end the processes that hold it; if that does not help, save your work, " \
        "then as root: sync; echo b >/proc/sysrq-trigger"

static const Words words[_FINDING_MAX] = {
        [FINDING_NO_IOMMU] = { "@function@ is in no IOMMU group", "@iommu@" },
        [FINDING_UNSAFE_IOMMU] = { "its IOMMU group protects nothing (noiommu mode)",
                        "turn vfio's enable_unsafe_noiommu_mode off, and: @iommu@" },
        /* Told with all others of the group, see append_group(). */
        [FINDING_GROUP_MEMBER] = { "@other@ (@detail@) shares its IOMMU group @number@",
                        "put the card into another slot" },
        [FINDING_OTHER_CARD] = { "this is not the card that was here before (@detail@)",
                        "if it is meant to be here: vfioptctl forget @other@" },
        [FINDING_VIRTUAL] = { "virtual functions or mediated devices exist on @function@", "" },
        [FINDING_BOOT_DISPLAY] = { "it is the display that the machine boots on",
                        "make another GPU the primary display in the firmware; or " ALLOW },
        [FINDING_DISPLAY_ACTIVE] = { "a monitor is lit on its connector @detail@",
                        "turn that output off; or " ALLOW },
        [FINDING_CANNOT_RELEASE] = { "driver version @detail@ with nvidia_drm.modeset=1 cannot release "
                                     "a single GPU",
                        "boot with nvidia_drm.modeset=0, or install version 580.105.08, 590.44.01 or "
                        "newer; or, which turns all displays on NVIDIA GPUs off: modprobe -r nvidia_drm" },
        [FINDING_OFF_BUS] = { "@it@ does not answer on the PCI bus any more", "" },
        [FINDING_FELL_OFF] = { "it has fallen off the bus, says the kernel's log (Xid 79)",
                        "save your work and power the machine off and on again" },
        [FINDING_NO_VFIO_DRIVER] = { "this kernel has no vfio-pci driver",
                        "modprobe vfio-pci must work: install the modules of the running kernel, or "
                        "reboot if they were just updated" },
        [FINDING_NO_HOST_DRIVER] = { "no host driver is known for it",
                        "install NVIDIA's driver, or nouveau, for the running kernel" },
        /* For a GPU that is idle beside its siblings; otherwise see words_for_clash(). */
        [FINDING_CLASH] = { "@detail@, once loaded, would take @other@, while vfio-pci has function 1 of that "
                            "card, which may panic the kernel",
                        "move that card first: vfioptctl switch host @other@" },
        [FINDING_STUCK] = { "an earlier @detail@ of @function@ is stuck in the kernel (pid @pid@)",
                        REBOOT },
        [FINDING_HOLDER] = { "in use by " WORDS_WHO ": " WORDS_NODE, "kill @pids@" },
        [FINDING_CUDA] = { "in use by CUDA: nvidia-uvm retains it",
                        "end the programs that compute on it; if there are none, systemctl stop "
                        "nvidia-persistenced.service" },
        [FINDING_USB] = { "the USB device @detail@ is plugged into the card",
                        "move it to another port of the machine" },
        [FINDING_STARTED] = { "the driver keeps it initialized although no user was found "
                              "(persistence mode?)",
                        "nvidia-smi -i @gpu@ -pm 0" },
        [FINDING_UNKNOWN] = { "cannot examine " WORDS_WHO ", which may use it: @error@",
                        "try again; if it does use the GPU, end it (pid @pid@)" },
};

/* Why the module @node@ would not load. */
static const Words obstacles[_OBSTACLE_MAX] = {
        [OBSTACLE_INSTALL] = { "module @node@, its driver @side@, is kept from loading by "
                               "@detail@",
                        "remove that line" },
        [OBSTACLE_KERNEL_LINE] = { "module @node@, its driver @side@, is kept from loading by "
                                   "module_blacklist= on the kernel's command line",
                        "remove it there and reboot" },
        [OBSTACLE_DISABLED] = { "no module can be loaded until the next boot "
                                "(kernel.modules_disabled), and its driver @side@ is not loaded",
                        "reboot; to have the driver loaded before that is set, name @node@ in "
                        "modules-load.d" },
        [OBSTACLE_OTHER_KERNEL] = { "module @node@, its driver @side@, was built for kernel @detail@",
                        "build or install it for the running kernel (dkms autoinstall), or boot that one" },
        [OBSTACLE_UNSIGNED] = { "module @node@, its driver @side@, is not signed, and this kernel "
                                "loads only signed modules",
                        "sign it with a key that is enrolled (mokutil --import), or turn Secure Boot "
                        "off in the firmware" },
        [OBSTACLE_NO_INDEX] = { "the modules of the running kernel (@detail@) are not there, and no driver "
                                "for it is loaded @side@",
                        "reboot, as the kernel seems to have been updated; or install its modules again" },
};

static bool is_denied(const Finding *finding) {
        return finding->error == EACCES || finding->error == EPERM;
}

static Words words_for_off_bus(const Finding *finding) {
        Words chosen = { words[FINDING_OFF_BUS].sentence, advice_for_off_bus(finding) };

        if (finding->error == ETIMEDOUT)
                chosen.sentence = "@it@ does not answer on the PCI bus in time";
        else if (finding->error == 0 && finding->detail &&
                        text_starts_with(finding->detail, "D3", NULL))
                chosen.sentence =
                                "@it@ does not answer on the PCI bus any more, and is in @detail@";
        return chosen;
}

static Words words_for_virtual(const Finding *finding) {
        Words chosen = { words[FINDING_VIRTUAL].sentence, advice_for_virtual(finding) };

        if (finding->number > 0 && finding->detail)
                chosen.sentence =
                                "virtual functions (@number@) and mediated devices exist on @function@";
        else if (finding->number > 0)
                chosen.sentence = "virtual functions (@number@) exist on @function@";
        else if (finding->detail)
                chosen.sentence = "mediated devices exist on @function@";
        else if (finding->has_instances)
                chosen.sentence = "it is divided by MIG, and would lose its instances";
        return chosen;
}

static Words words_for_stuck(const Finding *finding) {
        Words chosen = words[FINDING_STUCK];

        if (!finding->detail && finding->pid > 0)
                chosen.sentence =
                                "an earlier write to @function@ is stuck in the kernel (pid @pid@)";
        else if (!finding->detail)
                chosen.sentence =
                                "an operation on @function@ that vfiopt did not start is stuck in the kernel";
        return chosen;
}

static Words words_for_clash(const Finding *finding) {
        Words chosen = words[FINDING_CLASH];

        if (finding->other.function > 0)
                chosen = (Words){
                        "@detail@, once loaded, would take @other@, while nvidia has function 0 "
                        "of that card, which may panic the kernel",
                        "keep that function from it: echo none | tee"
                        " /sys/bus/pci/devices/@other@/driver_override"
                };
        return chosen;
}

/* .detail: the id of the other one; or where that is known to be elsewhere, its mode */
static Words words_for_other_card(const Finding *finding) {
        Words chosen = words[FINDING_OTHER_CARD];

        if (finding->number > 0)
                return (Words){ "the card that was here before is @other@ now",
                        "vfioptctl switch @detail@ @other@" };
        if (!finding->detail)
                chosen.sentence = "this is not the card that was here before";
        return chosen;
}

/*
 * It could not be looked into: it moves on faster than that, or another process keeps the kernel's
 * answer back, or it was never come to.
 */
static Words words_for_late(const Finding *finding) {
        if (finding->error == EAGAIN)
                return (Words){
                        "cannot examine @who@ (pid @pid@, uid @uid@@place@), which may use it: it "
                        "moves on too fast",
                        "try again; if that happens again when the machine is not busy, see to what "
                        "starts it"
                };
        /* It is no fault of its own: it was its turn when the time was up. */
        if (finding->error == EBUSY)
                return (Words){ "cannot examine " WORDS_WHO
                                ", which may use it: there is no time left for it",
                        "try again when the machine is less busy" };
        if (finding->pid > 0)
                return (Words){ "cannot examine " WORDS_WHO
                                ", which may use it: the kernel does not answer",
                        "try again; if it does use the GPU, end it (pid @pid@)" };
        if (finding->number == 0)
                return (Words){ "cannot examine in time which processes use it", "try again" };
        return (Words){ finding->number == 1
                                ? "cannot examine a process in time, which may use it"
                                : "cannot examine @number@ processes in time, which may use it",
                "try again when the machine is less busy" };
}

static Words words_for_unknown(const Finding *finding) {
        bool is_process = finding->pid > 0;
        Words chosen = words[FINDING_UNKNOWN];

        if (!is_process && finding->node)
                return (Words){ "cannot examine " WORDS_NODE ": @error@",
                        is_denied(finding) ? "run as root" : "try again" };
        if (finding->error == ETIME ||
                        (is_process && (finding->error == EAGAIN || finding->error == EBUSY)))
                return words_for_late(finding);
        if (!is_process)
                return (Words){ "@function@ is in use: @error@",
                        "end the programs that may use it" };
        if (finding->error == ETIMEDOUT)
                return (Words){ WORDS_WHO " is ending, and may use it until then",
                        "try again when it has ended" };
        if (is_denied(finding))
                chosen.remedy = "run as root";
        return chosen;
}

static Words words_for_lit(const Finding *finding) {
        Words chosen = words[FINDING_DISPLAY_ACTIVE];

        if (finding->is_console)
                chosen = (Words){
                        "only the text console lights the monitor on its connector @detail@",
                        finding->has_fbdev
                                        ? "unplug that monitor, or boot with nvidia_drm.fbdev=0; or " ALLOW
                                        : "unplug that monitor; or " ALLOW
                };
        /* Whoever turns that one off sees nothing. */
        if (finding->is_last)
                chosen.remedy = finding->is_console
                                ? "no other GPU shows anything: use a monitor on another one, and "
                                  "unplug that one; or " ALLOW
                                : "no other GPU shows anything: use a monitor on another one, and "
                                  "turn that output off; or " ALLOW;
        return chosen;
}

/* The words of its kind, or others where less is known, or where more can be done. */
Words words_choose(const Findings *findings, const Finding *finding) {
        Words chosen = words[finding->kind];

        switch (finding->kind) {
        case FINDING_OTHER_CARD:
                return words_for_other_card(finding);
        case FINDING_BOOT_DISPLAY:
                if (finding->number == 0)
                        return (Words){ "it is the only display of this machine", ALLOW };
                if (finding->is_last)
                        return (Words){ "no other GPU of this machine shows anything",
                                "use a monitor on another one; or " ALLOW };
                break;
        case FINDING_DISPLAY_ACTIVE:
                return words_for_lit(finding);
        case FINDING_OFF_BUS:
                return words_for_off_bus(finding);
        case FINDING_CLASH:
                return words_for_clash(finding);
        case FINDING_VIRTUAL:
                return words_for_virtual(finding);
        case FINDING_STUCK:
                return words_for_stuck(finding);
        case FINDING_NO_HOST_DRIVER:
        case FINDING_NO_VFIO_DRIVER:
                if (finding->number != OBSTACLE_NONE)
                        return obstacles[finding->number];
                break;
        case FINDING_USB:
                if (finding->carries)
                        chosen.remedy = "the host needs it for the network (@carries@): use another "
                                        "interface, or move it to another port";
                else if (finding->needed)
                        chosen.remedy = "unmount it and move it to another port; the host needs it";
                break;
        case FINDING_HOLDER:
                chosen.remedy = advice_for_holder(findings, finding);
                break;
        case FINDING_UNKNOWN:
                return words_for_unknown(finding);
        default:
                break;
        }
        return chosen;
}

/* Append what may have been chosen by anybody. */
int words_append_printable(Text *out, const char *s) {
        int r = 0;

        for (; *s && r >= 0; ++s)
                r = text_append(out, "%c", *s >= 0x20 && *s <= 0x7e ? *s : '?');
        return r;
}

static int append_nested(
                Text *out, const char *name, const Finding *finding, const Gpu *gpu, Mode to);

/* Append a template, filled in. */
int words_append(Text *out, const char *template, const Finding *finding, const Gpu *gpu, Mode to) {
        char function[ADDRESS_STRING_MAX], other[ADDRESS_STRING_MAX], address[ADDRESS_STRING_MAX];
        char number[16], pid[16], uid[16], slot[ADDRESS_STRING_MAX], error[64];
        const struct {
                const char *name;
                const char *value;
        } facts[] = {
                { "as", finding->owner.of_user ? "as its user: " : "" },
                { "carries", finding->carries },
                { "command", finding->command },
                { "container", finding->owner.id },
                { "detail", finding->detail },
                { "error", strerror_r(finding->error, error, sizeof(error)) },
                { "function", address_format(finding->function, function) },
                { "gpu", address_format(gpu->address, address) },
                { "gpus", finding->gpus },
                { "it", finding->function.function == 0 ? "it" : function },
                { "mapped", finding->mapped ? " (mapped)" : "" },
                { "mode", mode_to_string(to) },
                { "node", finding->node },
                { "number", number },
                { "other", address_format(finding->other, other) },
                { "owner", finding->owner.name },
                { "pid", pid },
                { "session", finding->owner.session },
                { "side", finding->kind == FINDING_NO_VFIO_DRIVER ? "for guests" : "on the host" },
                { "slot", slot },
                { "uid", uid },
                { "unit", finding->owner.unit },
                { "who", finding->command ?: "a process" },
        };
        int r;

        snprintf(number, sizeof(number), "%d", finding->number);
        snprintf(pid, sizeof(pid), "%d", (int) finding->pid);
        snprintf(uid, sizeof(uid), "%u", (unsigned int) finding->uid);
        snprintf(slot, sizeof(slot), "%.*s", (int) strcspn(address, "."), address);

        for (const char *s = template;;) {
                const char *value = NULL;
                size_t n = strcspn(s, "@");

                r = text_append(out, "%.*s", (int) n, s);
                if (r < 0 || !s[n])
                        return r;

                s += n + 1;
                n = strcspn(s, "@");
                for (size_t i = 0; i < ARRAY_SIZE(facts) && !value; ++i)
                        if (strlen(facts[i].name) == n && !memcmp(facts[i].name, s, n))
                                value = facts[i].value ?: "(unknown)";
                if (value)
                        r = words_append_printable(out, value);
                else
                        r = append_nested(out, s, finding, gpu, to);
                if (r < 0)
                        return r;
                s += n + 1;
        }
}

/* A sound card as sound servers call it, after its address; or as ALSA does, after its nodes: a number. */
static int append_sound_card(Text *out, const Finding *finding, bool by_number) {
        const char *c = finding->node ? strstr(finding->node, "/snd/") : NULL;
        char address[ADDRESS_STRING_MAX];

        /* "/dev/snd/controlC1", "/dev/snd/pcmC1D3p" */
        c = c ? strchr(c, 'C') : NULL;
        if (by_number)
                return text_append(out, "%.*s", c ? (int) strspn(c + 1, "0123456789") : 1,
                                c ? c + 1 : "N");
        address_format(finding->function, address);
        for (char *colon = address; (colon = strchr(colon, ':'));)
                *colon = '_';
        return text_append(out, "alsa_card.pci-%s", address);
}

/* A name that stands for a template: ", session 2" or nothing, or what helps to an IOMMU; or for a list. */
static int append_nested(
                Text *out, const char *name, const Finding *finding, const Gpu *gpu, Mode to) {
        const char *place = advice_place(finding);
        int r;

        if (text_starts_with(name, "iommu@", NULL))
                return words_append(out, advice_for_iommu(finding), finding, gpu, to);
        if (text_starts_with(name, "sound@", NULL) || text_starts_with(name, "card@", NULL))
                return append_sound_card(out, finding, name[0] == 'c');
        /* Of a holder that is told with others, these are the process ids of all. */
        if (text_starts_with(name, "pids@", NULL))
                return words_append(out,
                                finding->kind == FINDING_HOLDER && finding->detail ? "@detail@"
                                                                                   : "@pid@",
                                finding, gpu, to);
        if (!text_starts_with(name, "place@", NULL))
                return -ENOTRECOVERABLE;
        if (!place)
                return 0;
        r = text_append(out, ", ");
        return r < 0 ? r : words_append(out, place, finding, gpu, to);
}

/* lists */

void findings_deinit(Findings *findings) {
        for (size_t i = 0; i < findings->n; ++i) {
                free(findings->items[i].detail);
                free(findings->items[i].carries);
                free(findings->items[i].gpus);
                free(findings->items[i].command);
                owner_deinit(&findings->items[i].owner);
                free(findings->items[i].node);
        }
        free(findings->items);
        free(findings->hint);
        *findings = (Findings) FINDINGS_NULL;
}

/* Whether one more finding of a process is kept. */
bool findings_have_room(const Findings *findings) {
        return findings->n_of_processes < FINDINGS_PROCESSES_MAX;
}

/* Any user can have any number of processes in the way. Those of one come one after the other. */
static bool is_only_counted(Findings *findings, const Finding *finding) {
        if (finding->pid <= 0 || finding->kind < FINDING_HOLDER)
                return false;
        if (findings_have_room(findings)) {
                ++findings->n_of_processes;
                return false;
        }
        if (findings->last_more != finding->pid &&
                        findings->items[findings->n - 1].pid != finding->pid)
                ++findings->n_more;
        findings->last_more = finding->pid;
        return true;
}

/**
 * findings_push() - add a copy of a finding
 * @findings:   list
 * @finding:    what is copied, its strings included
 *
 * Of a process it is only counted once there are FINDINGS_PROCESSES_MAX.
 *
 * Return: 0 on success, negative error code on failure.
 */
int findings_push(Findings *findings, const Finding *finding) {
        Finding copy = *finding, *more;
        char **const strings[] = { &copy.detail, &copy.carries, &copy.gpus, &copy.command,
                &copy.owner.name, &copy.owner.id, &copy.owner.unit, &copy.owner.session,
                &copy.node };
        int r = 0;

        if (is_only_counted(findings, finding))
                return 0;
        more = realloc(findings->items, (findings->n + 1) * sizeof(*more));
        if (!more)
                return -ENOMEM;
        findings->items = more;

        for (size_t i = 0; i < ARRAY_SIZE(strings); ++i) {
                if (!*strings[i])
                        continue;
                *strings[i] = strdup(*strings[i]);
                if (!*strings[i])
                        r = -ENOMEM;
        }
        more[findings->n++] = copy;
        return r;
}

/* Whether the GPU is in use, rather than that a precondition does not hold. */
bool finding_is_busy(const Finding *finding) {
        return finding->kind >= FINDING_HOLDER;
}

/* Whether all that is in the way is use of the GPU, so that waiting may help. */
bool findings_are_busy(const Findings *findings) {
        for (size_t i = 0; i < findings->n; ++i)
                if (!finding_is_busy(&findings->items[i]))
                        return false;
        return findings->n > 0;
}

/* Whether the kernel hangs over it. */
bool findings_are_stuck(const Findings *findings) {
        for (size_t i = 0; i < findings->n; ++i)
                if (findings->items[i].kind == FINDING_STUCK)
                        return true;
        return false;
}

bool finding_is_same_culprit(const Finding *a, const Finding *b) {
        if (a->kind == FINDING_GROUP_MEMBER)
                return b->kind == a->kind && b->number == a->number;
        return a == b || (a->pid > 0 && a->pid == b->pid && a->kind == b->kind);
}

/* the group */

static const char *member_words(const Finding *finding) {
        if (!finding->detail)
                return finding->carries ? "@carries@ (no PCI device)"
                                        : "a device that is no PCI device";
        return finding->carries ? "@other@ (@detail@, @carries@)" : "@other@ (@detail@)";
}

/* "0000:02:00.0 (xhci_hcd, USB controller with input devices) and 0000:02:00.1 (ahci) share …" */
int words_append_members(
                Text *out, const Findings *findings, const Finding *first, const Gpu *gpu) {
        size_t n = 0, k = 0;
        int r = 0;

        for (size_t i = 0; i < findings->n; ++i)
                n += finding_is_same_culprit(first, &findings->items[i]);
        for (size_t i = 0; i < findings->n && r >= 0; ++i) {
                const Finding *finding = &findings->items[i];

                if (!finding_is_same_culprit(first, finding))
                        continue;
                r = text_append(out, "%s", k == 0 ? "" : k + 1 < n ? ", " : " and ");
                if (r >= 0)
                        r = words_append(out, member_words(finding), finding, gpu, MODE_UNSET);
                ++k;
        }
        if (r < 0)
                return r;
        return words_append(out,
                        n > 1 ? " share its IOMMU group @number@"
                              : " shares its IOMMU group @number@",
                        first, gpu, MODE_UNSET);
}

/*
 * What helps against the other members of a group. The host may live from one of them, and to take
 * it away is not even of use while another one has to stay: so that is only told where the host
 * would miss none of them, and after all that costs it nothing.
 */
int words_append_group_remedy(Text *out,
                const Findings *findings,
                const Finding *first,
                const Gpu *gpu,
                Mode to) {
        bool foreign = false, needed = false, gpus = false;
        const char *separator = " ";
        int r;

        for (size_t i = 0; i < findings->n; ++i) {
                const Finding *finding = &findings->items[i];

                if (!finding_is_same_culprit(first, finding))
                        continue;
                gpus |= finding->is_gpu;
                foreign |= !finding->is_gpu;
                needed |= finding->needed || !finding->detail;
        }
        if (!foreign)
                return words_append(out,
                                "move all GPUs of the group at once: vfioptctl switch @mode@ @gpus@",
                                first, gpu, to);
        r = words_append(out,
                        "put the card into another slot, or turn ACS on in the firmware, where it can",
                        first, gpu, to);
        if (r < 0 || needed)
                return r < 0 ? r
                             : words_append(out, "; the host needs what it shares the group with",
                                               first, gpu, to);

        r = text_append(out, "; or, as long as the host can do without and nothing uses it:");
        for (size_t i = 0; i < findings->n && r >= 0; ++i) {
                const Finding *finding = &findings->items[i];

                if (!finding_is_same_culprit(first, finding) || finding->is_gpu)
                        continue;
                r = text_append(out, "%s", separator);
                if (r >= 0)
                        r = words_append(out, "driverctl --nosave set-override @other@ vfio-pci",
                                        finding, gpu, to);
                separator = "; ";
        }
        if (r < 0 || !gpus)
                return r;
        return words_append(out, "; vfioptctl switch @mode@ @gpus@", first, gpu, to);
}
