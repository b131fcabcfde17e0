# CASE 85 (control): 40 keywords on messages (files keep 26 only, the rest is in dovecot.index), folders in modified UTF-7, deep and long names, subscriptions
# SOURCE: chatmail/relay #374; docker-mailserver/docker-mailserver #4447; debops/debops #2673
# ENGINE: mail (Dovecot 2.3 -> 2.4 with the lab's two dovecot.conf), as the account's user
# RIGHT: the same list of folders, subscriptions, UIDs, UIDVALIDITY and all 40 keywords
#@ account
cd ~/mail/acct.example/info; D="doveadm -o mail_location=maildir:~/Maildir"; for m in "Entwürfe" "日本" "a&b" "deep.er.still" "with space " "ünï.côde"; do $D mailbox create -s "$m"; done; for i in 1 2 3; do printf 'From: a@b\nSubject: %s\n\nbody\n' $i | $D save -m INBOX; done; for i in $(seq 1 40); do $D flags add "Keyword$i" mailbox INBOX uid 1:3; done
#@ check by IMAP on the new server
LIST "" "*", LSUB "" "*", STATUS INBOX (UIDNEXT UIDVALIDITY MESSAGES), UID FETCH 1:* (FLAGS)
#@ expect
the same as before
