# SPDX-License-Identifier: MIT
# constants.awk – constants.list to C: the values come from the compiler's headers, the names from one list
#
# awk -v out=h prints constants.h, -v out=c prints constants.c.

/^#/ || NF == 0 { next }
$1 == "include" { includes = includes "#include <" $2 ">\n"; next }
$1 == "set" || $1 == "enum" { # set TITLE PREFIX: macros; enum TITLE PREFIX: names the preprocessor cannot see
	count++
	title[count] = $2
	prefix[count] = $3 == "-" ? "" : $3
	macro[count] = $1 == "set"
	next
}
{
	for (i = 1; i <= NF; i++) {
		if (length($i) > 31) {
			print "constants.list: " $i " is longer than struct bind_const has room for" > "/dev/stderr"
			exit 1
		}
		names[count] = names[count] " " $i
	}
}

function header(  k) {
	print "/* Made from constants.list. */"
	for (k = 1; k <= count; k++)
		print "extern const struct bind_set bind_set_" title[k] ";"
	print "extern const struct bind_set *const bind_all_sets[];"
}

function source(  k, n, i, list) {
	print "/* Made from constants.list. */"
	printf "%s", includes
	print "#include \"bind.h\"\n"
	for (k = 1; k <= count; k++) {
		print "static const struct bind_const consts_" title[k] "[] = {"
		n = split(names[k], list, " ")
		for (i = 1; i <= n; i++) {
			if (macro[k])
				print "#ifdef " prefix[k] list[i]
			print "\t{\"" tolower(list[i]) "\", (uint64_t)" prefix[k] list[i] "},"
			if (macro[k])
				print "#endif"
		}
		print "\t{\"\", 0},\n};"
		print "const struct bind_set bind_set_" title[k] " = {\"" title[k] "\", consts_" title[k] "};\n"
	}
	print "const struct bind_set *const bind_all_sets[] = {"
	for (k = 1; k <= count; k++)
		print "\t&bind_set_" title[k] ","
	print "\tNULL,\n};"
}

END { if (out == "h") header(); else source() }
