<?php
// A write (POST id=...) leaves its id in PostgreSQL, in MariaDB and in a file, and is acknowledged when it is in all
// three. GET ?id=...&in=postgresql|mariadb|file reads it back, GET ?list=... tells every id that a store holds.
header('Content-Type: text/plain; charset=utf-8');
header('Cache-Control: no-store');
$settings = require dirname(__DIR__) . '/settings.php';
$file = dirname(__DIR__) . '/visits';

function fail(int $status, string $why): never
{
    http_response_code($status);
    exit("$why\n");
}

function database(string $kind): PDO
{
    global $settings;
    [$name, $password] = [$settings['name'], $settings['password']];
    $dsn = $kind === 'postgresql' ? 'pgsql:host=127.0.0.1' : 'mysql:host=127.0.0.1';
    return new PDO("$dsn;dbname=$name", $name, $password, [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
}

if (isset($_GET['list'])) {
    $found = $_GET['list'] === 'file' ? explode("\n", trim((string) @file_get_contents($file)))
        : database($_GET['list'])->query('SELECT id FROM visit')->fetchAll(PDO::FETCH_COLUMN);
    exit(implode("\n", $found) . "\n");
}
$id = $_POST['id'] ?? $_GET['id'] ?? '';
if (!is_string($id) || !preg_match('/\A[a-z0-9-]{1,80}\z/', $id)) {
    fail(400, 'id: 1 to 80 of a-z, 0-9 and -');
}
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    foreach (['postgresql', 'mariadb'] as $kind) {
        database($kind)->prepare('INSERT INTO visit (id) VALUES (?)')->execute([$id]);
    }
    file_put_contents($file, "$id\n", FILE_APPEND | LOCK_EX) ? exit("$id\n") : fail(500, 'not written');
}
$in = $_GET['in'] ?? 'file';
if ($in === 'file') {
    str_contains((string) file_get_contents($file), "$id\n") ? exit("$id\n") : fail(404, 'no such visit');
}
$query = database($in)->prepare('SELECT id FROM visit WHERE id = ?');
$query->execute([$id]);
$query->fetchColumn() === $id ? exit("$id\n") : fail(404, 'no such visit');
