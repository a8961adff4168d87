/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the dynamic linker finds libraries: ld.so(8). */
#ifndef IP2VSOCK_LIBRARIES_H
#define IP2VSOCK_LIBRARIES_H

#include "cli/ctl.h"
#include "cli/elf.h"

/*
 * The library `name` that `user`, the file at `user_path`, is given: DT_RUNPATH with $ORIGIN, LD_LIBRARY_PATH,
 * ld.so.cache, the system's directories. The path, with `found` read, or NULL. What another library's DT_RPATH or
 * hwcaps directories would change is not seen.
 */
const char *library_find(struct ctl *ctl, const char *name, const struct elf *user, const char *user_path,
			 struct elf *found);

#endif
