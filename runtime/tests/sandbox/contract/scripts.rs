//! The guests of `tests/guests` as scripts of a plain shell: each says and does what the program of the same name does.

pub(crate) const CAT: &str = "exec cat";

pub(crate) const LOOK: &str = r#"
for argument in "$@"; do echo "arg $argument"; done
env | sort | sed 's/^/env /'
find . -mindepth 1 | sort | sed 's/^..//' | while read -r path; do
    if [ -d "$path" ]; then echo "dir $path"; else echo "file $path $(wc -c < "$path")"; fi
done
while [ $# -gt 1 ]; do
    case $1 in
    --read) if text=$(cat "$2" 2>/dev/null); then echo "read $2: $text"; else echo "cannot read $2"; fi ;;
    --write) if echo changed 2>/dev/null > "$2"; then echo "wrote $2"; else echo "cannot write $2"; fi ;;
    esac
    shift
done
"#;

pub(crate) const EDIT: &str = r#"
set -e
kept=$(cat keep.txt)
sed -i 's/./c/g' change.txt
rm drop.txt
echo "made beside $kept" > made.txt
mkdir -p deep/er
echo "made deep down" > deep/er/made.txt
echo "not to be brought back" > /tmp/passing.txt
ln -s made.txt link
echo edited
"#;

pub(crate) const HOG: &str = r#"
echo "taking $1"
case $1 in
fuel) while :; do :; done ;;
sleep) exec sleep 1000000 ;;
memory) kept=0123456789abcdef; while :; do kept=$kept$kept; done ;;
output) exec tr '\0' x < /dev/zero ;;
disk) exec dd if=/dev/zero of=big.bin bs=64k ;;
many-files) number=0; while mkdir d$number && : > d$number/f; do number=$((number + 1)); done; exit 1 ;;
esac
"#;
