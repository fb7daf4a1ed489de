/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Intents
 *
 * An intent does not say how far its switch came: sysfs does, and is the truth
 * whatever was killed when. It says where the GPU was going to, and who wanted it.
 */

#include <string.h>

#include "record/intent.h"
#include "record/store.h"

#define FOLDER "intent"

static const char *const trigger_names[_TRIGGER_MAX] = {
        [TRIGGER_COMMAND] = "command",
        [TRIGGER_AGENT] = "agent",
        [TRIGGER_BOOT] = "boot",
        [TRIGGER_RECOVERY] = "recovery",
};

const char *trigger_to_string(Trigger trigger) {
        return trigger < _TRIGGER_MAX ? trigger_names[trigger] : "unknown";
}

/* Return: 0 on success, -EINVAL if there is no such trigger. */
int trigger_from_string(const char *s, Trigger *ret) {
        for (Trigger trigger = 0; trigger < _TRIGGER_MAX; ++trigger)
                if (!strcmp(s, trigger_names[trigger])) {
                        *ret = trigger;
                        return 0;
                }
        return -EINVAL;
}

static int intent_parse(Intent *intent, const Json *record) {
        const char *from, *to, *trigger;
        uint64_t functions;

        if (store_get_card(record, &intent->address, &intent->identity) ||
                        json_get_string(record, "from", &from) ||
                        json_get_string(record, "to", &to) ||
                        json_get_string(record, "trigger", &trigger) ||
                        mode_from_string(to, &intent->to) < 0 ||
                        trigger_from_string(trigger, &intent->trigger) < 0)
                return INTENT_E_INVALID;

        /* A switch may start from a mixed state, which cannot be asked for. */
        if (mode_from_string(from, &intent->from) < 0)
                intent->from = MODE_MIXED;

        /* Earlier versions did not write these. */
        if (json_get_uint(record, "functions", FUNCTION_SET_ALL, &functions))
                functions = intent->from == MODE_PASSTHROUGH ? FUNCTION_SET_ALL : 0;
        intent->functions = (FunctionSet) functions;
        if (json_get_bool(record, "give_back", &intent->give_back))
                intent->give_back = false;
        return 0;
}

/**
 * intent_load() - is a switch of this GPU unfinished?
 * @intent:     which
 * @run_fd:     our directory in /run
 * @gpu:        the GPU
 *
 * Return: 0 if there is one, INTENT_E_MISSING if not, INTENT_E_INVALID if what is
 *         there cannot be understood, negative error code on failure.
 */
int intent_load(Intent *intent, int run_fd, Address gpu) {
        _cleanup_(json_freep) Json *record = NULL;
        Intent parsed = {};
        int r;

        r = store_load(run_fd, FOLDER, gpu, &record);
        if (r)
                return r == STORE_E_MISSING ? INTENT_E_MISSING : r > 0 ? INTENT_E_INVALID : r;

        r = intent_parse(&parsed, record);
        if (r)
                return r;

        *intent = parsed;
        return 0;
}

/* Write an intent down, before the first write to sysfs. */
int intent_save(const Intent *intent, int run_fd) {
        _cleanup_(json_freep) Json *record = json_new_object();
        int r;

        if (!record)
                return -ENOMEM;

        r = store_add_card(record, intent->address, intent->identity);
        if (r >= 0)
                r = json_add_string(record, "from", mode_to_string(intent->from));
        if (r >= 0)
                r = json_add_string(record, "to", mode_to_string(intent->to));
        if (r >= 0)
                r = json_add_string(record, "trigger", trigger_to_string(intent->trigger));
        if (r >= 0)
                r = json_add_uint(record, "functions", intent->functions);
        if (r >= 0)
                r = json_add_bool(record, "give_back", intent->give_back);
        if (r >= 0)
                r = store_save(run_fd, FOLDER, intent->address, record);
        return r;
}

/* Remove it, after the last write. Return: 0, INTENT_E_MISSING, or a negative error code. */
int intent_remove(int run_fd, Address gpu) {
        int r;

        r = store_remove(run_fd, FOLDER, gpu);
        return r == STORE_E_MISSING ? INTENT_E_MISSING : r;
}
