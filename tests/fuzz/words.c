/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Findings as sentences, with names that any process may have. Each part of an input is one:
 * "kind pid number error flags|detail|carries|gpus|command|node|name|id|unit|session".
 */

#include "fuzz.h"

#include "os/obstacle.h"
#include "probe/explain.h"

#define FINDINGS_MAX 8U

static const Gpu gpu = { .address = { .bus = 1 } };

static char *next_word(char **rest) {
        char *word = strsep(rest, "|");

        return word && *word ? word : NULL;
}

static Finding make_finding(char *s) {
        unsigned int kind = 0, pid = 0, number = 0, error = 0, flags = 0;
        char *rest = s, *numbers = strsep(&rest, "|");
        Finding finding = { .uid = 1000 };

        (void) sscanf(numbers, "%3u %6u %3u %3u %4u", &kind, &pid, &number, &error, &flags);
        finding.kind = kind % _FINDING_MAX;
        finding.pid = (pid_t) pid;
        finding.number = (int) (number % _OBSTACLE_MAX);
        finding.error = (int) error;
        finding.iommu = (flags >> 3) % _IOMMU_MAX;
        finding.owner.kind = flags % _OWNER_MAX;
        finding.owner.of_user = flags & 1;
        finding.owner.of_desktop = flags & 2;
        finding.function = (Address){ .bus = 1, .function = flags % 8 };
        finding.other = (Address){ .bus = 2, .function = flags % 3 };
        finding.is_gpu = flags & 4;
        finding.needed = flags & 8;
        finding.mapped = flags & 16;
        finding.is_console = flags & 32;
        finding.has_fbdev = flags & 64;
        finding.has_instances = flags & 128;

        finding.detail = next_word(&rest);
        finding.carries = next_word(&rest);
        finding.gpus = next_word(&rest);
        finding.command = next_word(&rest);
        finding.node = next_word(&rest);
        finding.owner.name = next_word(&rest);
        finding.owner.id = next_word(&rest);
        finding.owner.unit = next_word(&rest);
        finding.owner.session = next_word(&rest);
        return finding;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        _cleanup_(findings_deinit) Findings findings = FINDINGS_NULL;
        _cleanup_(freep) char *reason = NULL, *holders = NULL;
        FuzzInput input = { data, n };

        while (findings.n < FINDINGS_MAX) {
                _cleanup_(freep) char *part = fuzz_next_string(&input);
                Finding finding;

                if (!part)
                        break;
                finding = make_finding(part);
                fuzz_check(findings_push(&findings, &finding) == 0);
        }
        fuzz_check(!findings_are_stuck(&findings) || !findings_are_busy(&findings));
        fuzz_check(findings_explain(&findings, &gpu, MODE_PASSTHROUGH, &reason, &holders) == 0);
        fuzz_check(text_is_printable(reason) && (!holders || text_is_printable(holders)));
        /* Each name of a template is filled in. */
        fuzz_check(!strchr(reason, '@') || memchr(data, '@', n));
        return 0;
}
