/* SPDX-License-Identifier: MIT */
/* exit.c – linked into a build for coverage: writes the counts where the program ends without atexit
 *
 * luge leaves through _Exit and its children through _exit, which skip what gcov does at exit; the linker's
 * --wrap sends both here first.
 */
#include <stdnoreturn.h>

void __gcov_dump(void);
noreturn void __real__exit(int code);
noreturn void __real__Exit(int code);
noreturn void __wrap__exit(int code);
noreturn void __wrap__Exit(int code);

noreturn void __wrap__exit(int code)
{
	__gcov_dump();
	__real__exit(code);
}

noreturn void __wrap__Exit(int code)
{
	__gcov_dump();
	__real__Exit(code);
}
