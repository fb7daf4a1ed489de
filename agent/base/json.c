/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <json-c/json.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

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

/* Turn a value into text, of several indented lines if @pretty. @ret: free() it */
int json_format(const Json *json, bool pretty, char **ret) {
        int flags = JSON_C_TO_STRING_NOSLASHESCAPE;
        const char *s;

        flags |= pretty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED
                        : JSON_C_TO_STRING_PLAIN;
        /* The text is cached inside the value, which is all that is changed. */
        s = json_object_to_json_string_ext((Json *) json, flags);
        return s ? text_copy(s, ret) : -ENOMEM;
}

/*
 * Parse one JSON object and nothing else. Return: 0, JSON_E_INVALID, or a negative error
 * code. @ret: json_free() it
 */
int json_parse(const char *s, Json **ret) {
        enum json_tokener_error error;
        struct json_tokener *tokener;
        Json *json;

        tokener = json_tokener_new();
        if (!tokener)
                return -ENOMEM;

        /* The terminating zero is passed on: it is what ends the text. */
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
        json = json_tokener_parse_ex(tokener, s, (int) strlen(s) + 1);
        error = json_tokener_get_error(tokener);
        json_tokener_free(tokener);

        if (error != json_tokener_success || !json_object_is_type(json, json_type_object)) {
                json_object_put(json);
                return JSON_E_INVALID;
        }

        *ret = json;
        return 0;
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

int json_get_string(const Json *object, const char *key, const char **ret) {
        const char *s;
        Json *value;
        int r;

        r = json_get(object, key, json_type_string, &value);
        if (r)
                return r;

        s = json_object_get_string(value);
        /* A zero in it would end it early. */
        if (strlen(s) != (size_t) json_object_get_string_len(value))
                return JSON_E_INVALID;

        *ret = s;
        return 0;
}

int json_get_uint(const Json *object, const char *key, uint64_t max, uint64_t *ret) {
        int64_t number;
        Json *value;
        int r;

        r = json_get(object, key, json_type_int, &value);
        if (r)
                return r;

        number = json_object_get_int64(value);
        if (number < 0 || (uint64_t) number > max)
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
