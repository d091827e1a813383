/* SPDX-License-Identifier: MIT */
/* pack.c – the build: a Lua state is laid out as the heap that a start thaws
 *
 * While the modules are loaded each block has pages of its own, so that the kernel tells which ones a rehearsed start
 * touches: in a copy of the process they are closed, and each is opened at its first fault. Then the blocks move
 * together, the touched ones before the others, and every word that is an address of a block becomes its new one.
 */
#include "pack.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heap.h"

/* What looks like an address of a block is changed as one. So the upper half of these is no instruction of Lua 5.3 (0x3f is
 * no opcode of its), and below the same number of lines, of a size or of nodes to the next of a chain (Node's i_key) stands
 * none as large as the lower half. What points into the program, 0x55… or 0x7f…, names a register that no function has. Texts
 * are not looked at. */
#define ARENA ((char *)0x3f40000000)

enum {
	ARENA_SIZE = 512 << 20,
	N_PAGES = ARENA_SIZE / PAGE_SIZE,
	STRING_MAX = 80,    /* of one with 40 characters */
	STRING_WORDS = 3,   /* before its text */
	REHEARSAL_MAX = 60, /* seconds */
	BROKEN = 2,	    /* the exit code of a rehearsal that did not say one */
};

/* A block begins a page; what Lua has of it follows. */
struct block {
	_Alignas(16) uint32_t room; /* bytes that Lua has */
	uint32_t place;		    /* where they go, from HEAP_ADDRESS */
	bool is_free, is_hot;
	bool is_marked; /* an object that the collector writes to */
	bool is_string;
	struct block *next_free;
};

static struct {
	char *next;
	struct block *free; /* those of one page */
} arena = {.next = ARENA};

static void *content_of(struct block *block)
{
	return block + 1;
}

static size_t span_of(const struct block *block)
{
	return heap_whole_pages(sizeof(*block) + block->room);
}

static struct block *next_of(struct block *block)
{
	return (struct block *)((char *)block + span_of(block));
}

static bool is_end(const struct block *block)
{
	return (const char *)block >= arena.next;
}

static size_t page_of(const void *address)
{
	return (size_t)((uintptr_t)address - (uintptr_t)ARENA) / PAGE_SIZE;
}

/* ---- the allocator ---- */

static struct block *take(size_t size)
{
	struct block *block = arena.free;

	if (block && sizeof(*block) + size <= PAGE_SIZE) {
		arena.free = block->next_free;
		memset(block, 0, PAGE_SIZE);
		block->room = (uint32_t)size;
		return block;
	}
	block = (struct block *)arena.next;
	if (heap_whole_pages(sizeof(*block) + size) > (size_t)(ARENA + ARENA_SIZE - arena.next))
		return NULL;
	block->room = (uint32_t)size;
	arena.next = (char *)next_of(block);
	return block;
}

static void give_back(void *content)
{
	struct block *block = (struct block *)content - 1;

	block->is_free = true;
	if (span_of(block) > PAGE_SIZE)
		return;
	block->next_free = arena.free;
	arena.free = block;
}

/* Lua's allocator; for a new block old_size is the kind of object it is for. Arrays and strings have none of the words that
 * the collector writes to. */
static void *allocate(void *ud, void *content, size_t old_size, size_t size)
{
	(void)ud;
	if (size == 0) {
		if (content)
			give_back(content);
		return NULL;
	}
	struct block *block = take(heap_room(size));

	if (!block)
		return NULL;
	if (content) {
		memcpy(content_of(block), content, size < old_size ? size : old_size);
		give_back(content);
	} else {
		block->is_marked = old_size == LUA_TTABLE || old_size == LUA_TFUNCTION ||
				   old_size == LUA_TUSERDATA || old_size == LUA_TTHREAD;
		block->is_string = old_size == LUA_TSTRING;
	}
	return content_of(block);
}

static int panic(lua_State *L)
{
	fprintf(stderr, "luge: internal error: %s\n", lua_tostring(L, -1));
	return 0; /* Lua aborts */
}

/* Memory at that address. */
static bool map_at(void *address, size_t size)
{
	void *place =
		mmap(address, size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	return place == address;
}

lua_State *pack_state_new(void)
{
	if (heap_is_frozen() || !map_at(ARENA, ARENA_SIZE) ||
	    !map_at(HEAP_ADDRESS, sizeof(struct heap)))
		return NULL;
	lua_State *L = lua_newstate(allocate, HEAP_ADDRESS);

	if (L)
		lua_atpanic(L, panic);
	return L;
}

/* ---- what a start uses ---- */

/* Of each page of the arena the first one of its block, and whether the block was used: shared with the copy of the
 * process that tries. */
static struct watched {
	uint32_t first[N_PAGES];
	bool is_used[N_PAGES];
} * watched;

/* Opens the block that was touched. A fault elsewhere, or in one that is open, is a bug, and comes again, to end the process. */
static void open_block(int signal_number, siginfo_t *info, void *context)
{
	size_t page = page_of(info->si_addr), end = page + 1;

	(void)context;
	if (page >= page_of(arena.next) || watched->is_used[watched->first[page]]) {
		(void)signal(signal_number, SIG_DFL);
		return;
	}
	size_t first = watched->first[page];

	while (end < page_of(arena.next) && watched->first[end] == first)
		end++;
	watched->is_used[first] = true;
	/* As many openings as the kernel splits mappings for: then the rest is not watched. */
	if (mprotect(ARENA + first * PAGE_SIZE, (end - first) * PAGE_SIZE,
		     PROT_READ | PROT_WRITE) != 0 &&
	    mprotect(ARENA, ARENA_SIZE, PROT_READ | PROT_WRITE) != 0)
		_exit(BROKEN);
}

/* From now on, in this process, the blocks that are touched are noted. */
static int watch(void)
{
	struct sigaction action = {.sa_sigaction = open_block, .sa_flags = SA_SIGINFO};

	if (sigaction(SIGSEGV, &action, NULL) != 0 ||
	    mprotect(ARENA, (size_t)(arena.next - ARENA), PROT_NONE) != 0)
		return -errno;
	return 0;
}

int pack_watch(lua_State *L, void (*rehearse)(lua_State *L, const char *script), const char *script)
{
	int status = -1;

	watched = mmap(NULL, sizeof(*watched), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (watched == MAP_FAILED)
		return -errno;
	for (struct block *b = (struct block *)ARENA; !is_end(b); b = next_of(b))
		for (size_t page = page_of(b); page < page_of(next_of(b)); page++)
			watched->first[page] = (uint32_t)page_of(b);
	*(struct heap *)HEAP_ADDRESS = (struct heap){.place = (uintptr_t)ARENA, .room = ARENA_SIZE};
	lua_setallocf(L, heap_alloc, HEAP_ADDRESS);
	pid_t pid = fork();

	if (pid == 0) {
		(void)alarm(REHEARSAL_MAX);
		if (watch() == 0)
			rehearse(L, script);
		_exit(BROKEN);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;
	for (struct block *b = (struct block *)ARENA; !is_end(b); b = next_of(b))
		b->is_hot |= watched->is_used[page_of(b)];
	(void)munmap(watched, sizeof(*watched));
	if (WIFSIGNALED(status)) {
		fprintf(stderr, "luge: the rehearsal was ended by signal %d\n", WTERMSIG(status));
		return -ECHILD;
	}
	if (WEXITSTATUS(status) == BROKEN)
		return -EINVAL;
	if (status != 0)
		fprintf(stderr, "luge: so a start was not tried whole, and takes longer\n");
	return 0;
}

/* ---- the layout ---- */

/* The block that an address is in, or just behind; NULL for none that is in use. */
static struct block *find(struct block **blocks, size_t n, uintptr_t address)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if ((uintptr_t)blocks[middle] <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return NULL;
	uintptr_t content = (uintptr_t)content_of(blocks[low - 1]);

	return address - content <= blocks[low - 1]->room ? blocks[low - 1] : NULL;
}

/* The blocks in use, by address; NULL without memory. */
static struct block **list_blocks(size_t *ret_n)
{
	struct block **blocks = malloc(N_PAGES * sizeof(struct block *));

	*ret_n = 0;
	for (struct block *b = (struct block *)ARENA; blocks && !is_end(b); b = next_of(b))
		if (!b->is_free)
			blocks[(*ret_n)++] = b;
	return blocks;
}

static bool is_in_program(uintptr_t word)
{
	return word >= (uintptr_t)__executable_start && word < (uintptr_t)_end;
}

/* How many words of a block may be addresses. */
static size_t words_of(const struct block *block)
{
	return block->is_string ? STRING_WORDS : block->room / sizeof(uintptr_t);
}

/* The number of words in a block that point into the program. */
static uint32_t count_relocations(struct block *block)
{
	const uintptr_t *words = content_of(block);
	uint32_t n = 0;

	for (size_t i = 0; i < words_of(block); i++)
		n += is_in_program(words[i]);
	return n;
}

/* Gives places to the blocks of one sort, from `at` on; returns where they end. */
static size_t place_blocks(struct block **blocks, size_t n, bool is_hot, bool is_marked, size_t at)
{
	for (size_t i = 0; i < n; i++) {
		if (blocks[i]->is_hot != is_hot || blocks[i]->is_marked != is_marked)
			continue;
		blocks[i]->place = (uint32_t)at;
		at += blocks[i]->room;
	}
	return at;
}

/* Decides where each block goes. Hot is what points into the program, since a start writes to it, and each string that Lua
 * keeps in its hash: a start makes some, and looks at all with the same hash. */
static int lay_out(struct heap *heap, struct block **blocks, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t pointers = count_relocations(blocks[i]);

		heap->n_relocations += pointers;
		blocks[i]->is_hot |=
			pointers > 0 || (blocks[i]->is_string && blocks[i]->room <= STRING_MAX);
	}
	heap->relocations =
		place_blocks(blocks, n, true, false,
			     place_blocks(blocks, n, true, true, heap_room(sizeof(*heap))));
	heap->hot = heap->relocations + heap->n_relocations * sizeof(uint32_t);
	heap->cold = place_blocks(blocks, n, false, false,
				  place_blocks(blocks, n, false, true, HOT_SIZE)) -
		     HOT_SIZE;
	return heap->hot > HOT_SIZE || heap_whole_pages(heap->hot) + heap->cold > FROZEN_SIZE
		       ? -E2BIG
		       : 0;
}

/* Where in the file the byte is that will be `place` bytes into the heap. */
static size_t place_in_file(const struct heap *heap, size_t place)
{
	return place < HOT_SIZE ? place : place - HOT_SIZE + heap_whole_pages(heap->hot);
}

/* The blocks at their places, with the addresses that hold there, and the list of pointers into the program. */
static void fill(const struct heap *heap, struct block **blocks, size_t n, char *image)
{
	uint32_t *relocation = (uint32_t *)(image + heap->relocations);

	for (size_t i = 0; i < n; i++) {
		uintptr_t *words = (uintptr_t *)(image + place_in_file(heap, blocks[i]->place));

		memcpy(words, content_of(blocks[i]), blocks[i]->room);
		for (size_t j = 0; j < words_of(blocks[i]); j++) {
			struct block *target = words[j] - (uintptr_t)ARENA < ARENA_SIZE
						       ? find(blocks, n, words[j])
						       : NULL;

			if (target)
				words[j] += (uintptr_t)HEAP_ADDRESS + target->place -
					    (uintptr_t)content_of(target);
			else if (is_in_program(words[j]))
				*relocation++ = (uint32_t)(blocks[i]->place + j * sizeof(*words));
		}
	}
}

static int write_image(const void *image, const char *path)
{
	FILE *out = fopen(path, "wb");

	if (!out)
		return -errno;
	size_t written = fwrite(image, 1, FROZEN_SIZE, out);

	return fclose(out) != 0 || written != FROZEN_SIZE ? -EIO : 0;
}

int pack_write(lua_State *L, const char *path)
{
	struct heap heap = {.magic = HEAP_MAGIC,
			    .image = (uintptr_t)__executable_start,
			    .place = (uintptr_t)HEAP_ADDRESS,
			    .room = HOT_SIZE + FROZEN_SIZE};
	size_t n;
	struct block **blocks = list_blocks(&n);
	char *image = calloc(1, FROZEN_SIZE);
	int rc = blocks && image ? 0 : -ENOMEM;

	lua_setallocf(L, heap_alloc, HEAP_ADDRESS);
	if (rc == 0)
		rc = lay_out(&heap, blocks, n);
	if (rc == 0) {
		struct block *state = find(blocks, n, (uintptr_t)L);

		heap.state = (lua_State *)((uintptr_t)HEAP_ADDRESS + state->place + (uintptr_t)L -
					   (uintptr_t)content_of(state));
		memcpy(image, &heap, sizeof(heap));
		fill(&heap, blocks, n, image);
		rc = write_image(image, path);
	}
	free(blocks);
	free(image);
	return rc;
}
