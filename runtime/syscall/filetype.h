/* SPDX-License-Identifier: MIT */
/* filetype.h – the words for types of files: "directory", "file", "symlink" and so on */
#ifndef LUGE_FILETYPE_H
#define LUGE_FILETYPE_H

/* The word for the S_IFMT bits of mode, or "unknown". */
const char *filetype_name(unsigned mode);
/* The S_IFMT bits for a word, or 0. */
unsigned filetype_value(const char *name);
/* The word nearest to name, or NULL. */
const char *filetype_nearest(const char *name);

#endif
