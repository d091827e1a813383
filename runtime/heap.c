/* SPDX-License-Identifier: MIT */
/* heap.c – the memory of the engine's Lua state, which the build freezes with every module loaded
 *
 * Loading the modules of a run from bytecode takes two thirds of luge's own time. So the build does it once: it
 * runs the finished program, which loads them all into memory and writes that memory out (pack.c) as the contents of
 * the program's section .frozen, for a fixed address: pointers between Lua's objects hold as they are.
 *
 * Most of a start is page faults, so what a start uses, the hot part, lies together: it is read into one huge page,
 * which has room for what the start makes, too. The rest, the cold part, is the file's own pages, moved to their
 * address: read when they are touched, copied when they are written to. A luge that goes on to wait gives the huge page
 * back (rest).
 *
 * Pointers into the program itself – C functions – move with it, since it is position-independent: a list says
 * where they are. What no state may keep across the freeze: pointers into libraries (state.c renews the three FILE
 * handles), and tables keyed by addresses (their hash would be wrong).
 *
 * Whatever does not fit – the address is taken, an old kernel – makes state.c load the bytecode instead.
 */
#include "heap.h"

#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <lauxlib.h>
#include <linux/magic.h>

enum { CHUNK_SIZE = 64 << 10, GRAIN = 16 };

static union {
	struct heap heap;
	unsigned char bytes[FROZEN_SIZE];
} frozen __attribute__((section(".frozen"), aligned(4096)));

/* The heap of the engine's state, where it has one of these. */
static struct heap *current;

/* ---- the allocator ---- */

static bool is_frozen(const struct heap *heap, const void *block)
{
	return (uintptr_t)block - heap->place < heap->room;
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

size_t heap_room(size_t size)
{
	size_t room = (size + GRAIN - 1) & ~(size_t)(GRAIN - 1);

	if (size <= CLASSED_MAX)
		(void)class_of(size, &room);
	return room;
}

/* Blocks come from somewhere else than the huge page from now on. */
static void leave_page(struct heap *heap)
{
	if (heap->end == (char *)heap + HOT_SIZE)
		heap->top = heap->next;
	heap->next = heap->end = NULL;
}

/* A block of a multiple of GRAIN. */
static void *cut(struct heap *heap, size_t room)
{
	if ((size_t)(heap->end - heap->next) < room) {
		/* All its pages at once: a run uses most of them, and a fault each costs three times as much. */
		char *chunk = mmap(NULL, CHUNK_SIZE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

		if (chunk == MAP_FAILED)
			return NULL;
		leave_page(heap);
		heap->next = chunk;
		heap->end = chunk + CHUNK_SIZE;
	}
	void *block = heap->next;

	heap->next += room;
	return block;
}

static void *take(struct heap *heap, size_t size)
{
	if (size > CLASSED_MAX)
		return malloc(size);
	size_t room;
	void **list = &heap->free[class_of(size, &room)], *block = *list;

	if (!block)
		return cut(heap, room);
	memcpy(list, block, sizeof(*list));
	return block;
}

static void give_back(struct heap *heap, void *block, size_t size)
{
	if (size > CLASSED_MAX) {
		if (!is_frozen(heap, block))
			free(block);
		return;
	}
	size_t room;
	void **list = &heap->free[class_of(size, &room)];

	memcpy(block, list, sizeof(*list));
	*list = block;
}

void *heap_alloc(void *ud, void *block, size_t old_size, size_t size)
{
	struct heap *heap = ud;

	if (!block)
		return size ? take(heap, size) : NULL;
	if (size == 0) {
		give_back(heap, block, old_size);
		return NULL;
	}
	if (old_size > CLASSED_MAX && size > CLASSED_MAX && !is_frozen(heap, block))
		return realloc(block, size);
	void *moved = take(heap, size);

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
	leave_page(current);
}

/* ---- thawing ---- */

bool heap_is_frozen(void)
{
	/* What the compiler sees is never written: the build writes it. */
	return *(volatile const uint32_t *)&frozen.heap.magic == HEAP_MAGIC;
}

/* Where in the program's file an address of its data is; -1 where nothing says so. */
static off_t place_in_file(const void *address)
{
	const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR), *first = NULL;
	size_t n = headers ? getauxval(AT_PHNUM) : 0;

	for (size_t i = 0; i < n; i++) {
		if (headers[i].p_type != PT_LOAD)
			continue;
		first = first ? first : &headers[i]; /* the one that __executable_start begins */
		uintptr_t at = (uintptr_t)address - (uintptr_t)__executable_start + first->p_vaddr -
			       headers[i].p_vaddr;

		if (at < headers[i].p_filesz)
			return (off_t)(headers[i].p_offset + at);
	}
	return -1;
}

/* The program's file, or -1: a program that may not be read has none, nor one without /proc. A directory of that name that
 * is somebody else's would name a file of his. */
static int open_program(void)
{
	int process = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
	struct statfs st;

	if (process < 0)
		return -1;
	if (fstatfs(process, &st) == 0 && st.f_type == PROC_SUPER_MAGIC)
		fd = openat(process, "exe", O_RDONLY | O_CLOEXEC);
	(void)close(process);
	return fd;
}

/* Reads the hot part from the program's file: to copy it from where it is mapped would take a fault for every few pages. */
static bool read_hot(char *place)
{
	off_t at = place_in_file(&frozen);
	int fd = at < 0 ? -1 : open_program();

	if (fd < 0)
		return false;
	size_t size = frozen.heap.hot;
	bool is_read = pread(fd, place, size, at) == (ssize_t)size &&
		       memcmp(place, frozen.bytes, sizeof(frozen.heap)) == 0;

	(void)close(fd);
	return is_read;
}

lua_State *heap_thaw(void)
{
	struct heap *heap = HEAP_ADDRESS;

	if (!heap_is_frozen())
		return NULL;
	void *place =
		mmap(heap, HOT_SIZE + FROZEN_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	if (place == MAP_FAILED)
		return NULL;
	size_t hot = heap_whole_pages(frozen.heap.hot), cold = heap_whole_pages(frozen.heap.cold);
	char *cold_place = (char *)heap + HOT_SIZE;

	/* A kernel before 4.17 does not know the flag of mmap. */
	if (place != heap || mremap(frozen.bytes + hot, cold, cold, MREMAP_MAYMOVE | MREMAP_FIXED,
				    cold_place) != cold_place) {
		(void)munmap(place, HOT_SIZE + FROZEN_SIZE);
		return NULL;
	}
	(void)munmap(cold_place + cold, FROZEN_SIZE - cold);
	(void)madvise(heap, HOT_SIZE, MADV_HUGEPAGE);
	if (!read_hot(place))
		memcpy(heap, &frozen, frozen.heap.hot);
	uintptr_t moved = (uintptr_t)__executable_start - heap->image;
	const uint32_t *list = (const uint32_t *)((char *)heap + heap->relocations);

	for (uint32_t i = 0; moved && i < heap->n_relocations; i++)
		*(uintptr_t *)((char *)heap + list[i]) += moved;
	heap->next = (char *)heap + heap_room(heap->hot);
	heap->end = (char *)heap + HOT_SIZE;
	current = heap;
	return heap->state;
}

/* ---- resting ---- */

/* The file's own pages of the hot part, where the linker put them, with what a start changed in them: a copy of those few
 * only. */
static void update_mapped(const struct heap *heap, size_t size)
{
	for (size_t at = 0; at < size; at += PAGE_SIZE)
		if (memcmp(frozen.bytes + at, (const char *)heap + at, PAGE_SIZE) != 0)
			memcpy(frozen.bytes + at, (const char *)heap + at, PAGE_SIZE);
}

/* luge.heap.rest(): gives the huge page back, for pages of the file's and few of this process's own. It takes a millisecond,
 * and is for a luge that will wait long; once. */
static int rest(lua_State *L)
{
	struct heap *heap = current;

	(void)L;
	if (!heap || heap->rests)
		return 0;
	sigset_t all, before;
	bool is_open = heap->end == (char *)heap + HOT_SIZE; /* blocks still come from the page */
	const char *top = is_open ? heap->next : heap->top;
	size_t hot = heap_whole_pages(heap->hot), used = (size_t)(top - (char *)heap);
	size_t made = used > hot ? heap_whole_pages(used - hot) : 0;
	char *copy = mmap(NULL, made + PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (copy == MAP_FAILED)
		return 0;
	/* A handler in between would write to what is about to go (interrupt.c). */
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, &before);
	heap->rests = true;
	memcpy(copy, (char *)heap + hot, made);
	if (is_open)
		heap->end = (char *)heap + hot + made;
	update_mapped(heap, hot);
	/* The addresses stay. Where the one cannot be moved to the other's place there is no heap any more. */
	if ((made > 0 && mremap(copy, made, made, MREMAP_MAYMOVE | MREMAP_FIXED,
				(char *)heap + hot) == MAP_FAILED) ||
	    mremap(frozen.bytes, hot, hot, MREMAP_MAYMOVE | MREMAP_FIXED, heap) == MAP_FAILED)
		abort();
	(void)munmap((char *)heap + hot + made, HOT_SIZE - hot - made);
	(void)munmap(copy + made, PAGE_SIZE);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return 0;
}

int luaopen_luge_heap(lua_State *L);

int luaopen_luge_heap(lua_State *L)
{
	static const luaL_Reg functions[] = {{"rest", rest}, {NULL, NULL}};

	luaL_newlib(L, functions);
	return 1;
}
