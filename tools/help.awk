# `make help`: the targets of the Makefile by group. A target's comment is `## what it does`, or `## [group] what it does`.
BEGIN {
    groups = split("try it;your board;the broker's log;develop", group, ";")
}
/^[a-z][a-z-]*:.*## / {
    target = $0
    sub(/:.*/, "", target)
    words = $0
    sub(/.*## /, "", words)
    where = "develop"
    if (words ~ /^\[/) {
        where = words
        sub(/^\[/, "", where)
        sub(/\].*/, "", where)
        sub(/^\[[^]]*\] /, "", words)
    }
    lines[where] = lines[where] sprintf("  make %-15s %s\n", target, words)
}
END {
    for (i = 1; i <= groups; i++) {
        title = toupper(substr(group[i], 1, 1)) substr(group[i], 2)
        printf "%s%s\n%s", (i > 1 ? "\n" : ""), title, lines[group[i]]
        delete lines[group[i]]
    }
    for (left in lines)
        printf "\n%s\n%s", left, lines[left]
    print "\nVariables: READINGS=5 (make run: 0 for endless), SLEEP=1, WEB=1; MICROPYTHON=/path, MOSQUITTO=/path, PYTHON3=python3.12"
}
