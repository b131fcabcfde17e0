<?php
// What a visitor does here: writes a row (POST id=...), reads one back (GET ?id=...), lists them (GET ?list).
require __DIR__ . '/database.php';
header('Content-Type: text/plain; charset=utf-8');
header('Cache-Control: no-store');

function fail(int $status, string $why): never
{
    http_response_code($status);
    exit("$why\n");
}

if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $id = $_POST['id'] ?? '';
    if (!is_string($id) || !preg_match('/\A[a-z0-9-]{1,80}\z/', $id)) {
        fail(400, 'id: 1 to 80 of a-z, 0-9 and -');
    }
    database()->prepare('INSERT INTO visit (id) VALUES (?)')->execute([$id]);
    exit("$id\n");
}
if (isset($_GET['list'])) {
    exit(implode("\n", database()->query('SELECT id FROM visit ORDER BY number')->fetchAll(PDO::FETCH_COLUMN)) . "\n");
}
$q = database()->prepare('SELECT note FROM visit WHERE id = ?');
$q->execute([(string) ($_GET['id'] ?? '')]);
$found = $q->fetchColumn();
$found === false ? fail(404, 'no such visit') : exit("$found\n");
