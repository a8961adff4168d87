/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* doctor: is everything there that retargeting needs, and what to do if not. */
#include "cli/doctor.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void finding_print(const char *kind, const char *remedy, const char *format, va_list args)
{
	printf("%-8s ", kind);
	vprintf(format, args);
	printf("%s%s\n", remedy ? "; " : "", remedy ? remedy : "");
}

void finding_ok(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	finding_print("ok", NULL, format, args);
	va_end(args);
}

void finding_note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	finding_print("note", NULL, format, args);
	va_end(args);
}

void finding_problem(struct doctor *doctor, const char *remedy, const char *format, ...)
{
	va_list args;

	doctor->problems++;
	va_start(args, format);
	finding_print("problem", remedy, format, args);
	va_end(args);
}

/* As the dynamic linker would, with every symbol: the tool and the programs have the same C library. */
static void library_look(struct doctor *doctor)
{
	const char *path = doctor->ctl->library, *disable = secure_getenv("IP2VSOCK_DISABLE");
	void *handle;

	if (disable && strcmp(disable, "1") == 0)
		finding_problem(doctor, "unset it", "IP2VSOCK_DISABLE is 1, so the library does nothing");
	if (!path)
		return;
	if (path[strcspn(path, ": ")]) {
		finding_problem(doctor, "install it elsewhere",
				"library: LD_PRELOAD cannot name a path with a blank or colon (%s)", path);
		return;
	}
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (handle) {
		dlclose(handle);
		finding_ok("library: %s can be loaded", path);
	} else {
		finding_problem(doctor, "install ip2vsock completely, readable by everybody", "library: %s",
				dlerror());
	}
}

static void mapping_look(struct doctor *doctor)
{
	struct ctl *ctl = doctor->ctl;
	const struct rule *first = rules_at(ctl->rules, 0);
	unsigned count = 0;

	while (rules_at(ctl->rules, count))
		count++;
	if (ctl->complaints)
		finding_problem(doctor, "programs are not started with it", "mapping: %u mistake%s, shown above",
				ctl->complaints, ctl->complaints == 1 ? "" : "s");
	else if (ctl->no_rules)
		finding_problem(doctor, ctl->no_rules, "mapping: there is none");
	else if (first)
		finding_ok("mapping: %u rule%s, the first from %s", count, count == 1 ? "" : "s",
			   place_text(ctl, &first->place));
	else
		finding_note("mapping: no rules, nothing is retargeted");
}

int doctor_print(struct ctl *ctl)
{
	struct doctor doctor = {.ctl = ctl};

	if (ctl->program) {
		if (ctl->complaints)
			mapping_look(&doctor);
		doctor_program(&doctor);
		return doctor.problems ? EXIT_PROBLEM : 0;
	}
	library_look(&doctor);
	mapping_look(&doctor);
	if (ctl->realm.name) {
		finding_ok("realm: %s, as CID %u of it; the kernel's vsock is not used", ctl->realm.name,
			   ctl->realm.cid);
	} else {
		finding_note("realm: none, the kernel's vsock is used");
		doctor_machine(&doctor);
	}
	return doctor.problems ? EXIT_PROBLEM : 0;
}
