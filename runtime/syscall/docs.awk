# SPDX-License-Identifier: MIT
# docs.awk – the documentation of the bindings as a Lua module: { ["open"] = "S.open(path…", … }
#
# In C a comment that starts with three stars, in Lua a block of lines whose first has three dashes, when the first
# line names functions: S.NAME( or nl.NAME(, more of them on lines that start so, or methods: link:NAME(, socket:NAME(. The
# text is kept as written.

function flush_text(  rest, name, sign) {
	if (!active)
		return
	active = 0
	sub(/\n+$/, "", text)
	rest = signature
	while (match(rest, /((S|nl)\.|link:|socket:|nl\.nft\.)[a-z_0-9]+ ?[({]/)) {
		name = substr(rest, RSTART, RLENGTH - 1)
		rest = substr(rest, RSTART + RLENGTH)
		sub(/ $/, "", name)
		sub(/^S\./, "", name)
		if (!(name in docs)) {
			docs[name] = text
			order[++count] = name
		}
	}
}

function start(line) {
	text = signature = line
	active = in_signature = 1
}

function add(line) {
	if (in_signature && line ~ /^(S\.|nl\.|link:|socket:)/)
		signature = signature " " line
	else
		in_signature = 0
	text = text "\n" line
}

FNR == 1 { flush_text(); lua = FILENAME ~ /\.lua$/ }

!lua && /^\/\*\*\*[ \t]*(S\.|nl\.|link:|socket:)/ {
	sub(/^\/\*\*\*[ \t]*/, "")
	closed = sub(/[ \t]*\*\/[ \t]*$/, "")
	start($0)
	if (closed)
		flush_text()
	next
}
!lua && active {
	closed = sub(/[ \t]*\*\/[ \t]*$/, "")
	sub(/^[ \t]*\*?[ \t]?/, "")
	if (!closed || $0 != "")
		add($0)
	if (closed)
		flush_text()
	next
}

lua { sub(/^[ \t]+/, "") }
lua && !(active && in_signature) && /^--- (S\.|nl\.|link:|socket:)/ { flush_text(); sub(/^--- /, ""); start($0); next }
lua && active && /^---@/ { next }
lua && active && /^--/ { sub(/^---? ?/, ""); add($0); next }
lua && active { flush_text() }

END {
	flush_text()
	print "-- Made by docs.awk.\nreturn {"
	for (i = 1; i <= count; i++) {
		text = docs[order[i]]
		gsub(/\\/, "\\\\", text)
		gsub(/"/, "\\\"", text)
		gsub(/\n/, "\\n", text)
		printf "[\"%s\"] = \"%s\",\n", order[i], text
	}
	print "}"
}
