/* SPDX-License-Identifier: MIT */
/* memory.c – what the compiler calls by its name where it does not write out the loop
 *
 * The barriers keep it from seeing these very functions in their loops.
 */
#include <stddef.h>

#include "seal.h"

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		((unsigned char *)to)[i] = ((const unsigned char *)from)[i];
		__asm__ volatile("" ::: "memory");
	}
	return to;
}

void *memset(void *to, int byte, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		((unsigned char *)to)[i] = (unsigned char)byte;
		__asm__ volatile("" ::: "memory");
	}
	return to;
}
