/* SPDX-License-Identifier: MIT */
/* json.c – a JSON writer of the guest: commas and escapes, nothing else
 *
 * Bytes above 127 go out as \u00XX, so that any file name gives valid JSON: what is read back are
 * bytes.
 */
#include <stdio.h>

#include "guest.h"

static int first = 1;

static void print_string(const char *text)
{
	putchar('"');
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p == '"' || *p == '\\')
			printf("\\%c", *p);
		else if (*p < ' ' || *p > '~')
			printf("\\u%04x", *p);
		else
			putchar(*p);
	}
	putchar('"');
}

static void start_value(const char *key)
{
	if (!first)
		putchar(',');
	first = 0;
	if (key) {
		print_string(key);
		putchar(':');
	}
}

void json_open(const char *key, char bracket)
{
	start_value(key);
	putchar(bracket);
	first = 1;
}

void json_close(char bracket)
{
	putchar(bracket);
	first = 0;
}

void json_number(const char *key, long long value)
{
	start_value(key);
	printf("%lld", value);
}

void json_bool(const char *key, int value)
{
	start_value(key);
	fputs(value ? "true" : "false", stdout);
}

void json_null(const char *key)
{
	start_value(key);
	fputs("null", stdout);
}

void json_string(const char *key, const char *text)
{
	if (!text) {
		json_null(key);
		return;
	}
	start_value(key);
	print_string(text);
}

void json_end(void)
{
	putchar('\n');
	fflush(stdout);
}
