/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the library share is reached directly, not by way of a table that ld.so has filled: an instruction less. */
#ifndef IP2VSOCK_INTERNAL_H
#define IP2VSOCK_INTERNAL_H

#define INTERNAL __attribute__((visibility("hidden")))

#endif
