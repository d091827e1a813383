/* SPDX-License-Identifier: MIT */
/* sleep.c – a command that rests until it is killed: what joins its container is measured */
#include <unistd.h>

int main(void)
{
	for (;;)
		(void)pause(); /* returns only for a signal that was handled, and there is none */
}
