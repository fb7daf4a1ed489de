/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Advice
 *
 * Who holds a GPU, by the name that a person knows it by, and what ends just that: templates
 * for findings_explain().
 */

#include "probe/finding.h"

bool advice_fits_both(const char *remedy, const Finding *a, const Finding *b);
bool advice_is_splash(const Finding *finding);
const char *advice_place(const Finding *finding);
const char *advice_for_holder(const Findings *findings, const Finding *finding);
const char *advice_for_iommu(const Finding *finding);
const char *advice_for_virtual(const Finding *finding);
const char *advice_for_off_bus(const Finding *finding);
unsigned int advice_rank(const Findings *findings, const Finding *finding);
