#!/bin/sh
# What `probe-scout --root FILE` reads, to standard output: ssh HOST sudo sh -s <collect.sh >HOST.tar.xz
# One word may follow: host (what differs between hosts of a build), build (all but what is attached). Run it as root.
# Takes no hostname, no command line. Addresses stay: `probe-scout snapshot --root FILE -o OTHER` moves them.
# Needs cat, date, grep, ls, mkdir, mktemp, rm, sed, tar, uname; packs with xz or gzip where there is one.
set -u
umask 077
export LC_ALL=C
die() { echo "collect.sh: $1" >&2; exit 1; }
[ -t 1 ] && die 'standard output is a terminal: redirect it'
part=${1:-}
case $part in ''|host|build) ;; *) die 'host, build or nothing' ;; esac
cd "${COLLECT_ROOT:-/}" || exit 1
d=$(mktemp -d "${TMPDIR:-/tmp}/collect.XXXXXX") || exit 1
trap 'rm -rf "$d"' EXIT
trap 'exit 1' HUP INT PIPE TERM
f=$d/f n=/dev/null asked= lost=

ask() { for p; do asked="$asked${asked:+,}\"$p\""; done; }
add() { lost="$lost${lost:+,}\"$1\":{\"kind\":\"$2\",\"why\":\"$3\"}"; }
# lose PATH: why it could not be read, from $d/e
lose() {
	why=
	read -r why <"$d/e"
	why=${why##*: }
	case $why in
	'No such'*|'Not a dir'*) ;;
	*space*) die "$why" ;;
	*denied|*permitted) add "$1" denied "$why" ;;
	*) add "$1" malformed "$why" ;;
	esac
}
# take PATH [FROM]: copies a file
take() {
	[ -d "$f/${1%/*}" ] || mkdir -p "$f/${1%/*}"
	cat "${2:-$1}" >"$f/$1" 2>"$d/e" || { rm "$f/$1"; lose "$1"; }
}
want() { ask "$@"; for w; do case $w in "$t"/*) take "$w" "$T${w#"$t"}" ;; *) take "$w" ;; esac; done; }
# all FOLDER REST [FROM]: each file that fits FOLDER/REST
all() {
	ask "$1/$2"
	ls "${3:-$1}" >"$d/l" 2>"$d/e" || lose "$1"
	for g in "${3:-$1}"/$2; do [ -e "$g" ] && take "$1${g#"${3:-$1}"}" "$g"; done
}
none() { l=$(ls "$1" 2>&1) && [ -z "$l" ]; }

t=sys/kernel/tracing T=$t D=sys/kernel/debug S=proc/sys/kernel
if [ ! -d $t ] || none $t; then [ -e $D/tracing/events ] && T=$D/tracing; fi
for m in $T $D sys/kernel/security; do
	none $m || continue
	# lockdown=confidentiality leaves tracefs empty
	if grep -q " /$m " proc/mounts 2>$n; then add $m denied 'mounted but empty'; else add $m not_recorded 'not mounted'; fi
done
want proc/modules proc/version $S/arch $S/osrelease sys/kernel/notes
r=$(cat $S/osrelease 2>$n || uname -r)
ask proc/cpuinfo
sed '/^$/q' proc/cpuinfo 2>$n | grep -E '^(vendor_id|model name|flags|isa|Features|CPU (part|impl))' >"$f/proc/cpuinfo"
want proc/sys/debug/kprobes-optimization $S/bpf_stats_enabled $S/ftrace_enabled $S/kptr_restrict \
	$S/perf_event_paranoid $S/unprivileged_bpf_disabled proc/sys/net/core/bpf_jit_enable \
	sys/kernel/security/lockdown sys/kernel/security/lsm $D/kprobes/enabled $D/kprobes/list \
	$t/dynamic_events $t/enabled_functions $t/kprobe_events $t/kprobe_profile $t/touched_functions $t/uprobe_events
all sys/module '*/notes/.note.gnu.build-id'
mkdir "$f/tool"
for w in perf link prog net; do
	o=$f/tool/bpftool-$w.json
	[ "$part" != build ] && bpftool -j $w show >"$o" 2>$n || rm -f "$o"
done
if [ "$part" != host ]; then
	want proc/kallsyms $D/error_injection/list $D/kprobes/blacklist \
		$t/README $t/available_events $t/available_filter_functions $t/available_filter_functions_addrs
	all sys/kernel/btf '*'
	for w in btf_ids format id; do all $t/events "*/*/$w" $T/events; done
	mkdir -p "$f/boot"
	o=$f/boot/config
	gzip -dc proc/config.gz >"$o" 2>$n || rm "$o"
	for m in boot/config-$r usr/lib/modules/$r/config lib/modules/$r/config boot/config; do
		ask $m
		[ -e "$o" ] || [ ! -e $m ] || take boot/config $m
	done
	for m in lib/modules/$r/modules.builtin lib/modules/$r/modules.dep; do
		ask $m
		if [ -e usr/$m ]; then take $m usr/$m; else take $m; fi
	done
fi
a=absolute
grep -qv '^0* ' proc/kallsyms 2>$n || a=hidden
cat >"$f/manifest.json" <<END
{"schema":"probe-scout/snapshot/1","release":"$r","arch":"$(cat $S/arch 2>$n || uname -m)","part":"$part","addresses":"$a",
"taken":"$(date -u +%Y-%m-%dT%H:%M:%SZ)","tool_version":"collect.sh 1","files":{},"asked":[$asked],"unread":{$lost}}
END
pack=cat
for w in gzip xz; do echo | $w >"$d/l" 2>&1 && pack=$w; done
tar -C "$f" -cf - . | $pack
