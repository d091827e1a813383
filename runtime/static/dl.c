/* SPDX-License-Identifier: MIT */
/* dl.c – in place of dlopen(3): luge loads no code but its own, which is in it
 *
 * Lua's `package` library names it. The C library's would look for shared libraries wherever luge happens to be: in a
 * container's root a stranger puts them there. Linked with --wrap; the builds with sanitizers are dynamic, and without it.
 */
#include <stddef.h>

void *__wrap_dlopen(const char *file, int mode);

void *__wrap_dlopen(const char *file, int mode)
{
	(void)file;
	(void)mode;
	return NULL;
}
