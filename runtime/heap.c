/* SPDX-License-Identifier: MIT */
/* heap.c – the memory of the engine's Lua state, which the build freezes with every module loaded
 *
 * Loading the modules of a run from bytecode takes two thirds of luge's own time. So the build does it once: it
 * runs the finished program, which loads them all into memory at a fixed address and writes that memory out
 * (heap_freeze), as the contents of the program's section .frozen. At its start luge moves the section's pages to
 * the same address (heap_thaw): pointers between Lua's objects hold as they are, pages are read from the file when
 * they are touched, and only those that are written to are copied.
 *
 * Pointers into the program itself – C functions – move with it, since it is position-independent: a list says
 * where they are. What no state may keep across the freeze: pointers into libraries (state.c renews the three FILE
 * handles), and tables keyed by pointers into the program (their hash would be wrong).
 *
 * Whatever does not fit – the address is taken, an old kernel – makes state.c load the bytecode instead.
 */
#include "heap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* 64 GiB: far from where the kernel puts programs, libraries and stacks on any 64-bit machine. */
#define HEAP_ADDRESS ((void *)0x1000000000)

enum {
	FROZEN_SIZE = 6 << 20,
	CHUNK_SIZE = 64 << 10,
	STRINGS_SIZE = 256 << 10,
	STRING_MAX = 80, /* of those that Lua keeps in its hash, which have up to 40 characters */
	RUN_SIZE = 4 << 10,
	GRAIN = 16,
	PAGE_SIZE = 4096,
	SMALL_MAX = 512, /* up to here blocks come in every multiple of GRAIN */
	CLASSED_MAX =
		1
		<< 14, /* up to here in four sizes between powers of two; larger ones are malloc's */
	N_CLASSES = SMALL_MAX / GRAIN + 1 + 4 * 5,
	MAGIC = 0x4c474846,
};

/* The heap begins with this; then come Lua's blocks, after the last the offsets of pointers into the program, and then
 * the first and the number of the pages in each run of them that a start writes to. */
struct heap {
	uint32_t magic;
	uint32_t n_relocations;
	uint32_t used; /* bytes, the header included */
	uint32_t n_written;
	int32_t thawed;
	int32_t turned;
	uintptr_t image; /* where the program was */
	lua_State *state;
	char *next, *end; /* of the chunk that blocks are cut from */
	void *free[N_CLASSES];
};

static union {
	struct heap heap;
	unsigned char bytes[FROZEN_SIZE];
} frozen __attribute__((section(".frozen"), aligned(4096)));

/* The heap of the engine's state, where it has one of these. */
static struct heap *current;

/* In the build, free blocks for what the collector goes on writing to (freeze.c says what it does not), and room for
 * strings: each in pages of their own. A start that makes a string looks at all with the same hash, whoever made them. */
static void *marked_free[N_CLASSES];
static struct {
	char *next, *end;
} strings;

/* Where the linker put the program. */
extern const char __executable_start[], _end[];

/* ---- the allocator ---- */

static int is_frozen(const void *block)
{
	return (uintptr_t)block - (uintptr_t)HEAP_ADDRESS < FROZEN_SIZE;
}

/* The class of a size up to CLASSED_MAX; *ret_size is what its blocks have. */
static unsigned class_of(size_t size, size_t *ret_size)
{
	if (size <= SMALL_MAX) {
		*ret_size = (size + GRAIN - 1) & ~(size_t)(GRAIN - 1);
		return (unsigned)(*ret_size / GRAIN);
	}
	unsigned power =
		63 - (unsigned)__builtin_clzl(size - 1); /* 2^power < size <= 2^(power + 1) */
	size_t step = (size_t)1 << (power - 2);
	size_t quarter = (size - 1 - ((size_t)1 << power)) / step;

	*ret_size = ((size_t)1 << power) + (quarter + 1) * step;
	return SMALL_MAX / GRAIN + 1 + (power - 9) * 4 + (unsigned)quarter;
}

static void *cut(struct heap *heap, size_t size)
{
	size = (size + GRAIN - 1) & ~(size_t)(GRAIN - 1);
	if ((size_t)(heap->end - heap->next) < size) {
		/* All its pages at once: a run uses most of them, and a fault each costs three times as much. */
		char *chunk = heap->thawed ? mmap(NULL, CHUNK_SIZE, PROT_READ | PROT_WRITE,
						  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0)
					   : MAP_FAILED;

		if (chunk == MAP_FAILED)
			return NULL;
		heap->next = chunk;
		heap->end = chunk + CHUNK_SIZE;
	}
	void *block = heap->next;

	heap->next += size;
	return block;
}

/* Whether a new block is for an object of this kind, which Lua tells in place of an old size. Arrays, which have none of
 * the collector's words, and strings are no such thing. */
static bool is_marked(size_t kind)
{
	return kind == LUA_TTABLE || kind == LUA_TFUNCTION || kind == LUA_TUSERDATA ||
	       kind == LUA_TTHREAD;
}

/* In the build, a block for a string; NULL where the heap is full. */
static void *cut_string(struct heap *heap, size_t room)
{
	if ((size_t)(strings.end - strings.next) < room) {
		strings.next = cut(heap, STRINGS_SIZE);
		strings.end = strings.next ? strings.next + STRINGS_SIZE : NULL;
	}
	if (!strings.next)
		return NULL;
	strings.next += room;
	return strings.next - room;
}

/* While the build fills the heap, blocks of one size lie together: the tables, which hold most of the pointers into
 * the program, then fill few pages, and only those are written to by heap_thaw(). */
static void cut_run(struct heap *heap, void **list, size_t size)
{
	for (size_t i = 0; i < RUN_SIZE / size; i++) {
		void *block = cut(heap, size);

		if (!block)
			return;
		memcpy(block, list, sizeof(*list));
		*list = block;
	}
}

/* A block for an object of this kind. */
static void *take(struct heap *heap, size_t size, size_t kind)
{
	if (size > CLASSED_MAX)
		return heap->thawed ? malloc(size) : cut(heap, size);
	size_t room;
	unsigned class = class_of(size, &room);

	if (kind == LUA_TSTRING && room <= STRING_MAX && !heap->thawed)
		return cut_string(heap, room);
	void **list = is_marked(kind) && !heap->thawed ? &marked_free[class] : &heap->free[class];

	if (!*list && !heap->thawed && room <= SMALL_MAX)
		cut_run(heap, list, room);
	void *block = *list;

	if (!block)
		return cut(heap, room);
	memcpy(list, block, sizeof(*list));
	return block;
}

static void give_back(struct heap *heap, void *block, size_t size)
{
	if (!heap->thawed)
		memset(block, 0,
		       size); /* or what it held would count as pointers into the program */
	if (size > CLASSED_MAX) {
		if (!is_frozen(block))
			free(block);
		return;
	}
	size_t room;
	void **list = &heap->free[class_of(size, &room)];

	memcpy(block, list, sizeof(*list));
	*list = block;
}

/* Lua's allocator. Lua always knows the size of a block, so blocks have no headers. */
static void *heap_alloc(void *ud, void *block, size_t old_size, size_t size)
{
	struct heap *heap = ud;

	if (!block)
		return size ? take(heap, size, old_size) : NULL;
	if (size == 0) {
		give_back(heap, block, old_size);
		return NULL;
	}
	if (old_size > CLASSED_MAX && size > CLASSED_MAX && !is_frozen(block))
		return realloc(block, size);
	void *moved = take(heap, size, LUA_TNIL);

	if (!moved)
		return size <= old_size ? block : NULL;
	memcpy(moved, block, size < old_size ? size : old_size);
	give_back(heap, block, old_size);
	return moved;
}

void heap_turn_page(bool is_child)
{
	/* What is turned away is lost: a luge that starts processes again and again would grow with each. */
	if (!current || (current->turned && !is_child))
		return;
	current->turned = !is_child;
	memset(current->free, 0, sizeof(current->free));
	memset(marked_free, 0, sizeof(marked_free));
	if (current->thawed)
		current->next = current->end = NULL;
}

static int panic(lua_State *L)
{
	fprintf(stderr, "luge: internal error: %s\n", lua_tostring(L, -1));
	return 0; /* Lua aborts */
}

/* ---- freezing, in the build ---- */

lua_State *heap_state_new(void)
{
	if (frozen.heap.magic == MAGIC)
		return NULL;
	struct heap *heap = mmap(HEAP_ADDRESS, FROZEN_SIZE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (heap == MAP_FAILED)
		return NULL;
	if ((void *)heap != HEAP_ADDRESS) {
		(void)munmap(heap, FROZEN_SIZE); /* a kernel before 4.17 does not know the flag */
		return NULL;
	}
	current = heap;
	heap->next = (char *)(heap + 1);
	heap->end = (char *)heap + FROZEN_SIZE;
	lua_State *L = lua_newstate(heap_alloc, heap);

	if (L)
		lua_atpanic(L, panic);
	return L;
}

/* Lists the words that point into the program, behind the blocks. A word that only looks like one would be changed
 * at random: text of that form has a one in 10^6 chance, and the tests run what the build made. */
static int list_relocations(struct heap *heap)
{
	const uintptr_t *words = (const uintptr_t *)heap;
	uint32_t *list = (uint32_t *)((char *)heap + heap->used);
	const uint32_t *end = (const uint32_t *)((const char *)heap + FROZEN_SIZE);
	size_t size = (uintptr_t)_end - (uintptr_t)__executable_start;

	for (size_t i = sizeof(*heap) / sizeof(*words); i < heap->used / sizeof(*words); i++) {
		if (words[i] - heap->image >= size)
			continue;
		if (list + heap->n_relocations == end)
			return -E2BIG;
		list[heap->n_relocations++] = (uint32_t)(i * sizeof(*words));
	}
	return 0;
}

/* Lists the pages that differ from what they were: behind the relocations, first and number of each run of them. */
static int list_written(struct heap *image, const struct heap *now)
{
	uint32_t *list = (uint32_t *)((char *)image + image->used) + image->n_relocations;
	const uint32_t *end = (const uint32_t *)((const char *)image + FROZEN_SIZE);
	const uint32_t *relocation = (uint32_t *)((char *)image + image->used);

	for (uint32_t page = 0; page * (size_t)PAGE_SIZE < image->used; page++) {
		size_t at = page * (size_t)PAGE_SIZE;
		bool is_written =
			memcmp((const char *)image + at, (const char *)now + at, PAGE_SIZE) != 0;

		for (; relocation < list && *relocation < at + PAGE_SIZE; relocation++)
			is_written = true;
		uint32_t *last = list + 2 * (size_t)image->n_written - 2;

		if (!is_written)
			continue;
		if (image->n_written > 0 && last[0] + last[1] == page) {
			last[1]++;
			continue;
		}
		if (last + 4 > end)
			return -E2BIG;
		last[2] = page;
		last[3] = 1;
		image->n_written++;
	}
	return 0;
}

static int write_image(const struct heap *image, const char *path)
{
	FILE *out = fopen(path, "wb");

	if (!out)
		return -errno;
	size_t written = fwrite(image, 1, FROZEN_SIZE, out);

	return fclose(out) != 0 || written != FROZEN_SIZE ? -EIO : 0;
}

int heap_freeze(lua_State *L, void (*rehearse)(lua_State *L), const char *path)
{
	struct heap *heap = HEAP_ADDRESS;

	heap->magic = MAGIC;
	heap->state = L;
	heap->image = (uintptr_t)__executable_start;
	heap->used = (uint32_t)(heap->next - (char *)heap);
	/* What is made later goes to pages of its own, not into the holes of these. */
	memset(heap->free, 0, sizeof(heap->free));
	heap->next = heap->end = NULL;
	int rc = list_relocations(heap);
	struct heap *image = malloc(FROZEN_SIZE);

	if (!image || rc != 0) {
		free(image);
		return rc ? rc : -ENOMEM;
	}
	memcpy(image, heap, FROZEN_SIZE);
	heap->thawed = 1;
	rehearse(L);
	rc = list_written(image, heap);
	if (rc == 0)
		rc = write_image(image, path);
	free(image);
	return rc;
}

/* ---- thawing, in each run ---- */

/* Makes the pages that a start writes to its own, many with one call: a fault each costs half as much again. Those that
 * it only reads come 16 a fault, which no call betters. A kernel before 5.14 does not know the call, and takes the
 * faults. */
static void own(struct heap *heap, const uint32_t *runs)
{
	for (uint32_t i = 0; i < heap->n_written; i++, runs += 2)
		(void)madvise((char *)heap + (size_t)runs[0] * PAGE_SIZE,
			      (size_t)runs[1] * PAGE_SIZE, MADV_POPULATE_WRITE);
}

lua_State *heap_thaw(void)
{
	struct heap *heap = HEAP_ADDRESS;

	if (frozen.heap.magic != MAGIC)
		return NULL;
	void *place =
		mmap(heap, FROZEN_SIZE, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	if (place != heap)
		return NULL;
	if (mremap(&frozen, FROZEN_SIZE, FROZEN_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, heap) != heap)
		return NULL;
	const uint32_t *list = (const uint32_t *)((char *)heap + heap->used);

	own(heap, list + heap->n_relocations);
	uintptr_t moved = (uintptr_t)__executable_start - heap->image;

	for (uint32_t i = 0; moved && i < heap->n_relocations; i++)
		*(uintptr_t *)((char *)heap + list[i]) += moved;
	heap->thawed = 1;
	heap->turned = 0; /* the build did */
	current = heap;
	return heap->state;
}
