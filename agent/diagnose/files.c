/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Checks of files: whether ours are where they have to be, and what others say. */

#include "base/text.h"
#include "diagnose/check.h"
#include "vfiopt/names.h"

#define REBUILD                                                                         \
        "build the initramfs anew, which may have a copy (update-initramfs -u -k all, " \
        "dracut --force --regenerate-all or mkinitcpio -P), and reboot"

/* Several words in one text. */
static int
join(Text *out, char *const *words, size_t n, const char *separator, const char *prefix) {
        int r = 0;

        for (size_t i = 0; i < n && r >= 0; ++i)
                r = text_append(out, "%s%s%s", i > 0 ? separator : "", prefix, words[i]);
        return r;
}

/* ours */

int check_rules(const Survey *survey, const SurveyGpu *gpu _unused_, Result *result) {
        const Installed *rules = &survey->installed[INSTALLED_RULES];
        int r;

        if (rules->state == INSTALLED_YES)
                return result_say(result, VERDICT_PASS, "%s", rules->path);
        if (rules->state == INSTALLED_NOT) {
                r = result_say(result, VERDICT_WARN,
                                VFIOPT_UDEV_RULES
                                " is not where udev looks, so no card is kept for guests when it is "
                                "plugged in");
                return r < 0 ? r : result_advise(result, "install vfiopt again");
        }
        r = result_say(result, VERDICT_WARN,
                        "%s masks them, so no card is kept for guests when it is plugged in",
                        rules->path);
        return r < 0 ? r : result_advise(result, "rm %s; udevadm control --reload", rules->path);
}

static int list_units(
                const Survey *survey, InstalledState state, const char *separator, Text *out) {
        int r = 0;

        for (InstalledFile i = 0; i < _INSTALLED_MAX && r >= 0; ++i)
                if (i != INSTALLED_RULES && survey->installed[i].state == state)
                        r = text_append(out, "%s%s", out->n > 0 ? separator : "",
                                        installed_name(i));
        return r;
}

int check_units(const Survey *survey, const SurveyGpu *gpu _unused_, Result *result) {
        _cleanup_(text_deinit) Text missing = TEXT_NULL, masked = TEXT_NULL, names = TEXT_NULL;
        int r;

        r = list_units(survey, INSTALLED_NOT, ", ", &missing);
        if (r >= 0)
                r = list_units(survey, INSTALLED_MASKED, ", ", &masked);
        if (r >= 0)
                r = list_units(survey, INSTALLED_MASKED, " ", &names);
        if (r < 0)
                return r;
        if (missing.n > 0) {
                r = result_say(result, VERDICT_WARN, "not where systemd looks: %s", text(&missing));
                return r < 0 ? r : result_advise(result, "install vfiopt again");
        }
        if (masked.n == 0)
                return result_say(result, VERDICT_PASS, "all are there");
        r = result_say(result, VERDICT_WARN, "masked: %s", text(&masked));
        return r < 0 ? r : result_advise(result, "systemctl unmask %s", text(&names));
}

/* udev has it started for each GPU that is there. */
int check_agent(const Survey *survey, const SurveyGpu *gpu _unused_, Result *result) {
        int r;

        if (!survey->has_cgroups || survey->inventory.n_gpus == 0 ||
                        survey->installed[INSTALLED_AGENT].state != INSTALLED_YES)
                return 0;
        if (survey->agent_runs)
                return result_say(result, VERDICT_PASS, "it runs");
        r = result_say(result, VERDICT_WARN,
                        "it does not run, so nothing sees to it that GPUs stay where they belong");
        return r < 0 ? r : result_advise(result, "systemctl start " VFIOPT_UNIT_AGENT);
}

/* those of others */

int check_script(const Survey *survey, const SurveyGpu *gpu _unused_, Result *result) {
        int r;

        if (!survey->script)
                return result_say(result, VERDICT_PASS, "nothing else is run in its place");
        r = result_say(result, VERDICT_WARN,
                        "something else is run in its place, and may take other cards: %s",
                        survey->script);
        return r < 0 ? r
                     : result_advise(result,
                                       "remove that line, of which a switch has no need; " REBUILD);
}

int check_leftovers(const Survey *survey, const SurveyGpu *gpu _unused_, Result *result) {
        _cleanup_(text_deinit) Text files = TEXT_NULL, arguments = TEXT_NULL;
        int r;

        if (survey->n_leftovers == 0)
                return result_say(result, VERDICT_PASS, "there are none");
        r = join(&files, survey->leftovers, survey->n_leftovers, ", ", "/");
        if (r >= 0)
                r = join(&arguments, survey->leftovers, survey->n_leftovers, " ", "/");
        if (r >= 0)
                r = result_say(result, VERDICT_WARN, "they too say where a GPU belongs: %s",
                                text(&files));
        return r < 0 ? r : result_advise(result, "mv -t /root %s; then " REBUILD, text(&arguments));
}

/* Of a GPU that is for guests from the boot on. */
int check_initramfs(const Survey *survey _unused_, const SurveyGpu *gpu, Result *result) {
        int r;

        if (!gpu->boots_to_guest || !gpu->host_driver)
                return 0;
        if (!gpu->initramfs.where)
                return result_say(result, VERDICT_PASS, "no file has %s loaded there",
                                gpu->host_driver);
        r = result_say(result, VERDICT_WARN,
                        "%s seems to come first at each boot, though passthrough is where it "
                        "belongs: %s",
                        gpu->host_driver, gpu->initramfs.where);
        return r < 0 ? r : result_advise(result, "%s", gpu->initramfs.remedy);
}

/* Of one that is not. */
int check_traces(const Survey *survey _unused_, const SurveyGpu *gpu, Result *result) {
        _cleanup_(text_deinit) Text lines = TEXT_NULL;
        char address[ADDRESS_STRING_MAX];
        int r;

        if (!gpu->traces.gpu)
                return 0;
        if (gpu->traces.functions == 0)
                return result_say(result, VERDICT_PASS, "none takes it at boot");
        r = join(&lines, gpu->traces.lines, gpu->traces.n_lines, ", ", "");
        if (r >= 0)
                r = result_say(result, VERDICT_WARN,
                                "they take it at each boot, though passthrough is not where it "
                                "belongs: %s",
                                text(&lines));
        return r < 0 ? r
                     : result_advise(result,
                                       "if that is meant, vfioptctl switch passthrough %s; if not, "
                                       "remove them, and " REBUILD,
                                       address_format(gpu->gpu->address, address));
}
