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

#include <fnmatch.h>
#include <string.h>

#include "base/text.h"
#include "probe/finding.h"
#include "vfiopt/names.h"

/* So many nodes are named where one process has several open. */
#define NODES_MAX 3U

#define NODE "@node@@mapped@"
#define WHO  "@who@ (pid @pid@@of@@place@)"
#define ALLOW                                                              \
        "allow it: vfioptctl switch --allow-display @mode@ @gpu@, or for " \
        "good: AllowDisplay=yes below [GPU @gpu@] in " VFIOPT_ETC_CONFIG
#define REBOOT "save your work, then as root: sync; echo b >/proc/sysrq-trigger"

typedef struct Words {
        const char *sentence;
        const char *remedy;
} Words;

static const Words words[_FINDING_MAX] = {
        [FINDING_NO_IOMMU] = { "@function@ is in no IOMMU group",
                        "enable VT-d or AMD-Vi in the firmware, and on Intel boot with intel_iommu=on" },
        [FINDING_UNSAFE_IOMMU] = { "its IOMMU group protects nothing (noiommu mode)",
                        "enable VT-d or AMD-Vi in the firmware, on Intel boot with intel_iommu=on, and "
                        "turn vfio's enable_unsafe_noiommu_mode off" },
        [FINDING_GROUP_MEMBER] = { "@other@, bound to @detail@, shares its IOMMU group @number@",
                        "put the card into another slot; or, only if the host can do without "
                        "@other@ (no disk or network of yours): driverctl --nosave set-override "
                        "@other@ vfio-pci" },
        [FINDING_OTHER_CARD] = { "this is not the card that was here before (@detail@)",
                        "vfioptctl forget @gpu@" },
        [FINDING_VIRTUAL] = { "virtual functions or mediated devices exist on @function@",
                        "remove them: write 0 to its sriov_numvfs, mdevctl stop each mediated device" },
        [FINDING_BOOT_DISPLAY] = { "it is the display that the machine boots on",
                        "make another GPU the primary display in the firmware; or " ALLOW },
        [FINDING_DISPLAY_ACTIVE] = { "a monitor is lit on its connector @detail@",
                        "turn that output off; or " ALLOW },
        [FINDING_CANNOT_RELEASE] = { "driver version @detail@ with nvidia_drm.modeset=1 cannot release "
                                     "a single GPU",
                        "modprobe -r nvidia_drm, or boot with nvidia_drm.modeset=0, or install version "
                        "580.105.08, 590.44.01 or newer" },
        [FINDING_OFF_BUS] = { "it does not answer on the PCI bus any more",
                        "power the machine off and on again" },
        [FINDING_FELL_OFF] = { "it has fallen off the bus, says the kernel's log (Xid 79)",
                        "save your work and power the machine off and on again" },
        [FINDING_NO_VFIO_DRIVER] = { "this kernel has no vfio-pci driver",
                        "modprobe vfio-pci must work: install the modules of the running kernel, or "
                        "reboot if they were just updated" },
        [FINDING_NO_HOST_DRIVER] = { "no host driver is known for it",
                        "modprobe nvidia (or nouveau) must work: install that driver for this kernel" },
        [FINDING_STUCK] = { "an earlier @detail@ of @function@ is stuck in the kernel (pid @pid@)",
                        REBOOT },
        [FINDING_HOLDER] = { "in use by " WHO ": " NODE, "kill @pid@" },
        [FINDING_CUDA] = { "in use by CUDA: nvidia-uvm retains it",
                        "end the programs that compute on it; if there are none, systemctl stop "
                        "nvidia-persistenced.service" },
        [FINDING_USB] = { "the USB device @detail@ is plugged into the card", "unplug it" },
        [FINDING_STARTED] = { "the driver keeps it initialized although no user was found "
                              "(persistence mode?)",
                        "nvidia-smi -i @gpu@ -pm 0" },
        [FINDING_UNKNOWN] = { "cannot examine " WHO ", which may use it: @error@",
                        "try again; if it does use the GPU, end it (pid @pid@)" },
};

static bool is_denied(const Finding *finding) {
        return finding->error == EACCES || finding->error == EPERM;
}

/* What ends a process: the unit or session that it belongs to, else a signal. */
static const char *choose_remedy(const Finding *finding) {
        const char *unit = finding->unit ?: "";

        if (finding->node && strstr(finding->node, "vfio"))
                return "shut the virtual machine down";
        /* The kernel cuts process names after 15 characters. */
        if (finding->command && text_starts_with(finding->command, "nvidia-persiste", NULL))
                return "nvidia-smi -i @gpu@ -pm 0, or systemctl stop nvidia-persistenced.service";

        /* The manager and logind keep files for others, such as a session's devices. */
        if (finding->pid == 1 || !strcmp(unit, "systemd-logind.service"))
                return "end the session or service whose file it holds; see: loginctl list-sessions";
        if (finding->session)
                return "close it, or loginctl terminate-session @session@";
        if (fnmatch("?*.service", unit, 0) == 0 && !text_starts_with(unit, "user@", NULL))
                return finding->user_unit ? "as its user: systemctl --user stop '@unit@'"
                                          : "systemctl stop '@unit@'";
        return finding->user_unit ? "close it, or kill @pid@" : "kill @pid@";
}

/* The words of its kind, or others where less is known, or where more can be done. */
static Words choose_words(const Finding *finding) {
        Words chosen = words[finding->kind];

        switch (finding->kind) {
        case FINDING_GROUP_MEMBER:
                if (!finding->detail)
                        return (Words){
                                "a device that is not a PCI device shares its IOMMU group @number@",
                                "put the card into another slot"
                        };
                if (!strcmp(finding->detail, "nvidia") || !strcmp(finding->detail, "nouveau"))
                        chosen.remedy = "move both at once: vfioptctl switch @mode@ @gpu@ @other@";
                break;
        case FINDING_BOOT_DISPLAY:
                if (finding->number == 0)
                        return (Words){ "it is the only display of this machine", ALLOW };
                break;
        case FINDING_DISPLAY_ACTIVE:
                if (finding->is_console)
                        return (Words){ "only the text console lights the monitor on its connector "
                                        "@detail@",
                                "unplug that monitor, or boot with nvidia_drm.fbdev=0; or " ALLOW };
                break;
        case FINDING_OFF_BUS:
                if (finding->error == ETIMEDOUT)
                        chosen.sentence = "it does not answer on the PCI bus in time";
                break;
        case FINDING_STUCK:
                if (!finding->detail && finding->pid > 0)
                        chosen.sentence =
                                        "an earlier write to @function@ is stuck in the kernel (pid @pid@)";
                else if (!finding->detail)
                        chosen.sentence =
                                        "an operation on @function@ that vfiopt did not start is stuck in "
                                        "the kernel";
                break;
        case FINDING_HOLDER:
                chosen.remedy = choose_remedy(finding);
                break;
        case FINDING_UNKNOWN:
                if (finding->pid == 0 && finding->node)
                        return (Words){ "cannot examine " NODE ": @error@",
                                is_denied(finding) ? "run as root" : "try again" };
                if (finding->pid == 0)
                        return (Words){ "@function@ is in use: @error@",
                                "end the programs that may use it" };
                if (finding->error == ETIMEDOUT)
                        return (Words){ WHO " is ending, and may use it until then",
                                "try again when it has ended" };
                if (is_denied(finding))
                        chosen.remedy = "run as root";
                break;
        default:
                break;
        }
        return chosen;
}

/* Append a template, filled in. */
static int append(
                Text *out, const char *template, const Finding *finding, const Gpu *gpu, Mode to) {
        char function[ADDRESS_STRING_MAX], other[ADDRESS_STRING_MAX], address[ADDRESS_STRING_MAX];
        char number[16], pid[16];
        const struct {
                const char *name;
                const char *value;
        } facts[] = {
                { "command", finding->command },
                { "detail", finding->detail },
                { "error", strerror(finding->error) },
                { "function", address_format(finding->function, function) },
                { "gpu", address_format(gpu->address, address) },
                { "mapped", finding->mapped ? " (mapped)" : "" },
                { "mode", mode_to_string(to) },
                { "node", finding->node },
                { "number", number },
                { "of", finding->session ? ", session " : finding->unit ? ", " : "" },
                { "other", address_format(finding->other, other) },
                { "pid", pid },
                { "place", finding->session ?: finding->unit ?: "" },
                { "session", finding->session },
                { "unit", finding->unit },
                { "who", finding->command ?: "a process" },
        };
        int r;

        snprintf(number, sizeof(number), "%d", finding->number);
        snprintf(pid, sizeof(pid), "%d", (int) finding->pid);

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
                if (!value)
                        return -ENOTRECOVERABLE;
                for (; *value; ++value) {
                        r = text_append(out, "%c", *value >= 0x20 && *value <= 0x7e ? *value : '?');
                        if (r < 0)
                                return r;
                }
                s += n + 1;
        }
}

/* lists */

void findings_deinit(Findings *findings) {
        for (size_t i = 0; i < findings->n; ++i) {
                free(findings->items[i].detail);
                free(findings->items[i].command);
                free(findings->items[i].unit);
                free(findings->items[i].session);
                free(findings->items[i].node);
        }
        free(findings->items);
        *findings = (Findings) FINDINGS_NULL;
}

/**
 * findings_push() - add a copy of a finding
 * @findings:   list
 * @finding:    what is copied, its strings included
 *
 * Return: 0 on success, negative error code on failure.
 */
int findings_push(Findings *findings, const Finding *finding) {
        Finding copy = *finding, *more;
        char **const strings[] = { &copy.detail, &copy.command, &copy.unit, &copy.session,
                &copy.node };
        int r = 0;

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
static bool is_busy(const Finding *finding) {
        return finding->kind >= FINDING_HOLDER;
}

/* Whether all that is in the way is use of the GPU, so that waiting may help. */
bool findings_are_busy(const Findings *findings) {
        for (size_t i = 0; i < findings->n; ++i)
                if (!is_busy(&findings->items[i]))
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

static bool same_culprit(const Finding *a, const Finding *b) {
        return a == b || (a->pid > 0 && a->pid == b->pid && a->kind == b->kind);
}

/* What else the first culprit has open, and how many others there are; a process counts once. */
static int append_others(
                Text *out, const Findings *findings, const Finding *first, const Gpu *gpu) {
        size_t n_nodes = 1, n_others = 0;
        int r;

        for (size_t i = 0; i < findings->n; ++i) {
                const Finding *finding = &findings->items[i];
                bool seen = same_culprit(finding, first);

                if (seen && finding != first && first->kind == FINDING_HOLDER &&
                                n_nodes <= NODES_MAX) {
                        r = append(out, n_nodes++ == NODES_MAX ? ", ..." : ", " NODE, finding, gpu,
                                        MODE_UNSET);
                        if (r < 0)
                                return r;
                }
                for (size_t k = 0; k < i && !seen; ++k)
                        seen = same_culprit(finding, &findings->items[k]);
                n_others += !seen;
        }
        return n_others > 0 ? text_append(out, ", and %zu more", n_others) : 0;
}

/* All processes: "812 (ollama) /dev/nvidia0, 977 (Xorg) /dev/dri/card1" */
static int append_processes(Text *out, const Findings *findings, const Gpu *gpu) {
        int r;

        for (size_t i = 0; i < findings->n; ++i) {
                const Finding *finding = &findings->items[i];

                if (finding->pid == 0 ||
                                (finding->kind != FINDING_HOLDER &&
                                                finding->kind != FINDING_UNKNOWN))
                        continue;
                r = text_append(out, "%s", out->n > 0 ? ", " : "");
                if (r < 0)
                        return r;
                r = append(out, finding->node ? "@pid@ (@command@) " NODE : "@pid@ (@command@) ?",
                                finding, gpu, MODE_UNSET);
                if (r < 0)
                        return r;
        }
        return 0;
}

/**
 * findings_explain() - all findings of one GPU in one line
 * @findings:   at least one
 * @gpu:        the GPU that they are in the way of
 * @to:         where that was to go
 * @ret_reason: the first culprit in full, how many more there are, and what would
 *              help against the first; free() it
 * @ret_holders: all processes with what they hold, or NULL if there are none; free() it
 *
 * A precondition that does not hold comes before all holders: waiting would not help.
 *
 * Return: 0 on success, negative error code on failure.
 */
int findings_explain(const Findings *findings,
                const Gpu *gpu,
                Mode to,
                char **ret_reason,
                char **ret_holders) {
        _cleanup_(text_deinit) Text reason = TEXT_NULL, holders = TEXT_NULL;
        const Finding *first = findings->items;
        Words chosen;
        int r;

        for (size_t i = 0; i < findings->n && is_busy(first); ++i)
                if (!is_busy(&findings->items[i]))
                        first = &findings->items[i];
        chosen = choose_words(first);

        r = append(&reason, chosen.sentence, first, gpu, to);
        if (r < 0)
                return r;
        r = append_others(&reason, findings, first, gpu);
        if (r < 0)
                return r;
        r = text_append(&reason, "; ");
        if (r < 0)
                return r;
        r = append(&reason, chosen.remedy, first, gpu, to);
        if (r < 0)
                return r;
        r = append_processes(&holders, findings, gpu);
        if (r < 0)
                return r;

        *ret_reason = text_take(&reason);
        *ret_holders = text_take(&holders);
        return 0;
}
