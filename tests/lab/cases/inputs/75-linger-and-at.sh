# CASE 75: systemd --user services with lingering, and jobs of at(1)
# SOURCE: systemd/systemd #33005, #11507
# ENGINE: logins (needs systemd-logind, dbus-user-session and at on both servers)
# RIGHT: lingering is on again (loginctl show-user says Linger=yes) and the unit runs; at jobs are there; or both are told in `left`
#@ root
loginctl enable-linger acct
#@ account
mkdir -p .config/systemd/user; printf '[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=default.target\n' > .config/systemd/user/worker.service; XDG_RUNTIME_DIR=/run/user/$(id -u) systemctl --user enable --now worker.service; echo 'touch ~/at-ran' | at now + 1 hour
#@ check
ls /var/lib/systemd/linger/acct; XDG_RUNTIME_DIR=/run/user/$(id -u) systemctl --user is-active worker.service; atq | wc -l
#@ expect
/var/lib/systemd/linger/acct active 1
