<?php
// The shop's report: what of it does not change while visitors write.
require __DIR__ . '/database.php';
header('Content-Type: application/json');
$db = database();
$department = isset($_GET['department']) ? (int) $_GET['department'] : null;
if ($department !== null) {
    $q = $db->prepare('SELECT "Full Name", "E-Mail", tags, price_total FROM "Mixed Case"."Order Report" WHERE "Department" = ? ORDER BY "Full Name" COLLATE "German phone book", "E-Mail", price_total LIMIT 50');
    $q->execute([$department]);
    exit(json_encode($q->fetchAll(), JSON_PRETTY_PRINT) . "\n");
}
echo json_encode([
    'orders' => $db->query('SELECT count(*) AS n, sum("Unit Price" * quantity) AS sum FROM "Mixed Case"."Order Lines"')->fetch(),
    'months' => $db->query('SELECT e.month::text AS month, kind, n FROM events_by_month e ORDER BY e.month, kind')->fetchAll(),
    'pictures' => $db->query('SELECT count(*) AS n, sum(length(lo_get(picture))) AS bytes FROM product')->fetch(),
    'no key' => $db->query('SELECT count(*) AS n, count(DISTINCT line) AS lines FROM no_key')->fetch(),
], JSON_PRETTY_PRINT), "\n";
