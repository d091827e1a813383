/* SPDX-License-Identifier: MIT */
/* heap.h – the memory of the engine's Lua state, which the build freezes with every module loaded */
#ifndef LUGE_HEAP_H
#define LUGE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lua.h>

/* 64 GiB: far from where the kernel puts programs, libraries and stacks on any 64-bit machine. */
#define HEAP_ADDRESS ((void *)0x1000000000)

enum {
	HEAP_MAGIC = 0x4c474846,
	PAGE_SIZE = 4096,
	HOT_SIZE = 2 << 20, /* the hot part and what a start makes: a huge page */
	FROZEN_SIZE = 6 << 20,
	SMALL_MAX = 512, /* up to here blocks come in every multiple of 16 */
	CLASSED_MAX =
		1
		<< 14, /* up to here in four sizes between powers of two; larger ones are malloc's */
	N_CLASSES = SMALL_MAX / 16 + 1 + 4 * 5,
};

/* The heap begins with this. In memory the cold part begins HOT_SIZE behind it, in the file the page after the hot one. */
struct heap {
	uint32_t magic;
	uint32_t n_relocations;
	size_t relocations; /* where the offsets of pointers into the program begin, at the end of the hot part */
	size_t hot, cold; /* bytes of the parts; of the hot one this, too */
	uintptr_t image;  /* where the program was */
	uintptr_t
		place; /* where its blocks lie, and how much room is there: larger ones elsewhere are malloc's */
	size_t room;
	lua_State *state;
	char *next, *end; /* of the memory that blocks are cut from */
	char *top;	  /* where what a start made ends, once they are cut elsewhere */
	bool turned, rests;
	void *free[N_CLASSES];
};

static inline size_t heap_whole_pages(size_t size)
{
	return (size + PAGE_SIZE - 1) & ~(size_t)(PAGE_SIZE - 1);
}

/* Where the linker put the program. */
extern const char __executable_start[], _end[];

/* The state that the build froze into this program, to be had once; NULL when there is none or its place is
 * taken. FILE handles in it are stale. */
lua_State *heap_thaw(void);

/* What is allocated next goes to new pages. After a fork, in both processes: the old pages are shared, and each would be
 * copied at the first write to it. In a process that forks again only the first time. */
void heap_turn_page(bool is_child);

/* ---- for the build ---- */

/* Whether the program holds a state. */
bool heap_is_frozen(void);

/* Lua's allocator; ud: a struct heap. Lua always knows the size of a block, so blocks have no headers. */
void *heap_alloc(void *ud, void *block, size_t old_size, size_t size);

/* What a block of that size takes. */
size_t heap_room(size_t size);

#endif
