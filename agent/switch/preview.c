/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Previews
 *
 * What a switch would do now: the same checks, the same facts, the same plan, and
 * no step. Takes no lock, so a switch under way may overtake it.
 */

#include "switch/check.h"
#include "switch/facts.h"
#include "switch/give-back.h"
#include "switch/switch.h"

Preview *previews_free(Preview *previews, size_t n) {
        if (!previews)
                return NULL;

        for (size_t i = 0; i < n; ++i) {
                plan_deinit(&previews[i].plan);
                findings_deinit(&previews[i].findings);
        }
        free(previews);
        return NULL;
}

static int preview_plan(Preview *preview,
                SwitchContext *context,
                const Gpu *gpu,
                const SwitchRequest *request) {
        Facts facts = FACTS_NULL;
        Mode to = request->to;
        int r;

        r = facts_init(&facts, context->roots, context->modules, gpu, to);
        if (r)
                return r < 0 ? r
                             : findings_push(&preview->findings, FINDING_STUCK, gpu->address, NULL);
        if (!(request->give_back &&
                            give_back_is_moot(context->roots->sysfs, gpu, facts.overrides)) &&
                        (to == MODE_HOST || facts.vfio_driver))
                r = facts_plan(&facts, context->roots->sysfs, gpu, to, &preview->plan);
        facts_deinit(&facts);
        return r;
}

static int preview_gpu(Preview *preview,
                SwitchContext *context,
                const SwitchRequest *request,
                const Gpu *gpu) {
        PreflightInput input = {
                .roots = context->roots,
                .gpu = gpu,
                .to = request->to,
                .moving = (const Gpu *const *) request->gpus,
                .n_moving = request->n_gpus,
                .allow_display = request->allow_display,
        };
        int r;

        preview->plan = (Plan){ .gpu = gpu->address, .from = gpu->mode, .to = request->to };

        /* Nothing of it may be read while a write hangs. */
        r = check_stuck(context, gpu, &preview->findings);
        if (r < 0 || preview->findings.n > 0)
                return r;

        r = check(context, &input, request->give_back, &preview->findings);
        return r < 0 ? r : preview_plan(preview, context, gpu, request);
}

/**
 * switch_preview() - what would a switch do?
 * @context:    of the switch; run_fd and etc_fd may be missing
 * @request:    which GPUs, and where to
 * @ret_previews: plan and findings of each GPU, in order; previews_free() it
 * @ret:        the worst result that can be foreseen
 *
 * Return: 0 on success, negative error code on failure.
 */
int switch_preview(SwitchContext *context,
                const SwitchRequest *request,
                Preview **ret_previews,
                SwitchResult *ret) {
        SwitchResult result = SWITCH_DONE;
        Preview *previews;
        int r = 0;

        previews = calloc(request->n_gpus ?: 1, sizeof(*previews));
        if (!previews)
                return -ENOMEM;

        for (size_t i = 0; r == 0 && i < request->n_gpus; ++i) {
                r = preview_gpu(&previews[i], context, request, request->gpus[i]);
                if (check_result(&previews[i].findings) > result)
                        result = check_result(&previews[i].findings);
        }
        if (r < 0) {
                previews_free(previews, request->n_gpus);
                return r;
        }

        *ret_previews = previews;
        *ret = result;
        return 0;
}
