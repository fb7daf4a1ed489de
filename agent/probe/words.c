/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Words for Findings
 *
 * A refusal is only as good as what it tells: which process, under which unit, on
 * which node, and the one command that would help. We never carry out a remedy, so
 * it may be drastic; but it must be true, and fit to be typed as it stands.
 *
 * The words are templates in a table; `@name@` stands for a fact of the finding.
 * Names of processes are chosen by the processes, and end up in one line of a log
 * and of a terminal: whatever is not plain printable ASCII is replaced.
 */

#include <string.h>

#include "base/text.h"
#include "probe/words.h"

#define INSIST "or insist: vfioptctl switch --allow-display @mode@ @gpu@"

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
        [FINDING_STRANGER] = { "@other@, bound to @detail@, shares its IOMMU group @number@",
                        "put the card into another slot, or take that device from its driver: "
                        "driverctl --nosave set-override @other@ vfio-pci" },
        [FINDING_OTHER_CARD] = { "this is not the card that was here before (@detail@)",
                        "vfioptctl forget @gpu@" },
        [FINDING_VIRTUAL] = { "virtual functions or mediated devices exist on @function@",
                        "remove them: write 0 to its sriov_numvfs, mdevctl stop each mediated device" },
        [FINDING_BOOT_DISPLAY] = { "it is the display that the machine boots on",
                        "make another GPU the primary display in the firmware, " INSIST },
        [FINDING_DISPLAY_ACTIVE] = { "a monitor is lit on its connector @detail@",
                        "turn that output off, " INSIST },
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
                        "save your work, then systemctl reboot --force --force" },
        [FINDING_HOLDER] = { "in use by @who@: @node@", "kill @pid@" },
        [FINDING_CUDA] = { "in use by CUDA: nvidia-uvm retains it",
                        "end the programs that compute on it; if there are none, systemctl stop "
                        "nvidia-persistenced.service" },
        [FINDING_USB] = { "the USB device @detail@ is plugged into the card", "unplug it" },
        [FINDING_STARTED] = { "its driver keeps it started, though nobody is seen to use it",
                        "nvidia-smi -i @gpu@ -pm 0" },
        [FINDING_UNKNOWN] = { "cannot tell whether it is in use by @who@: @error@", "kill @pid@" },
};

/* The same kinds, where less is known. */
static const Words words_stranger_unnamed = {
        "a device that is not a PCI device shares its IOMMU group @number@",
        "put the card into another slot",
};
static const Words words_off_bus_late = {
        "it does not answer on the PCI bus in time",
        "power the machine off and on again",
};
static const Words words_stuck_somewhere = {
        "something that the kernel does with @function@ is stuck",
        "save your work, then systemctl reboot --force --force",
};
static const Words words_unknown_who = {
        "somebody uses @function@: @error@",
        "end the programs that may use it",
};
static const Words words_unknown_ending = {
        "@who@ is ending, and may use it until then",
        "try again when it has ended",
};
static const Words words_unknown_node = {
        "cannot tell about @node@: @error@",
        "try again",
};

static bool has_suffix(const char *s, const char *suffix) {
        size_t n = s ? strlen(s) : 0, k = strlen(suffix);

        return n > k && !strcmp(s + n - k, suffix);
}

static bool has_prefix(const char *s, const char *prefix) {
        return s && text_starts_with(s, prefix, NULL);
}

/* What ends a process: the thing that it belongs to, else a signal. */
static const char *remedy_for_process(const Finding *finding) {
        /* The manager keeps files for others, such as a session's devices for logind. */
        if (finding->pid == 1)
                return "end the session or service that it keeps it for: loginctl";
        if (finding->session)
                return "close it, or loginctl terminate-session @session@";
        if (has_suffix(finding->unit, ".service") && !has_prefix(finding->unit, "user@"))
                return finding->user_unit ? "as its user: systemctl --user stop @unit@"
                                          : "systemctl stop @unit@";
        return finding->user_unit ? "close it, or kill @pid@" : "kill @pid@";
}

static const char *remedy_for_holder(const Finding *finding) {
        if (finding->node && strstr(finding->node, "vfio"))
                return "shut the virtual machine down";
        /* The kernel cuts process names after 15 characters. */
        if (has_prefix(finding->command, "nvidia-persiste"))
                return "nvidia-smi -i @gpu@ -pm 0, or systemctl stop nvidia-persistenced.service";
        return remedy_for_process(finding);
}

static const char *remedy_for_unknown(const Finding *finding) {
        return finding->error == EACCES || finding->error == EPERM ? "look as root"
                                                                   : remedy_for_process(finding);
}

static Words choose_words(const Finding *finding) {
        Words chosen = words[finding->kind];

        switch (finding->kind) {
        case FINDING_HOLDER:
                chosen.remedy = remedy_for_holder(finding);
                break;
        case FINDING_UNKNOWN:
                if (finding->pid == 0 && finding->node) {
                        chosen = words_unknown_node;
                        if (finding->error == EACCES || finding->error == EPERM)
                                chosen.remedy = "look as root";
                        return chosen;
                }
                if (finding->pid == 0)
                        return words_unknown_who;
                if (finding->error == ETIMEDOUT)
                        return words_unknown_ending;
                chosen.remedy = remedy_for_unknown(finding);
                break;
        case FINDING_STRANGER:
                if (!finding->detail)
                        return words_stranger_unnamed;
                if (!strcmp(finding->detail, "nvidia") || !strcmp(finding->detail, "nouveau"))
                        chosen.remedy = "move both at once: vfioptctl switch @mode@ @gpu@ @other@";
                break;
        case FINDING_STUCK:
                if (!finding->detail)
                        return words_stuck_somewhere;
                break;
        case FINDING_OFF_BUS:
                if (finding->error == ETIMEDOUT)
                        return words_off_bus_late;
                break;
        default:
                break;
        }
        return chosen;
}

/* facts */

static int append_printable(Text *out, const char *s) {
        _cleanup_(freep) char *copy = text_printable(s ?: "(unknown)");

        return copy ? text_append(out, "%s", copy) : -ENOMEM;
}

/* "ollama (pid 812, ollama.service)" */
static int append_who(Text *out, const Subject *subject) {
        const Finding *finding = subject->finding;
        int r;

        r = append_printable(out, finding->command ?: "a process");
        if (r >= 0)
                r = text_append(out, " (pid %d", (int) finding->pid);
        if (r >= 0 && (finding->session || finding->unit)) {
                r = text_append(out, finding->session ? ", session " : ", ");
                if (r >= 0)
                        r = append_printable(out, finding->session ?: finding->unit);
        }
        return r < 0 ? r : text_append(out, ")");
}

int words_append_node(Text *out, const Subject *subject) {
        int r;

        r = append_printable(out, subject->finding->node);
        return r >= 0 && subject->finding->mapped ? text_append(out, " (mapped)") : r;
}

/* "812 (ollama) /dev/nvidia0" */
int words_append_holder(Text *out, const Subject *subject) {
        int r;

        r = text_append(out, "%d (", (int) subject->finding->pid);
        if (r >= 0)
                r = append_printable(out, subject->finding->command);
        if (r >= 0)
                r = text_append(out, ") ");
        if (r < 0)
                return r;
        return subject->finding->node ? words_append_node(out, subject) : text_append(out, "?");
}

static int append_address(Text *out, Address address) {
        char buffer[ADDRESS_STRING_MAX];

        return text_append(out, "%s", address_format(address, buffer));
}

static int append_gpu(Text *out, const Subject *subject) {
        return append_address(out, subject->gpu->address);
}

static int append_function(Text *out, const Subject *subject) {
        return append_address(out, subject->finding->function);
}

static int append_other(Text *out, const Subject *subject) {
        return append_address(out, subject->finding->other);
}

static int append_mode(Text *out, const Subject *subject) {
        return text_append(out, "%s", mode_to_string(subject->to));
}

static int append_number(Text *out, const Subject *subject) {
        return text_append(out, "%d", subject->finding->number);
}

static int append_pid(Text *out, const Subject *subject) {
        return text_append(out, "%d", (int) subject->finding->pid);
}

static int append_error(Text *out, const Subject *subject) {
        return append_printable(out, strerror(subject->finding->error));
}

static int append_unit(Text *out, const Subject *subject) {
        return append_printable(out, subject->finding->unit);
}

static int append_session(Text *out, const Subject *subject) {
        return append_printable(out, subject->finding->session);
}

static int append_detail(Text *out, const Subject *subject) {
        return append_printable(out, subject->finding->detail);
}

static const struct {
        const char *name;
        int (*append)(Text *out, const Subject *subject);
} facts[] = {
        { "@detail@", append_detail },
        { "@error@", append_error },
        { "@function@", append_function },
        { "@gpu@", append_gpu },
        { "@mode@", append_mode },
        { "@node@", words_append_node },
        { "@number@", append_number },
        { "@other@", append_other },
        { "@pid@", append_pid },
        { "@session@", append_session },
        { "@unit@", append_unit },
        { "@who@", append_who },
};

static int append_fact(Text *out, const char *s, const Subject *subject, const char **ret_rest) {
        for (size_t i = 0; i < ARRAY_SIZE(facts); ++i)
                if (text_starts_with(s, facts[i].name, ret_rest))
                        return facts[i].append(out, subject);
        return -ENOTRECOVERABLE;
}

static int expand(Text *out, const char *template, const Subject *subject) {
        int r;

        while (*template) {
                size_t n = strcspn(template, "@");

                r = text_append(out, "%.*s", (int) n, template);
                template += n;
                if (r >= 0 && *template)
                        r = append_fact(out, template, subject, &template);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* What is in the way, without a full stop. */
int words_append_sentence(Text *out, const Subject *subject) {
        return expand(out, choose_words(subject->finding).sentence, subject);
}

/* What would help: a command, or an action. */
int words_append_remedy(Text *out, const Subject *subject) {
        return expand(out, choose_words(subject->finding).remedy, subject);
}
