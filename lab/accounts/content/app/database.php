<?php
// One connection a request, as the account's own role.
function database(): PDO
{
    $s = require __DIR__ . '/settings.php';
    return new PDO(
        "pgsql:host={$s['host']};dbname='{$s['database']}';connect_timeout=20",
        $s['user'],
        $s['password'],
        [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC]
    );
}
