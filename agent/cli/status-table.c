/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Status as a Table
 *
 * A row per GPU, its functions as branches below it, and under the table a sentence
 * for whatever a column has no room for.
 */

#include <string.h>
#include <time.h>

#include "cli/table.h"
#include "cli/status.h"

typedef enum Column {
        COLUMN_ADDRESS,
        COLUMN_MODE,
        COLUMN_WISH,
        COLUMN_GROUP,
        COLUMN_DRIVER,
        COLUMN_OVERRIDE,
        COLUMN_NAME,
        _COLUMN_MAX,
} Column;

static const TableColumn columns[_COLUMN_MAX] = {
        [COLUMN_ADDRESS] = { .title = "ADDRESS", .tree = true },
        [COLUMN_MODE] = { .title = "MODE" },
        [COLUMN_WISH] = { .title = "WISH" },
        [COLUMN_GROUP] = { .title = "GROUP", .right = true },
        [COLUMN_DRIVER] = { .title = "DRIVER" },
        [COLUMN_OVERRIDE] = { .title = "OVERRIDE" },
        [COLUMN_NAME] = { .title = "NAME", .last = true },
};

static Colour mode_colour(const Status *status) {
        if (status->is_stuck)
                return COLOUR_BAD;
        return status->gpu->mode == MODE_MIXED ? COLOUR_WARNING : COLOUR_GOOD;
}

static const char *class_name(uint32_t class) {
        switch (class >> 8) {
        case 0x0300:
                return "VGA";
        case 0x0302:
                return "3D";
        case 0x0403:
                return "audio";
        case 0x0c03:
                return "USB";
        case 0x0c80:
                return "UCSI";
        default:
                return "other";
        }
}

static int add_function(Table *table, size_t parent, const Device *function, const char *override) {
        char address[ADDRESS_STRING_MAX];
        int r;

        r = table_add_row(table, parent, NULL);
        if (r >= 0)
                r = table_set(table, COLUMN_ADDRESS, address_format(function->address, address),
                                COLOUR_PLAIN);
        if (r >= 0)
                r = table_set(table, COLUMN_DRIVER, function->driver ?: "-", COLOUR_PLAIN);
        if (r >= 0)
                r = table_set(table, COLUMN_OVERRIDE, override ?: "-", COLOUR_PLAIN);
        if (r >= 0)
                r = table_set(table, COLUMN_NAME, class_name(function->class), COLOUR_PLAIN);
        return r;
}

static int add_gpu(Table *table, const Status *status) {
        char address[ADDRESS_STRING_MAX], group[16] = "-";
        size_t row;
        int r;

        if (status->gpu->functions[0].iommu_group >= 0)
                snprintf(group, sizeof(group), "%d", status->gpu->functions[0].iommu_group);

        r = table_add_row(table, TABLE_TOP, &row);
        if (r >= 0)
                r = table_set(table, COLUMN_ADDRESS, address_format(status->gpu->address, address),
                                COLOUR_PLAIN);
        if (r >= 0)
                r = table_set(table, COLUMN_MODE, status_mode(status), mode_colour(status));
        if (r >= 0)
                r = table_set(table, COLUMN_WISH, status->wish,
                                status->pending ? COLOUR_WARNING : COLOUR_PLAIN);
        if (r >= 0)
                r = table_set(table, COLUMN_GROUP, group, COLOUR_PLAIN);
        if (r >= 0)
                r = table_set(table, COLUMN_NAME, status->name, COLOUR_PLAIN);
        for (size_t i = 0; i < status->gpu->n_functions && r >= 0; ++i)
                r = add_function(table, row, &status->gpu->functions[i],
                                !status->overrides ? "?" : status->overrides[i]);
        return r;
}

static void print_stuck(const char *gpu, const Stuck *stuck) {
        char function[ADDRESS_STRING_MAX], since[32] = "";
        time_t seconds = (time_t) (stuck->since_usec / USEC_PER_SEC);
        struct tm tm;

        if (seconds > 0 && localtime_r(&seconds, &tm))
                strftime(since, sizeof(since), " since %F %T", &tm);
        printf("%s is stuck in the kernel%s: %s of %s%s%s (pid %d).\n"
               "  Save your work, then: systemctl reboot --force --force\n",
                        gpu, since, stuck->action ?: "a write",
                        address_format(stuck->function, function), stuck->driver ? " and " : "",
                        stuck->driver ?: "", (int) stuck->pid);
}

static void print_notes(const Status *status) {
        char gpu[ADDRESS_STRING_MAX];

        address_format(status->gpu->address, gpu);
        if (status->is_stuck)
                print_stuck(gpu, &status->stuck);
        else if (status->job.locked)
                printf("%s is being switched (pid %d).\n", gpu, (int) status->job.owner);
        if (status->other_card)
                printf("%s is not the card that was here before; its wish does not count.\n"
                       "  To forget that one: vfioptctl forget %s\n",
                                gpu, gpu);
        if (!status->gpu->managed)
                printf("%s is the boot display, and only moves when it is named.\n", gpu);
}

int status_print_table(const Status *statuses, size_t n) {
        _cleanup_(table_freep) Table *table = NULL;
        int r;

        if (n == 0) {
                puts("No NVIDIA GPU was found.");
                return 0;
        }

        r = table_new(columns, ARRAY_SIZE(columns), &table);
        for (size_t i = 0; i < n && r >= 0; ++i)
                r = add_gpu(table, &statuses[i]);
        if (r >= 0)
                r = table_print(table);
        if (r < 0)
                return r;

        for (size_t i = 0; i < n; ++i)
                print_notes(&statuses[i]);
        return 0;
}
