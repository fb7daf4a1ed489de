/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <libsmartcols/libsmartcols.h>
#include <locale.h>
#include <string.h>

#include "cli/table.h"

struct Table {
        struct libscols_table *table;
        struct libscols_line **rows;
        size_t n_rows;
};

/* As libsmartcols calls them, and as a terminal wants them. */
static const struct {
        const char *name, *escape, *end;
} colours[] = {
        [COLOUR_PLAIN] = { NULL, "", "" },
        [COLOUR_GOOD] = { "green", "\033[32m", "\033[0m" },
        [COLOUR_WARNING] = { "yellow", "\033[33m", "\033[0m" },
        [COLOUR_BAD] = { "red", "\033[31m", "\033[0m" },
};

static bool colours_wanted(void) {
        const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

        return !(no && no[0]) && term && strcmp(term, "dumb") != 0 && isatty(STDOUT_FILENO);
}

/* Start a table without rows; table_free() it. Return: 0, or a negative error code. */
int table_new(const TableColumn *columns, size_t n, Table **ret) {
        _cleanup_(table_freep) Table *table = calloc(1, sizeof(*table));

        if (!table)
                return -ENOMEM;

        /* Without a locale of UTF-8, branches are drawn in ASCII. */
        setlocale(LC_ALL, "");
        table->table = scols_new_table();
        if (!table->table)
                return -ENOMEM;

        for (size_t i = 0; i < n; ++i) {
                int flags = (columns[i].tree ? SCOLS_FL_TREE : 0) |
                                (columns[i].right ? SCOLS_FL_RIGHT : 0) |
                                (columns[i].last ? SCOLS_FL_TRUNC : 0);

                if (!scols_table_new_column(table->table, columns[i].title, 0, flags))
                        return -ENOMEM;
        }
        scols_table_enable_colors(table->table, colours_wanted());

        *ret = TAKE_PTR(table);
        return 0;
}

/* Takes and returns NULL. */
Table *table_free(Table *table) {
        if (!table)
                return NULL;

        scols_unref_table(table->table);
        free(table->rows);
        free(table);
        return NULL;
}

/*
 * Add a row with a cell for each column, as a branch of @parent. Return: 0 on success, negative
 * error code on failure.
 */
int table_add_row(Table *table, size_t parent, const TableCell *cells, size_t *ret_row) {
        struct libscols_line **more, *line;
        int r;

        more = reallocarray(table->rows, table->n_rows + 1, sizeof(*more));
        if (!more)
                return -ENOMEM;
        table->rows = more;
        line = scols_table_new_line(table->table, parent == TABLE_TOP ? NULL : more[parent]);
        if (!line)
                return -ENOMEM;

        for (size_t i = 0; i < scols_table_get_ncols(table->table); ++i) {
                const char *colour = colours[cells[i].colour].name;
                struct libscols_cell *cell;

                r = cells[i].text ? scols_line_set_data(line, i, cells[i].text) : 0;
                if (r < 0)
                        return r;
                cell = colour ? scols_line_get_cell(line, i) : NULL;
                r = cell ? scols_cell_set_color(cell, colour) : 0;
                if (r < 0)
                        return r;
        }
        if (ret_row)
                *ret_row = table->n_rows;
        more[table->n_rows++] = line;
        return 0;
}

int table_print(Table *table) {
        return scols_print_table(table->table);
}

/*
 * Write a line, at once and in one piece: the reader may be a program that waits for it.
 *
 * Return: 0 on success, LINE_E_GONE if the reader has closed the pipe (and SIGPIPE is
 *         ignored), negative error code on failure.
 */
int line_print(const char *line, Colour colour) {
        Colour seen = colours_wanted() ? colour : COLOUR_PLAIN;

        if (dprintf(STDOUT_FILENO, "%s%s%s\n", colours[seen].escape, line, colours[seen].end) < 0)
                return errno == EPIPE ? LINE_E_GONE : -errno;
        return 0;
}
