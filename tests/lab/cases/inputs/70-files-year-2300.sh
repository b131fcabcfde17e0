# CASE 70: one file whose time is beyond the year 2262 (a camera or program with a wrong clock; ext4 keeps times up to 2446)
# SOURCE: rdiff-backup/rdiff-backup #975 (2446); borgbackup/borg #3729; TISUnion/PrimeBackup #52
# ENGINE: files
# RIGHT: the account moves with it
#@ account
echo x > usual; echo y > far; touch -d '2300-01-01 00:00:00 UTC' far
#@ check
stat -c '%n %Y' far usual | head -1
#@ expect
far 10413792000
