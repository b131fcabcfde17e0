<?php
// Nobody includes it any more: it was written for PHP 5.
function legacy_initial($name)
{
    return $name{0};
}
