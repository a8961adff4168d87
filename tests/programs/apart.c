/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Loads a module so that its calls are bound to libc alone, and lets it use the program's connections. The module is
 * named by MODULE in the environment. */
#define _GNU_SOURCE 1
#include "apart.h"
#include "common.h"

#include <dlfcn.h>

static struct {
	__typeof__(apart_connect) *connect;
	__typeof__(apart_talk) *talk;
	__typeof__(apart_accept) *accept;
	__typeof__(apart_close) *close;
} module;

static void use(void *handle)
{
	if (!handle) {
		say("%s", dlerror());
		exit(1);
	}
	*(void **)&module.connect = dlsym(handle, "apart_connect");
	*(void **)&module.talk = dlsym(handle, "apart_talk");
	*(void **)&module.accept = dlsym(handle, "apart_accept");
	*(void **)&module.close = dlsym(handle, "apart_close");
}

static void talk(void)
{
	const struct pair pair = connect_pair(0);
	const int listener = listen_at(here(1), 8);
	int fd = open_socket(0), accepted;

	write_all(pair.server, "m", 1);
	say("the module reads %c", module.talk(pair.client));
	say_names("client", pair.client);
	must_connect(fd, here(1));
	accepted = module.accept(listener);
	say_names("accepted by the module", accepted);
	say_talk("talk", fd, accepted);
	say_call("close by the module", module.close(fd));
	say("end of file: %s", yes_no(read(accepted, &(char){0}, 1) == 0));
	/* The number again, with nothing of the old one. */
	fd = open_socket(SOCK_NONBLOCK);
	say_names("fresh", fd);
	must_connect(open_socket(0), here(1));
	say("the module's own connection: %s", error_name(module.connect("10.0.0.3", 9)));
}

static void deepbind(void)
{
	use(dlopen(getenv("MODULE"), RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND));
	talk();
}

static void namespace(void)
{
	use(dlmopen(LM_ID_NEWLM, getenv("MODULE"), RTLD_NOW | RTLD_LOCAL));
	talk();
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"deepbind", deepbind},
		{"namespace", namespace},
	};

	return RUN_CASES(cases, argc, argv);
}
