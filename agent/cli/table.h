/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Tables
 *
 * Tables and coloured lines on the standard output stream. Colours and the drawing of
 * branches are for a terminal whose user has not declined them (no-color.org); a pipe gets the
 * same table without colours, and uncut.
 */

#include "base/macro.h"

typedef struct Table Table;

typedef enum Colour {
        COLOUR_PLAIN,
        COLOUR_GOOD,
        COLOUR_WARNING,
        COLOUR_BAD,
} Colour;

typedef struct TableCell {
        const char *text; /* NULL: empty */
        Colour colour;
} TableCell;

typedef struct TableColumn {
        const char *title;
        bool tree;  /* rows below others are shown as branches here */
        bool right; /* align to the right */
        bool last;  /* may be cut to fit the terminal */
} TableColumn;

int table_new(const TableColumn *columns, size_t n, Table **ret) _warn_unused_result_;
Table *table_free(Table *table);
DEFINE_CLEANUP(Table, table_free);

/* Rows are numbered from 0; @parent is one of them, or TABLE_TOP. */
#define TABLE_TOP SIZE_MAX

int table_add_row(Table *table, size_t parent, const TableCell *cells, size_t *ret_row)
                _warn_unused_result_;
int table_print(Table *table) _warn_unused_result_;

/* single lines */

enum {
        _LINE_E_SUCCESS,

        LINE_E_GONE, /* the reader has closed the pipe */
};

int line_print(const char *line, Colour colour) _warn_unused_result_;
