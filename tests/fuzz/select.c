/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The arguments of a switch, one of which may be the instance of a unit that anybody may have
 * named. What is said about them is kept, and looked at.
 */

#include "fuzz.h"

#include "cli/message.h"
#include "cli/request.h"
#include "vfiopt/names.h"

#define ARGS_MAX 8U

static FakeTree *machine(void) {
        FakeTree *tree;

        if (fuzz_machine(&tree)) {
                fake_gpu_add(tree, "0000:01:00.0", .group = 12, .driver = "nvidia");
                fake_gpu_add(tree, "10000:e1:00.0", .device = 0x2204, .functions = 2);
        }
        return tree;
}

/* A name passes the manager, and says what was asked for. */
static void check_unit(const char *unit, const Request *request) {
        _cleanup_(instance_deinit) Instance instance = INSTANCE_NULL;
        _cleanup_(freep) char *name = NULL;
        const char *rest;

        fuzz_check(strlen(unit) < 256);
        fuzz_check(text_starts_with(unit, VFIOPT_UNIT_TEMPLATE, &rest));
        fuzz_check(text_ends_with(rest, VFIOPT_UNIT_SUFFIX));
        name = strndup(rest, strlen(rest) - strlen(VFIOPT_UNIT_SUFFIX));
        fuzz_check(!name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789:-_.")]);
        fuzz_check(instance_parse(&instance, name) == 0);
        fuzz_check(instance.n_gpus <= request->targets.n);
}

static void check_instance(const char *s) {
        _cleanup_(instance_deinit) Instance instance = INSTANCE_NULL, again = INSTANCE_NULL;
        _cleanup_(text_deinit) Text name = TEXT_NULL;

        if (instance_parse(&instance, s) != 0) {
                fuzz_check(instance.culprit);
                return;
        }
        fuzz_check(instance_append_mode(&name, instance.mode, instance.options) == 0);
        fuzz_check(instance_parse(&again, text(&name)) == 0);
        fuzz_check(again.mode == instance.mode && again.options == instance.options);
}

static void check_request(FakeTree *tree, char **args, size_t n_args) {
        _cleanup_(request_deinit) Request request = REQUEST_NULL;
        _cleanup_(strv_freep) char **units = NULL;
        Cli cli = { .roots = &tree->roots, .args = args, .n_args = n_args };
        size_t n = 0;
        int r;

        r = request_init(&request, &cli);
        fuzz_check(r == 0 || r == VFIOPT_EXIT_USAGE || r == VFIOPT_EXIT_PRECONDITION);
        if (r != 0)
                return;
        fuzz_check(request_units(&request, cli.options, &units, &n) == 0);
        for (size_t i = 0; i < n; ++i)
                check_unit(units[i], &request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        FuzzInput input = { data, n };
        char quote[QUOTE_MAX], *said = NULL, *args[ARGS_MAX + 1] = {};
        FILE *real = stderr;
        size_t n_args = 0, n_said;
        FakeTree *tree = machine();

        while (n_args < ARGS_MAX && (args[n_args] = fuzz_next_string(&input)))
                ++n_args;

        check_instance(args[0]);
        fuzz_check(text_is_printable(message_quote(args[0], quote)));
        stderr = open_memstream(&said, &n_said);
        fuzz_check(stderr);
        check_request(tree, args, n_args);
        fclose(stderr);
        stderr = real;
        for (char *rest = said, *line; (line = strsep(&rest, "\n"));)
                fuzz_check(text_is_printable(line));

        free(said);
        for (size_t i = 0; i < n_args; ++i)
                free(args[i]);
        return 0;
}
