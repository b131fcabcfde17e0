# CASE 71: a program of the customer's own that @reboot starts (queue worker, Node or Python app behind ~/app.sock)
# SOURCE: pi-hole/docker-pi-hole #1073
# ENGINE: cron + site with "app": "/live", as the account's user; the lab's own account `files` shows the other way (a job every minute that starts it)
# RIGHT: the program runs on the new server within a minute of the release (the mover runs @reboot lines once, or says in test and report that nobody will start it)
#@ account
mkdir -p bin; cat > bin/worker <<'W'
#!/usr/bin/python3
import os, socket
path = os.path.expanduser("~/app.sock")
if os.path.exists(path): os.unlink(path)
s = socket.socket(socket.AF_UNIX); s.bind(path); os.chmod(path, 0o660); s.listen()
while True:
    c, _ = s.accept(); c.recv(4096); c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nup\n"); c.close()
W
chmod 755 bin/worker; echo '@reboot $HOME/bin/worker' | crontab -; setsid nohup bin/worker > /dev/null 2>&1 &
#@ check
sleep 70; pgrep -u $(id -u) -f bin/worker > /dev/null && echo runs || echo dead
#@ expect
runs
