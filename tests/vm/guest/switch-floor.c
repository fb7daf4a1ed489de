/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The Floor under a Switch
 *
 * Moves functions between their host drivers and vfio-pci with the sysfs writes
 * that cannot be done without, and nothing else: no check, no verification, no
 * state. Nobody can be faster, so this is what everything else is measured
 * against.
 *
 * Towards vfio-pci each function needs its override, an unbind and a bind; the
 * way back needs the override to be cleared, because a driver does not match
 * while another is named there. Function 0 is given first; it is unbound last
 * and bound first.
 */

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util.h"

#define FUNCTIONS_MAX 8U

static const char usage[] =
                "switch-floor [OPTION…] BDF=DRIVER…\n\n"
                "DRIVER is the host driver of the function, or - where it has none. Every\n"
                "function must be on that driver, and vfio-pci must be loaded.\n\n"
                "  --rounds=N     how often there and back (default 20)\n"
                "  --driver=NAME  the driver to go to (default vfio-pci)\n"
                "  --json         as one JSON object, times in milliseconds\n";

typedef struct Function {
        char bdf[16];
        const char *host; /* NULL: none */
} Function;

typedef struct Floor {
        const char *driver;
        size_t n_rounds;
        bool json;
        Function functions[FUNCTIONS_MAX];
        size_t n_functions;
} Floor;

static double now_ms(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static void write_driver(const char *driver, const char *attribute, const char *bdf) {
        char path[128];
        int r;

        snprintf(path, sizeof(path), "/sys/bus/pci/drivers/%s/%s", driver, attribute);
        r = write_file(path, bdf);
        if (r < 0)
                die("%s < %s: %s", path, bdf, strerror(-r));
}

/* An empty write would not reach the kernel; a newline clears. */
static void write_override(const char *bdf, const char *driver) {
        char path[128], value[64];
        int r;

        snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", bdf);
        snprintf(value, sizeof(value), "%s\n", driver);
        r = write_file(path, value);
        if (r < 0)
                die("%s: %s", path, strerror(-r));
}

static double to_vfio(const Floor *floor) {
        const double start = now_ms();

        for (size_t i = 0; i < floor->n_functions; i++)
                write_override(floor->functions[i].bdf, floor->driver);

        for (size_t i = floor->n_functions; i-- > 0;)
                if (floor->functions[i].host)
                        write_driver(floor->functions[i].host, "unbind", floor->functions[i].bdf);

        for (size_t i = 0; i < floor->n_functions; i++)
                write_driver(floor->driver, "bind", floor->functions[i].bdf);

        return now_ms() - start;
}

static double to_host(const Floor *floor) {
        const double start = now_ms();

        for (size_t i = floor->n_functions; i-- > 0;)
                write_driver(floor->driver, "unbind", floor->functions[i].bdf);

        for (size_t i = 0; i < floor->n_functions; i++)
                write_override(floor->functions[i].bdf, "");

        for (size_t i = 0; i < floor->n_functions; i++)
                if (floor->functions[i].host)
                        write_driver(floor->functions[i].host, "bind", floor->functions[i].bdf);

        return now_ms() - start;
}

static int compare(const void *a, const void *b) {
        const double x = *(const double *) a, y = *(const double *) b;

        return (x > y) - (x < y);
}

static void print_times(const Floor *floor, const char *name, double *times, const char *end) {
        const size_t n = floor->n_rounds;
        double median;

        qsort(times, n, sizeof(*times), compare);
        median = n % 2 ? times[n / 2] : (times[n / 2 - 1] + times[n / 2]) / 2;

        printf(floor->json ? "\"%s\":{\"median\":%.3f,\"min\":%.3f,\"max\":%.3f}%s"
                           : "%-10s median %8.3f  min %8.3f  max %8.3f%s",
                        name, median, times[0], times[n - 1], end);
}

static void parse_function(Floor *floor, char *text) {
        Function *function = &floor->functions[floor->n_functions];
        char *equals = strchr(text, '=');

        if (!equals || equals == text || (size_t) (equals - text) >= sizeof(function->bdf))
                die("%s is not BDF=DRIVER", text);
        if (floor->n_functions == FUNCTIONS_MAX)
                die("more than %u functions", FUNCTIONS_MAX);

        memcpy(function->bdf, text, equals - text);
        function->host = strcmp(equals + 1, "-") == 0 ? NULL : equals + 1;
        floor->n_functions++;
}

static void parse(Floor *floor, int argc, char **argv) {
        static const struct option longs[] = {
                { "rounds", required_argument, NULL, 'r' },
                { "driver", required_argument, NULL, 'd' },
                { "json", no_argument, NULL, 'j' },
                { "help", no_argument, NULL, 'h' },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
                switch (c) {
                case 'r':
                        floor->n_rounds = strtoul(optarg, NULL, 10);
                        break;
                case 'd':
                        floor->driver = optarg;
                        break;
                case 'j':
                        floor->json = true;
                        break;
                case 'h':
                        fputs(usage, stdout);
                        exit(EXIT_SUCCESS);
                default:
                        exit(2);
                }
        }

        for (int i = optind; i < argc; i++)
                parse_function(floor, argv[i]);
        if (floor->n_functions == 0 || floor->n_rounds == 0)
                die("no function, or no round");
}

int main(int argc, char **argv) {
        Floor floor = { .driver = "vfio-pci", .n_rounds = 20 };
        double *there, *back;

        parse(&floor, argc, argv);

        there = calloc(floor.n_rounds, sizeof(*there));
        back = calloc(floor.n_rounds, sizeof(*back));
        if (!there || !back)
                die("%m");

        for (size_t i = 0; i < floor.n_rounds; i++) {
                there[i] = to_vfio(&floor);
                back[i] = to_host(&floor);
        }

        if (floor.json)
                printf("{\"rounds\":%zu,\"functions\":%zu,", floor.n_rounds, floor.n_functions);
        print_times(&floor, "to_vfio", there, floor.json ? "," : "\n");
        print_times(&floor, "to_host", back, floor.json ? "}\n" : "\n");

        free(back);
        free(there);
        return EXIT_SUCCESS;
}
