<?php
// Installs WordPress and fills it, as its own installer and its own functions do. Runs as the account, on the server.
$settings = json_decode(file_get_contents(getenv('HOME') . '/.fill.json'), true);
define('WP_INSTALLING', true);
$_SERVER += ['HTTP_HOST' => 'blog.example', 'HTTPS' => 'on', 'REQUEST_URI' => '/', 'SERVER_PROTOCOL' => 'HTTP/1.1'];
function wp_new_blog_notification() {}  // no letter to the administrator

require $settings['root'] . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
require_once ABSPATH . 'wp-admin/includes/image.php';
mt_srand(2022);

wp_install('Notes from the pasture', 'admin', 'admin@blog.example', true, '', wp_slash($settings['admin_password']));
update_option('siteurl', $settings['url']);
update_option('home', $settings['url']);
update_option('permalink_structure', '');
// What the footer shows must not change while visitors comment.
update_option('sidebars_widgets', ['wp_inactive_widgets' => [], 'sidebar-1' => [], 'array_version' => 3]);

global $wpdb;
wp_suspend_cache_addition(true);
wp_defer_term_counting(true);
wp_defer_comment_counting(true);
$wpdb->query('START TRANSACTION');

$authors = [1];
for ($i = 1; $i < $settings['users']; $i++) {
    $authors[] = wp_insert_user([
        'user_login' => "herder$i",
        'user_pass' => bin2hex(random_bytes(12)),
        'user_email' => "herder$i@blog.example",
        'display_name' => "Herder Nº $i · Älpler",
        'role' => ['author', 'editor', 'subscriber'][$i % 3],
    ]);
}

$categories = [];
foreach (['Summer', 'Winter', 'Föhn & snow', 'Käse'] as $name) {
    $categories[] = wp_insert_term($name, 'category')['term_id'];
}
$words = explode(' ', 'transhumance flock pasture alp bell dog river pass snow spring herder cheese hay meadow ridge fog');
$sentence = function (int $length) use ($words): string {
    $picked = [];
    for ($i = 0; $i < $length; $i++) {
        $picked[] = $words[mt_rand(0, count($words) - 1)];
    }
    return ucfirst(implode(' ', $picked)) . '. ';
};

$guestbook = wp_insert_post(['post_title' => 'Guestbook', 'post_content' => 'Say hello.', 'post_status' => 'private', 'post_author' => 1]);
add_option('guestbook_post', $guestbook);
$posts = [];
for ($i = 0; $i < $settings['posts']; $i++) {
    $text = '';
    for ($p = 0; $p < 6; $p++) {
        $text .= '<p>' . $sentence(mt_rand(20, 60)) . "🐑 l'été «là-haut»</p>\n";
    }
    $posts[] = wp_insert_post([
        'post_title' => "Day $i: " . $sentence(4),
        'post_content' => $text,
        'post_status' => 'publish',
        'post_author' => $authors[$i % count($authors)],
        'post_date' => gmdate('Y-m-d H:i:s', 1640995200 + $i * 86400),
        'post_category' => [$categories[$i % count($categories)]],
        'tags_input' => [$words[$i % count($words)]],
        'meta_input' => ['altitude' => 400 + $i * 7, '_weather' => ['wind' => $i % 12, 'sky' => 'clear']],
    ]);
}
for ($i = 0; $i < $settings['comments']; $i++) {
    wp_insert_comment([
        'comment_post_ID' => $posts[$i % count($posts)],
        'comment_author' => "Reader $i",
        'comment_author_email' => "reader$i@reader.example",
        'comment_content' => $sentence(15),
        'comment_approved' => 1,
        'comment_date' => gmdate('Y-m-d H:i:s', 1641000000 + $i * 3600),
    ]);
}

$folder = wp_upload_dir('2022/01');
wp_mkdir_p($folder['path']);
for ($i = 0; $i < $settings['uploads']; $i++) {
    $image = imagecreatetruecolor(640, 480);
    for ($r = 0; $r < 60; $r++) {
        $colour = imagecolorallocate($image, mt_rand(0, 255), mt_rand(0, 255), mt_rand(0, 255));
        imagefilledrectangle($image, mt_rand(0, 640), mt_rand(0, 480), mt_rand(0, 640), mt_rand(0, 480), $colour);
    }
    $file = "{$folder['path']}/sheep-$i.jpg";
    imagejpeg($image, $file, 85);
    $attachment = wp_insert_attachment([
        'post_mime_type' => 'image/jpeg',
        'post_title' => "Sheep $i",
        'post_status' => 'inherit',
        'guid' => "{$folder['url']}/sheep-$i.jpg",
    ], $file, $posts[$i]);
    wp_update_attachment_metadata($attachment, wp_generate_attachment_metadata($attachment, $file));
    set_post_thumbnail($posts[count($posts) - 1 - $i], $attachment);
}
wp_defer_comment_counting(false);
wp_defer_term_counting(false);
$wpdb->query('COMMIT');
// Settled here once, so that no later visit changes it in passing.
update_option('db_upgraded', '');
echo count($posts), " posts\n";
