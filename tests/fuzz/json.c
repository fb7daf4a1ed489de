/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * JSON that is read, and any bytes as they are printed.
 */

#include "fuzz.h"

#include "base/json.h"

static void check_round(const Json *json, bool pretty) {
        _cleanup_(freep) char *text = NULL, *again = NULL;
        _cleanup_(json_freep) Json *parsed = NULL;

        fuzz_check(json_format(json, pretty, &text) == 0);
        fuzz_check(pretty || !strchr(text, '\n'));
        fuzz_check(json_parse(text, &parsed) == 0);
        fuzz_check(json_format(parsed, pretty, &again) == 0);
        fuzz_check(!strcmp(text, again));
}

/* json-c 0.16 takes U+1D800 for half a surrogate, and others that end like one: they are lost. */
static bool has_lookalike(const char *s) {
        uint32_t code;
        size_t n;

        for (; *s; s += n) {
                n = text_character(s, &code);
                if (code > 0xffff && (code & 0xf800) == 0xd800)
                        return true;
        }
        return false;
}

/* A string comes back as it is, but for what is no text. */
static void check_string(const char *s) {
        _cleanup_(json_freep) Json *json = json_new_object(), *parsed = NULL;
        _cleanup_(freep) char *text = NULL, *repaired = strdup(s);
        const char *value;

        text_repair(repaired);
        fuzz_check(json_add_string(json, "s", s) == 0);
        fuzz_check(json_format(json, false, &text) == 0);
        fuzz_check(json_parse(text, &parsed) == 0);
        fuzz_check(json_get_string(parsed, "s", &value) == 0);
        fuzz_check(!strcmp(value, repaired) || has_lookalike(repaired));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        _cleanup_(freep) char *s = fuzz_string(data, n);
        _cleanup_(json_freep) Json *json = NULL;

        check_string(s);
        if (json_parse(s, &json) != 0)
                return 0;
        check_round(json, false);
        check_round(json, true);
        return 0;
}
