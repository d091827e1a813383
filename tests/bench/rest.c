/* SPDX-License-Identifier: MIT */
/* rest.c – a command that says it runs and then waits for the end of its input: what rests beside it is measured */
#include <unistd.h>

int main(void)
{
	char byte;

	return write(1, "running\n", 8) != 8 || read(0, &byte, 1) < 0;
}
