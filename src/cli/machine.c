/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* doctor: the kernel's vsock. It asks for a socket to see whether there are any, and does nothing with it. */
#include "cli/doctor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

static const struct transport_module {
	const char *name;
	const char *use;
	bool is_told; /* when it is not there, too */
} modules[] = {
	{"vsock_loopback", "programs of this machine reach each other (CID 1)", true},
	{"vhost_vsock", "this machine reaches guests of QEMU and its like", true},
	{"vmw_vsock_virtio_transport", "a guest of QEMU, Firecracker or Cloud Hypervisor reaches its host", true},
	{"vmw_vsock_vmci_transport", "VMware: guests and their host reach each other", false},
	{"hv_sock", "Hyper-V: a guest reaches its host", false},
};
#define MODULE_COUNT (sizeof modules / sizeof *modules)
enum { LOOPBACK, VHOST, VIRTIO, VMCI, HYPERV };

#define CID_UNKNOWN VMADDR_CID_HYPERVISOR /* of which there is no socket */

struct machine {
	bool has[MODULE_COUNT];
	unsigned count;
	uint32_t cid; /* VMADDR_CID_ANY: the kernel says there is none */
};

static void family_look(struct doctor *doctor)
{
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0) {
		close(fd);
		finding_ok("AF_VSOCK: this kernel has it");
	} else if (errno == EAFNOSUPPORT) {
		finding_problem(doctor, "modprobe vsock, on the machine itself if this is a container",
				"AF_VSOCK: this kernel does not have it");
	} else {
		finding_problem(doctor,
				"have the container's seccomp profile or the security module allow socket(AF_VSOCK)",
				"AF_VSOCK: this process may not use it (%s)", strerror(errno));
	}
}

/* Built-in modules are listed in a file; those with a parameter or version stand in /sys as well. */
static bool module_is_there(const char *name)
{
	char path[256], line[512];
	struct utsname system;
	size_t length = strlen(name);
	bool found = false;
	FILE *list;

	snprintf(path, sizeof path, "/sys/module/%s", name);
	if (access(path, F_OK) == 0)
		return true;
	list = fopen("/proc/modules", "re");
	while (list && !found && fgets(line, sizeof line, list))
		found = strncmp(line, name, length) == 0 && line[length] == ' ';
	if (list)
		fclose(list);
	if (found || uname(&system) < 0)
		return found;
	snprintf(path, sizeof path, "/lib/modules/%s/modules.builtin", system.release);
	list = fopen(path, "re");
	while (list && !found && fgets(line, sizeof line, list)) {
		const char *file = strrchr(line, '/');

		found = file && strncmp(file + 1, name, length) == 0 && strncmp(file + 1 + length, ".ko", 3) == 0;
	}
	if (list)
		fclose(list);
	return found;
}

/* False only if it is sure that the driver found none. */
static bool virtio_device_is_there(void)
{
	DIR *devices = opendir("/sys/bus/virtio/drivers/vmw_vsock_virtio_transport");
	const struct dirent *entry;
	bool found = false;

	if (!devices)
		return true;
	while (!found && (entry = readdir(devices)))
		found = strncmp(entry->d_name, "virtio", 6) == 0;
	closedir(devices);
	return found;
}

static void transports_look(struct doctor *doctor, struct machine *machine)
{
	for (size_t i = 0; i < MODULE_COUNT; i++) {
		machine->has[i] = module_is_there(modules[i].name);
		if (i == VIRTIO && machine->has[i] && !virtio_device_is_there()) {
			machine->has[i] = false;
			finding_note("%s: there, but this machine has no such device; its monitor may give it one "
				     "(QEMU: -device vhost-vsock-pci,guest-cid=3; Firecracker: PUT /vsock; Cloud "
				     "Hypervisor: --vsock)", modules[i].name);
		} else if (machine->has[i]) {
			finding_ok("%s: %s", modules[i].name, modules[i].use);
		} else if (modules[i].is_told) {
			finding_note("%s: not loaded; with it (modprobe %s) %s", modules[i].name, modules[i].name,
				     modules[i].use);
		}
		machine->count += machine->has[i];
	}
	if (!machine->count)
		finding_problem(doctor,
				"load the one for this machine: modprobe vsock_loopback, vhost_vsock on a host, "
				"vmw_vsock_virtio_transport in a guest",
				"transports: there is none, no CID can be reached");
}

static void cid_look(struct doctor *doctor, struct machine *machine)
{
	const char *advice = "only the own address that programs see depends on it, and IP2VSOCK_CID tells it";
	int fd = open("/dev/vsock", O_RDONLY | O_CLOEXEC);

	machine->cid = CID_UNKNOWN;
	if (fd < 0) {
		finding_note("own CID: not known, /dev/vsock: %s; %s%s", strerror(errno), advice,
			     errno != EACCES && errno != EPERM
				     ? ""
				     : " (the udev rule KERNEL==\"vsock\", MODE=\"0666\" opens it)");
		return;
	}
	if (ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &machine->cid) < 0)
		finding_note("own CID: not known, /dev/vsock: %s; %s", strerror(errno), advice);
	else if (machine->cid == VMADDR_CID_ANY)
		finding_problem(doctor, "see the transports above", "own CID: none, no transport is at work");
	else if (machine->cid == VMADDR_CID_LOCAL)
		finding_ok("own CID: 1, there is nothing but this machine");
	else if (machine->cid == VMADDR_CID_HOST)
		finding_ok("own CID: 2, this is a host");
	else
		finding_ok("own CID: %u, this is a guest", machine->cid);
	close(fd);
}

static void vhost_look(const struct machine *machine)
{
	if (machine->has[VHOST] && access("/dev/vhost-vsock", R_OK | W_OK) < 0)
		finding_note("/dev/vhost-vsock: %s; only who starts virtual machines needs it (the udev rule "
			     "KERNEL==\"vhost-vsock\", GROUP=\"kvm\", MODE=\"0660\" and membership in kvm)",
			     strerror(errno));
}

/* What a connection to this CID needs and this machine does not have, NULL if nothing. */
static const char *cid_remedy(const struct machine *machine, uint32_t cid)
{
	bool is_guest = machine->has[VIRTIO] || machine->has[HYPERV];

	if (machine->has[VMCI])
		return NULL; /* host and guest at once */
	if (cid == VMADDR_CID_LOCAL || cid == machine->cid || (cid == VMADDR_CID_HOST && !is_guest))
		return machine->has[LOOPBACK] ? NULL : "this machine itself: modprobe vsock_loopback";
	if (cid <= VMADDR_CID_HOST || machine->has[VHOST])
		return NULL;
	return is_guest ? "another guest: most monitors connect guests to their host only"
			: "a guest: modprobe vhost_vsock, and start it with this CID";
}

/* Connections only: nobody can say yet who will come to a listener. */
static void rules_look(struct doctor *doctor, const struct machine *machine)
{
	const char *told[3] = {NULL};
	const struct rule *rule;
	unsigned count = 0;

	for (unsigned i = 0; count < 3 && (rule = rules_at(doctor->ctl->rules, i)); i++) {
		const char *remedy;
		bool is_told = false;

		if (rule->target != TARGET_VSOCK || rule->direction != RULE_CONNECT)
			continue;
		remedy = cid_remedy(machine, rule->cid);
		for (unsigned k = 0; k < count; k++)
			is_told = is_told || told[k] == remedy;
		if (!remedy || is_told)
			continue;
		told[count++] = remedy;
		finding_problem(doctor, NULL, "%s: goes to CID %u, %s", place_text(doctor->ctl, &rule->place),
				rule->cid, remedy);
	}
}

void doctor_machine(struct doctor *doctor)
{
	struct machine machine = {.count = 0};

	family_look(doctor);
	transports_look(doctor, &machine);
	cid_look(doctor, &machine);
	vhost_look(&machine);
	if (machine.count)
		rules_look(doctor, &machine);
}
