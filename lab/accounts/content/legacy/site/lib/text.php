<?php
// utf8_decode() is deprecated and still there: nothing that stops anybody. A parameter that may be null by its default
// alone is what 8.4 deprecates.
function legacy_text($text, DateTime $when = null)
{
    return htmlspecialchars(utf8_encode(utf8_decode($text)));
}
