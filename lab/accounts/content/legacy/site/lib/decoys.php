<?php
// Nothing in here is one of what the checks look for. imap_open() in a comment, each() too.
/** @see imap_open() and each() */
$text = 'imap_open() and each() in a string, pspell_check("x") as well';
$more = "money_format() in {$text}";
echo <<<HTML
each() in a heredoc with {$more}
HTML;

class Decoy_Mailbox
{
    public $imap_host;
    const IMAP_PORT = 993;
    public function imap_open($box) { return $this->each($box); }
    public static function each($box) { return $box; }
    public function go() { return [$this?->imap_open(1), self::each(2), Decoy_Mailbox::each(3), $this->imap_host]; }
}

// A polyfill: the account brings its own.
if (!function_exists('money_format')) {
    function money_format($format, $number) { return number_format($number, 2); }
}
echo money_format('%i', 3);

// Asks before it calls.
if (function_exists('create_function')) {
    $f = create_function('', 'return 1;');
}
if (is_callable('imap_open') && extension_loaded('imap')) {
    imap_open('{localhost}', 'a', 'b');
    imap_errors();
}
$object = new Each('x');
$value = $object?->create_function(IMAP_TEST: 1);
ini_set('display_errors', '0');
class Each { public function create_function(...$more) { return $more; } }
