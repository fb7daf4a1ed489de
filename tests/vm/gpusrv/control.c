/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Control Commands
 *
 * One line in, one line out:
 *
 *     FUNCTION gone 0|1     reads return all ones, writes are lost; or back again
 *     FUNCTION slow MSEC    delay of each configuration access
 *     FUNCTION irq          raise its interrupt
 *     FUNCTION stats        counters, KEY=VALUE
 *
 * The reply is "ok", the counters, or "error: …".
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "dma.h"

static void print_stats(const Function *f, char *reply, size_t size) {
        const FunctionStats *s = &f->stats;

        snprintf(reply, size,
                        "connections=%lu config_reads=%lu config_writes=%lu bar_reads=%lu bar_writes=%lu "
                        "flrs=%lu resets=%lu power_writes=%lu dma_ranges=%zu\n",
                        s->connections, s->config_reads, s->config_writes, s->bar_reads,
                        s->bar_writes, s->flrs, s->resets, s->power_writes, f->n_dma);
}

static bool parse_number(const char *text, unsigned max, unsigned *ret_value) {
        unsigned long value;
        char *end;

        if (!text || text[0] < '0' || text[0] > '9')
                return false;
        value = strtoul(text, &end, 10);
        if (*end || value > max)
                return false;

        *ret_value = value;
        return true;
}

static Function *find(Function **functions, size_t n_functions, const char *name) {
        for (size_t i = 0; name && i < n_functions; ++i)
                if (strcmp(functions[i]->name, name) == 0)
                        return functions[i];
        return NULL;
}

/**
 * control_run() - do what one line says
 * @functions:  all functions of this server
 * @n_functions: how many
 * @command:    the line
 * @reply:      room for the answer, which ends in a newline
 * @size:       size of @reply
 */
void control_run(Function **functions,
                size_t n_functions,
                const char *command,
                char *reply,
                size_t size) {
        char line[256], *rest, *name, *verb, *argument;
        unsigned value;
        Function *f;

        snprintf(line, sizeof(line), "%s", command);
        name = strtok_r(line, " \n", &rest);
        verb = strtok_r(NULL, " \n", &rest);
        argument = strtok_r(NULL, " \n", &rest);
        snprintf(reply, size, "ok\n");

        f = find(functions, n_functions, name);
        if (!f)
                snprintf(reply, size, "error: no such function\n");
        else if (verb && strcmp(verb, "gone") == 0 && parse_number(argument, 1, &value))
                function_set_gone(f, value == 1);
        else if (verb && strcmp(verb, "slow") == 0 && parse_number(argument, 4000, &value))
                f->delay_msec = value;
        else if (verb && strcmp(verb, "irq") == 0 && !argument)
                function_raise_irq(f);
        else if (verb && strcmp(verb, "stats") == 0 && !argument)
                print_stats(f, reply, size);
        else
                snprintf(reply, size, "error: bad command\n");
}
