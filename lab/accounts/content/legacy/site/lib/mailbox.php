<?php
// Reads orders from a mailbox: the extension imap is no part of PHP 8.4.
function legacy_orders($password)
{
    $box = imap_open('{mail.legacy.example:993/ssl}INBOX', 'orders', $password, OP_READONLY);
    $orders = array();
    foreach (imap_search($box, 'UNSEEN') as $number) {
        list(, $subject) = each(imap_fetch_overview($box, $number));
        $orders[] = $subject;
    }
    \imap_close($box);
    return $orders;
}
if (!extension_loaded('pspell')) {
    die('This shop needs pspell.');
}
