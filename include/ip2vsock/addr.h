/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* IPv4 and IPv6 endpoints as programs write them, read into and out of struct sockaddr. */
#ifndef IP2VSOCK_ADDR_H
#define IP2VSOCK_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * An IP address and port in host terms. IPv4 is always held as ::ffff:a.b.c.d in `ip`, whatever
 * `family` says, so that an IPv4 pattern matches a program that writes v4-mapped addresses;
 * `family` is only the form of the sockaddr it came from or goes into.
 */
struct ip_addr {
	sa_family_t family; /* AF_INET or AF_INET6 */
	uint16_t port;	    /* host order; 0 asks for an ephemeral one */
	uint32_t scope;	    /* sin6_scope_id (ipv6(7)); 0 when family is AF_INET */
	struct in6_addr ip; /* network order, 16 bytes */
};

/*
 * The family of an address that connect(2) and bind(2) are given. False when the length has no room for it or is one that no
 * address has, or the pointer cannot be one (NULL, -1): the kernel must judge (EINVAL, EFAULT).
 */
bool ip_addr_family(const void *sa, socklen_t len, sa_family_t *out);

/*
 * Reads a sockaddr_in or sockaddr_in6 as connect(2) and bind(2) are given it: unaligned and longer
 * than needed are fine. False when it is neither, or too short for its family by the kernel's rules
 * (16 bytes; 24 for AF_INET6, SIN6_LEN_RFC2133 in net/ipv6/af_inet6.c), or longer than sockaddr_storage: then
 * the kernel must judge.
 */
bool ip_addr_read(const void *sa, socklen_t len, struct ip_addr *out);

/* Writes a sockaddr_in or sockaddr_in6 and returns its length. An IPv6 address that is not v4-mapped
 * cannot be written as AF_INET: 0.0.0.0 is written then. */
socklen_t ip_addr_write(const struct ip_addr *addr, struct sockaddr_storage *out);

/* The kernel's value-result rule (move_addr_to_user in net/socket.c): at most *len bytes of the
 * len_sa bytes at sa are copied to buf, and *len becomes len_sa. */
void ip_addr_copy_out(const void *sa, socklen_t len_sa, void *buf, socklen_t *len);

/* An IPv4 address in host order, as `family`. */
struct ip_addr ip_addr_from_v4(uint32_t ipv4, uint16_t port, sa_family_t family);

bool ip_addr_is_v4(const struct ip_addr *addr);	      /* ::ffff:0:0/96 */
uint32_t ip_addr_v4(const struct ip_addr *addr);      /* host order; only if ip_addr_is_v4() */
bool ip_addr_is_any(const struct ip_addr *addr);      /* 0.0.0.0 or :: */
bool ip_addr_is_loopback(const struct ip_addr *addr); /* 127.0.0.0/8 or ::1 */

/* Room for the longest text of ip_addr_text(), its NUL included. */
#define IP_ADDR_TEXT_SIZE 64

/* "10.0.0.3:80" or "[2001:db8::7]:80"; returns buf. v4-mapped addresses are written as IPv4. */
char *ip_addr_text(const struct ip_addr *addr, char buf[IP_ADDR_TEXT_SIZE]);

#endif
