# CASE 62: a file in the home that belongs to another account (a folder that both write to)
# SOURCE: MagnaCapax/PMSS #283; hestiacp/hestiacp #1751
# ENGINE: files; neighbour as in 61
# RIGHT: the account moves, the file keeps its owner's number
#@ root before
getent passwd neighbour >/dev/null || useradd -u 2402 -U -M -d /home/neighbour neighbour
#@ account
mkdir -m 2777 drop
#@ root after
install -o neighbour -g neighbour -m 644 /etc/hostname /home/acct/drop/from-neighbour
#@ check
stat -c '%u' drop/from-neighbour
#@ expect
2402
