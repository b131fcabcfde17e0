<?php
// The front page: what the shop sells, from MariaDB, and how often it was asked, from PostgreSQL.
require __DIR__ . '/lib/settings.php';
require __DIR__ . '/lib/text.php';
$settings = legacy_settings();
$shop = new mysqli('localhost', $settings['user'], $settings['mariadb'], 'legacy_shop');
$rows = $shop->query('SELECT title FROM articles ORDER BY id')->fetch_all();
$counter = pg_connect("host=127.0.0.1 dbname=legacy_stats user=legacy password={$settings['postgresql']}");
$seen = pg_fetch_result(pg_query($counter, 'SELECT sum(visits) FROM pages'), 0, 0);
?>
<html><head><title>Legacy Goods</title></head><body>
<h1>Legacy Goods</h1>
<ul><?php foreach ($rows as $row) { echo '<li>', legacy_text($row[0]), '</li>'; } ?></ul>
<p>Seen <?= (int) $seen ?> times.</p>
</body></html>
