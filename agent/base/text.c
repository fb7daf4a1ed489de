/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/text.h"

void text_deinit(Text *text) {
        free(text->data);
        *text = (Text) TEXT_NULL;
}

static int text_reserve(Text *text, size_t n) {
        size_t want = text->n + n + 1;
        char *data;

        if (want <= text->n_allocated)
                return 0;
        if (want < 2 * text->n_allocated)
                want = 2 * text->n_allocated;

        data = realloc(text->data, want);
        if (!data)
                return -ENOMEM;

        text->data = data;
        text->n_allocated = want;
        return 0;
}

/* Append, as printf(3). Return: 0, or a negative error code; @text is then as before. */
int text_append(Text *text, const char *format, ...) {
        va_list args;
        int n, r;

        va_start(args, format);
        n = vsnprintf(NULL, 0, format, args);
        va_end(args);
        if (n < 0)
                return -EINVAL;

        r = text_reserve(text, n);
        if (r < 0)
                return r;

        va_start(args, format);
        vsnprintf(text->data + text->n, (size_t) n + 1, format, args);
        va_end(args);
        text->n += n;
        return 0;
}

/* The text as a string; "" while nothing was appended. Valid until the next change. */
const char *text(const Text *text) {
        return text->data ?: "";
}

/* Move the string out, free() it; NULL where nothing was appended. */
char *text_take(Text *text) {
        char *data = text->data;

        *text = (Text) TEXT_NULL;
        return data;
}

static int digit_value(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

/* The first @n characters of a string, all of which must be digits, as a number. */
int text_n_to_uint(const char *s, size_t n, unsigned int base, uint64_t max, uint64_t *ret) {
        uint64_t value = 0;

        if (n == 0)
                return -EINVAL;

        for (size_t i = 0; i < n; ++i) {
                int digit = digit_value(s[i]);

                if (digit < 0 || (unsigned int) digit >= base)
                        return -EINVAL;
                if (value > (UINT64_MAX - digit) / base)
                        return -ERANGE;
                value = value * base + digit;
        }
        if (value > max)
                return -ERANGE;

        *ret = value;
        return 0;
}

/* Likewise a whole string. */
int text_to_uint(const char *s, unsigned int base, uint64_t max, uint64_t *ret) {
        return text_n_to_uint(s, strlen(s), base, max, ret);
}

/* Whether two strings, each of which may be NULL for none, are the same. */
bool text_equal(const char *a, const char *b) {
        return a == b || (a && b && !strcmp(a, b));
}

/* Whether @s starts with @prefix; @ret_rest, if given, then points behind it. */
bool text_starts_with(const char *s, const char *prefix, const char **ret_rest) {
        size_t n = strlen(prefix);

        if (strncmp(s, prefix, n))
                return false;
        if (ret_rest)
                *ret_rest = s + n;
        return true;
}

/* Whether @s ends with @suffix, and has something before it. */
bool text_ends_with(const char *s, const char *suffix) {
        size_t n = strlen(s), n_suffix = strlen(suffix);

        return n > n_suffix && !strcmp(s + n - n_suffix, suffix);
}

/* Whether @word is one of those in @list, which are separated by commas. */
bool text_has_word(const char *list, const char *word) {
        size_t n = strlen(word);

        for (const char *s = list; *s; s += strcspn(s, ","), s += *s == ',')
                if (strcspn(s, ",") == n && !memcmp(s, word, n))
                        return true;
        return false;
}

/**
 * text_find_value() - find the value behind a key
 * @s:          lines, as procfs and uevent files have them
 * @key:        start of the line, with what separates it from the value
 * @ret_n:      how long the value is, without the blanks around it
 *
 * Return: the value in the first such line, or NULL.
 */
const char *text_find_value(const char *s, const char *key, size_t *ret_n) {
        static const char blanks[] = " \t\r";
        size_t n;

        for (; *s; s += strcspn(s, "\n"), s += *s == '\n') {
                if (!text_starts_with(s, key, &s))
                        continue;
                s += strspn(s, blanks);
                for (n = strcspn(s, "\n"); n > 0 && strchr(blanks, s[n - 1]);)
                        --n;
                *ret_n = n;
                return s;
        }
        return NULL;
}

/* As asprintf(3), but the result is NULL when memory is short. */
char *text_format(const char *format, ...) {
        va_list args;
        char *s;

        va_start(args, format);
        s = text_vformat(format, args);
        va_end(args);
        return s;
}

char *text_vformat(const char *format, va_list args) {
        char *s;

        return vasprintf(&s, format, args) < 0 ? NULL : s;
}

/* Copy a string, or NULL. Return: 0, or -ENOMEM; @ret: the copy, free() it */
int text_copy(const char *s, char **ret) {
        char *copy = s ? strdup(s) : NULL;

        if (s && !copy)
                return -ENOMEM;

        *ret = copy;
        return 0;
}

static bool is_printable(char c) {
        return c >= 0x20 && c <= 0x7e;
}

/* Whether @s is plain printable ASCII, fit to be quoted in a one-line message. */
bool text_is_printable(const char *s) {
        while (*s && is_printable(*s))
                ++s;
        return !*s;
}

/* A copy with "?" for each byte that is not, or NULL when memory is short; free() it. */
char *text_printable(const char *s) {
        char *copy = strdup(s);

        for (char *c = copy; c && *c; ++c)
                if (!is_printable(*c))
                        *c = '?';
        return copy;
}

/*
 * The character at @s, in UTF-8 (RFC 3629). Return: how many bytes it has, or 0 if there is none;
 * @ret, if given: its code
 */
size_t text_character(const char *s, uint32_t *ret) {
        const unsigned char *u = (const unsigned char *) s;
        unsigned char low = 0x80, high = 0xbf;
        uint32_t code = u[0];
        size_t n = 1;

        if (u[0] >= 0x80) {
                if (u[0] < 0xc2 || u[0] > 0xf4)
                        return 0;
                n = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
                code &= 0x7fU >> n;
        }

        /* Nothing in more bytes than it needs, no surrogate, and nothing beyond U+10FFFF. */
        if (u[0] == 0xe0)
                low = 0xa0;
        else if (u[0] == 0xed)
                high = 0x9f;
        else if (u[0] == 0xf0)
                low = 0x90;
        else if (u[0] == 0xf4)
                high = 0x8f;
        for (size_t i = 1; i < n; ++i) {
                if (u[i] < low || u[i] > high)
                        return 0;
                low = 0x80;
                high = 0xbf;
                code = code << 6 | (u[i] & 0x3fU);
        }
        if (ret)
                *ret = code;
        return n;
}

/* Make text of any bytes: those that are no UTF-8 become question marks. */
void text_repair(char *s) {
        while (*s) {
                size_t n = text_character(s, NULL);

                if (n == 0)
                        *s = '?';
                s += n ?: 1;
        }
}

/* Append a copy of @s to a list that has *@n strings. Return: 0, or a negative error code. */
int strv_push(char ***strv, size_t *n, const char *s) {
        char **more;

        more = realloc(*strv, (*n + 2) * sizeof(*more));
        if (!more)
                return -ENOMEM;
        *strv = more;

        more[*n] = strdup(s);
        more[*n + 1] = NULL;
        if (!more[*n])
                return -ENOMEM;
        ++*n;
        return 0;
}

/* Free a list with its strings. Takes and returns NULL. */
char **strv_free(char **strv) {
        for (size_t i = 0; strv && strv[i]; ++i)
                free(strv[i]);
        free(strv);
        return NULL;
}
