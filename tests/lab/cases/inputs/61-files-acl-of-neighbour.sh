# CASE 61: a folder that another account of the same server may read (setfacl -m u:neighbour:rx), and the neighbour has not moved yet
# SOURCE: hestiacp/hestiacp #1751; usmannasir/cyberpanel #1573; outroll/vesta #2041
# ENGINE: files, as the account's user; a second account `neighbour` (uid 2402) exists on the old server and not yet on the new one
# RIGHT: the account moves; the entry keeps the number of the neighbour, who comes with the same number; a customer must not have to move accounts in one order
#@ root before
getent passwd neighbour >/dev/null || useradd -u 2402 -U -M -d /home/neighbour neighbour
#@ account
mkdir shared; echo x > shared/list; setfacl -m u:neighbour:rx shared; setfacl -m u:neighbour:r shared/list
#@ check
getfacl -n --omit-header shared | grep ':r-x' | sort | tr '\n' ' '
#@ expect
user:2402:r-x group... (the entry of 2402 is there)
