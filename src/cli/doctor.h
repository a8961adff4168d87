/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* doctor: findings, one a line. */
#ifndef IP2VSOCK_DOCTOR_H
#define IP2VSOCK_DOCTOR_H

#include "cli/ctl.h"

struct doctor {
	struct ctl *ctl;
	unsigned problems;
};

/* "ok       TEXT": as it should be. */
__attribute__((format(printf, 1, 2))) void finding_ok(const char *format, ...);
/* "note     TEXT": good to know. */
__attribute__((format(printf, 1, 2))) void finding_note(const char *format, ...);
/* "problem  TEXT; REMEDY": what was asked for does not work. */
__attribute__((format(printf, 3, 4))) void finding_problem(struct doctor *doctor, const char *remedy,
							    const char *format, ...);

/* machine.c: the kernel's vsock, and whether it reaches what the rules name. No socket is used for anything. */
void doctor_machine(struct doctor *doctor);
/* patient.c: one program and the libraries it needs. */
void doctor_program(struct doctor *doctor);

#endif
