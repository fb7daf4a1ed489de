/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <json-c/json.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

/* Whatever they are, they fit into 64 bits. A sign counts as one. */
#define DIGITS_MAX 19U

Json *json_new_object(void) {
        return json_object_new_object();
}

Json *json_new_array(void) {
        return json_object_new_array();
}

Json *json_free(Json *json) {
        json_object_put(json);
        return NULL;
}

int json_add(Json *object, const char *key, Json *value) {
        if (object && value && json_object_object_add(object, key, value) == 0)
                return 0;
        json_object_put(value);
        return -ENOMEM;
}

int json_add_null(Json *object, const char *key) {
        return object && json_object_object_add(object, key, NULL) == 0 ? 0 : -ENOMEM;
}

/* json-c passes every byte on, and what is no UTF-8 is no JSON. NULL for want of memory. */
static Json *new_string(const char *value) {
        _cleanup_(freep) char *copy = strdup(value);

        if (!copy)
                return NULL;
        text_repair(copy);
        return json_object_new_string(copy);
}

/* A string, with question marks for what is no text; or null where @value is NULL. */
int json_add_string(Json *object, const char *key, const char *value) {
        return value ? json_add(object, key, new_string(value)) : json_add_null(object, key);
}

int json_add_uint(Json *object, const char *key, uint64_t value) {
        return json_add(object, key, json_object_new_uint64(value));
}

int json_add_uint_or_null(Json *object, const char *key, uint64_t value, bool known) {
        return known ? json_add_uint(object, key, value) : json_add_null(object, key);
}

int json_add_bool(Json *object, const char *key, bool value) {
        return json_add(object, key, json_object_new_boolean(value));
}

int json_push(Json *array, Json *value) {
        if (array && value && json_object_array_add(array, value) == 0)
                return 0;
        json_object_put(value);
        return -ENOMEM;
}

int json_push_string(Json *array, const char *value) {
        return json_push(array, new_string(value));
}

/* Up to version 0.16, json-c breaks the line in what is empty. */
static void join_empty(char *s) {
        char *to = s, last = 0;
        bool quoted = false;

        for (; *s; ++s) {
                if (!quoted && (*s == ']' || *s == '}') && (last == '[' || last == '{'))
                        while (to[-1] != last)
                                --to;
                if (quoted && *s == '\\')
                        *to++ = *s++;
                else if (*s == '"')
                        quoted = !quoted;
                if (quoted || !strchr(" \n", *s))
                        last = *s;
                *to++ = *s;
        }
        *to = '\0';
}

/*
 * Turn a value into text, of several indented lines if @pretty; it is the same with all versions
 * of json-c. @ret: free() it
 */
int json_format(const Json *json, bool pretty, char **ret) {
        int flags = JSON_C_TO_STRING_NOSLASHESCAPE, r;
        const char *s;

        flags |= pretty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED
                        : JSON_C_TO_STRING_PLAIN;
        /* The text is cached inside the value, which is all that is changed. */
        s = json_object_to_json_string_ext((Json *) json, flags);
        r = s ? text_copy(s, ret) : -ENOMEM;
        if (r == 0)
                join_empty(*ret);
        return r;
}

/* Two of them beyond U+FFFF: JSON knows surrogates only. */
static int append_escaped(Text *text, uint32_t code) {
        if (code < 0x10000)
                return text_append(text, "\\u%04x", code);
        code -= 0x10000;
        return text_append(text, "\\u%04x\\u%04x", 0xd800U | code >> 10, 0xdc00U | (code & 0x3ffU));
}

/*
 * Versions of json-c disagree, also in strict mode: on control characters in strings, which some pass
 * on; on bytes above 0x7f, which 0.18 takes for such; and on numbers that do not fit, which are cut
 * or refused. So it gets to see ASCII without any of these.
 *
 * Return: 0, JSON_E_INVALID, or a negative error code. @ret is appended to
 */
static int make_plain(const char *s, Text *ret) {
        size_t n, n_plain = 0, n_digits = 0;
        bool quoted = false;
        uint32_t code;
        int r = 0;

        /* Most of it is plain already, and appended in one go. */
        for (; *s && r == 0; s += n) {
                n = text_character(s, &code);
                if (n == 0 || (code < ' ' && (quoted || !strchr("\t\n\r", (int) code))))
                        return JSON_E_INVALID;
                n_digits = quoted ? 0 : code >= '0' && code <= '9' ? n_digits + 1 : code == '-';
                if (n_digits > DIGITS_MAX)
                        return JSON_E_INVALID;

                /* An escape is left as it is, and is never half of one of ours. */
                if (quoted && code == '\\') {
                        if (s[1] < ' ' || s[1] > '~')
                                return JSON_E_INVALID;
                        n = 2;
                }
                n_plain += code < 0x80 ? n : 0;
                if (code >= 0x80) {
                        r = text_append(ret, "%.*s", (int) n_plain, s - n_plain);
                        if (r == 0)
                                r = append_escaped(ret, code);
                        n_plain = 0;
                }
                quoted ^= code == '"';
        }
        return r < 0 ? r : text_append(ret, "%.*s", (int) n_plain, s - n_plain);
}

/*
 * Short memory is an error like any other to json-c, or none: a member that could not be added is left
 * out, and a name that could not be copied is fatal when its value comes (0.16). errno tells; but reading
 * a number clears it. So the text is passed on up to each colon and comma, and errno looked at there.
 *
 * Return: 0, JSON_E_INVALID, or -ENOMEM.
 */
static int parse_pieces(struct json_tokener *tokener, const char *s, Json **ret) {
        enum json_tokener_error error = json_tokener_continue;
        Json *json = NULL;

        while (error == json_tokener_continue) {
                size_t n = strcspn(s, ":,");
                bool is_last = !s[n];

                errno = 0;
                /* The terminating zero is passed on: it is what ends the text. */
                json = json_tokener_parse_ex(tokener, s, (int) n + 1);
                error = json_tokener_get_error(tokener);
                if (errno == ENOMEM || (error == json_tokener_success && !is_last)) {
                        json_object_put(json);
                        return errno == ENOMEM ? -ENOMEM : JSON_E_INVALID;
                }
                if (is_last)
                        break;
                s += n + 1;
        }
        if (error != json_tokener_success || !json_object_is_type(json, json_type_object)) {
                json_object_put(json);
                return JSON_E_INVALID;
        }
        *ret = json;
        return 0;
}

/*
 * Parse one JSON object and nothing else; the outcome is the same with all versions of json-c.
 * Integers have up to 19 digits.
 *
 * Return: 0, JSON_E_INVALID, or a negative error code. @ret: json_free() it
 */
int json_parse(const char *s, Json **ret) {
        _cleanup_(text_deinit) Text plain = TEXT_NULL;
        struct json_tokener *tokener;
        int r;

        r = make_plain(s, &plain);
        if (r)
                return r;
        tokener = json_tokener_new();
        if (!tokener)
                return -ENOMEM;

        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
        r = parse_pieces(tokener, text(&plain), ret);
        json_tokener_free(tokener);
        return r;
}

static int json_get(const Json *object, const char *key, enum json_type type, Json **ret) {
        Json *value;

        if (!json_object_is_type(object, json_type_object))
                return JSON_E_INVALID;
        if (!json_object_object_get_ex(object, key, &value) || !value)
                return JSON_E_MISSING;
        if (!json_object_is_type(value, type))
                return JSON_E_INVALID;

        *ret = value;
        return 0;
}

int json_get_object(const Json *object, const char *key, Json **ret) {
        return json_get(object, key, json_type_object, ret);
}

int json_get_array(const Json *object, const char *key, Json **ret) {
        return json_get(object, key, json_type_array, ret);
}

/* A string, as of json_at(); NULL where it is of another type, or a zero in it would end it early. */
const char *json_as_string(const Json *value) {
        const char *s;

        if (!json_object_is_type(value, json_type_string))
                return NULL;
        s = json_object_get_string((Json *) value);
        return strlen(s) == (size_t) json_object_get_string_len(value) ? s : NULL;
}

int json_get_string(const Json *object, const char *key, const char **ret) {
        const char *s;
        Json *value;
        int r;

        r = json_get(object, key, json_type_string, &value);
        if (r)
                return r;

        s = json_as_string(value);
        if (!s)
                return JSON_E_INVALID;

        *ret = s;
        return 0;
}

int json_get_uint(const Json *object, const char *key, uint64_t max, uint64_t *ret) {
        uint64_t number;
        Json *value;
        int r;

        r = json_get(object, key, json_type_int, &value);
        if (r)
                return r;

        /* Each is cut to what its type has. */
        number = json_object_get_uint64(value);
        if (json_object_get_int64(value) < 0 || number > max)
                return JSON_E_INVALID;

        *ret = number;
        return 0;
}

size_t json_length(const Json *array) {
        return json_object_array_length(array);
}

Json *json_at(const Json *array, size_t i) {
        return json_object_array_get_idx(array, i);
}
