/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Models
 *
 * Each in a file of its own, but for those that are nothing but memory.
 */

#include "function.h"

extern const Model model_gpu;
extern const Model model_audio;
extern const Model model_usb;
extern const Model model_ucsi;
extern const Model model_display;
