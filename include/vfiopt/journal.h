/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Journal Records
 *
 * One structured record per decision. Every record has every field; a field that
 * says nothing in a record is empty.
 */

/* clang-format off */

/* fields */
#define VFIOPT_FIELD_GPU           "VFIOPT_GPU"           /* address of the GPU */
#define VFIOPT_FIELD_FUNCTION      "VFIOPT_FUNCTION"      /* address of one function, or of all, separated by spaces */
#define VFIOPT_FIELD_FROM          "VFIOPT_FROM"          /* mode before */
#define VFIOPT_FIELD_TO            "VFIOPT_TO"            /* mode wanted */
#define VFIOPT_FIELD_TRIGGER       "VFIOPT_TRIGGER"       /* command, agent, boot, recovery */
#define VFIOPT_FIELD_PHASE         "VFIOPT_PHASE"
#define VFIOPT_FIELD_RESULT        "VFIOPT_RESULT"
#define VFIOPT_FIELD_REASON        "VFIOPT_REASON"
#define VFIOPT_FIELD_DURATION_USEC "VFIOPT_DURATION_USEC"
#define VFIOPT_FIELD_HOLDERS       "VFIOPT_HOLDERS"
#define VFIOPT_FIELD_LOGINUID      "VFIOPT_LOGINUID"      /* who asked, where known */
#define VFIOPT_FIELD_LOST          "VFIOPT_LOST"          /* how many records of the sender before this one did not reach the journal */

/* message ids */
#define VFIOPT_MESSAGE_STARTED          "44a76058abbd46f5a86facbc4259b393"
#define VFIOPT_MESSAGE_STEP             "56537308f5e34ffcba1f86a042ccdace"
#define VFIOPT_MESSAGE_DONE             "e519e0218fe54a63ae071c113aebe24f"
#define VFIOPT_MESSAGE_NOTHING          "71e5ad0a3e1b4db7b0da73adc1e70cfb"
#define VFIOPT_MESSAGE_NO_DRIVER        "9d5f9dddb77a4815afd566afa9585995"
#define VFIOPT_MESSAGE_BUSY             "84c481927a394b3fb3f30a09b0dc2324"
#define VFIOPT_MESSAGE_PRECONDITION     "19a157ffdf0a4809ace2b0d64898dfc7"
#define VFIOPT_MESSAGE_ROLLED_BACK      "22a503be4c7f4ac695140c47b851d0e0"
#define VFIOPT_MESSAGE_ROLLBACK_FAILED  "f44b3cf9c59d482da81b92d1aa47f446"
#define VFIOPT_MESSAGE_STUCK            "0e659edb02804cfda68d38a64d46fc1e"
#define VFIOPT_MESSAGE_UNSTUCK          "1b7a4799d7e14269ae2cccc33a8ea0ab"
#define VFIOPT_MESSAGE_RECOVERED        "dd2709eb86ee41fcafe1be3708ac251f"
#define VFIOPT_MESSAGE_WARNING          "bc6746df2af14065a315326157e6dd58"
#define VFIOPT_MESSAGE_ASKED            "b7b1da757a7242778ed61a6280e5c5f0"
#define VFIOPT_MESSAGE_GAVE_UP          "c2bfc2e3e26b43818e4119bd51ffb2df"
#define VFIOPT_MESSAGE_CLAIMED          "f38ac9189fdb46a4a7e553a60f05d18a"

/* clang-format on */
