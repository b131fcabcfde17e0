<?php
// What a visitor does here: leaves a file (POST id=...), reads one back (GET ?id=...), lists them (GET ?list).
header('Content-Type: text/plain; charset=utf-8');
header('Cache-Control: no-store');
$folder = dirname(__DIR__) . '/visits';

function fail(int $status, string $why): never
{
    http_response_code($status);
    exit("$why\n");
}

$id = $_POST['id'] ?? $_GET['id'] ?? '';
if (!isset($_GET['list']) && (!is_string($id) || !preg_match('/\A[a-z0-9-]{1,80}\z/', $id))) {
    fail(400, 'id: 1 to 80 of a-z, 0-9 and -');
}
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    // Whole or not at all, also for whoever reads meanwhile.
    $written = file_put_contents("$folder/.$id", "visit $id\n");
    $written && rename("$folder/.$id", "$folder/$id") ? exit("$id\n") : fail(500, 'not written');
}
if (isset($_GET['list'])) {
    exit(implode("\n", array_filter(scandir($folder), fn ($name) => $name[0] !== '.')) . "\n");
}
is_file("$folder/$id") ? readfile("$folder/$id") : fail(404, 'no such visit');
