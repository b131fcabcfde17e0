<?php
// CASE 79: date_default_timezone_set('US/Eastern') and new DateTimeZone('Europe/Kiev')
// SOURCE: ddev/ddev PR#7971; tphakala/birdnet-go #1418
// ENGINE: files, web (also .user.ini: date.timezone = US/Eastern)
// RIGHT: the report names file and line (there is a note for everybody, which names nothing)
// CHECK: curl -s http://acct.example/zone.php   -> "US/Eastern 19:00" on the old, "UTC 00:00" on the new server
date_default_timezone_set('US/Eastern');
echo date_default_timezone_get(), ' ', date('H:i', 0), "\n";
