/* SPDX-License-Identifier: MIT */
/* filetype.c – the words for types of files, used by stat, getdents and mknod
 *
 * Whole words, not the kernel's abbreviations: "type" is read in conditions and in JSON. Lua-free.
 */
#include "filetype.h"

#include <string.h>
#include <sys/stat.h>

#include "bind.h"

static const struct bind_const types[] = {
	{"directory", S_IFDIR}, {"file", S_IFREG}, {"symlink", S_IFLNK}, {"fifo", S_IFIFO},
	{"socket", S_IFSOCK},	{"char", S_IFCHR}, {"block", S_IFBLK},	 {"", 0},
};

static const struct bind_set set = {"TYPE", types};

const char *filetype_name(unsigned mode)
{
	const char *name = bind_const_name(&set, mode & S_IFMT);

	return name ? name : "unknown";
}

unsigned filetype_value(const char *name)
{
	for (const struct bind_const *type = types; *type->name; type++)
		if (strcmp(type->name, name) == 0)
			return (unsigned)type->value;
	return 0;
}

const char *filetype_nearest(const char *name)
{
	return bind_nearest(&set, name);
}
