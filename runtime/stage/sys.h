/* SPDX-License-Identifier: MIT */
/* sys.h – system calls without a C library, for x86_64 and aarch64
 *
 * Results are the kernel's own: >= 0 or -errno. There is no errno and no thread-local storage.
 */
#ifndef LUGE_STAGE_SYS_H
#define LUGE_STAGE_SYS_H

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/openat2.h>

#if defined(__x86_64__)
static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}
#elif defined(__aarch64__)
static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#else
#error "the stage knows x86_64 and aarch64"
#endif

/* sys(setsid), sys(read, fd, buffer, size): missing arguments are 0, which prctl asks for. */
#define sys(name, ...) sys_pad(__NR_##name, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define sys_pad(nr, a, b, c, d, e, f, ...)                                                         \
	sys6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* openat2(2), tried again where a lookup that must not leave a directory crossed a rename or a mount: any on the machine
 * will do, and the kernel says EAGAIN. */
static inline long sys_openat2(long dirfd, const char *path, const struct open_how *how)
{
	long rc;
	int tries = 1000;

	do
		rc = sys(openat2, dirfd, path, how, sizeof(*how));
	while (rc == -EINTR || (rc == -EAGAIN && how->resolve && --tries > 0));
	return rc;
}

#endif
