/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What apart_module exports. */
#ifndef TEST_APART_H
#define TEST_APART_H

int apart_connect(const char *address, unsigned port); /* 0 or errno */
int apart_talk(int fd);				       /* the byte that came and went back, or -1 */
int apart_accept(int fd);
int apart_close(int fd);

#endif
