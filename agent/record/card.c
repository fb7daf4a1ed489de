/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Cards
 *
 * Not the modalias as the kernel writes it, which nobody can read, but what it is made of
 * (drivers/pci/pci-sysfs.c: modalias_show()).
 */

#include <string.h>

#include "base/text.h"
#include "record/card.h"

/* "030000" and a zero */
#define CLASS_STRING_MAX 7

/* What a GPU is made of now. */
Card card_of_gpu(const Gpu *gpu) {
        Card card = CARD_NULL;

        for (size_t i = 0; i < gpu->n_functions && i < CARD_FUNCTIONS_MAX; ++i) {
                const Device *function = &gpu->functions[i];

                card.functions[card.n_functions++] = (CardFunction){
                        .number = function->address.function,
                        .identity = function->identity,
                        .class = function->class,
                };
        }
        return card;
}

static int to_device(const CardFunction *function, Address address, Device *ret) {
        Identity identity = function->identity;
        char *modalias;

        modalias = text_format("pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X", identity.vendor,
                        identity.device, identity.subsystem_vendor, identity.subsystem_device,
                        function->class >> 16, function->class >> 8 & 0xff, function->class & 0xff);
        if (!modalias)
                return -ENOMEM;

        *ret = (Device) DEVICE_NULL;
        ret->address = address_of_function(address, function->number);
        ret->identity = identity;
        ret->class = function->class;
        ret->modalias = modalias;
        return 0;
}

/**
 * card_to_gpu() - a GPU that is not there, as it would be when it is plugged in
 * @card:       its functions, which are known
 * @address:    where
 * @ret:        the GPU, without drivers and groups; gpu_deinit() it
 *
 * No machine boots on a card that it does not have, so it is ours unless told otherwise.
 *
 * Return: 0 on success, negative error code on failure.
 */
int card_to_gpu(const Card *card, Address address, Gpu *ret) {
        Gpu gpu = {
                .address = address_of_function(address, 0),
                .mode = MODE_HOST,
                .managed = true,
        };
        int r = 0;

        gpu.functions = calloc(card->n_functions ?: 1, sizeof(*gpu.functions));
        if (!gpu.functions)
                return -ENOMEM;

        for (size_t i = 0; r >= 0 && i < card->n_functions; ++i) {
                r = to_device(&card->functions[i], address, &gpu.functions[i]);
                if (r >= 0)
                        ++gpu.n_functions;
        }
        if (r < 0) {
                gpu_deinit(&gpu);
                return r;
        }

        *ret = gpu;
        return 0;
}

/* Whether all functions are the same. */
bool card_equal(const Card *a, const Card *b) {
        if (a->n_functions != b->n_functions)
                return false;

        for (size_t i = 0; i < a->n_functions; ++i)
                if (a->functions[i].number != b->functions[i].number ||
                                a->functions[i].class != b->functions[i].class ||
                                !identity_equal(a->functions[i].identity, b->functions[i].identity))
                        return false;
        return true;
}

static int format_function(const CardFunction *function, Json *object) {
        char id[IDENTITY_STRING_MAX], class[CLASS_STRING_MAX];
        int r;

        snprintf(class, sizeof(class), "%06x", function->class & 0xffffff);

        r = json_add_uint(object, "function", function->number);
        if (r >= 0)
                r = json_add_string(object, "id", identity_format_id(function->identity, id));
        if (r >= 0)
                r = json_add_string(object, "subsystem",
                                identity_format_subsystem(function->identity, id));
        if (r >= 0)
                r = json_add_string(object, "class", class);
        return r;
}

/* Add the functions of a card, if they are known. Return: 0, or a negative error code. */
int card_add(Json *object, const Card *card) {
        _cleanup_(json_freep) Json *functions = NULL;
        int r = 0;

        if (card->n_functions == 0)
                return 0;
        functions = json_new_array();
        if (!functions)
                return -ENOMEM;

        for (size_t i = 0; r >= 0 && i < card->n_functions; ++i) {
                _cleanup_(json_freep) Json *function = json_new_object();

                if (!function)
                        return -ENOMEM;
                r = format_function(&card->functions[i], function);
                if (r >= 0)
                        r = json_push(functions, TAKE_PTR(function));
        }
        return r < 0 ? r : json_add(object, "functions", TAKE_PTR(functions));
}

static int parse_function(const Json *object, CardFunction *ret) {
        const char *id, *subsystem, *class;
        CardFunction function = {};
        uint64_t number, code;

        if (json_get_uint(object, "function", CARD_FUNCTIONS_MAX - 1, &number) ||
                        json_get_string(object, "id", &id) ||
                        json_get_string(object, "subsystem", &subsystem) ||
                        json_get_string(object, "class", &class) ||
                        identity_parse(id, subsystem, &function.identity) < 0 ||
                        strlen(class) != CLASS_STRING_MAX - 1 ||
                        text_to_uint(class, 16, 0xffffff, &code) < 0)
                return CARD_E_INVALID;

        function.number = number;
        function.class = code;
        *ret = function;
        return 0;
}

/**
 * card_get() - read the functions of a card back
 * @object:     what they were added to
 * @identity:   of the card, which is that of its function 0
 * @ret:        they; none where the object says nothing of them
 *
 * Return: 0 on success, CARD_E_INVALID if what it says of them is not understood, or
 *         cannot be.
 */
int card_get(const Json *object, Identity identity, Card *ret) {
        Card card = CARD_NULL;
        Json *functions;
        int r;

        r = json_get_array(object, "functions", &functions);
        if (r == JSON_E_MISSING) {
                *ret = card;
                return 0;
        }
        if (r || json_length(functions) > CARD_FUNCTIONS_MAX)
                return CARD_E_INVALID;

        for (size_t i = 0; i < json_length(functions); ++i) {
                CardFunction *function = &card.functions[i];

                if (parse_function(json_at(functions, i), function) ||
                                (i > 0 && function->number <= function[-1].number))
                        return CARD_E_INVALID;
                ++card.n_functions;
        }
        if (card.n_functions == 0 || card.functions[0].number != 0 ||
                        !identity_equal(card.functions[0].identity, identity))
                return CARD_E_INVALID;

        *ret = card;
        return 0;
}
