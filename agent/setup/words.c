/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/text.h"
#include "setup/words.h"

#define BLANKS " \t\n"

/* "vfio_pci.ids" and "vfio-pci.ids" are one parameter to the kernel. */
static bool is_same_key(const char *a, const char *b, size_t n) {
        for (size_t i = 0; i < n; ++i)
                if ((a[i] == '-' ? '_' : a[i]) != (b[i] == '-' ? '_' : b[i]))
                        return false;
        return true;
}

/* Whether a list with commas between has an item. */
static bool has_item(const char *list, size_t n, const char *item, size_t n_item) {
        for (size_t i = 0; i <= n;) {
                const char *comma = i < n ? memchr(list + i, ',', n - i) : NULL;
                size_t k = comma ? (size_t) (comma - list) - i : n - i;

                if (k == n_item && memcmp(list + i, item, k) == 0)
                        return true;
                i += k + 1;
        }
        return false;
}

static bool is_opposite(const char *value, size_t n) {
        static const char *const opposites[] = { "off", "soft", "nopt", "noforce" };

        for (size_t i = 0; i < ARRAY_SIZE(opposites); ++i)
                if (has_item(value, n, opposites[i], strlen(opposites[i])))
                        return true;
        return false;
}

/**
 * word_judge() - whether a kernel's command line has a word
 * @word:       "iommu=pt"; another value than one that says the opposite is no contradiction, but for ids=,
 *              of which the kernel takes the last
 * @ret_other:  with WORD_CONTRADICTED: the word that says so, or NULL when memory is short; free() it
 */
WordPresence word_judge(const char *line, size_t n, const char *word, char **ret_other) {
        const char *value = strchr(word, '=');
        size_t n_key = value ? (size_t) (value - word) + 1 : strlen(word);
        WordPresence presence = WORD_MISSING;
        size_t n_token;

        value = word + n_key;
        for (size_t i = 0; i < n; i += n_token) {
                const char *token = line + i;

                n_token = 0;
                while (i + n_token < n && strchr(BLANKS, token[n_token]))
                        ++n_token;
                if (n_token > 0)
                        continue;
                while (i + n_token < n &&
                                (token[n_token] == '\0' || !strchr(BLANKS, token[n_token])))
                        ++n_token;
                if (n_token < n_key || !is_same_key(token, word, n_key) ||
                                (n_key == strlen(word) && word[n_key - 1] != '=' &&
                                                n_token > n_key))
                        continue;
                if (has_item(token + n_key, n_token - n_key, value, strlen(value)) ||
                                text_equal(value, "") ||
                                (n_token == strlen(word) &&
                                                memcmp(token + n_key, value, strlen(value)) == 0))
                        presence = WORD_PRESENT;
                else if (is_opposite(token + n_key, n_token - n_key) || strstr(word, "ids=")) {
                        *ret_other = strndup(token, n_token);
                        return WORD_CONTRADICTED;
                }
        }
        return presence;
}

/* taking out */

static bool is_edge(const char *data, size_t n, size_t i) {
        return i >= n || strchr(BLANKS "\"'", data[i]);
}

/* Whether a line, its end included, is one of the lines of a text. */
bool text_has_line(const char *data, size_t n, const char *line, size_t n_line) {
        for (size_t i = 0; i < n;) {
                const char *end = memchr(data + i, '\n', n - i);
                size_t k = end ? (size_t) (end - data) + 1 - i : n - i;

                if (k == n_line && memcmp(data + i, line, k) == 0)
                        return true;
                i += k;
        }
        return false;
}

/* Remove each of the words from a line, with one blank beside it. Return: its new length. */
static size_t cut_words(char *line, size_t n, char *const *words, size_t n_words) {
        for (size_t w = 0; w < n_words; ++w) {
                size_t k = strlen(words[w]);

                for (size_t i = 0; i + k <= n; ++i) {
                        size_t first = i, end = i + k;

                        if (memcmp(line + i, words[w], k) != 0 ||
                                        (i > 0 && !is_edge(line, n, i - 1)) ||
                                        !is_edge(line, n, end))
                                continue;
                        if (first > 0 && (line[first - 1] == ' ' || line[first - 1] == '\t'))
                                --first;
                        else if (end < n && (line[end] == ' ' || line[end] == '\t'))
                                ++end;
                        memmove(line + first, line + end, n - end);
                        n -= end - first;
                        i = first > 0 ? first - 1 : 0;
                }
        }
        return n;
}

/**
 * words_take_out() - a file without our words
 * @before:     the file as it was; lines that it had are left as they are. May be NULL
 * @ret:        new content, zero-terminated; free() it
 *
 * Comments are left alone. Return: 0, or a negative error code.
 */
int words_take_out(const char *data,
                size_t n,
                const char *before,
                size_t n_before,
                char *const *words,
                size_t n_words,
                char **ret,
                size_t *ret_n) {
        char *out = malloc(n + 1);
        size_t n_out = 0;

        if (!out)
                return -ENOMEM;
        for (size_t i = 0; i < n;) {
                const char *end = memchr(data + i, '\n', n - i);
                size_t k = end ? (size_t) (end - data) + 1 - i : n - i;

                memcpy(out + n_out, data + i, k);
                if (data[i] == '#' || (before && text_has_line(before, n_before, data + i, k)))
                        n_out += k;
                else
                        n_out += cut_words(out + n_out, k, words, n_words);
                i += k;
        }
        out[n_out] = '\0';
        *ret = out;
        *ret_n = n_out;
        return 0;
}

/**
 * words_missing() - the words that a text does not have
 * @data:       lines, of which comments do not count; may be NULL with @n 0
 * @ret:        of @words, only the array is to be freed
 *
 * Return: 0, or a negative error code.
 */
int words_missing(const char *data,
                size_t n,
                char *const *words,
                size_t n_words,
                char ***ret,
                size_t *ret_n) {
        _cleanup_(freep) char **missing = calloc(n_words + 1, sizeof(*missing));
        size_t n_missing = 0;

        if (!missing)
                return -ENOMEM;
        for (size_t i = 0; i < n_words; ++i) {
                _cleanup_(freep) char *without = NULL;
                size_t n_without = 0;
                int r;

                r = words_take_out(data ?: "", n, NULL, 0, &words[i], 1, &without, &n_without);
                if (r < 0)
                        return r;
                if (n_without == n)
                        missing[n_missing++] = words[i];
        }
        *ret = TAKE_PTR(missing);
        *ret_n = n_missing;
        return 0;
}
