<?php
namespace Legacy\Tools;

use function Legacy\Polyfill\imap_open;
use function Legacy\Polyfill\{create_function, money_format as shown};

#[\Attribute, each('x')]
final class Names
{
    use each;
    public function names(): array
    {
        return [imap_open('x'), create_function('y'), shown(1), strptime_of(2), namespace\each(3), Other\each(4)];
    }
}

trait each { }

// A function of this namespace hides the one that is gone.
function each($value) { return $value; }
function strptime_of($value) { return each($value); }
