<?php
// What a visitor does here: leaves a comment (POST id=...), reads one back (GET ?id=...), lists them (GET ?list).
// GET ?look tells what of the site does not change while visitors write.
define('WP_USE_THEMES', false);
require __DIR__ . '/wp-load.php';
header('Content-Type: text/plain; charset=utf-8');
header('Cache-Control: no-store');

$guestbook = (int) get_option('guestbook_post');

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
    $comment = wp_insert_comment([
        'comment_post_ID' => $guestbook,
        'comment_author' => $id,
        'comment_author_email' => 'visitor@visitor.example',
        'comment_content' => "visit $id",
        'comment_type' => 'comment',
        'comment_approved' => 1,
    ]);
    $comment ? exit("$id\n") : fail(500, 'not written');
}
if (isset($_GET['list'])) {
    global $wpdb;
    $found = $wpdb->get_col($wpdb->prepare(
        "SELECT comment_author FROM {$wpdb->comments} WHERE comment_post_ID = %d ORDER BY comment_ID",
        $guestbook
    ));
    exit(implode("\n", $found) . "\n");
}
if (isset($_GET['look'])) {
    $users = count_users();
    exit(json_encode([
        'posts' => (int) wp_count_posts()->publish,
        'users' => $users['total_users'],
        'uploads' => array_sum((array) wp_count_attachments()),
        'version' => get_bloginfo('version'),
    ]) . "\n");
}
global $wpdb;
$found = $wpdb->get_var($wpdb->prepare(
    "SELECT comment_content FROM {$wpdb->comments} WHERE comment_post_ID = %d AND comment_author = %s LIMIT 1",
    $guestbook,
    (string) ($_GET['id'] ?? '')
));
$found === null ? fail(404, 'no such visit') : exit("$found\n");
