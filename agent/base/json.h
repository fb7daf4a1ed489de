/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * JSON
 *
 * The one place that knows json-c. Values are built to be printed or stored, and read back
 * strictly: json-c turns a string "7" into 7 and an object into its text when asked for the
 * wrong type, but what we read back decides which driver gets a device. So a member of another
 * type than asked for is an error.
 *
 * Ownership: json_add() and json_push() take their value over, also on failure,
 * so that values can be built in the call; getters lend.
 */

#include "base/macro.h"

typedef struct json_object Json;

enum {
        _JSON_E_SUCCESS,

        JSON_E_MISSING, /* no such member, or null */
        JSON_E_INVALID, /* not JSON, or a member of another type or out of range */
};

/* values: NULL when memory is short; NULL also stands for JSON's null, see json_add_null() */

Json *json_new_object(void);
Json *json_new_array(void);
Json *json_free(Json *json);
DEFINE_CLEANUP(Json, json_free);

/*
 * building: 0 on success, negative error code on failure, also where what is built is NULL; so
 * memory is looked after once, at the end
 */

int json_add(Json *object, const char *key, Json *value) _warn_unused_result_;
int json_add_null(Json *object, const char *key) _warn_unused_result_;
int json_add_string(Json *object, const char *key, const char *value) _warn_unused_result_;
int json_add_uint(Json *object, const char *key, uint64_t value) _warn_unused_result_;
int json_add_uint_or_null(Json *object, const char *key, uint64_t value, bool known)
                _warn_unused_result_;
int json_add_bool(Json *object, const char *key, bool value) _warn_unused_result_;
int json_push(Json *array, Json *value) _warn_unused_result_;
int json_push_string(Json *array, const char *value) _warn_unused_result_;

/* text */

int json_format(const Json *json, bool pretty, char **ret) _warn_unused_result_;
int json_parse(const char *text, Json **ret) _warn_unused_result_;

/* reading: 0, JSON_E_MISSING or JSON_E_INVALID; results are untouched but on success */

int json_get_object(const Json *object, const char *key, Json **ret) _warn_unused_result_;
int json_get_array(const Json *object, const char *key, Json **ret) _warn_unused_result_;
int json_get_string(const Json *object, const char *key, const char **ret) _warn_unused_result_;
int json_get_uint(const Json *object, const char *key, uint64_t max, uint64_t *ret)
                _warn_unused_result_;
size_t json_length(const Json *array);
Json *json_at(const Json *array, size_t i);
const char *json_as_string(const Json *value);
